"""A line opened: the devices that it rests on or their states, the counters, and the moment that decides a maximum."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

from cloud_collector.activity.lifecycle import FOREVER, Life
from cloud_collector.contracts.money import plain
from cloud_collector.contracts.period import Period, iso
from cloud_collector.insight.by_day import unit_of
from cloud_collector.insight.grounds import Deciding, Ground, Grounds, deciding, grounds, lives
from cloud_collector.rating.draft import BookingKey, LineKind
from cloud_collector.rating.known import Known
from cloud_collector.usage.let_go import DetailDeleted
from cloud_collector.usage.span import ChannelName, UsageView

ON_USAGE: Final = frozenset({LineKind.USAGE, LineKind.DISCOUNT, LineKind.CAP, LineKind.MINIMUM})
"""Kinds of lines that stand on usage, or beside one that does."""
NEVER: Final = "it has never reported"
Reads = Sequence[Sequence[Any]]
"""Counters as they are sealed, two by two."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line that is to be opened, of a draft or as it is sealed."""

    key: BookingKey
    end: int
    reads: Reads
    sealed: Mapping[str, Fraction]
    """What sealed counters say of each device; of a draft nothing is sealed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """What a device has in a line, and how it is known."""

    channel: ChannelName
    device: str
    start: int
    end: int
    quantity: Fraction | None
    unit: str
    how: str

    def to_json(self) -> dict[str, Any]:
        """The public form."""
        return {
            "device": self.device,
            "meter": self.channel.meter,
            "start": iso(self.start),
            "end": iso(self.end),
            "quantity": None if self.quantity is None else plain(self.quantity),
            "unit": self.unit,
            "how": self.how,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Stood:
    """A state of a device in the line's time, and the report that started it."""

    device: str
    state: str
    start: int
    end: int
    """FOREVER: it has no end."""
    why: str
    line: tuple[str, str, str, int] | None
    """Gateway, log, epoch, seq of the report that started it, where one did."""
    channels: tuple[ChannelName, ...]
    life_ends: int

    def to_json(self) -> dict[str, Any]:
        """The public form."""
        names = ("gateway", "log", "epoch", "seq")
        return {
            "device": self.device,
            "state": self.state,
            "start": iso(self.start),
            "end": None if self.end >= FOREVER else iso(self.end),
            "why": self.why or None,
            "line": None if self.line is None else dict(zip(names, self.line, strict=True)),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Rests:
    """Everything that a line rests on; of long lists what is asked for."""

    line: Line
    found: Grounds | None
    """None: it is not by usage, and rests on states."""
    lives: tuple[Life, ...]
    usage: UsageView

    @property
    def count(self) -> int:
        """How many devices it has."""
        return len(self.lives if self.found is None else self.found.held)

    @property
    def unit(self) -> str:
        """In which its usage stands."""
        return "" if self.found is None else unit_of(self.found.meter)

    @property
    def decides(self) -> Deciding | None:
        """Of a maximum: when it was reached."""
        return None if self.found is None else deciding(self.found)

    def used(self, rows: slice = slice(None)) -> Iterator[Used]:
        """What each of these devices used; raises UnlikeUnits."""
        for each in () if self.found is None else self.found.held[rows]:
            value, how = _known(self.found, each) if self.found is not None else (None, NEVER)
            yield Used(
                channel=each.channel,
                device=each.device,
                start=each.times[0][0],
                end=each.times[-1][1],
                quantity=self.line.sealed.get(each.device, value),
                unit=self.unit,
                how=how,
            )

    def states(self, rows: slice = slice(None)) -> Iterator[Stood]:
        """In which states these devices were, where the line is not by usage."""
        for life in self.lives[rows] if self.found is None else ():
            yield from _stood(life, (self.line.key.segment_start, self.line.end), self.usage)

    def to_json(self) -> dict[str, Any]:
        """The public form, of all of it."""
        peak = self.decides
        return {
            "devices": [each.to_json() for each in self.used()],
            "states": [each.to_json() for each in self.states()],
            "counters": [counter_of(each) for each in self.line.reads],
            "deciding": None if peak is None else _peak(peak, self.unit),
        }


def rests_on(known: Known, period: Period, line: Line) -> Rests:
    """What the line rests on, by what is known of its contract."""
    found = grounds(known, period, line.key) if line.key.kind in ON_USAGE else None
    held = tuple(each for each in lives(known) if line.key.device in {"", each.device})
    return Rests(line=line, found=found, lives=held, usage=known.usage)


def counter_of(read: Sequence[Any]) -> dict[str, Any]:
    """Two readings of a counter and the reports that carry them."""
    gateway, log, device, meter, epoch, first, low, last, high, estimated = read
    return {
        "device": f"{gateway}/{device}",
        "meter": meter,
        "log": log,
        "epoch": epoch,
        "first": first,
        "register_start": low,
        "last": last,
        "register_end": high,
        "units": high - low,
        "estimated": estimated,
    }


def _known(found: Grounds, ground: Ground) -> tuple[Fraction | None, str]:
    """So much, and how it is known."""
    channel = ground.channel
    if channel not in found.segment.usage.channels(channel.gateway, channel.device):
        return Fraction(0), NEVER
    try:
        quantity = ground.quantity()
    except DetailDeleted as error:
        return None, str(error)
    if quantity.gaps:
        return quantity.value, "parts of the time are not known"
    return quantity.value, "partly estimated" if quantity.estimated else "metered"


def _stood(life: Life, time: tuple[int, int], usage: UsageView) -> Iterator[Stood]:
    gateway, _, name = life.device.rpartition("/")
    (start, end), activation = time, life.activation
    evidence = None if activation is None else activation.evidence
    line = None if evidence is None else (evidence.gateway, evidence.log, evidence.epoch, evidence.seq)
    for stage in life.stages:
        low, high = max(stage.start, start), min(stage.end, end)
        if low > high or (low == high and start != end):
            continue
        yield Stood(
            device=life.device,
            state=stage.state.value,
            start=low,
            end=high,
            why=activation.why if activation is not None and stage.start >= activation.at else "",
            line=line,
            channels=tuple(usage.channels(gateway, name)),
            life_ends=life.end,
        )


def _peak(found: Deciding, unit: str) -> dict[str, Any]:
    return {
        "start": iso(found.start),
        "end": iso(found.end),
        "figure": plain(found.figure),
        "unit": unit,
        "shares": [
            {
                "device": f"{each.channel.gateway}/{each.channel.device}",
                "meter": each.channel.meter,
                "start": iso(each.start),
                "end": iso(each.end),
                "quantity": plain(each.level),
                "unit": unit,
            }
            for each in found.shares
        ],
    }
