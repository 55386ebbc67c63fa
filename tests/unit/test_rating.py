"""Amounts, each worked out by hand."""

from datetime import date

import pytest

from cloud_collector.activity.first_use import first_activity
from cloud_collector.contracts.period import periods
from cloud_collector.rating.booking import booking_of, bookings_of
from cloud_collector.rating.rate import draft
from cloud_collector.usage.ledger import Ledger
from cloud_collector.usage.span import ChannelName, Span, SpanKind
from tests.quoting import CONNECTION, ENERGY, amounts, catalog_text, quoted, spent, terms

DAY = "gw/a energy 2026-10-05T10:00:00+03:00 1h"


def usage(model: str, rest: str = "", meter: str = "energy") -> str:
    return f'[[plans.p.charges]]\nname = "Use"\ntype = "usage"\nmeter = "{meter}"\nmodel = "{model}"\n{rest}\n'


def cost(charge: str, quantity: str, **more: str) -> str:
    made = quoted(catalog_text(charges=charge, **more), f"gw/a energy 2026-10-05T10:00:00+03:00 1h {quantity}")
    return str(made.net)


def test_each_unit_costs_its_price() -> None:
    line = quoted(catalog_text(charges=ENERGY), f"{DAY} 12.345").lines[0]
    assert (line.to_json()["quantity"], line.to_json()["unit_price"]) == ("12.345", "0.30")
    assert (line.to_json()["exact"], line.to_json()["amount"]) == ("3.7035000000", "3.70")


def test_an_active_contract_without_use_has_a_line_of_zero() -> None:
    assert amounts(quoted(catalog_text(charges=ENERGY))) == [("Energy", "usage", None, "0.00")]


GRADUATED = usage(
    "graduated", "tiers = [{ up_to = 10, price = 2, flat = 5 }, { up_to = 20, price = 1, flat = 3 }, { price = 0.5 }]"
)


@pytest.mark.parametrize(
    ("quantity", "net"),
    [
        ("0", "5.00"),  # the first tier is reached at zero
        ("10", "25.00"),  # up_to is inclusive: 20 + 5
        ("10.000001", "28.00"),  # 25 + 3 + 0.000001
        ("20", "38.00"),  # 25 + 3 + 10
        ("30", "43.00"),  # 38 + 5
    ],
)
def test_graduated_tiers_cost_each_unit_at_its_own_tier_and_a_flat_a_tier_reached(quantity: str, net: str) -> None:
    assert cost(GRADUATED, quantity) == net


def test_a_last_tier_that_ends_goes_on_at_its_price() -> None:
    assert cost(usage("graduated", "tiers = [{ up_to = 1, price = 3 }, { up_to = 2, price = 2 }]"), "5") == "11.00"


VOLUME = usage(
    "volume", "tiers = [{ up_to = 100, price = 2, flat = 10 }, { up_to = 200, price = 1 }, { price = 0.5, flat = 50 }]"
)


@pytest.mark.parametrize(
    ("quantity", "net"), [("0", "10.00"), ("100", "210.00"), ("100.5", "100.50"), ("200", "200.00"), ("300", "200.00")]
)
def test_volume_tiers_cost_all_units_at_the_tier_that_the_quantity_falls_in(quantity: str, net: str) -> None:
    assert cost(VOLUME, quantity) == net


@pytest.mark.parametrize(("quantity", "net"), [("0", "0.00"), ("0.1", "15.00"), ("10", "15.00"), ("10.1", "30.00")])
def test_every_started_package_costs_a_whole_one(quantity: str, net: str) -> None:
    assert cost(usage("package", "size = 10\nprice = 15"), quantity) == net


def test_included_units_come_off_before_packages() -> None:
    assert cost(usage("package", "size = 10\nprice = 100\nincluded = 10"), "121") == "1200.00"


def test_a_percentage_of_money_and_a_fixed_part_once() -> None:
    charge = usage("percentage", "rate = 2.9\nfixed = 0.30", meter="sales")
    assert str(quoted(catalog_text(charges=charge), "gw/a sales 2026-10-05T10:00:00+03:00 1h 100").net) == "3.20"
    assert str(quoted(catalog_text(charges=charge)).net) == "0.00"


def test_increment_rounds_up_before_included_units_come_off() -> None:
    line = quoted(catalog_text(charges=usage("per_unit", "price = 1\nincrement = 5\nincluded = 3")), f"{DAY} 11").lines[
        0
    ]
    assert str(line.amount) == "12.00"
    assert line.to_json()["steps"] == [
        {"quantity": "3", "included": True},
        {"quantity": "12", "price": "1", "amount": "12"},
    ]


def test_the_example_of_the_catalogs_contract_prints_as_written() -> None:
    charge = usage("graduated", "tiers = [{ up_to = 100, price = 0.30, flat = 0 }, { price = 0.25 }]\nincluded = 50")
    line = quoted(catalog_text(charges=charge), f"{DAY} 413").lines[0].to_json()
    assert line["exact"] == "95.7500000000"
    assert line["unit_price"] is None
    assert line["steps"] == [
        {"quantity": "50", "included": True},
        {"quantity": "100", "price": "0.30", "amount": "30"},
        {"quantity": "263", "price": "0.25", "amount": "65.75"},
    ]


class TestReductions:
    CHARGE = usage("per_unit", "price = 10\ndiscount_percent = 50\nmaximum = 100\nminimum = 20")

    @pytest.mark.parametrize(
        ("quantity", "lines"),
        [
            ("27", [("usage", "270.00"), ("discount", "-135.00"), ("cap", "-35.00")]),
            ("10", [("usage", "100.00"), ("discount", "-50.00")]),
            ("1", [("usage", "10.00"), ("discount", "-5.00"), ("minimum", "15.00")]),
            ("0", [("usage", "0.00"), ("minimum", "20.00")]),
        ],
    )
    def test_discount_then_cap_then_minimum_are_lines_of_their_own(
        self, quantity: str, lines: list[tuple[str, str]]
    ) -> None:
        made = quoted(catalog_text(charges=self.CHARGE), f"{DAY} {quantity}")
        assert [(line.kind.value, str(line.amount)) for line in made.lines] == lines

    def test_a_discount_is_rounded_from_the_exact_amount(self) -> None:
        made = quoted(catalog_text(charges=usage("per_unit", "price = 0.333\ndiscount_percent = 50")), f"{DAY} 0.1")
        assert [str(line.amount) for line in made.lines] == ["0.03", "-0.02"]

    def test_before_the_end_of_the_period_there_is_no_minimum(self) -> None:
        made = quoted(catalog_text(charges=self.CHARGE), f"{DAY} 1", as_of="2026-10-20T00:00:00Z")
        assert [line.kind.value for line in made.lines] == ["usage", "discount"]

    def test_included_and_minimum_are_shared_by_day_but_not_maximum_or_flat(self) -> None:
        charge = usage("per_unit", "price = 1\nincluded = 31\nminimum = 62\nmaximum = 70")
        text = catalog_text(charges=charge, start="2026-10-17")  # 15 of 31 days
        made = quoted(text, "gw/a energy 2026-10-20T10:00:00+03:00 1h 20")
        assert [(line.kind.value, str(line.amount)) for line in made.lines] == [
            ("usage", "5.00"),
            ("minimum", "25.00"),
        ]


class TestMoney:
    @pytest.mark.parametrize(
        ("rounding", "price", "amount"),
        [("half_up", "0.125", "0.13"), ("half_even", "0.125", "0.12"), ("half_even", "0.135", "0.14")],
    )
    def test_a_half_goes_where_the_plan_says(self, rounding: str, price: str, amount: str) -> None:
        text = catalog_text(f'rounding = "{rounding}"', charges=usage("per_unit", f"price = {price}"))
        assert str(quoted(text, f"{DAY} 1").net) == amount

    @pytest.mark.parametrize(("currency", "net", "total"), [("JPY", "1235", "1482"), ("KWD", "1234.568", "1481.482")])
    def test_amounts_have_the_currencys_decimals(self, currency: str, net: str, total: str) -> None:
        tax = '[[plans.p.taxes]]\nname = "VAT"\npercent = 20\n'
        text = catalog_text(f'currency = "{currency}"', charges=usage("per_unit", "price = 1234.5678") + tax)
        made = quoted(text, f"{DAY} 1")
        assert (str(made.net), str(made.total)) == (net, total)

    def test_wh_are_billed_in_kwh_and_a_gap_of_precision_is_none(self) -> None:
        made = quoted(catalog_text(charges=usage("per_unit", "price = 1")), f"{DAY} 0.000001")
        assert made.lines[0].to_json()["exact"] == "0.0000010000"


class TestProration:
    def test_a_device_pays_for_the_local_days_on_which_the_contract_has_it(self) -> None:
        devices = '["gw/a", { id = "gw/b", from = 2026-10-16, until = 2026-10-26 }]'
        made = quoted(catalog_text(charges=CONNECTION, devices=devices))
        assert amounts(made) == [
            ("Connection", "subscription", "gw/a", "9.90"),
            ("Connection", "subscription", "gw/b", "3.19"),  # 10 of 31 days
        ]

    def test_days_are_local_days_also_where_the_clock_changes(self) -> None:
        devices = '[{ id = "gw/a", from = 2026-10-25 }]'  # 25 hours that day
        assert spent(quoted(catalog_text(charges=CONNECTION, devices=devices)), "Connection") * 100 == 224  # 7 of 31

    def test_seconds_count_the_hour_more(self) -> None:
        charge = CONNECTION + 'prorate = "second"\n'
        devices = '[{ id = "gw/a", from = 2026-10-25 }]'
        line = quoted(catalog_text(charges=charge, devices=devices)).lines[0]
        assert line.steps[0]["seconds"] == str(7 * 86_400 + 3_600)
        assert line.steps[0]["of"] == str(31 * 86_400 + 3_600)
        assert str(line.amount) == "2.25"  # 9.90 × 169 / 745 = 2.24577…

    def test_none_is_one_whole_price_in_the_state_at_the_end(self) -> None:
        charge = CONNECTION + 'prorate = "none"\nstate_prices = { suspended = 1.00 }\n'
        devices = '[{ id = "gw/a", from = 2026-10-25 }, "gw/b", { id = "gw/c", until = 2026-10-05 }]'
        made = quoted(catalog_text(charges=charge, devices=devices), states="gw/b,suspended,2026-10-31T10:00:00+02:00")
        assert [str(line.amount) for line in made.lines] == ["9.90", "1.00", "9.90"]

    def test_each_day_is_billed_in_the_state_in_which_it_ends(self) -> None:
        charge = CONNECTION.replace("9.90", "31") + "state_prices = { provisioned = 3.10, suspended = 6.20 }\n"
        plan = '[plans.p.activation]\nrule = "date"\ndate = 2026-10-11\n'
        states = "gw/a,suspended,2026-10-21T23:59:59+03:00 gw/a,active,2026-10-31T12:00:00+02:00"
        line = quoted(catalog_text(charges=charge) + plan, states=states).lines[0]
        # 10 days provisioned at 0.10, 10 + 1 active at 1.00, 10 suspended at 0.20
        assert str(line.amount) == "14.00"
        assert line.unit_price is None

    def test_an_ended_device_pays_no_more(self) -> None:
        made = quoted(
            catalog_text(charges=CONNECTION.replace("9.90", "31")), states="gw/a,ended,2026-10-11T10:00:00+03:00"
        )
        assert str(made.net) == "10.00"

    def test_a_year_of_days_sums_to_the_year(self) -> None:
        text = catalog_text(charges=CONNECTION.replace("9.90", "365"), start="2026-03-10").replace(
            'cycle = "month"', 'cycle = "year"\nanchor = 10'
        )
        line = quoted(text, period="2026-05").lines[0]
        assert str(line.amount) == "365.00"


class TestWhenUsed:
    CHARGE = CONNECTION + 'bill = "when_used"\nused_when = { meter = "energy", at_least = 0.5 }\n'

    @pytest.mark.parametrize(("quantity", "net"), [("0.499999", "0.00"), ("0.5", "9.90")])
    def test_the_active_price_is_due_when_used(self, quantity: str, net: str) -> None:
        assert cost(self.CHARGE, quantity) == net

    def test_without_a_figure_any_use_of_any_meter_counts(self) -> None:
        charge = CONNECTION + 'bill = "when_used"\n'
        assert (
            str(quoted(catalog_text(charges=charge), "gw/a water 2026-10-05T10:00:00+03:00 1h 0.000001").net) == "9.90"
        )
        assert str(quoted(catalog_text(charges=charge), "gw/a water 2026-09-05T10:00:00+03:00 1h 1").net) == "0.00"

    def test_state_prices_are_due_regardless(self) -> None:
        charge = CONNECTION + 'bill = "when_used"\nstate_prices = { suspended = 3.10 }\n'
        made = quoted(catalog_text(charges=charge), states="gw/a,suspended,2026-10-22T00:00:00+03:00")
        assert str(made.net) == "1.00"  # 10 of 31 days

    def test_a_contracts_subscription_counts_all_devices(self) -> None:
        charge = self.CHARGE + 'per = "contract"\n'
        rows = [f"gw/{name} energy 2026-10-05T10:00:00+03:00 1h 0.25" for name in "ab"]
        assert amounts(quoted(catalog_text(charges=charge, devices='["gw/a", "gw/b"]'), *rows)) == [
            ("Connection", "subscription", None, "9.90")
        ]


class TestTaxes:
    def test_rates_do_not_compound_and_each_rounds_once_on_the_sum(self) -> None:
        taxes = '[[plans.p.taxes]]\nname = "A"\npercent = 6\n[[plans.p.taxes]]\nname = "B"\npercent = 2\n'
        made = quoted(catalog_text(charges=ENERGY + CONNECTION + taxes), f"{DAY} 10")
        assert [tax.to_json() for tax in made.taxes] == [
            {"name": "A", "percent": "6", "base": "12.90", "amount": "0.77"},
            {"name": "B", "percent": "2", "base": "12.90", "amount": "0.26"},
        ]
        assert str(made.total) == "13.93"

    def test_the_rate_is_that_of_the_last_instant_of_service(self) -> None:
        taxes = (
            '[[plans.p.taxes]]\nname = "VAT"\npercent = 24\nuntil = 2026-10-31\n'
            '[[plans.p.taxes]]\nname = "VAT"\npercent = 25.5\nfrom = 2026-10-31\n'
        )
        made = quoted(catalog_text(charges=ENERGY + taxes), f"{DAY} 100")
        assert [(str(tax.percent), str(tax.amount)) for tax in made.taxes] == [("25.5", "7.65")]

    def test_a_tax_may_cover_some_charges_only(self) -> None:
        taxes = '[[plans.p.taxes]]\nname = "VAT"\npercent = 10\ncharges = ["Connection"]\n'
        made = quoted(catalog_text(charges=ENERGY + CONNECTION + taxes), f"{DAY} 100")
        assert [(str(tax.base), str(tax.amount)) for tax in made.taxes] == [("9.90", "0.99")]

    def test_an_accounts_tax_replaces_the_plans_and_takes_its_name(self) -> None:
        text = catalog_text(charges=ENERGY + '[[plans.p.taxes]]\nname = "VAT"\npercent = 24\n')
        text = text.replace('name = "Acme Oy"', 'name = "Acme Oy"\ntax = { category = "AE", percent = 0 }')
        made = quoted(text, f"{DAY} 100")
        assert [(tax.name, str(tax.amount)) for tax in made.taxes] == [("VAT", "0.00")]
        assert str(made.total) == "30.00"


class TestOneTime:
    def fee(self, on: str, more: str = "") -> str:
        return f'[[plans.p.charges]]\nname = "Fee"\ntype = "one_time"\non = "{on}"\nprice = 5.00\n{more}'

    def test_an_activation_costs_once_in_the_period_of_its_instant(self) -> None:
        plan = '[plans.p.activation]\nrule = "first_use"\n'
        text = catalog_text(charges=self.fee("activated")) + plan
        for period, net in [("2026-09", "0.00"), ("2026-10", "5.00"), ("2026-11", "0.00")]:
            assert str(quoted(text, f"{DAY} 1", period=period).net) == net
        line = quoted(text, f"{DAY} 1").lines[0].to_json()
        assert line["service_start"] == line["service_end"] == "2026-10-05T07:00:00Z"

    def test_an_end_belongs_to_the_period_before_its_instant(self) -> None:
        text = catalog_text(charges=self.fee("ended"), devices='[{ id = "gw/a", until = 2026-11-01 }]')
        assert str(quoted(text).net) == "5.00"
        assert str(quoted(text, period="2026-11").net) == "0.00"

    def test_suspensions_and_resumptions_each_cost(self) -> None:
        states = " ".join(
            f"gw/a,{state},2026-10-{day}T00:00:00Z"
            for state, day in [("suspended", "05"), ("active", "07"), ("suspended", "09"), ("active", "12")]
        )
        for on in ("suspended", "resumed"):
            assert str(quoted(catalog_text(charges=self.fee(on)), states=states).net) == "10.00"

    def test_a_contract_starts_once_for_all_its_devices(self) -> None:
        text = catalog_text(charges=self.fee("contract_start"), devices='["gw/a", "gw/b"]', start="2026-10-10")
        assert amounts(quoted(text)) == [("Fee", "one_time", None, "5.00")]


class TestChangedTerms:
    def test_an_override_replaces_the_price_of_one_contract(self) -> None:
        text = catalog_text(charges=GRADUATED) + "[contracts.c.overrides.charges.Use]\ntiers = [{ price = 4 }]\n"
        assert str(quoted(text, f"{DAY} 10").net) == "40.00"

    def test_an_amendment_cuts_the_period_and_rates_each_part_alone(self) -> None:
        other = '[plans.q]\ncycle = "month"\n' + (CONNECTION + GRADUATED).replace("plans.p", "plans.q").replace(
            "9.90", "31"
        )
        text = catalog_text(charges=CONNECTION.replace("9.90", "62") + GRADUATED) + other
        text += '[[contracts.c.amendments]]\nfrom = 2026-10-16\nplan = "q"\n'
        made = quoted(text, f"{DAY} 12", "gw/a energy 2026-10-20T10:00:00+03:00 1h 12")
        assert amounts(made) == [
            ("Connection", "subscription", "gw/a", "30.00"),
            ("Use", "usage", None, "30.00"),  # 10 × 2 + 5 + 2 × 1 + 3, tiers from zero in each part
            ("Connection", "subscription", "gw/a", "16.00"),
            ("Use", "usage", None, "30.00"),
        ]
        assert made.lines[2].to_json()["service_start"] == "2026-10-15T21:00:00Z"

    def test_a_whole_price_is_shared_by_days_where_an_amendment_cuts(self) -> None:
        text = catalog_text(charges=CONNECTION.replace("9.90", "31") + 'prorate = "none"\n')
        text += "[[contracts.c.amendments]]\nfrom = 2026-10-11\n"
        text += "[contracts.c.amendments.overrides.charges.Connection]\nprice = 62\n"
        assert [str(line.amount) for line in quoted(text).lines] == ["10.00", "42.00"]


class TestBooked:
    """P14, P17: rate from the start of the period, subtract what is booked."""

    def test_a_rerun_adds_nothing(self) -> None:
        text = catalog_text(charges=ENERGY + CONNECTION + GRADUATED)
        first = quoted(text, f"{DAY} 7").to_json()
        again = quoted(text, f"{DAY} 7", booked=(first,))
        assert again.lines == ()
        assert str(again.total) == "0.00"

    def test_late_usage_is_the_difference_across_tiers(self) -> None:
        text = catalog_text(charges=GRADUATED)
        first = quoted(text, f"{DAY} 7").to_json()  # 14 + 5
        late = quoted(text, f"{DAY} 7", "gw/a energy 2026-10-06T10:00:00+03:00 1h 5", booked=(first,))
        assert amounts(late) == [("Use", "usage", None, "11.00")]  # 20 + 5 + 2 + 3 − 19
        assert late.lines[0].to_json()["quantity"] == "5"
        both = (first, late.to_json())
        assert quoted(text, f"{DAY} 7", "gw/a energy 2026-10-06T10:00:00+03:00 1h 5", booked=both).lines == ()

    def test_a_cap_met_on_the_second_run_is_a_line(self) -> None:
        text = catalog_text(charges=usage("per_unit", "price = 10\nmaximum = 100"))
        first = quoted(text, f"{DAY} 7").to_json()
        second = quoted(text, f"{DAY} 12", booked=(first,))
        assert [(line.kind.value, str(line.amount)) for line in second.lines] == [("usage", "50.00"), ("cap", "-20.00")]

    def test_a_changed_unit_price_prints_as_reversal_and_new_line(self) -> None:
        first = quoted(catalog_text(charges=ENERGY), f"{DAY} 10").to_json()
        dearer = quoted(catalog_text(charges=ENERGY.replace("0.30", "0.40")), f"{DAY} 10", booked=(first,))
        assert [(line.to_json()["quantity"], str(line.amount)) for line in dearer.lines] == [
            ("-10", "-3.00"),
            ("10", "4.00"),
        ]

    def test_what_is_no_longer_due_is_taken_back(self) -> None:
        text = catalog_text(charges=CONNECTION, devices='["gw/a", "gw/b"]')
        first = quoted(text).to_json()
        fewer = quoted(catalog_text(charges=CONNECTION), booked=(first,))
        assert amounts(fewer) == [("Connection", "subscription", "gw/b", "-9.90")]

    def test_an_amount_too_small_for_a_cent_still_books_its_quantity(self) -> None:
        text = catalog_text(charges=ENERGY)
        first = quoted(text, f"{DAY} 1").to_json()
        late = quoted(text, f"{DAY} 1.001", booked=(first,))
        assert [(line.to_json()["quantity"], str(line.amount)) for line in late.lines] == [("0.001", "0.00")]

    def test_other_periods_bookings_are_left_alone(self) -> None:
        text = catalog_text(charges=CONNECTION)
        september = quoted(text, period="2026-09").to_json()
        assert str(quoted(text, booked=(september,)).net) == "9.90"


def test_usage_is_billed_from_the_start_or_all_of_it() -> None:
    plan = '[plans.p.activation]\nrule = "first_use"\nany = [{ meter = "energy", at_least = 5 }]\n'
    rows = [f"gw/a energy 2026-10-0{day}T10:00:00+03:00 1h 2" for day in (1, 2, 3, 4)]
    text = catalog_text(charges=ENERGY) + plan
    assert str(quoted(text, *rows).net) == "1.20"  # the third report decides: 4 kWh
    assert str(quoted(text + 'usage_before = "billed"\n', *rows).net) == "2.40"


def test_a_cut_interval_is_shared_in_proportion_and_both_sides_sum() -> None:
    text = catalog_text(charges=ENERGY.replace("0.30", "1"))
    row = "gw/a energy 2026-10-31T22:30:00+02:00 2h 0.000003"
    october, november = quoted(text, row), quoted(text, row, period="2026-11")
    assert [line.to_json()["quantity"] for line in (october.lines[0], november.lines[0])] == ["0.000002", "0.000001"]
    assert october.lines[0].estimated
    assert november.lines[0].estimated


def test_a_usage_line_carries_the_registers_it_rests_on() -> None:
    made = quoted(catalog_text(charges=ENERGY), "gw/a energy 2026-09-05T10:00:00Z 1h 2", f"{DAY} 3", f"{DAY} 1")
    (read,) = made.lines[0].reads
    assert (read.register_start, read.register_end) == (2_000_000, 6_000_000)
    assert (read.seq_start, read.seq_end) == (2, 3)


def test_a_quantity_that_no_decimal_spells_is_booked_as_printed() -> None:
    """P14: seconds billed in hours do not leave a rest that a rerun would bill."""
    text = catalog_text(charges=usage("per_unit", "price = 0.10")).replace('unit = "kWh"', 'unit = "h"')
    span = Span(
        channel=ChannelName(gateway="gw", device="a", meter="energy"),
        log="main",
        unit="s",
        exponent=0,
        kind=SpanKind.USAGE,
        epoch="00000001",
        seq=1,
        start=1_791_000_000,
        step=900,
        deltas=(700,),
        register=0,
        estimated=frozenset(),
        received_at=0,
    )
    found = terms(text)
    period = next(each for each in periods(found, until=date(2026, 11, 1)) if each.first == date(2026, 10, 1))
    ledger = Ledger([span])
    starts = first_activity(found, ledger, until=period.end)
    first = draft(found, period, ledger, starts=starts)
    assert first.lines[0].to_json()["quantity"] == "0.1944444444"
    for booked in ([booking_of(line) for line in first.lines], bookings_of(first.to_json())):
        assert draft(found, period, ledger, starts=starts, booked=booked).lines == ()
