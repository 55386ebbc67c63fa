"""What devices used of a meter, in the catalog's unit, with what it rests on."""

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from cloud_collector.activity.lifecycle import Life
from cloud_collector.contracts.catalog import UsedWhen
from cloud_collector.rating.segment import Segment
from cloud_collector.usage.quantity import worth
from cloud_collector.usage.span import ChannelName, NamedGap, Read


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """So much in the catalog's unit."""

    value: Fraction
    estimated: bool = False
    reads: tuple[Read, ...] = ()
    gaps: tuple[NamedGap, ...] = ()

    def __add__(self, other: "Quantity") -> "Quantity":
        return Quantity(
            value=self.value + other.value,
            estimated=self.estimated or other.estimated,
            reads=self.reads + other.reads,
            gaps=self.gaps + other.gaps,
        )


NOTHING = Quantity(value=Fraction(0))


def measured(segment: Segment, life: Life, meter: str, start: int, end: int) -> Quantity:
    """What a device used of a meter in [start, end); raises UnlikeUnits."""
    found = segment.usage.measure(channel_of(life.device, meter), start, end) if start < end else None
    if found is None:
        return NOTHING
    known = segment.terms.meters.get(meter)
    return Quantity(
        value=found.units * worth(found.unit, found.exponent, known.unit if known else found.unit),
        estimated=found.estimated,
        reads=found.reads,
        gaps=found.gaps,
    )


def billed_usage(segment: Segment, life: Life, meter: str) -> Quantity:
    """What of a device's usage in the segment is billed: from its start, or all where usage before is billed too."""
    if life.activation is None:
        return NOTHING
    start = life.provisioned if segment.terms.activation.usage_before_billed else life.activation.at
    return measured(segment, life, meter, max(start, segment.start), min(life.end, segment.end))


def is_used(segment: Segment, rule: UsedWhen | None, lives: Iterable[Life]) -> bool:
    """Whether the devices together were used in the whole period, from their activation on."""
    total = Fraction(0)
    for life in lives:
        if life.activation is None:
            continue
        start = max(life.activation.at, segment.period.start)
        end = min(life.end, segment.period.end)
        meters = [rule.meter] if rule is not None and rule.meter is not None else _meters(segment, life)
        total += sum((measured(segment, life, meter, start, end).value for meter in meters), Fraction(0))
    if rule is not None and rule.at_least is not None:
        return total >= rule.at_least
    return total > 0


def channel_of(device: str, meter: str) -> ChannelName:
    """The channel of a catalog's device, which is `gateway/device`."""
    gateway, _, name = device.rpartition("/")
    return ChannelName(gateway=gateway, device=name, meter=meter)


def _meters(segment: Segment, life: Life) -> list[str]:
    gateway, _, name = life.device.rpartition("/")
    return [channel.meter for channel in segment.usage.channels(gateway, name)]
