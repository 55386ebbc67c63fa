"""A small gateway: chains of births, usage, gaps and clock lines, and everything a gateway must not do."""

import copy
from collections.abc import Sequence
from typing import Any

from tests.system.conformance.lines import Body, Identity, hash_of, seal

Row = list[Any]


class Chain:
    """One log of one epoch; every line that is sealed advances it."""

    def __init__(self, owner: Identity, log: str, epoch: str, *, boot: str = "0000b001", clock: str = "S") -> None:
        self.owner, self.log, self.epoch = owner, log, epoch
        self.boot, self.clock = boot, clock
        self.seq, self.head = 0, ""
        self.registers: dict[str, int] = {}
        self.unit, self.exponent = "Wh", 0

    def fork(self) -> "Chain":
        """The same chain, to be gone on with otherwise."""
        return copy.deepcopy(self)

    @property
    def last(self) -> list[Any]:
        """The position that a next epoch's birth names."""
        return [self.epoch, self.seq, self.head]

    def body(self, kind: str, content: Body, **header: Any) -> Body:
        """A body at the chain's next position; `header` replaces what would stand there."""
        return {
            "kind": kind,
            "gateway": self.owner.name,
            "log": self.log,
            "key": self.owner.key_id,
            "epoch": self.epoch,
            "seq": self.seq + 1,
            "prev": self.head,
            "boot": self.boot,
            "clock": self.clock,
            "sealed_at": 0,
        } | (content | header)

    def take(self, body: Body | str, *, by: Identity | None = None) -> bytes:
        """Seal a body as the next line of the chain."""
        raw = seal("MS1", body, (by or self.owner).key)
        self.seq, self.head = self.seq + 1, hash_of(raw)
        return raw

    def birth(self, at: int, devices: dict[str, int | None], *, cause: str = "start", **more: Any) -> bytes:
        """Channels `energy` of these devices, at their raw values; registers restart there in a new epoch."""
        channels = []
        for device, raw in devices.items():
            self.registers.setdefault(device, raw or 0)
            register = self.registers[device]
            channels.append([device, "energy", self.unit, self.exponent, "stranger", "", register, raw])
        content = {
            "agent": "stranger 1",
            "config": hash_of(b"configuration"),
            "cause": cause,
            "previous": None,
            "channels": channels,
        }
        return self.take(self.body("birth", content, **({"sealed_at": at} | more)))

    def usage(self, start: int, deltas: dict[str, Sequence[int]], *, step: int = 60, **more: Any) -> bytes:
        """A window of these devices."""
        return self.take(self.window(start, deltas, step=step, **more))

    def window(self, start: int, deltas: dict[str, Sequence[int]], *, step: int = 60, **more: Any) -> Body:
        """The body of a window, whose registers are taken to be sealed."""
        rows, count = [], 1
        for device, each in deltas.items():
            count = len(each)
            rows.append([device, "energy", self.unit, self.exponent, self.registers[device], list(each)])
            self.registers[device] += sum(each)
        content = {"start": start, "step": step, "count": count, "rows": rows}
        return self.body("usage", content, **({"sealed_at": start + step * count} | more))

    def gap(self, device: str, start: int, end: int, units: int | None, *, cause: str = "source_down") -> bytes:
        """What could not be metered, with both registers or with none."""
        before = after = None
        if units is not None:
            before = self.registers[device]
            after = self.registers[device] = before + units
        rows = [[device, "energy", start, end, cause, before, after]]
        return self.take(self.body("gap", {"rows": rows}, sealed_at=end))

    def placed(self, offset: int, at: int) -> bytes:
        """The clock line of the boot."""
        return self.take(self.body("clock", {"offset": offset}, sealed_at=at))

    def forgotten(self, first: int, last: int, at: int) -> bytes:
        """Lines that were receipted and are gone."""
        content = {"lost": [self.epoch, first, last], "receipted_at": at}
        return self.take(self.body("forgotten", content, sealed_at=at))

    def exchange(self, device: str, old: int | None, new: int, at: int) -> bytes:
        """Another meter is in the place."""
        rows = [[device, "energy", "A1", old, "B2", new, self.registers[device]]]
        return self.take(self.body("exchange", {"rows": rows}, sealed_at=at))
