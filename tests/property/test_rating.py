"""P14, P15, P17: drafts add up, whatever the split of runs and the order of rows."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_collector.contracts.money import Rounding, as_printed, plain, rounded, summed
from cloud_collector.contracts.read import load_catalog
from cloud_collector.rating.csv_facts import read_usage
from cloud_collector.usage.ledger import Ledger
from cloud_collector.usage.span import ChannelName, Span, SpanKind
from tests.examples import examples
from tests.quoting import CONNECTION, ENERGY, catalog_text, quoted, spent, usage_csv

CHANNEL = ChannelName(gateway="gw", device="a", meter="energy")
BEGIN = datetime(2026, 9, 1, tzinfo=UTC)
MODELS = [
    ENERGY,
    ENERGY.replace("0.30", "0.30\nincluded = 7\nincrement = 0.5"),
    ENERGY.replace(
        '"per_unit"\nprice = 0.30', '"graduated"\ntiers = [{ up_to = 5, price = 1, flat = 2 }, { price = 0.3 }]'
    ),
    ENERGY.replace(
        '"per_unit"\nprice = 0.30', '"volume"\ntiers = [{ up_to = 5, price = 1, flat = 2 }, { price = 0.3 }]'
    ),
    ENERGY.replace('"per_unit"\nprice = 0.30', '"package"\nsize = 3\nprice = 1.11'),
    ENERGY.replace("0.30", "0.333\ndiscount_percent = 12.5\nmaximum = 9\nminimum = 1"),
    ENERGY.replace(
        "price = 0.30",
        'included = 3\nwindows = [{ name = "day", days = "mon-sat", from = "07:00", to = "22:00", price = 0.333 }, '
        '{ name = "rest", price = 0.1 }]',
    ),
    ENERGY.replace("0.30", '0.333\npool = "contract"\nincluded = 2\ndiscount_percent = 5'),
    ENERGY.replace('"per_unit"\nprice = 0.30', '"package"\nsize = 3\nprice = 1.11\npool = "contract"'),
]
COMMITMENTS = [
    "",
    "[plans.p.commitment]\namount = 20\n",
    '[plans.p.commitment]\namount = 200\ncycle = "year"\n',
    "[plans.p.commitment]\ndevices = 2\nprice_per_device = 1.23\n",
]

rows = st.lists(
    st.builds(
        lambda device, hour, length, units: (
            f"gw/{device} energy {(BEGIN + timedelta(hours=hour)).isoformat()} {length}m "
            f"{plain(Fraction(units, 10**6))}"
        ),
        st.sampled_from("ab"),
        st.integers(0, 24 * 90),
        st.integers(1, 3_000),
        st.integers(0, 9_000_000),
    ),
    max_size=12,
)
charges = st.builds(
    lambda model, per, subscription, first_use, commitment: (
        model
        + f'per = "{per}"\n'
        + (CONNECTION if subscription else "")
        + (FIRST_USE if first_use else "")
        + commitment
    ),
    st.sampled_from(MODELS),
    st.sampled_from(["device", "contract"]),
    st.booleans(),
    st.booleans(),
    st.sampled_from(COMMITMENTS),
)
FIRST_USE = (
    '[plans.p.activation]\nrule = "first_use"\nany = [{ meter = "energy", at_least = 3 }, { active_days = 2 }]\n'
)
TAX = '[[plans.p.taxes]]\nname = "VAT"\npercent = 25.5\n'


def text_of(charge: str) -> str:
    return catalog_text(charges=charge + TAX, devices='["gw/a", "gw/b"]')


@given(charge=charges, facts=rows)
@settings(max_examples=examples(60), deadline=None)
def test_lines_sum_to_net_and_net_and_taxes_to_the_total(charge: str, facts: list[str]) -> None:
    draft = quoted(text_of(charge), *facts)
    assert draft.net == sum(line.amount for line in draft.lines)
    assert draft.total == draft.net + sum(tax.amount for tax in draft.taxes)


@given(charge=charges, facts=rows, order=st.randoms(use_true_random=False))
@settings(max_examples=examples(60), deadline=None)
def test_the_order_of_rows_changes_nothing(charge: str, facts: list[str], order: object) -> None:
    shuffled = list(facts)
    order.shuffle(shuffled)  # type: ignore[attr-defined]
    assert quoted(text_of(charge), *shuffled).to_json() == quoted(text_of(charge), *facts).to_json()


@given(charge=charges, facts=rows, cuts=st.lists(st.integers(0, 12), max_size=3))
@settings(max_examples=examples(60), deadline=None)
def test_any_split_of_runs_books_what_one_run_books(charge: str, facts: list[str], cuts: list[int]) -> None:
    text = text_of(charge)
    answers: list[dict[str, object]] = []
    for cut in [*sorted(cuts), len(facts)]:
        answers.append(quoted(text, *facts[:cut], booked=tuple(answers)).to_json())
    whole = quoted(text, *facts)
    assert sum(Decimal(str(answer["net"])) for answer in answers) == whole.net
    assert quoted(text, *facts, booked=tuple(answers)).lines == ()


@given(facts=rows)
@settings(max_examples=examples(40), deadline=None)
def test_days_sum_to_their_month(facts: list[str]) -> None:
    """P17: both sides of every cut sum exactly."""
    month = quoted(catalog_text(charges=ENERGY), *facts).lines[0].quantity
    daily = catalog_text(charges=ENERGY).replace('cycle = "month"', 'cycle = "day"')
    days = [quoted(daily, *facts, period=f"2026-10-{day:02}").lines[0].quantity for day in range(1, 32)]
    assert sum(days) == month


@given(cuts=st.sets(st.integers(2, 30), max_size=5))
@settings(max_examples=examples(30), deadline=None)
def test_day_proration_over_any_split_sums_to_the_whole(cuts: set[int]) -> None:
    bounds = [1, *sorted(cuts), 32]
    total = Fraction(0)
    for first, last in pairwise(bounds):
        until = f"2026-10-{last:02}" if last < 32 else "2026-11-01"
        devices = f'[{{ id = "gw/a", from = 2026-10-{first:02}, until = {until} }}]'
        line = quoted(catalog_text(charges=CONNECTION.replace("9.90", "31"), devices=devices)).lines[0]
        total += Fraction(line.exact)
    assert total == 31


@given(
    deltas=st.lists(st.integers(0, 10**6), min_size=1, max_size=20),
    step=st.integers(1, 4_000),
    cuts=st.lists(st.integers(-10, 90_000), min_size=1, max_size=6),
)
def test_measures_of_any_split_sum_exactly_and_rest_on_registers(deltas: list[int], step: int, cuts: list[int]) -> None:
    """P1, P17."""
    span = Span(
        channel=CHANNEL,
        log="main",
        unit="Wh",
        exponent=0,
        kind=SpanKind.USAGE,
        epoch="00000001",
        seq=1,
        start=0,
        step=step,
        deltas=tuple(deltas),
        register=1_000,
        estimated=frozenset(),
        received_at=0,
    )
    ledger = Ledger([span])
    total = 0
    for start, end in pairwise([-20, *sorted(cuts), 100_000]):
        measured = ledger.measure(CHANNEL, start, end)
        if measured is not None:
            total += measured.units
            assert sum(read.register_end - read.register_start for read in measured.reads) == measured.units
    assert total == sum(deltas)


@given(facts=rows)
@settings(max_examples=examples(40), deadline=None)
def test_a_read_joins_what_the_register_joins(facts: list[str]) -> None:
    catalog = load_catalog(catalog_text())
    spans = read_usage(usage_csv(*facts), "usage.csv", catalog.meters)
    ledger = Ledger(spans)
    measured = ledger.measure(CHANNEL, 0, 2_000_000_000)
    if measured is not None:
        assert measured.units == sum(span.units for span in spans if span.channel == CHANNEL)
        assert sum(read.register_end - read.register_start for read in measured.reads) == measured.units


@given(
    value=st.fractions(max_denominator=10**6),
    places=st.sampled_from([0, 2, 3, 10]),
    rounding=st.sampled_from(list(Rounding)),
)
def test_rounding_is_to_the_nearest_and_a_half_goes_where_it_says(
    value: Fraction, places: int, rounding: Rounding
) -> None:
    result = Fraction(rounded(value, places, rounding))
    off = abs(result - value) * 10**places
    assert off <= Fraction(1, 2)
    if off == Fraction(1, 2):
        away = abs(result) > abs(value)
        even = (result * 10**places).numerator % 2 == 0
        assert away if rounding is Rounding.HALF_UP else even


def test_a_cent_is_never_lost_between_the_devices_of_a_contract() -> None:
    text = catalog_text(charges=ENERGY + 'per = "device"\n', devices='["gw/a", "gw/b"]')
    facts = [f"gw/{device} energy 2026-10-05T10:00:00Z 1h 0.05" for device in "ab"]
    assert spent(quoted(text, *facts), "Energy") == Fraction("0.04")  # 0.015 each, rounded once a line


@given(start=st.integers(1, 31), ended=st.integers(1, 92), suspended=st.integers(1, 92))
@settings(max_examples=examples(30), deadline=None)
def test_charges_in_advance_come_to_what_arrears_come_to(start: int, ended: int, suspended: int) -> None:
    """P14: whatever happens in between, deltas make it good."""
    begin = datetime(2026, 8, 1, 12, tzinfo=UTC)
    states = " ".join(
        f"gw/a,{state},{(begin + timedelta(days=day)).isoformat()}"
        for state, day in (("suspended", suspended), ("ended", ended))
    )
    charge = CONNECTION.replace("9.90", "9.99\nstate_prices = { suspended = 1.11 }")
    arrears = catalog_text(charges=charge, start=f"2026-08-{start:02}", contract="end = 2026-11-01")
    advance = arrears.replace("price = 9.99", 'price = 9.99\ndue = "advance"')
    answers: list[dict[str, object]] = []
    for period, as_of in (("2026-08", "2026-09-01"), ("2026-09", "2026-10-01"), ("2026-10", "2026-11-01")):
        draft = quoted(advance, period=period, states=states, booked=tuple(answers), as_of=f"{as_of}T00:00:00+03:00")
        answers.append(draft.to_json())
    whole = [quoted(arrears, period=f"2026-{month}", states=states).net for month in ("08", "09", "10")]
    assert sum(Decimal(str(answer["net"])) for answer in answers) == sum(whole)


@given(value=st.fractions(), amounts=st.lists(st.decimals(allow_nan=False, allow_infinity=False, places=4)))
def test_what_is_printed_reads_as_what_is_kept_and_sums_are_exact(value: Fraction, amounts: list[Decimal]) -> None:
    """P17."""
    assert as_printed(value) == Fraction(plain(value))
    assert (as_printed(value) == value) == (10**400 * value.numerator % value.denominator == 0)
    assert summed(amounts) == sum((Fraction(amount) for amount in amounts), Fraction(0))


@given(value=st.integers(-(10**30), 10**30), twos=st.integers(0, 40), fives=st.integers(0, 40))
def test_a_finite_number_is_printed_with_all_its_decimals_and_no_zero_more(value: int, twos: int, fives: int) -> None:
    number = Fraction(value, 2**twos * 5**fives)
    text = plain(number)
    assert Fraction(text) == number
    assert "." not in text or text[-1] != "0"
