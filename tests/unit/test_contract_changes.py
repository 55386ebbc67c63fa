"""Contracts change while they are billed: apply, bill, apply, bill; each change counts from its own date on."""

from collections import defaultdict
from decimal import Decimal

import pytest

from cloud_collector.billing.archive import MemoryArchive
from cloud_collector.billing.export import as_bundle, invoice
from cloud_collector.billing.revisions import apply
from cloud_collector.billing.run import bill_due
from cloud_collector.contracts.read import load_catalog
from cloud_collector.proof.trust import Trust
from cloud_collector.proof.verify import verify
from tests.unit.billing_samples import (
    CATALOG,
    GATEWAY_KEY,
    NOVEMBER,
    OCTOBER,
    RECEIPT_KEY,
    Gateway,
    new_store,
    october,
    receive,
    store_biller,
)
from tests.unit.test_billing import body

DAY = 86_400
DECEMBER = NOVEMBER + 30 * DAY
JANUARY = DECEMBER + 31 * DAY
TRUST = Trust(fingerprints=frozenset({RECEIPT_KEY.public.sha256, GATEWAY_KEY.public.sha256}), words=frozenset())
ONE, TWO = "roof-1/sdm630-1", "roof-1/sdm630-2"
BASIC = (
    CATALOG.replace('rule = "first_use"\nany = [{ meter = "energy", at_least = 0.5 }]\ngrace = "20d"\n', "")
    .replace("price = 9.90", "price = 31")
    .replace(
        "tiers = [{ up_to = 100, price = 0.30 }, { price = 0.25 }]\nincluded = 50\n", "tiers = [{ price = 0.30 }]\n"
    )
)
BIG = """
[plans.big]
cycle = "month"
settle = "48h"
[[plans.big.charges]]
name = "Connection"
type = "subscription"
price = 62
[[plans.big.charges]]
name = "Energy"
type = "usage"
meter = "energy"
model = "per_unit"
price = 0.10
"""
FEE = '[[plans.charger.charges]]\nname = "Activation"\ntype = "one_time"\non = "activated"\nprice = 5\n'
PLAN = 'plan = "charger"'
Lines = dict[tuple[str, str, str], Decimal]


class World:
    """Four months of two meters, whose lines arrive as they are metered, and a catalog that changes."""

    def __init__(self, catalog: str = BASIC + BIG, *, proves: bool = True) -> None:
        self.proves = proves
        self.catalog = catalog
        self.store = new_store(catalog=catalog)
        self.lines = october(Gateway(), days=123).lines
        self.archive = MemoryArchive()
        self.biller = store_biller(self.archive)

    def apply(self, at: int, *changes: tuple[str, str], effective_at: int | None = None) -> None:
        for old, new in changes:
            assert self.catalog.count(old) == 1, old
            self.catalog = self.catalog.replace(old, new)
        apply(self.store, load_catalog(self.catalog), now_ms=at * 1000, effective_at=effective_at)

    def bill(self, at: int) -> dict[str, Lines]:
        """What is issued now, by contract: charge, device and month of service with what they cost together."""
        end = (at - OCTOBER) // DAY
        receive(self.store, self.lines[: end + 2], at=at)
        report = bill_due(self.store, at * 1000, self.biller)
        assert [outcome.reason for outcome in report.of("parked")] == []
        assert bill_due(self.store, at * 1000, self.biller).outcomes == (), "a rerun adds nothing"
        found: dict[str, Lines] = {}
        for outcome in report.of("issued"):
            lines: Lines = defaultdict(Decimal)
            said = body(self.archive.get(outcome.number or "") or b"")
            for line in said["lines"]:
                lines[line["charge"], line["device"] or "", line["service_end"][:7]] += Decimal(line["amount"])
            found[outcome.contract] = dict(lines)
            if self.proves:
                made = as_bundle(self.store, invoice(self.store, self.archive, said["number"]), RECEIPT_KEY.public)
                assert verify(made, TRUST).findings == ()
        return found

    def billed(self, charge: str, device: str = "") -> Decimal:
        """Everything that all invoices took for it."""
        found = Decimal(0)
        for (number,) in [row[:1] for row in self.store.rows("invoices")]:
            said = body(self.archive.get(number) or b"")
            for line in said["lines"]:
                if line["charge"] == charge and (line["device"] or "") == device:
                    found += Decimal(line["amount"])
        return found


def used(first: int, second: int, *, clocks_change: bool = False) -> Decimal:
    """Kilowatt hours of so many days of each meter; the day on which clocks go back has four more intervals."""
    more = 4 if clocks_change else 0
    return Decimal(330 * (first * 96 + more) + (140 * (second * 96 + more) if second else 0)) / 1000


USED_OCTOBER = used(31, 18, clocks_change=True)
USED_NOVEMBER = used(30, 30)


def cents(amount: Decimal) -> Decimal:
    return amount.quantize(Decimal("0.01"))


def test_another_plan_is_billed_from_the_next_period_on_and_takes_nothing_back() -> None:
    """Upgrade in the middle of October, October already billed when November closes: October stays as it was."""
    world = World()
    world.apply(OCTOBER + 19 * DAY, (PLAN, 'plan = "big"'))
    assert world.bill(NOVEMBER + DAY)["acme-chargers"] == {
        ("Connection", ONE, "2026-10"): 31,
        ("Connection", TWO, "2026-10"): 31,
        ("Energy", "", "2026-10"): cents(USED_OCTOBER * Decimal("0.30")),
    }
    assert world.bill(DECEMBER + DAY)["acme-chargers"] == {
        ("Connection", ONE, "2026-11"): 62,
        ("Connection", TWO, "2026-11"): 62,
        ("Energy", "", "2026-11"): cents(USED_NOVEMBER * Decimal("0.10")),
    }


def test_a_downgrade_after_the_invoice_is_the_same_the_other_way_round() -> None:
    world = World((BASIC + BIG).replace(PLAN, 'plan = "big"'))
    assert world.bill(NOVEMBER + DAY)["acme-chargers"]["Connection", ONE, "2026-10"] == 62
    world.apply(NOVEMBER + 2 * DAY, ('plan = "big"', PLAN))
    assert world.bill(DECEMBER + DAY)["acme-chargers"]["Connection", ONE, "2026-11"] == 62
    december = world.bill(JANUARY + DAY)["acme-chargers"]
    assert december["Connection", ONE, "2026-12"] == 31
    assert {month for _, _, month in december} == {"2026-12"}


@pytest.mark.parametrize("afterwards", [False, True], ids=["before the invoice", "after it"])
def test_an_upgrade_within_a_period_parts_it_at_local_midnight(*, afterwards: bool) -> None:
    world = World()
    amendment = (
        'devices = ["roof-1/sdm630-1"',
        'amendments = [{ from = 2026-10-11, plan = "big" }]\ndevices = ["roof-1/sdm630-1"',
    )
    if afterwards:
        world.bill(NOVEMBER + DAY)
    world.apply(NOVEMBER + 2 * DAY, amendment)
    world.bill(DECEMBER + DAY)
    # 10 of 31 days at 31, 21 of 31 at 62; then November at 62.
    assert world.billed("Connection", ONE) == Decimal(10) + Decimal(42) + 62
    parts = cents(used(10, 0) * Decimal("0.30")) + cents(used(21, 18, clocks_change=True) * Decimal("0.10"))
    assert world.billed("Energy") == parts + cents(USED_NOVEMBER * Decimal("0.10"))


def test_a_catalog_that_is_tidied_up_after_an_upgrade_changes_nothing() -> None:
    """The amendment is behind, the contract's plan is the new one: what was billed stays as it was."""
    amended = '\n[[contracts.acme-chargers.amendments]]\nfrom = 2026-10-11\nplan = "big"\n'
    world = World(BASIC + BIG + amended)
    first = world.bill(NOVEMBER + DAY)["acme-chargers"]
    assert first["Connection", ONE, "2026-10"] == 52
    world.apply(NOVEMBER + 2 * DAY, (amended, ""), (PLAN, 'plan = "big"'))
    second = world.bill(DECEMBER + DAY)["acme-chargers"]
    assert {month for _, _, month in second} == {"2026-11"}
    assert second["Connection", ONE, "2026-11"] == 62


def test_an_amendment_that_is_withdrawn_before_its_day_never_counts() -> None:
    amended = '\n[[contracts.acme-chargers.amendments]]\nfrom = 2026-11-11\nplan = "big"\n'
    world = World(BASIC + BIG + amended)
    world.bill(NOVEMBER + DAY)
    world.apply(NOVEMBER + 2 * DAY, (amended, ""))
    assert world.bill(DECEMBER + DAY)["acme-chargers"]["Connection", ONE, "2026-11"] == 31


def test_prices_with_an_effective_date_wait_for_the_first_period_from_it_on() -> None:
    world = World()
    world.apply(OCTOBER + 2 * DAY, ("price = 31", "price = 93"), effective_at=NOVEMBER + DAY)
    for at, month, price in ((NOVEMBER, "2026-10", 31), (DECEMBER, "2026-11", 31), (JANUARY, "2026-12", 93)):
        assert world.bill(at + DAY)["acme-chargers"]["Connection", ONE, month] == price


def test_an_override_is_billed_from_the_next_period_on() -> None:
    world = World()
    world.bill(NOVEMBER + DAY)
    world.apply(
        NOVEMBER + 2 * DAY,
        ('locale = "fi_FI"', 'locale = "fi_FI"\n[contracts.acme-chargers.overrides.charges.Connection]\nprice = 3'),
    )
    assert world.bill(DECEMBER + DAY)["acme-chargers"]["Connection", ONE, "2026-11"] == 31
    assert world.bill(JANUARY + DAY)["acme-chargers"]["Connection", ONE, "2026-12"] == 3


def test_a_device_that_is_added_in_a_billed_period_is_billed_from_its_day_on() -> None:
    world = World((BASIC + BIG).replace('["roof-1/sdm630-1", "roof-1/sdm630-2"]', '["roof-1/sdm630-1"]'))
    assert world.bill(NOVEMBER + DAY)["acme-chargers"]["Energy", "", "2026-10"] == cents(
        used(31, 0, clocks_change=True) * Decimal("0.30")
    )
    world.apply(
        NOVEMBER + 2 * DAY,
        ('["roof-1/sdm630-1"]', '["roof-1/sdm630-1", { id = "roof-1/sdm630-2", from = 2026-10-22 }]'),
    )
    second = world.bill(DECEMBER + DAY)["acme-chargers"]
    assert second["Connection", TWO, "2026-10"] == 10
    assert second["Connection", TWO, "2026-11"] == 31
    assert world.billed("Energy") == cents(
        (used(31, 0, clocks_change=True) + Decimal(140 * 964) / 1000) * Decimal("0.30")
    ) + cents(USED_NOVEMBER * Decimal("0.30"))


def test_a_device_that_left_in_a_billed_period_is_given_back() -> None:
    world = World()
    world.bill(NOVEMBER + DAY)
    world.apply(NOVEMBER + 2 * DAY, ('"roof-1/sdm630-2"]', '{ id = "roof-1/sdm630-2", until = 2026-10-22 }]'))
    second = world.bill(DECEMBER + DAY)["acme-chargers"]
    assert second["Connection", TWO, "2026-10"] == -10
    assert ("Connection", TWO, "2026-11") not in second
    assert world.billed("Connection", TWO) == 21


@pytest.mark.parametrize("account", ["acme", "bolt"])
def test_a_device_that_moves_is_billed_by_each_contract_for_its_days_and_its_start_once_an_account(
    account: str,
) -> None:
    """The move is said after October was billed: both contracts have it right in the end."""
    other = f"""
[accounts.bolt]
name = "Bolt"
country = "FI"
address = ["Kuja 1", "00100 Helsinki"]
[contracts.other]
account = "{account}"
plan = "charger"
start = 2026-10-01
"""
    world = World(
        BASIC.replace("[[plans.charger.taxes]]", FEE + "[[plans.charger.taxes]]") + other, proves=account == "acme"
    )
    world.bill(NOVEMBER + DAY)
    world.apply(
        NOVEMBER + 2 * DAY,
        ('"roof-1/sdm630-2"]', '{ id = "roof-1/sdm630-2", until = 2026-10-22 }]'),
        ("[contracts.other]", '[contracts.other]\ndevices = [{ id = "roof-1/sdm630-2", from = 2026-10-22 }]'),
    )
    found = world.bill(DECEMBER + DAY)
    assert found["acme-chargers"]["Connection", TWO, "2026-10"] == -10
    assert found["other"]["Connection", TWO, "2026-10"] == 10
    assert found["other"]["Connection", TWO, "2026-11"] == 31
    assert world.billed("Connection", TWO) == 31 + 31
    assert world.billed("Activation", TWO) == (5 if account == "acme" else 10)
    assert world.billed("Energy") == pytest.approx(
        (USED_OCTOBER + USED_NOVEMBER) * Decimal("0.30"), abs=Decimal("0.02")
    )


def test_a_contract_that_is_ended_in_a_billed_period_gives_back_what_lies_beyond() -> None:
    world = World()
    world.bill(NOVEMBER + DAY)
    world.apply(NOVEMBER + 2 * DAY, ("start = 2026-10-01", "start = 2026-10-01\nend = 2026-10-22"))
    world.bill(DECEMBER + DAY)
    assert world.billed("Connection", ONE) == 21
    assert world.billed("Energy") == cents(used(21, 8) * Decimal("0.30"))
