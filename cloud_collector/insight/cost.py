"""What a contract costs so far: the running period as the invoice's own code rates it at this moment.

The figure is `quote --as-of` of the moment, and after closing the invoice's. Devices and charges are parts of it; what
is the whole contract's is shared out by usage, so that the parts sum to the figure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from cloud_collector.activity.lifecycle import Life, left_at, life_of, provisioned_at
from cloud_collector.contracts.catalog import Aggregate, Charge, ChargeType, State
from cloud_collector.contracts.money import as_written
from cloud_collector.contracts.period import Period, boundary, iso
from cloud_collector.contracts.terms import Terms
from cloud_collector.insight.forecast import Forecast, forecast
from cloud_collector.rating.draft import Draft, DraftLine
from cloud_collector.rating.known import Known
from cloud_collector.rating.measure import channel_of
from cloud_collector.rating.pool import apportioned
from cloud_collector.rating.standing import Standing, standings
from cloud_collector.usage.quantity import worth

LOOK_BACK_SECONDS: Final = (300, 3_600, 86_400, 40 * 86_400)
"""How far back the latest report is looked for, in turn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceCost:
    """A device's part of the net figure."""

    device: str
    state: State
    since: int
    """When the state began."""
    net: Decimal
    used: bool
    """Whether anything was used in the period."""
    starts_at: int | None = None
    """Of one that waits for first use: when it is billed all the same."""

    def to_json(self) -> dict[str, Any]:
        """The public form."""
        return {
            "device": self.device,
            "state": self.state.value,
            "since": iso(self.since),
            "net": as_written(self.net),
            "used": self.used,
            "starts_at": None if self.starts_at is None else iso(self.starts_at),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """One contract's running period at a moment."""

    account: str
    contract: str
    plan: str
    as_of_ms: int
    draft: Draft
    charges: Mapping[str, Decimal]
    """Net, by charge, as they stand on the invoice."""
    devices: tuple[DeviceCost, ...]
    shared: Decimal
    """What belongs to no device: the net figure less the devices'."""
    commitments: tuple[Standing, ...]
    forecast: Forecast | None
    known_until: int | None
    """The end of the latest report."""
    budget: Decimal | None = None
    later: bool = False
    """Whether there is a forecast for whoever waits for it; it is not part of the public form."""

    @property
    def waiting(self) -> tuple[DeviceCost, ...]:
        """Devices that wait for their first use."""
        return tuple(each for each in self.devices if each.state is State.PROVISIONED)

    @property
    def unused(self) -> tuple[DeviceCost, ...]:
        """Active devices that were not used in this period."""
        return tuple(each for each in self.devices if each.state is State.ACTIVE and not each.used)

    def to_json(self) -> dict[str, Any]:
        """The public form: the draft as `quote` prints it, and what follows from it."""
        return {
            "account": self.account,
            "contract": self.contract,
            "as_of": iso(self.as_of_ms // 1_000),
            "known_until": None if self.known_until is None else iso(self.known_until),
            "currency": self.draft.currency,
            "net": as_written(self.draft.net),
            "total": as_written(self.draft.total),
            "budget": None if self.budget is None else as_written(self.budget),
            "forecast": None if self.forecast is None else self.forecast.to_json(),
            "commitments": [each.to_json() for each in self.commitments],
            "charges": [{"charge": name, "net": as_written(net)} for name, net in self.charges.items()],
            "devices": [each.to_json() for each in self.devices],
            "shared": as_written(self.shared),
            "waiting": [each.device for each in self.waiting],
            "unused": [each.device for each in self.unused],
            "draft": self.draft.to_json(),
        }


def cost(
    known: Known,
    period: Period,
    as_of_ms: int,
    *,
    budget: Decimal | None = None,
    after: Terms | None = None,
    anchored: date | None = None,
    foretold: bool = True,
) -> Cost:
    """The period's cost at a moment, with all that belongs to it; raises UnlikeUnits."""
    at = as_of_ms // 1_000
    draft = known.draft(period, closed=at >= period.end, billed_at=at, after=after, anchored=anchored)
    charges: dict[str, Decimal] = {}
    for line in draft.lines:
        charges[line.charge] = charges.get(line.charge, Decimal(0)) + line.amount
    lives = [
        life_of(known.terms, device, known.starts.get(device.id), known.states)
        for device in sorted(known.terms.devices, key=lambda each: each.id)
        if provisioned_at(known.terms, device) <= at and left_at(known.terms, device) > period.start
    ]
    parts = _parts(known, draft, lives)
    devices = tuple(_device(known, life, period, at, parts.get(life.device, Decimal(0))) for life in lives)
    return Cost(
        account=known.terms.account,
        contract=known.terms.contract,
        plan=known.terms.stretches[-1].plan,
        as_of_ms=as_of_ms,
        draft=draft,
        charges=charges,
        devices=devices,
        shared=draft.net - sum((each.net for each in devices), Decimal(0)),
        commitments=standings(known, period),
        forecast=forecast(known, period, at) if foretold else None,
        known_until=_known_until(known, lives, at),
        budget=budget,
    )


def _device(known: Known, life: Life, period: Period, at: int, net: Decimal) -> DeviceCost:
    stage = next((each for each in life.stages if each.start <= at < each.end), None)
    start = known.starts.get(life.device)
    return DeviceCost(
        device=life.device,
        state=State.ENDED if stage is None else stage.state,
        since=life.end if stage is None else stage.start,
        net=net,
        used=any(_units(known, life, name, period.start, min(at, period.end)) for name in _meters(known, life)),
        starts_at=start.at if start is not None and at < start.at < life.end else None,
    )


def _parts(known: Known, draft: Draft, lives: Sequence[Life]) -> dict[str, Decimal]:
    """What of the net figure is each device's: its own lines, and its share by usage of what is used together."""
    parts: dict[str, Decimal] = {}
    together: dict[tuple[str, int, int], Decimal] = {}
    for line in draft.lines:
        if line.device is not None:
            parts[line.device] = parts.get(line.device, Decimal(0)) + line.amount
        elif _is_usage(known.terms, line):
            key = line.charge, line.service_start, line.service_end
            together[key] = together.get(key, Decimal(0)) + line.amount
    for (name, start, end), amount in together.items():
        charge = charge_at(known.terms, name, start)
        assert charge is not None, "it has a line"
        assert charge.meter is not None, "the catalog requires it"
        weights = [_weight(known, life, charge.meter, start, end) for life in lives]
        if not any(weights):
            continue
        names = [(life.device, "") for life in lives]
        shares = apportioned(Fraction(amount), weights, names, known.terms.currency)
        for life, share in zip(lives, shares, strict=True):
            parts[life.device] = parts.get(life.device, Decimal(0)) + share.amount
    return parts


def charge_at(terms: Terms, name: str, at: int) -> Charge | None:
    """The charge of that name in the terms of an instant."""
    begun = [each for each in terms.stretches if boundary(terms.timezone, each.start) <= at]
    stretch = begun[-1] if begun else terms.stretches[0]
    return next((charge for charge in stretch.charges if charge.name == name), None)


def _is_usage(terms: Terms, line: DraftLine) -> bool:
    charge = charge_at(terms, line.charge, line.service_start)
    return charge is not None and charge.type is ChargeType.USAGE


def _weight(known: Known, life: Life, meter: str, start: int, end: int) -> Fraction:
    if life.activation is None:
        return Fraction(0)
    begins = life.provisioned if known.terms.activation.usage_before_billed else life.activation.at
    return _units(known, life, meter, max(start, begins), min(end, life.end))


def _units(known: Known, life: Life, name: str, start: int, end: int) -> Fraction:
    measured = known.usage.measure(channel_of(life.device, name), start, end) if start < end else None
    if measured is None:
        return Fraction(0)
    meter = known.terms.meters.get(name)
    sums = meter is not None and meter.aggregate is Aggregate.SUM
    return measured.units * (worth(measured.unit, measured.exponent, meter.unit) if meter and sums else Fraction(1))


def _meters(known: Known, life: Life) -> list[str]:
    gateway, _, name = life.device.rpartition("/")
    return [channel.meter for channel in known.usage.channels(gateway, name)]


def _known_until(known: Known, lives: Sequence[Life], at: int) -> int | None:
    channels = [channel_of(life.device, name) for life in lives for name in _meters(known, life)]
    for back in LOOK_BACK_SECONDS:
        ends = [span.end for channel in channels for span in known.usage.spans(channel, at - back, at)]
        if ends:
            return max(ends)
    return None
