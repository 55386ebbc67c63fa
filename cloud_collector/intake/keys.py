"""Rotations and strangers' lines in the store: which held lines are signed by a key that is not valid there (P10).

A line is judged when it takes its position, and again when a `rotate` line or a decision of the operator
changes what its key may sign: the outcome is the same in whatever order they come.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from cloud_collector.fleet.positions import Chain
from cloud_collector.fleet.validity import validity
from cloud_collector.intake.fact import Fact
from cloud_collector.limits import GATEWAY_ROTATIONS_MAX
from cloud_collector.store.store import Store
from shared.effects.database import Row
from shared.key import PublicKey
from shared.report import Rotate
from shared.validity import Rotation, Validity


@dataclass(frozen=True, slots=True)
class Judged:
    """A log whose epochs are to be ordered anew, and its lines whose judgement has changed."""

    gateway: str
    log: str
    lines: tuple[int, ...]


class Keys:
    """What the store knows of gateways' keys, as far as this process has looked."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[str, Validity] = {}
        self._changed: dict[str, list[Rotation]] = {}

    def of(self, gateway: str) -> Validity:
        """What is known of a gateway's keys."""
        found = self._known.get(gateway)
        if found is None:
            if len(self._known) >= _CACHED_MAX:
                self._known.clear()
            found = self._known[gateway] = validity(self._store, gateway)
        return found

    def forget_gateway(self, gateway: str) -> None:
        """Nothing of this gateway is cached."""
        self._known.pop(gateway, None)

    def forget(self) -> None:
        """Nothing is cached."""
        self._known.clear()
        self._changed.clear()

    def take(self, line: Fact) -> None:
        """The line holds its position: what it rotates is known."""
        report, header = line.content.report, line.content.header
        if not isinstance(report, Rotate):
            return
        # P9, P21: a gateway that rotates without end harms only its own account.
        if self._store.rows("rotations_count", header.gateway)[0][0] >= GATEWAY_ROTATIONS_MAX:
            return
        key = PublicKey.from_text(report.next)
        chain = self._store.rows("chain_by_name", header.gateway, header.log, header.epoch)[0][0]
        self._store.run("rotation_put", line.id, chain, header.seq, header.key, key.id, key.raw)
        self._note(header.gateway, rotation_of(line, report))

    def lose(self, chain: Chain, line: Fact) -> None:
        """The line holds its position no longer: it rotates nothing, and is nobody's to disown."""
        self._store.run("disowned_drop", line.id)
        if isinstance(line.content.report, Rotate):
            self._store.run("rotation_drop", line.id)
            self._note(chain.gateway, rotation_of(line, line.content.report))

    def judge(self) -> list[Judged]:
        """What the rotations since the last call have changed in lines that were held before."""
        found: list[Judged] = []
        for gateway, rotations in self._changed.items():
            self._known.pop(gateway, None)
            # A revocation makes what follows from a rotation hard to foresee; without one it is in its own chain.
            found += self.rejudge(gateway) if self.of(gateway).revokes else self._in_chains(gateway, rotations)
        self._changed.clear()
        return found

    def rejudge(self, gateway: str) -> list[Judged]:
        """Every line of the gateway judged anew; every log of it is to be ordered again."""
        self._known.pop(gateway, None)
        changed = self._compared(gateway, self._store.rows("line_keys", gateway))
        return [
            Judged(gateway, log, tuple(changed.get(log, ()))) for (log,) in self._store.rows("logs_of_gateway", gateway)
        ]

    def disowned(self, line: Fact) -> bool:
        """Whether the line's key is not valid at its position; noted in the store."""
        header = line.content.header
        keys = self.of(header.gateway)
        why = None if keys.plain else keys.fault(header.log, header.epoch, header.seq, header.key)
        if why is not None:
            chain = self._store.rows("chain_by_name", header.gateway, header.log, header.epoch)[0][0]
            self._store.run("disowned_put", line.id, chain, why)
        elif not keys.plain:
            self._store.run("disowned_drop", line.id)
        return why is not None

    def _note(self, gateway: str, rotation: Rotation) -> None:
        self._changed.setdefault(gateway, []).append(rotation)

    def _in_chains(self, gateway: str, rotations: list[Rotation]) -> list[Judged]:
        found = []
        for each in rotations:
            chain = self._store.rows("chain_by_name", gateway, each.log, each.epoch)[0][0]
            rows = self._store.rows("line_keys_after", chain, 0)
            found.append(Judged(gateway, each.log, tuple(self._compared(gateway, rows).get(each.log, ()))))
        return found

    def _compared(self, gateway: str, rows: Iterable[Row]) -> dict[str, list[int]]:
        """By log the lines that are judged otherwise than the store says."""
        keys = self.of(gateway)
        changed: dict[str, list[int]] = {}
        for id_, log, epoch, seq, key, held in rows:
            if keys.fault(log, epoch, seq, key) != held:
                changed.setdefault(log, []).append(id_)
        return changed


def rotation_of(line: Fact, report: Rotate) -> Rotation:
    """What a `rotate` line says."""
    header = line.content.header
    new = PublicKey.from_text(report.next).id
    return Rotation(log=header.log, epoch=header.epoch, seq=header.seq, old=header.key, new=new)


_CACHED_MAX = 10_000
