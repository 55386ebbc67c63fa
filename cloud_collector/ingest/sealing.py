"""Windows of events become sealed lines, and lines pass through intake like any gateway's (P5, P6, P7).

A line is in the outbox in the transaction that moves the log on, and leaves it under a receipt: whatever dies in
between, it is taken in again, and its position takes it once. Nothing further is sealed while one waits.
"""

import json
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from cloud_collector.ingest.log import WINDOW_SECONDS
from cloud_collector.invoice.sent import AGENT, SOURCE
from cloud_collector.limits import (
    BATCH_MESSAGES_MAX,
    INGEST_LINES_MAX,
    INGEST_STEP_SECONDS,
    INGEST_STEPS,
    INGEST_WAIT_SECONDS,
)
from cloud_collector.store.store import Store
from shared.effects.chance import Chance
from shared.errors import Refused
from shared.key import SigningKey
from shared.line import hash_of, parse
from shared.receipt import Receipt, read_receipt
from shared.report import (
    Birth,
    Cause,
    Channel,
    Clock,
    Header,
    Position,
    Report,
    Usage,
    UsageRow,
    Verdict,
    seal_report,
)
from shared.topic import Leaf, topic_of

LOG: Final = "main"
FindKey = Callable[[str], SigningKey | None]
"""The key of a log, by its name, where it can be read."""
_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Channel:
    device: str
    meter: str
    unit: str
    exponent: int
    register: int


@dataclass(slots=True, kw_only=True)
class _State:
    """Where a log stands while lines are added to it."""

    gateway: str
    epoch: str
    boot: str
    begun_at: int
    seq: int
    prev: str
    former: str
    stated: bool
    frontier: int
    waiting: int


class OwnLogs:
    """The collector's own logs: what is due of them as messages, and what receipts say of those."""

    def __init__(self, find_key: FindKey, chance: Chance, prefix: str) -> None:
        self._find_key, self._chance, self._prefix = find_key, chance, prefix

    def due(self, store: Store, now_ms: int) -> list[tuple[str, bytes]]:
        """What was sealed and has no receipt, and what is sealed now, as messages; raises DatabaseError."""
        found: list[tuple[str, bytes]] = []
        for (gateway,) in store.rows("ingest_gateways"):
            if len(found) >= BATCH_MESSAGES_MAX:
                # P9: the others' turn comes with the next tick, when these have caught up.
                break
            if not store.rows("ingest_outbox", gateway):
                self._seal(store, gateway, now_ms)
            topic = topic_of(gateway, Leaf.REPORT, self._prefix)
            found += [(topic, bytes(raw)) for _, _, raw in store.rows("ingest_outbox", gateway)]
        return found

    def settle(self, store: Store, receipts: Iterable[tuple[str, bytes]]) -> None:
        """What receipts confirm leaves the outbox (P7); they were sealed in this process, after the commit."""
        for gateway, sealed in receipts:
            line = parse(sealed)
            receipt = read_receipt(line) if not isinstance(line, Refused) else line
            if isinstance(receipt, Receipt):
                self._forget(store, gateway, receipt)
        for (gateway,) in store.rows("ingest_outbox_logs"):
            _log.warning("event=ingest_waits log=%s", gateway)

    def _forget(self, store: Store, gateway: str, receipt: Receipt) -> None:
        for epoch, seq, raw in store.rows("ingest_outbox", gateway):
            if (epoch, seq) == (receipt.epoch, receipt.through) and hash_of(bytes(raw)) != receipt.head:
                _log.error("event=ingest_forked log=%s epoch=%s seq=%d", gateway, epoch, seq)
                return
        store.run("ingest_outbox_held", gateway, receipt.epoch, receipt.through)

    def _seal(self, store: Store, gateway: str, now_ms: int) -> None:
        row = store.row("ingest_log_one", gateway)
        if row is None or not _is_over(row[6], now_ms):
            return
        key = self._find_key(gateway)
        if key is None or key.public.id not in {each[0] for each in store.rows("gateway_keys", gateway)}:
            # What is sent goes on being taken, up to its bound; it is sealed where the key is.
            _log.error("event=ingest_key_missing log=%s", gateway)
            return
        with store.atomic():
            held = store.rows("ingest_lock", gateway)[0]
            if not store.rows("ingest_outbox", gateway):
                _Sealing(store, key, self._state(store, gateway, held, now_ms), now_ms).seal()

    def _state(self, store: Store, gateway: str, held: Sequence[object], now_ms: int) -> _State:
        _, epoch, boot, begun_at, seq, prev, former, stated, frontier, waiting = held
        state = _State(
            gateway=gateway,
            epoch=epoch,  # type: ignore[arg-type]
            boot=boot,  # type: ignore[arg-type]
            begun_at=begun_at,  # type: ignore[arg-type]
            seq=seq,  # type: ignore[arg-type]
            prev=prev,  # type: ignore[arg-type]
            former=former,  # type: ignore[arg-type]
            stated=bool(stated),
            frontier=frontier,  # type: ignore[arg-type]
            waiting=waiting,  # type: ignore[arg-type]
        )
        if store.row("ingest_restored_after", state.begun_at) is not None:
            # P22: what was sealed after the backup may be in somebody's hands: no position is given twice.
            if state.seq:
                state.former = f"{state.epoch},{state.seq},{state.prev}"
            state.epoch, state.boot, state.begun_at = self._chance(4).hex(), self._chance(4).hex(), now_ms
            state.seq, state.prev, state.stated = 0, "", False
        return state


class _Sealing:
    """The lines of one log that are due, in one transaction."""

    def __init__(self, store: Store, key: SigningKey, state: _State, now_ms: int) -> None:
        self._store, self._key, self._state, self._now_ms = store, key, state, now_ms
        self._lines = 0

    def seal(self) -> None:
        state = self._state
        while _is_over(state.frontier, self._now_ms) and self._lines < INGEST_LINES_MAX:
            channels = [
                _Channel(device=device, meter=meter, unit=unit, exponent=exponent, register=register)
                for device, meter, unit, exponent, register, _ in self._store.rows("ingest_channels", state.gateway)
            ]
            if not state.stated:
                self._put(self._birth(channels))
                state.stated = True
            self._put(self._usage(channels))
            state.frontier += WINDOW_SECONDS
        self._store.run(
            "ingest_log_sealed", state.epoch, state.boot, state.begun_at, state.seq, state.prev, state.former,
            int(state.stated), state.frontier, state.waiting, state.gateway,
        )  # fmt: skip

    def _header(self) -> Header:
        state = self._state
        return Header(
            gateway=state.gateway,
            log=LOG,
            key=self._key.public.id,
            epoch=state.epoch,
            seq=state.seq + 1,
            prev=state.prev,
            boot=state.boot,
            clock=Clock.SYNCHRONISED,
            # A second before its receipt, as any gateway's line: a birth that is received in the very second in which
            # it was sealed looks like one whose clock ran ahead and was moved back (P13).
            sealed_at=self._now_ms // 1_000 - 1,
        )

    def _birth(self, channels: Sequence[_Channel]) -> Birth:
        state = self._state
        rows = tuple(
            # The register is the only counter that there is, so it is the raw reading too: it outlives an epoch.
            Channel(each.device, each.meter, each.unit, each.exponent, SOURCE, "", each.register, each.register)
            for each in channels
        )
        first = state.seq == 0
        epoch, _, rest = state.former.partition(",")
        seq, _, head = rest.partition(",")
        return Birth(
            header=self._header(),
            agent=AGENT,
            config=hash_of(json.dumps(rows, separators=(",", ":")).encode()),
            cause=(Cause.EPOCH if state.former else Cause.START) if first else Cause.CONFIG,
            previous=Position(epoch, int(seq), head) if first and state.former else None,
            channels=rows,
        )

    def _usage(self, channels: Sequence[_Channel]) -> Usage:
        state, store = self._state, self._store
        counted: dict[tuple[str, str], dict[int, int]] = defaultdict(dict)
        late: dict[tuple[str, str], dict[int, Verdict]] = defaultdict(dict)
        window = (state.gateway, state.frontier, state.frontier + WINDOW_SECONDS)
        for device, meter, placed, units, is_late, events in store.rows("ingest_window", *window):
            at = (placed - state.frontier) // INGEST_STEP_SECONDS
            counted[device, meter][at] = units
            if is_late:
                # Its amount is exact, its place in time is not.
                late[device, meter][at] = Verdict.ESTIMATED
            state.waiting -= events
        rows = []
        for each in channels:
            found = counted.pop((each.device, each.meter), {})
            deltas = tuple(found.get(at, 0) for at in range(INGEST_STEPS))
            notes = late[each.device, each.meter]
            rows.append(UsageRow(each.device, each.meter, each.unit, each.exponent, each.register, deltas, notes))
            if found:
                store.run("ingest_register", each.register + sum(deltas), state.gateway, each.device, each.meter)
        assert not counted, "an event's channel is there before it"
        return Usage(
            header=self._header(),
            start=state.frontier,
            step=INGEST_STEP_SECONDS,
            count=INGEST_STEPS,
            rows=tuple(rows),
        )

    def _put(self, report: Report) -> None:
        state = self._state
        raw = seal_report(report, self._key)
        state.seq, state.prev = state.seq + 1, hash_of(raw)
        self._store.run("ingest_outbox_put", state.gateway, state.epoch, state.seq, raw)
        self._lines += 1


def _is_over(frontier: int, now_ms: int) -> bool:
    """Whether the window that begins there has ended, and was waited for."""
    return now_ms // 1_000 >= frontier + WINDOW_SECONDS + INGEST_WAIT_SECONDS
