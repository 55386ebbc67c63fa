"""Sentences of the catalog's contract, each with a figure that was worked out from the sentence by hand."""

import pytest

from tests.quoting import CONNECTION, ENERGY, amounts, catalog_text, quoted

DAY = "gw/a energy 2026-10-05T10:00:00+03:00 1h"
SUBSCRIPTION_31 = CONNECTION.replace("9.90", "31")


def plan_q(charges: str, more: str = "") -> str:
    """The same charges under another plan."""
    return f'[plans.q]\ncycle = "month"\n{more}\n' + charges.replace("plans.p", "plans.q")


def amended(on: str, more: str) -> str:
    return f"[[contracts.c.amendments]]\nfrom = {on}\n{more}\n"


class TestPeriods:
    def test_a_month_of_thirty_one_days_has_thirty_one_shares_also_when_clocks_change(self) -> None:
        # March 2026 in Helsinki lacks an hour; a device from the 29th has 3 of 31 days.
        made = quoted(
            catalog_text(charges=SUBSCRIPTION_31, devices='[{ id = "gw/a", from = 2026-03-29 }]'), period="2026-03"
        )
        assert str(made.net) == "3.00"
        assert made.to_json()["period"]["end"] == "2026-03-31T21:00:00Z"

    def test_a_skipped_date_is_no_day_of_its_month(self) -> None:
        # Samoa had no 30 December 2011: 30 days; from the 29th on 2 of them are left.
        text = catalog_text(
            charges=CONNECTION.replace("9.90", "30"),
            devices='[{ id = "gw/a", from = 2011-12-29 }]',
            start="2011-12-01",
            zone="Pacific/Apia",
        )
        assert str(quoted(text, period="2011-12").net) == "2.00"

    @pytest.mark.parametrize(
        ("anchor", "start", "end"),
        [("28", "2026-02-28", "2026-03-28"), ("1", "2026-02-01", "2026-03-01"), ("15", "2026-02-15", "2026-03-15")],
    )
    def test_a_named_month_is_the_first_period_that_begins_in_it(self, anchor: str, start: str, end: str) -> None:
        made = quoted(catalog_text(f"anchor = {anchor}", charges=ENERGY, zone="UTC"), period="2026-02")
        assert (made.period.first.isoformat(), made.period.last.isoformat()) == (start, end)

    def test_the_stub_before_an_activation_is_a_share_of_its_calendar_month(self) -> None:
        text = catalog_text('anchor = "activation"', charges=SUBSCRIPTION_31 + "state_prices = { provisioned = 31 }\n")
        text += '[plans.p.activation]\nrule = "date"\ndate = 2026-10-30\n'
        stub = quoted(text, period="2026-10-05")
        assert (stub.period.last.isoformat(), str(stub.net)) == ("2026-10-28", "27.00")
        # The 30th became the 28th, so two days of the period that follows are still provisioned.
        full = quoted(text, period="2026-10-28")
        assert (full.period.first.isoformat(), full.period.last.isoformat()) == ("2026-10-28", "2026-11-28")
        assert str(full.net) == "31.00"


class TestShares:
    def test_included_and_minimum_are_shared_by_day_also_beside_a_price_by_second(self) -> None:
        charge = ENERGY.replace("0.30", "1\nincluded = 62\nminimum = 93\nmaximum = 40")
        # From the 22nd: 10 of 31 days: 20 included, at least 30, at most 40 whole.
        text = catalog_text(charges=charge, start="2026-10-22")
        made = quoted(text, "gw/a energy 2026-10-25T10:00:00+03:00 1h 25")
        assert [(line.kind.value, str(line.amount)) for line in made.lines] == [
            ("usage", "5.00"),
            ("minimum", "25.00"),
        ]

    def test_the_last_period_is_short_to_the_day(self) -> None:
        made = quoted(catalog_text(charges=SUBSCRIPTION_31, contract="end = 2026-10-08"))
        assert str(made.net) == "7.00"

    def test_a_device_s_allowance_follows_its_own_part(self) -> None:
        charge = ENERGY.replace("0.30", '1\nincluded = 31\nper = "device"')
        devices = '[{ id = "gw/a", from = 2026-10-22 }, "gw/b"]'
        rows = [f"gw/{device} energy 2026-10-25T10:00:00+03:00 1h 40" for device in "ab"]
        made = quoted(catalog_text(charges=charge, devices=devices), *rows)
        assert [str(line.amount) for line in made.lines] == ["30.00", "9.00"]

    def test_a_contracts_allowance_runs_from_its_first_activation(self) -> None:
        charge = ENERGY.replace("0.30", "1\nincluded = 31\nminimum = 62")
        text = catalog_text(charges=charge, devices='["gw/a", "gw/b"]')
        text += '[plans.p.activation]\nrule = "first_use"\n'
        made = quoted(text, "gw/b energy 2026-10-22T10:00:00+03:00 1h 12")  # 10 of 31 days
        assert [(line.kind.value, str(line.amount)) for line in made.lines] == [
            ("usage", "2.00"),
            ("minimum", "18.00"),
        ]
        assert quoted(text, "gw/b energy 2026-10-22T10:00:00+03:00 1h 12", period="2026-09").lines == ()

    def test_seconds_of_an_amended_period_sum_to_it(self) -> None:
        text = catalog_text(charges=CONNECTION.replace("9.90", '744\nprorate = "second"'), zone="UTC")
        text += amended("2026-10-11", "[contracts.c.amendments.overrides.charges.Connection]\nprice = 74.4")
        assert [str(line.amount) for line in quoted(text).lines] == ["240.00", "50.40"]

    def test_a_price_that_is_not_shared_takes_the_state_in_which_the_period_ends(self) -> None:
        text = catalog_text(charges=SUBSCRIPTION_31 + 'prorate = "none"\nstate_prices = { suspended = 6.20 }\n')
        text += amended("2026-10-11", "[contracts.c.amendments.overrides.charges.Connection]\ndiscount_percent = 0")
        made = quoted(text, states="gw/a,suspended,2026-10-20T00:00:00+03:00")
        assert [str(line.amount) for line in made.lines] == ["2.00", "4.20"]  # 6.20 by 10 and 21 of 31 days


class TestReductions:
    def test_a_cap_comes_from_rounded_amounts(self) -> None:
        charge = ENERGY.replace("0.30", "0.333\ndiscount_percent = 50\nmaximum = 0.10")
        made = quoted(catalog_text(charges=charge), f"{DAY} 1")
        # 0.333 → 0.33, less 0.1665 → 0.17: 0.16 is printed, and 0.10 is the most.
        assert [(line.kind.value, str(line.exact), str(line.amount)) for line in made.lines] == [
            ("usage", "0.3330000000", "0.33"),
            ("discount", "-0.1665000000", "-0.17"),
            ("cap", "-0.0600000000", "-0.06"),
        ]

    @pytest.mark.parametrize(("rounding", "amount"), [("half_up", "-0.13"), ("half_even", "-0.12")])
    def test_half_up_is_away_from_zero_below_it_too(self, rounding: str, amount: str) -> None:
        charge = ENERGY.replace("0.30", "0.25\ndiscount_percent = 50")
        made = quoted(catalog_text(f'rounding = "{rounding}"', charges=charge), f"{DAY} 1")
        assert str(made.lines[1].amount) == amount


class TestTaxes:
    def test_an_end_is_taxed_by_the_time_before_it(self) -> None:
        fee = '[[plans.p.charges]]\nname = "Exit"\ntype = "one_time"\non = "ended"\nprice = 100\n'
        taxes = (
            '[[plans.p.taxes]]\nname = "VAT"\npercent = 24\nuntil = 2026-11-01\n'
            '[[plans.p.taxes]]\nname = "VAT"\npercent = 25.5\nfrom = 2026-11-01\n'
        )
        made = quoted(catalog_text(charges=fee + taxes, devices='[{ id = "gw/a", until = 2026-11-01 }]'))
        assert [(str(tax.percent), str(tax.amount)) for tax in made.taxes] == [("24", "24.00")]

    def test_an_accounts_tax_may_end(self) -> None:
        text = catalog_text(charges=ENERGY)
        text = text.replace('name = "Acme Oy"', 'name = "Acme Oy"\ntax = { percent = 10, until = 2026-10-31 }')
        assert quoted(text, f"{DAY} 100").taxes == ()
        assert [tax.name for tax in quoted(text, f"{DAY} 100", period="2026-09").taxes] == ["Tax"]


class TestAmendments:
    def test_the_contracts_overrides_persist_and_the_amendments_come_on_top(self) -> None:
        text = catalog_text(charges=ENERGY) + "[contracts.c.overrides.charges.Energy]\nprice = 2\nincluded = 31\n"
        text += '[[contracts.c.amendments]]\nfrom = 2026-10-11\nplan = "q"\n'
        text += '[contracts.c.amendments.overrides.charges.Energy]\nmodel = "volume"\ntiers = [{ price = 3 }]\n'
        text += plan_q(ENERGY)
        made = quoted(text, f"{DAY} 20", "gw/a energy 2026-10-20T10:00:00+03:00 1h 22")
        assert [str(line.amount) for line in made.lines] == ["20.00", "3.00"]  # (20 − 10) × 2, (22 − 21) × 3

    def test_each_part_rounds_as_its_plan_says(self) -> None:
        text = catalog_text(charges=ENERGY.replace("0.30", "0.125")) + amended("2026-10-11", 'plan = "q"')
        text += plan_q(ENERGY.replace("0.30", "0.125"), 'rounding = "half_even"\ncurrency = "EUR"')
        made = quoted(text, f"{DAY} 1", "gw/a energy 2026-10-20T10:00:00+03:00 1h 1")
        assert [str(line.amount) for line in made.lines] == ["0.13", "0.12"]

    def test_use_gates_both_parts_by_the_whole_period(self) -> None:
        charge = SUBSCRIPTION_31 + 'bill = "when_used"\nused_when = { meter = "energy", at_least = 5 }\n'
        text = catalog_text(charges=charge)
        text += amended("2026-10-11", "[contracts.c.amendments.overrides.charges.Connection]\nprice = 62")
        rows = [f"{DAY} 2", "gw/a energy 2026-10-20T10:00:00+03:00 1h 3"]
        assert amounts(quoted(text, *rows)) == [
            ("Connection", "subscription", "gw/a", "10.00"),
            ("Connection", "subscription", "gw/a", "42.00"),
        ]


class TestAsOf:
    def test_grace_is_foreseen_and_subscriptions_are_whole(self) -> None:
        text = catalog_text(charges=SUBSCRIPTION_31, start="2026-10-01")
        text += '[plans.p.activation]\nrule = "first_use"\ngrace = "10d"\n'
        assert str(quoted(text, as_of="2026-10-02T00:00:00Z").net) == "21.00"

    def test_a_change_of_state_after_it_is_not_known(self) -> None:
        states = "gw/a,ended,2026-10-11T00:00:00+03:00"
        made = quoted(catalog_text(charges=SUBSCRIPTION_31), states=states, as_of="2026-10-10T00:00:00Z")
        assert str(made.net) == "31.00"


class TestLookBack:
    TEXT = catalog_text(charges=ENERGY.replace("0.30", "1\ndiscount_percent = 10")).replace(
        'name = "Northwind Metering Oy"', 'name = "Northwind Metering Oy"\nlook_back = "2mo"'
    )

    def test_a_charge_for_older_service_is_not_billed_and_a_quote_without_an_instant_knows_no_age(self) -> None:
        # October ends on 1 November, local time; two months later is 1 January.
        assert str(quoted(self.TEXT, f"{DAY} 10").net) == "9.00"
        assert str(quoted(self.TEXT, f"{DAY} 10", as_of="2026-12-31T22:00:00Z").net) == "9.00"
        late = quoted(self.TEXT, f"{DAY} 10", as_of="2026-12-31T22:00:01Z")
        assert late.lines == ()
        assert [str(line.amount) for line in late.too_late] == ["10.00", "-1.00"]

    def test_a_credit_is_billed_however_old_it_is(self) -> None:
        first = quoted(self.TEXT, f"{DAY} 10").to_json()
        less = quoted(self.TEXT, f"{DAY} 6", booked=(first,), as_of="2027-12-31T22:00:01Z")
        assert [str(line.amount) for line in less.lines] == ["-4.00", "0.40"]

    def test_a_higher_price_takes_nothing_back_that_it_does_not_bill(self) -> None:
        first = quoted(self.TEXT, f"{DAY} 10").to_json()
        dearer = self.TEXT.replace("price = 1", "price = 2")
        assert quoted(dearer, f"{DAY} 10", booked=(first,), as_of="2027-12-31T22:00:01Z").lines == ()
