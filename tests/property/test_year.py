"""P17: a price shared out by days over a year is that price, in every zone and by every cut of the year."""

from datetime import date, timedelta
from fractions import Fraction
from itertools import pairwise

from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.examples import examples
from tests.property.test_zones import zones
from tests.quoting import CONNECTION, catalog_text, quoted, spent

ZONES = sorted(name for names in zones() for name in names)
CYCLES = {"year": 1, "quarter": 4, "month": 12}


def shared(cycle: str, zone: str, price: str, bounds: list[date], prorate: str = "day") -> Fraction:
    """What one connection costs that one device after the other has from one bound to the next, unrounded."""
    devices = ", ".join(
        f'{{ id = "gw/d{number}", from = {first.isoformat()}, until = {last.isoformat()} }}'
        for number, (first, last) in enumerate(pairwise(bounds))
    )
    charge = CONNECTION.replace("9.90", f'{price}\nprorate = "{prorate}"')
    text = catalog_text(charges=charge, devices=f"[{devices}]", start=f"{bounds[0].year}-01-01", zone=zone)
    text = text.replace('cycle = "month"', f'cycle = "{cycle}"')
    year = bounds[0].year
    names = {
        "year": [f"{year}"],
        "quarter": [f"{year}-Q{number}" for number in range(1, 5)],
        "month": [f"{year}-{number:02}" for number in range(1, 13)],
    }[cycle]
    drafts = [quoted(text, period=name) for name in names]
    # A line prints its exact share to ten decimals; its steps say of how many days.
    total = Fraction(0)
    for draft in drafts:
        for line in draft.lines:
            (step,) = line.steps
            unit = "days" if prorate == "day" else "seconds"
            share = Fraction(int(str(step[unit])), int(str(step["of"])))
            assert abs(share * Fraction(price) - Fraction(line.exact)) <= Fraction(1, 2 * 10**10)
            total += share * Fraction(price)
    return total


@given(
    year=st.integers(1996, 2030),
    zone=st.sampled_from(ZONES),
    price=st.decimals(min_value="0.01", max_value="99999", places=4).map(str),
    prorate=st.sampled_from(["day", "second"]),
)
@example(year=2024, zone="Europe/Helsinki", price="365", prorate="day")  # a leap year
@example(year=2011, zone="Pacific/Apia", price="364", prorate="day")  # a year without its 30 December
@example(year=2016, zone="Asia/Gaza", price="12", prorate="second")
@settings(max_examples=examples(6), deadline=None)
def test_the_days_of_a_year_sum_to_its_price(year: int, zone: str, price: str, prorate: str) -> None:
    days = [
        date(year, 1, 1) + timedelta(days=number) for number in range((date(year + 1, 1, 1) - date(year, 1, 1)).days)
    ]
    assert shared("year", zone, price, [*days, date(year + 1, 1, 1)], prorate) == Fraction(price)


@given(
    cycle=st.sampled_from(sorted(CYCLES)),
    year=st.integers(1996, 2030),
    zone=st.sampled_from(ZONES),
    cuts=st.sets(st.integers(1, 364), max_size=5),
    prorate=st.sampled_from(["day", "second"]),
)
@settings(max_examples=examples(20), deadline=None)
def test_any_cut_of_a_year_sums_to_its_price(cycle: str, year: int, zone: str, cuts: set[int], prorate: str) -> None:
    bounds = [date(year, 1, 1), *(date(year, 1, 1) + timedelta(days=cut) for cut in sorted(cuts)), date(year + 1, 1, 1)]
    assert shared(cycle, zone, "7.77", bounds, prorate) == Fraction("7.77") * CYCLES[cycle]


@given(year=st.integers(2000, 2030), zone=st.sampled_from(ZONES))
@settings(max_examples=examples(10), deadline=None)
def test_a_whole_year_costs_what_it_says_whatever_the_cycle(year: int, zone: str) -> None:
    """Whole periods are never shared out, so nothing is rounded twice."""
    for cycle, times in CYCLES.items():
        text = catalog_text(charges=CONNECTION, start=f"{year}-01-01", zone=zone)
        text = text.replace('cycle = "month"', f'cycle = "{cycle}"')
        first = {"year": f"{year}", "quarter": f"{year}-Q1", "month": f"{year}-12"}[cycle]
        assert spent(quoted(text, period=first), "Connection") == Fraction("9.90"), (cycle, times)
