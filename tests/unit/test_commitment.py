"""Commitments: true-ups by amount, devices and quantity, over periods, years and terms, each worked out by hand."""

import pytest

from cloud_collector.contracts.node import CatalogError
from cloud_collector.contracts.read import load_catalog
from tests.quoting import CONNECTION, ENERGY, catalog_text, quoted

UNIT = ENERGY.replace("0.30", "1")


def committed(keys: str, charges: str = UNIT, **more: str) -> str:
    return catalog_text(charges=charges, **more) + f"[plans.p.commitment]\n{keys}\n"


def use(quantity: str, day: str = "2026-10-05", device: str = "gw/a") -> str:
    return f"{device} energy {day}T10:00:00Z 1h {quantity}"


def true_up(text: str, *rows: str, period: str = "2026-10", **more: object) -> str | None:
    made = quoted(text, *rows, period=period, **more)  # type: ignore[arg-type]
    found = [line for line in made.lines if line.kind.value == "true_up"]
    assert len(found) <= 1
    return str(found[0].amount) if found else None


class TestAmount:
    def test_what_is_missing_is_a_line_that_shows_the_sum(self) -> None:
        line = quoted(committed("amount = 100"), use("30")).lines[-1].to_json()
        assert (line["charge"], line["kind"], line["device"], line["window"]) == ("Commitment", "true_up", None, None)
        assert (line["exact"], line["amount"], line["quantity"], line["unit"]) == ("70.0000000000", "70.00", "1", "1")
        assert line["steps"] == [{"committed": "100", "counted": "30", "amount": "70"}]
        assert (line["service_start"], line["service_end"]) == ("2026-09-30T21:00:00Z", "2026-10-31T22:00:00Z")

    @pytest.mark.parametrize(("used", "expected"), [("99.994", "0.01"), ("99.995", None), ("100", None), ("500", None)])
    def test_nothing_is_missing_where_rounded_lines_reach_it(self, used: str, expected: str | None) -> None:
        assert true_up(committed("amount = 100"), use(used)) == expected

    def test_discounts_caps_and_minimums_count_and_one_time_charges_and_taxes_do_not(self) -> None:
        fee = (
            '[[plans.p.charges]]\nname = "Fee"\ntype = "one_time"\non = "activated"\nprice = 50\n'
            'discount_percent = 10\n[[plans.p.taxes]]\nname = "VAT"\npercent = 20\n'
        )
        charges = UNIT + "discount_percent = 10\nmaximum = 40\n" + CONNECTION + fee
        text = committed("amount = 100", charges, start="2026-10-01")
        assert true_up(text, use("60")) == "50.10"  # 60 − 6 − 14 + 9.90 count

    def test_there_is_none_before_the_end_of_the_period(self) -> None:
        text = committed("amount = 100")
        assert true_up(text, use("30"), as_of="2026-10-20T00:00:00Z") is None
        assert true_up(text, use("30"), as_of="2026-10-31T22:00:00Z") == "70.00"

    def test_a_short_period_shortens_it_by_day(self) -> None:
        assert true_up(committed("amount = 310", start="2026-10-22")) == "100.00"
        assert true_up(committed("amount = 310", contract="end = 2026-10-08")) == "70.00"
        first_use = '[plans.p.activation]\nrule = "first_use"\n'
        text = committed("amount = 310") + first_use
        assert true_up(text, use("1", "2026-10-22")) == "99.00"
        assert true_up(text, use("1", "2026-11-22")) is None

    def test_late_data_lowers_it(self) -> None:
        text = committed("amount = 100")
        first = quoted(text, use("30")).to_json()
        late = quoted(text, use("50"), booked=(first,))
        assert [(line.kind.value, str(line.amount)) for line in late.lines] == [
            ("usage", "20.00"),
            ("true_up", "-20.00"),
        ]
        more = quoted(text, use("120"), booked=(first, late.to_json()))
        assert [str(line.amount) for line in more.lines] == ["70.00", "-50.00"]

    def test_an_amendment_gives_each_part_its_own(self) -> None:
        text = committed("amount = 310")
        text += '[[contracts.c.amendments]]\nfrom = 2026-10-11\nplan = "q"\n[plans.q]\ncycle = "month"\n'
        text += UNIT.replace("plans.p", "plans.q") + "[plans.q.commitment]\namount = 620\n"
        made = quoted(text, use("30"), use("20", "2026-10-20"))
        assert [(line.kind.value, str(line.amount)) for line in made.lines] == [
            ("usage", "30.00"),
            ("usage", "20.00"),
            ("true_up", "70.00"),  # 10 of 31 days of 310, less 30
            ("true_up", "400.00"),  # 21 of 31 days of 620, less 20
        ]
        again = quoted(text, use("30"), use("20", "2026-10-20"), booked=(made.to_json(),))
        assert again.lines == ()

    def test_a_tax_of_named_charges_covers_it_only_by_name(self) -> None:
        tax = '[[plans.p.taxes]]\nname = "VAT"\npercent = 10\ncharges = ["Energy"{}]\n'
        for more, base in (("", "30.00"), (', "Commitment"', "100.00")):
            made = quoted(committed("amount = 100", UNIT + tax.format(more)), use("30"))
            assert [str(each.base) for each in made.taxes] == [base]


class TestRamp:
    RAMP = (
        "amount = 1000\nramp = [{ from_period = 2, amount = 200 }, { from_period = 4, amount = 600 },"
        " { from_period = 7, amount = 1000 }]"
    )

    @pytest.mark.parametrize(
        ("period", "expected"),
        [
            ("2026-01", None),
            ("2026-02", "200.00"),
            ("2026-03", "200.00"),
            ("2026-04", "600.00"),
            ("2026-06", "600.00"),
            ("2026-07", "1000.00"),
            ("2027-01", "1000.00"),
        ],
    )
    def test_the_step_of_the_periods_number_replaces_the_figure(self, period: str, expected: str | None) -> None:
        assert true_up(committed(self.RAMP, start="2026-01-20"), period=period) == expected

    def test_periods_are_numbered_from_the_contracts_start_whether_or_not_anything_is_active(self) -> None:
        text = committed(self.RAMP) + '[plans.p.activation]\nrule = "date"\ndate = 2026-04-01\n'
        assert true_up(text, period="2026-03") is None
        assert true_up(text, period="2026-04") == "600.00"


class TestYearAndTerm:
    def test_a_year_is_trued_up_in_its_last_billing_period(self) -> None:
        text = committed('amount = 365\ncycle = "year"', zone="UTC")
        rows = [use("100", "2026-03-05"), use("50", "2026-12-05"), use("9", "2027-01-05")]
        assert true_up(text, *rows, period="2026-11") is None
        line = quoted(text, *rows, period="2026-12").lines[-1]
        assert (str(line.amount), line.to_json()["service_start"]) == ("215.00", "2026-01-01T00:00:00Z")

    def test_a_short_first_year_is_shortened(self) -> None:
        text = committed('amount = 365\ncycle = "year"', zone="UTC", start="2026-12-01")
        assert true_up(text, period="2026-12") == "31.00"

    def test_a_year_with_an_anchor_runs_from_it(self) -> None:
        text = committed('amount = 365\ncycle = "year"', zone="UTC", start="2026-03-15")
        text = text.replace('cycle = "month"', 'cycle = "month"\nanchor = 15', 1)
        assert true_up(text, period="2026-12-20") is None
        assert true_up(text, use("65", "2026-04-01"), period="2027-02-20") == "300.00"

    def test_the_year_s_true_up_is_not_taken_back_by_another_period(self) -> None:
        text = committed('amount = 365\ncycle = "year"', zone="UTC")
        december = quoted(text, period="2026-12").to_json()
        assert quoted(text, period="2026-01", booked=(december,)).to_json()["net"] == "0.00"
        assert quoted(text, period="2026-12", booked=(december,)).lines == ()
        late = quoted(text, use("65", "2026-02-05"), period="2026-12", booked=(december,))
        assert [str(line.amount) for line in late.lines] == ["-65.00"]

    def test_a_term_sums_the_steps_and_closes_with_the_contract(self) -> None:
        ramp = "ramp = [{ from_period = 1, amount = 100 }, { from_period = 3, amount = 300 }]"
        text = committed(f'{ramp}\ntrue_up = "term"', contract="end = 2026-05-01", zone="UTC")
        rows = [use("150", "2026-01-05"), use("20", "2026-04-05")]
        assert true_up(text, *rows, period="2026-03") is None
        assert true_up(text, *rows, period="2026-04") == "630.00"  # 100 + 100 + 300 + 300 − 170

    def test_a_term_needs_an_end(self) -> None:
        with pytest.raises(CatalogError, match="the contract has no end"):
            load_catalog(committed('amount = 1\ntrue_up = "term"'))


class TestDevices:
    KEYS = "devices = 4\nprice_per_device = 3.10"

    def test_each_device_that_is_missing_costs_its_price(self) -> None:
        text = committed(self.KEYS, devices='["gw/a", "gw/b", "gw/c"]')
        assert true_up(text, use("1"), use("1", device="gw/b")) == "6.20"
        assert true_up(text) == "12.40"

    def test_used_is_what_the_first_charge_that_asks_says(self) -> None:
        charge = CONNECTION + 'bill = "when_used"\nused_when = { meter = "energy", at_least = 5 }\n'
        text = committed(self.KEYS, charge, devices='["gw/a", "gw/b", "gw/c"]')
        assert true_up(text, use("4"), use("5", device="gw/b")) == "9.30"

    def test_a_short_period_shortens_it_by_day(self) -> None:
        text = committed(self.KEYS, start="2026-10-22")
        assert true_up(text, use("1", "2026-10-25")) == "3.00"  # 3 × 3.10 × 10 / 31

    def test_more_devices_than_committed_cost_nothing(self) -> None:
        assert true_up(committed("devices = 1\nprice_per_device = 3"), use("1")) is None


class TestQuantity:
    KEYS = 'meter = "energy"\nquantity = 500\noverage_factor = 1.5'
    TWO = ENERGY.replace("0.30", "2")

    def test_units_beyond_it_cost_the_factor(self) -> None:
        (line,) = quoted(committed(self.KEYS, self.TWO), use("700")).lines
        assert str(line.amount) == "1600.00"
        assert line.unit_price is None
        assert line.to_json()["steps"] == [
            {"quantity": "500", "price": "2", "amount": "1000"},
            {"quantity": "200", "price": "3.0", "amount": "600"},
        ]

    def test_units_that_are_missing_are_trued_up_at_the_price(self) -> None:
        made = quoted(committed(self.KEYS, self.TWO), use("400"))
        assert [(line.kind.value, str(line.quantity), str(line.amount)) for line in made.lines] == [
            ("usage", "400", "800.00"),
            ("true_up", "100", "200.00"),
        ]

    def test_without_true_up_only_the_factor_applies(self) -> None:
        text = committed(self.KEYS + '\ntrue_up = "none"', self.TWO)
        assert str(quoted(text, use("400")).net) == "800.00"
        assert str(quoted(text, use("700")).net) == "1600.00"

    def test_it_counts_units_after_what_is_included_of_all_devices_together(self) -> None:
        charge = self.TWO + 'included = 100\nper = "device"\n'
        text = committed(self.KEYS, charge, devices='["gw/a", "gw/b"]')
        # 900 used, 200 free: 700 as before, by 600 and 300 of 900.
        made = quoted(text, use("600"), use("300", device="gw/b"))
        assert [str(line.amount) for line in made.lines] == ["1066.67", "533.33"]

    def test_a_short_period_shortens_it_by_day(self) -> None:
        text = committed(self.KEYS.replace("500", "310"), self.TWO, start="2026-10-22")
        assert str(quoted(text, use("110", "2026-10-25")).net) == "230.00"  # 100 × 2 + 10 × 3

    def test_over_a_year_the_excess_is_cumulative(self) -> None:
        text = committed(self.KEYS + '\ncycle = "year"', self.TWO, zone="UTC")
        rows = [use("300", "2026-01-05"), use("300", "2026-06-05"), use("50", "2026-12-05")]
        nets = [str(quoted(text, *rows, period=f"2026-{month}").net) for month in ("01", "06", "12")]
        assert nets == ["600.00", "700.00", "150.00"]  # 300 × 2; 200 × 2 + 100 × 3; 50 × 3
        assert true_up(text, rows[0], period="2026-12") == "400.00"

    def test_before_a_ramps_first_step_nothing_is_committed_and_nothing_exceeds_it(self) -> None:
        keys = self.KEYS.replace("quantity = 500\n", "") + "\nramp = [{ from_period = 3, quantity = 100 }]"
        text = committed(keys, self.TWO, zone="UTC")
        nets = [str(quoted(text, use("200", f"2026-{month}-05"), period=f"2026-{month}").net) for month in ("02", "03")]
        assert nets == ["400.00", "500.00"]

    def test_another_charge_may_stand_on_the_meter(self) -> None:
        other = ENERGY.replace('"Energy"', '"Base"').replace(
            '"per_unit"\nprice = 0.30', '"volume"\ntiers = [{ flat = 7 }]'
        )
        made = quoted(committed(self.KEYS, other + self.TWO), use("400"))
        assert [(line.charge, str(line.amount)) for line in made.lines] == [
            ("Base", "7.00"),
            ("Energy", "800.00"),
            ("Commitment", "200.00"),
        ]

    def test_before_the_end_there_is_no_factor(self) -> None:
        made = quoted(committed(self.KEYS, self.TWO), use("700"), as_of="2026-10-20T00:00:00Z")
        assert str(made.net) == "1400.00"


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ("", "exactly one of amount, devices and quantity"),
        ("amount = 1\ndevices = 1", "exactly one of"),
        ("devices = 1", 'lacks "price_per_device"'),
        ("amount = 1\nprice_per_device = 1", "does not belong to a commitment of amount"),
        ('quantity = 1\nmeter = "water"', "needs exactly one charge of water"),
        ("ramp = [{ from_period = 2, amount = 1 }, { from_period = 2, amount = 2 }]", "out of order"),
        ("amount = 1\nramp = [{ from_period = 1, devices = 1 }]", "exactly one of"),
        ('amount = 1\ncycle = "day"', "shorter than the plan's"),
        ("amount = -1", "may not be negative"),
        ('amount = 1\ntrue_up = "never"', "not one of period, term, none"),
    ],
)
def test_a_commitment_that_makes_no_sense_is_refused(keys: str, sentence: str) -> None:
    with pytest.raises(CatalogError, match=r"catalog\.toml:\d+: plans\.p\.commitment") as caught:
        load_catalog(committed(keys))
    assert sentence in str(caught.value)
