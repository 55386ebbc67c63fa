"""P1, P14, P17: what an agreement comes to, from complete usage and starts, by no code of the product.

Small because it knows only what `agreements` draws. It takes registers' spans and asks them one thing: how many units
lie between two instants.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from cloud_collector.usage.span import Span
from tests.simulation.agreements import PEAK_DAYS, PEAK_FROM, PEAK_TO, UNITS_EACH, Agreement
from tests.simulation.bill_witness import Start, within

SUBSCRIPTION: Final = "Metering"
FEE: Final = "Activation fee"
COMMITMENT: Final = "Commitment"


class Key(NamedTuple):
    """What an amount is for: charge, device or nothing, window or nothing, the start of its service."""

    charge: str
    device: str
    window: str
    begin: int


Stretch = tuple[int, int]
Spans = Mapping[tuple[str, str], Sequence[Span]]
"""By device and meter."""


@dataclass(slots=True)
class Due:
    """Units and amounts of every key, over all periods, and what was met on the way."""

    units: Counter[Key] = field(default_factory=Counter)
    amounts: dict[Key, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    met: set[str] = field(default_factory=set)
    """Rules that decided something."""


States = Mapping[str, Sequence[tuple[int, str]]]
"""By device: from when on an operator has given it which state, in order."""


def due(agreement: Agreement, spans: Spans, starts: Mapping[str, Start], bounds: Sequence[int], states: States) -> Due:
    """Every period from bound to bound, each by itself."""
    found = Due()
    for number, (begin, end) in enumerate(pairwise(bounds), start=1):
        _Day(agreement, spans, starts, states, found, number, begin, end).rate()
    for device, start in starts.items():
        if agreement.fee is not None and start.at < bounds[-1]:
            found.amounts[Key(FEE, device, "", start.at)] += agreement.amount(Fraction(agreement.fee))
            found.met.add("fee")
    return found


@dataclass(frozen=True, slots=True)
class _Day:
    agreement: Agreement
    spans: Spans
    starts: Mapping[str, Start]
    states: States
    found: Due
    number: int
    begin: int
    end: int

    def rate(self) -> None:
        counted = self._subscriptions() + self._energy() + self._water()
        if any(start.at < self.end for start in self.starts.values()):
            self._commitment(counted)

    def _put(self, key: Key, units: int | None, amount: Decimal) -> Decimal:
        if units is not None:
            self.found.units[key] += units
        self.found.amounts[key] += amount
        return amount

    def _state(self, device: str) -> str:
        """In which it is when the period ends; ended is final."""
        given = [state for at, state in self.states.get(device, ()) if at < self.end]
        return "ended" if "ended" in given else given[-1] if given else "active"

    def _last(self, device: str) -> int:
        """Until when the device is billed in the period."""
        return min([self.end, *(at for at, state in self.states.get(device, ()) if state == "ended")])

    def _units(self, device: str, meter: str, first: int, last: int) -> int:
        """Of what is billed of the device in the period, what lies between two instants; also while suspended."""
        free = self.agreement.is_free_before
        since = max(first, self.starts[device].at if free else self.agreement.provisioned)
        return within(self.spans.get((device, meter), ()), since, min(last, self._last(device)))

    def _is_used(self, device: str) -> bool:
        """In the period, from its activation on."""
        since = max(self.begin, self.starts[device].at)
        least, last = self.agreement.used_units, self._last(device)
        if least is not None:
            return within(self.spans.get((device, "energy"), ()), since, last) >= least
        return any(within(held, since, last) > 0 for (name, _), held in self.spans.items() if name == device)

    def _subscriptions(self) -> Decimal:
        """A day is billed in the state in which it ends."""
        total = Decimal(0)
        for device, start in self.starts.items():
            state, price = self._state(device), Fraction(self.agreement.daily)
            if start.at >= self.end or state == "ended":
                continue
            if self.agreement.used_units is not None and not self._is_used(device):
                self.found.met.add("unused")
                price = Fraction(0)
            if state == "suspended" and self.agreement.suspended is not None:
                # A state's own price asks for no use.
                price = Fraction(self.agreement.suspended)
                self.found.met.add("state_price")
            amount = self.agreement.amount(price)
            total += self._put(Key(SUBSCRIPTION, device, "", self.begin), None, amount)
        return total

    def _energy(self) -> Decimal:
        total = Decimal(0)
        for device in self.starts:
            for window, price, stretches in self._windows():
                units = sum(self._units(device, "energy", first, last) for first, last in stretches)
                amount = self.agreement.amount(Fraction(units, UNITS_EACH) * Fraction(price))
                total += self._put(Key("energy", device, window, self.begin), units, amount)
                if window and units:
                    self.found.met.add(f"window.{window}")
        return total

    def _windows(self) -> Iterator[tuple[str, Decimal, list[Stretch]]]:
        agreement = self.agreement
        if agreement.peak is None:
            yield "", agreement.price, [(self.begin, self.end)]
            return
        peak = [
            (max(first, self.begin), min(last, self.end))
            for first, last in _peaks(agreement.timezone, self.begin, self.end)
            if first < self.end and last > self.begin
        ]
        edges = [self.begin, *(edge for stretch in peak for edge in stretch), self.end]
        rest = [(first, last) for first, last in zip(edges[::2], edges[1::2], strict=True) if first < last]
        yield "peak", agreement.peak, peak
        yield "off-peak", agreement.price, rest

    def _water(self) -> Decimal:
        used = {device: self._units(device, "water", self.begin, self.end) for device in self.starts}
        if self.agreement.water_per == "contract":
            return self._tiers("", sum(used.values()))
        if self.agreement.pool is None:
            return sum((self._tiers(device, units) for device, units in used.items()), Decimal(0))
        return self._pooled(used)

    def _tiers(self, who: str, units: int) -> Decimal:
        amount = self.agreement.amount(self.agreement.water(Fraction(units, UNITS_EACH)))
        return self._put(Key("water", who, "", self.begin), units, amount)

    def _pooled(self, used: Mapping[str, int]) -> Decimal:
        """Allowances of all who are active add up; the cost is rounded once and shared out by usage."""
        assert self.agreement.pool is not None
        active = [
            device for device, start in self.starts.items() if start.at < self.end and self._state(device) != "ended"
        ]
        included = self.agreement.pool * len(active)
        everything = Fraction(sum(used.values()), UNITS_EACH)
        cost = self.agreement.water(max(everything - included, Fraction(0)))
        if len(active) > 1 and included and everything > included:
            self.found.met.add("pool")
        coin = self.agreement.coin
        coins = int(Fraction(self.agreement.amount(cost)) / coin)
        sharers = sorted(device for device in used if used[device] or device in active)
        exact = {
            device: cost / coin * used[device] / sum(used.values()) if everything else cost / coin / len(sharers)
            for device in sharers
        }
        shares = {device: int(exact[device]) for device in sharers}
        # Whoever was rounded down by most is given first; of two alike, who comes first by name.
        by_loss = sorted(sharers, key=lambda device: (shares[device] - exact[device], device))
        for device in by_loss[: coins - sum(shares.values())]:
            shares[device] += 1
        total = Decimal(0)
        for device in sharers:
            amount = self.agreement.amount(shares[device] * coin)
            total += self._put(Key("water", device, "", self.begin), used[device], amount)
        return total

    def _commitment(self, counted: Decimal) -> None:
        agreement = self.agreement
        step = max((step for step in agreement.commitment if step[0] <= self.number), default=None)
        if step is None:
            return
        least = Fraction(step[1])
        if agreement.price_per_device is None:
            short = Fraction(agreement.amount(least)) - Fraction(counted)
        else:
            used = sum(1 for device, start in self.starts.items() if start.at < self.end and self._is_used(device))
            short = (least - used) * Fraction(agreement.price_per_device)
        if short > 0:
            self.found.amounts[Key(COMMITMENT, "", "", self.begin)] += agreement.amount(short)
            self.found.met.add("true_up.devices" if agreement.price_per_device is not None else "true_up")
            if step != agreement.commitment[0]:
                self.found.met.add("ramp")


def _peaks(timezone: str, begin: int, end: int) -> Iterable[Stretch]:
    """The peak of every local day that has one near these instants."""
    zone = ZoneInfo(timezone)
    day, last = (datetime.fromtimestamp(at, zone).date() for at in (begin, end))
    while day <= last:
        if day.weekday() in PEAK_DAYS:
            walls = [datetime(day.year, day.month, day.day, hour, tzinfo=zone) for hour in (PEAK_FROM, PEAK_TO)]
            yield int(walls[0].timestamp()), int(walls[1].timestamp())
        day += timedelta(days=1)
