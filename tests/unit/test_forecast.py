"""The forecast, back-tested: what it says while weeks are held back, against what those weeks then came to."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from random import Random
from zoneinfo import ZoneInfo

import pytest

from cloud_collector.contracts.period import Period, boundary, periods
from cloud_collector.contracts.terms import Terms
from cloud_collector.insight.forecast import Forecast, forecast
from cloud_collector.insight.habit import DAY, HOUR, habit_of, hours_of
from cloud_collector.insight.spread import band, root
from cloud_collector.rating.known import Known
from cloud_collector.usage.ledger import Ledger
from cloud_collector.usage.span import ChannelName, Span, SpanKind
from tests.quoting import CONNECTION, ENERGY, catalog_text, terms

ZONE = ZoneInfo("Europe/Helsinki")
FIRST = datetime(2026, 8, 10, tzinfo=ZONE)
NOVEMBER = int(datetime(2026, 11, 1, tzinfo=ZONE).timestamp())
DECEMBER = int(datetime(2026, 12, 1, tzinfo=ZONE).timestamp())
CHANNEL = ChannelName(gateway="gw", device="a", meter="energy")
PRICES = catalog_text(charges=ENERGY)

Load = Callable[[datetime, int, Random], int]
"""Wh of an hour, by its local time and the days since the beginning."""


def office(at: datetime, _: int, random: Random) -> int:
    busy = at.weekday() < 5 and 7 <= at.hour < 18
    return max(int(random.gauss(4_000 if busy else 400, 700 if busy else 60)), 0)


def household(at: datetime, _: int, random: Random) -> int:
    evening = 17 <= at.hour < 23
    return max(int(random.expovariate(1 / (1_500 if evening or at.weekday() >= 5 else 350))), 0)


def heating(at: datetime, day: int, random: Random) -> int:
    """It grows with the autumn, and cold days come in rows."""
    cold = 1 + day / 120 + Random(day // 3 * 7 + 1).uniform(-0.3, 0.3)
    return max(int(random.gauss(2_000 * cold, 200) * (1.3 if 5 <= at.hour < 9 else 1)), 0)


def charger(_at: datetime, _: int, random: Random) -> int:
    """Rare and large: one hour in thirty, a full car."""
    return 22_000 if random.random() < 1 / 30 else 0


def machine(at: datetime, day: int, random: Random) -> int:
    """From October on it runs in a second shift."""
    hours = range(6, 22) if day > 60 else range(6, 14)
    return int(random.gauss(7_000, 900)) if at.weekday() < 5 and at.hour in hours else 150


def school(at: datetime, _: int, random: Random) -> int:
    """Five days a week, and not in the autumn holiday, which the habit has just learnt."""
    holiday = at.month == 10 and 12 <= at.day <= 18
    busy = at.weekday() < 5 and 8 <= at.hour < 15 and not holiday
    return max(int(random.gauss(9_000 if busy else 700, 500)), 0)


LOADS = [office, household, heating, charger, machine, school]


@dataclass(frozen=True)
class Trial:
    """What was foretold at a moment, and what it came to."""

    said: Forecast
    came: Decimal
    straight: Decimal
    """What a straight line through the days so far would have said."""
    repeated: Decimal
    """What the last week over and over again would have come to."""

    @property
    def held(self) -> bool:
        return self.said.net.low <= self.came <= self.said.net.high

    @property
    def error(self) -> Fraction:
        return abs(Fraction(self.said.net.likely) - Fraction(self.came)) / Fraction(self.came)

    @property
    def straight_error(self) -> Fraction:
        return abs(Fraction(self.straight) - Fraction(self.came)) / Fraction(self.came)

    @property
    def repeated_error(self) -> Fraction:
        return abs(Fraction(self.repeated) - Fraction(self.came)) / Fraction(self.came)


def spans(load: Load, seed: int, *, days: int = 115, first: datetime = FIRST) -> list[Span]:
    random, found, register = Random(seed), [], 0
    for hour in range(days * 24):
        start = int(first.timestamp()) + hour * HOUR
        deltas = (load(datetime.fromtimestamp(start, ZONE), hour // 24, random),)
        found.append(span(start, deltas, register=register, step=HOUR))
        register += sum(deltas)
    return found


def span(start: int, deltas: tuple[int, ...], *, register: int = 0, step: int = 900) -> Span:
    return Span(
        channel=CHANNEL,
        log="main",
        unit="Wh",
        exponent=0,
        kind=SpanKind.USAGE,
        epoch="5f2c91aa",
        seq=1,
        start=start,
        step=step,
        deltas=deltas,
        register=register,
        estimated=frozenset(),
        received_at=(start + step * len(deltas)) * 1000,
    )


def november(agreed: Terms) -> Period:
    return next(
        each for each in periods(agreed, until=datetime(2026, 12, 1, tzinfo=UTC).date()) if each.start == NOVEMBER
    )


def foretold(held: list[Span], at: int, agreed: Terms) -> Forecast | None:
    known = Known.of(agreed, Ledger([each for each in held if each.end <= at]), until=at)
    return forecast(known, november(agreed), at)


def tried(load: Load, seed: int, day: int) -> Trial:
    agreed, held = terms(PRICES), spans(load, seed)
    at = NOVEMBER + day * DAY + 5 * HOUR
    said = foretold(held, at, agreed)
    assert said is not None
    came = Known.of(agreed, Ledger(held), until=DECEMBER).draft(november(agreed), closed=True).net
    now = Known.of(agreed, Ledger([each for each in held if each.end <= at]), until=at)
    so_far = now.draft(november(agreed), closed=False).net
    again = Ledger(list(last_week_again(held, at)))
    repeated = Known.of(agreed, again, until=DECEMBER).draft(november(agreed), closed=True).net
    straight = so_far * (DECEMBER - NOVEMBER) / (at - NOVEMBER)
    return Trial(said=said, came=came, straight=straight, repeated=repeated)


def last_week_again(held: list[Span], at: int) -> Iterator[Span]:
    """What is known, and from there on each hour what it was a week before."""
    known = [each for each in held if each.end <= at]
    yield from known
    last = {each.start: each for each in known if each.start >= at - 7 * DAY}
    register = known[-1].register + sum(known[-1].deltas)
    for start in range(known[-1].end, DECEMBER, HOUR):
        model = last[start - -(-(start - at + HOUR) // (7 * DAY)) * 7 * DAY]
        yield span(start, model.deltas, register=register, step=HOUR)
        register += sum(model.deltas)


@pytest.fixture(scope="module")
def trials() -> dict[str, list[Trial]]:
    return {load.__name__: [tried(load, seed, day) for seed in range(3) for day in (2, 6, 13, 20)] for load in LOADS}


def test_most_of_what_came_lies_in_the_band_that_was_foretold(trials: dict[str, list[Trial]]) -> None:
    every = [trial for each in trials.values() for trial in each]
    held = sum(trial.held for trial in every)
    assert held >= len(every) * 0.8, {name: [trial.held for trial in each] for name, each in trials.items()}


def test_no_kind_of_usage_leaves_its_band_often(trials: dict[str, list[Trial]]) -> None:
    shares = {name: Fraction(sum(trial.held for trial in each), len(each)) for name, each in trials.items()}
    assert min(shares.values()) >= Fraction(2, 3), shares


def test_the_band_is_of_use_it_is_not_everything(trials: dict[str, list[Trial]]) -> None:
    steady = [*trials["office"], *trials["household"]]
    widths = [(each.said.net.high - each.said.net.low) / each.came for each in steady]
    assert sorted(widths)[len(widths) // 2] < Decimal("0.15")


def test_it_errs_less_than_a_straight_line(trials: dict[str, list[Trial]]) -> None:
    every = [trial for each in trials.values() for trial in each]
    mine = sum((trial.error for trial in every), Fraction(0)) / len(every)
    straight = sum((trial.straight_error for trial in every), Fraction(0)) / len(every)
    assert mine < straight * Fraction(3, 4), (float(mine), float(straight))
    assert mine < Fraction(12, 100), float(mine)


def test_it_errs_less_than_the_last_week_over_and_over_again(trials: dict[str, list[Trial]]) -> None:
    every = [trial for each in trials.values() for trial in each]
    mine = sum((trial.error for trial in every), Fraction(0)) / len(every)
    repeated = sum((trial.repeated_error for trial in every), Fraction(0)) / len(every)
    assert mine < repeated * Fraction(9, 10), (float(mine), float(repeated))


def test_an_office_is_foretold_to_four_per_cent_after_four_weeks(trials: dict[str, list[Trial]]) -> None:
    assert max(trial.error for trial in trials["office"]) < Fraction(4, 100)


def test_the_band_narrows_as_the_period_passes() -> None:
    days = [tried(office, 1, day).said.net for day in (3, 12, 20, 27)]
    widths = [each.high - each.low for each in days]
    assert widths == sorted(widths, reverse=True)


def test_a_habit_that_is_the_same_every_week_is_foretold_to_the_cent() -> None:
    agreed = terms(PRICES)
    held = spans(lambda at, _, __: 1_000 + at.hour * 10 + at.weekday() * 100, 1)
    came = Known.of(agreed, Ledger(held), until=DECEMBER).draft(november(agreed), closed=True)
    said = foretold(held, NOVEMBER + 23 * DAY, agreed)
    assert said is not None
    assert (said.net.low, said.net.likely, said.net.high) == (came.net, came.net, came.net)
    assert said.total.likely == came.total


def test_it_is_shown_from_the_third_day_of_the_period_on() -> None:
    agreed, held = terms(PRICES), spans(office, 1)
    third = boundary("Europe/Helsinki", datetime(2026, 11, 3, tzinfo=UTC).date())
    assert foretold(held, third - 1, agreed) is None
    assert foretold(held, third, agreed) is not None
    assert foretold(held, DECEMBER, agreed) is None, "the period has ended"


def test_it_is_shown_from_the_third_day_of_what_is_known_on() -> None:
    agreed = terms(PRICES)
    begins = FIRST + timedelta(days=93)
    young = spans(office, 1, days=20, first=begins)
    assert foretold(young, int(begins.timestamp()) + DAY, agreed) is None
    assert foretold(young, int(begins.timestamp()) + 3 * DAY, agreed) is not None
    assert foretold([], NOVEMBER + 9 * DAY, agreed) is None


def test_what_costs_the_same_whatever_is_used_has_no_band() -> None:
    flat = terms(catalog_text(charges=CONNECTION + ENERGY + "[plans.p.commitment]\namount = 99999\n"))
    said = foretold(spans(household, 2), NOVEMBER + 5 * DAY, flat)
    assert said is not None
    assert said.net.low == said.net.high == Decimal("99999.00")


def test_grace_that_ends_in_the_period_is_in_the_forecast() -> None:
    grace = '[plans.p.activation]\nrule = "first_use"\ngrace = "20d"\n'
    devices = '["gw/a", { id = "gw/late", from = 2026-11-01 }]'
    agreed = terms(catalog_text(charges=ENERGY + CONNECTION + grace, devices=devices))
    said = foretold(spans(office, 1), NOVEMBER + 5 * DAY, agreed)
    assert said is not None
    assert said.charges["Connection"] == Decimal("13.20"), "9.90, and ten of thirty days"


@pytest.mark.parametrize(
    ("aggregate", "demand"),
    [("max", ""), ("max", 'demand = "1h"'), ("average", ""), ("count", ""), ("active_time", "")],
)
def test_levels_counts_and_rates_go_on_as_well(aggregate: str, demand: str) -> None:
    unit = {"count": "1", "active_time": "h"}.get(aggregate, "kWh")
    meter = f'[meters.energy]\nunit = "{unit}"\naggregate = "{aggregate}"\n{demand}'
    text = PRICES.replace('[meters.energy]\nunit = "kWh"\naggregate = "sum"', meter)
    agreed = terms(text)
    held = spans(lambda at, _, __: 1_000 * (at.weekday() < 5 and 8 <= at.hour < 16), 1)
    came = Known.of(agreed, Ledger(held), until=DECEMBER).draft(november(agreed), closed=True).net
    said = foretold(held, NOVEMBER + 6 * DAY, agreed)
    assert said is not None
    assert abs(said.net.likely - came) <= came / 100, (said.net, came)
    assert said.net.low <= came <= said.net.high


def test_an_hour_that_was_never_seen_takes_what_is_like_it() -> None:
    monday = int(datetime(2026, 11, 2, tzinfo=ZONE).timestamp())
    hours = hours_of([span(monday + 9 * HOUR, (25,) * 4)], monday, monday + DAY, level=False)
    habit = habit_of(hours, "Europe/Helsinki", monday + DAY)
    assert {habit.rates[at].units for at in (9, 33, 129, 3)} == {100 * 10**6}, "an hour of no sample is no zero"


def test_a_younger_week_counts_more() -> None:
    monday = int(datetime(2026, 11, 2, tzinfo=ZONE).timestamp())
    weeks = [span(monday + week * 7 * DAY, (amount,), step=HOUR) for week, amount in enumerate((10, 20, 30, 40))]
    hours = hours_of(weeks, monday, monday + 28 * DAY, level=False)
    assert habit_of(hours, "Europe/Helsinki", monday + 28 * DAY).rates[0].units == 30 * 10**6, "(10+40+90+160)/10"


def test_the_width_of_the_band_is_the_formulas() -> None:
    steady = {day: Fraction(10) for day in range(28)}
    assert band(steady, Fraction(20)) == 0
    assert band({}, Fraction(20)) == band(steady, Fraction(0)) == 0
    swinging = {day: Fraction(10 + (day // 7) % 2) for day in range(28)}
    # Each day is off by 2/3 from the mean of the three others of its weekday, whichever week; neighbours alike.
    assert band(swinging, Fraction(28)) > band(swinging, Fraction(7)) > 0
    assert root(Fraction(2)) == Fraction(1_414_213_562, 10**9)
