"""Billing keeps what was agreed: advance, look-back, starts that stay, and refuses by name what it cannot do."""

import logging
from decimal import Decimal

import pytest

from cloud_collector.billing.billable import CannotBill
from cloud_collector.billing.export import as_bundle, invoice
from cloud_collector.billing.revisions import apply
from cloud_collector.billing.run import Biller, bill_due
from cloud_collector.billing.too_late import too_late
from cloud_collector.contracts.read import load_catalog
from cloud_collector.proof.trust import Trust
from cloud_collector.proof.verify import verify
from cloud_collector.store.store import Store
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
LATER = 3 * DAY
TRUST = Trust(fingerprints=frozenset({RECEIPT_KEY.public.sha256, GATEWAY_KEY.public.sha256}), words=frozenset())
ADVANCE = CATALOG.replace("price = 9.90", 'price = 9.90\ndue = "advance"')
KEEP = CATALOG.replace('grace = "20d"', 'grace = "40d"\nlate_evidence = "keep"')


def lines_of(biller: Biller, number: str) -> list[tuple[str, str, str, Decimal]]:
    said = body(biller.archive.get(number) or b"")
    return [
        (line["charge"], line["device"] or "", line["service_start"][:7], Decimal(line["amount"]))
        for line in said["lines"]
        if line["charge"] != "Energy"
    ]


def proven(store: Store, biller: Biller) -> None:
    """P12: every invoice of the store follows from its own bundle."""
    for row in store.rows("invoices"):
        made = as_bundle(store, invoice(store, biller.archive, row[0]), RECEIPT_KEY.public)
        assert verify(made, TRUST).findings == ()


def lived(catalog: str, *, days: int = 96) -> tuple[Store, Biller, Gateway]:
    store, gateway = new_store(catalog=catalog), october(Gateway(), days=days)
    return store, store_biller(), gateway


def test_a_device_that_starts_after_its_month_was_billed_in_advance_is_billed_from_its_start() -> None:
    store, biller, gateway = lived(ADVANCE.replace('"20d"', '"90d"'))
    gateway = Gateway()
    gateway.birth(OCTOBER - 3_600)
    for day in range(64):
        second = 140 if day >= 46 else 0
        gateway.day(OCTOBER + day * DAY, {"sdm630-1": 330, "sdm630-2": second})
    receive(store, gateway.lines, at=DECEMBER + LATER)
    bill_due(store, (DECEMBER + LATER) * 1000, biller)
    assert ("Connection", "roof-1/sdm630-2", "2026-10", Decimal("5.28")) in lines_of(biller, "INV-2")
    assert bill_due(store, (DECEMBER + LATER) * 1000, biller).outcomes == ()
    proven(store, biller)


def test_a_price_that_changes_is_what_the_next_month_costs_in_advance() -> None:
    store, biller, gateway = lived(ADVANCE)
    apply(store, load_catalog(ADVANCE.replace("9.90", "20.00")), now_ms=0, effective_at=NOVEMBER)
    receive(store, gateway.lines[:40], at=NOVEMBER + 7 * DAY)
    bill_due(store, (NOVEMBER + 7 * DAY) * 1000, biller)
    seats = [line for line in lines_of(biller, "INV-1") if line[1].endswith("-1")]
    assert seats == [
        ("Connection", "roof-1/sdm630-1", "2026-09", Decimal("9.90")),
        ("Connection", "roof-1/sdm630-1", "2026-10", Decimal("20.00")),
    ]
    proven(store, biller)


@pytest.mark.parametrize("charged", ["9.90", "20.00"])
def test_what_was_billed_in_advance_is_not_billed_again_when_its_month_is_billed_in_arrears(charged: str) -> None:
    store, biller, gateway = lived(ADVANCE)
    receive(store, gateway.lines[:40], at=NOVEMBER + 7 * DAY)
    bill_due(store, (NOVEMBER + 7 * DAY) * 1000, biller)
    arrears = CATALOG.replace("9.90", charged)
    apply(store, load_catalog(arrears), now_ms=0, effective_at=NOVEMBER)
    receive(store, gateway.lines[40:], at=DECEMBER + 7 * DAY)
    bill_due(store, (DECEMBER + 7 * DAY) * 1000, biller)
    sums: dict[str, Decimal] = {}
    for number in biller.archive.numbers():
        for _, device, month, amount in lines_of(biller, number):
            key = f"{device} {month}"
            sums[key] = sums.get(key, Decimal(0)) + amount
    assert sums["roof-1/sdm630-1 2026-10"] == Decimal(charged)
    assert "roof-1/sdm630-1 2026-11" not in sums
    proven(store, biller)


def test_what_was_billed_beyond_an_end_that_came_later_is_given_back() -> None:
    store, biller, gateway = lived(ADVANCE)
    receive(store, gateway.lines, at=JANUARY + LATER)
    bill_due(store, (DECEMBER + LATER) * 1000, biller)
    ended = ADVANCE.replace("start = 2026-10-01\ndevices", "start = 2026-10-01\nend = 2026-11-01\ndevices")
    apply(store, load_catalog(ended), now_ms=(DECEMBER + LATER) * 1000)
    outcomes = bill_due(store, (JANUARY + LATER) * 1000, biller).outcomes
    assert [each.kind for each in outcomes] == ["credit_note"]
    given = [row for row in store.rows("invoices") if row[1] == "credit_note"]
    booked: dict[str, Decimal] = {}
    for row in store.rows("invoices"):
        for line in body(biller.archive.get(row[0]) or b"")["lines"]:
            booked[line["service_start"]] = booked.get(line["service_start"], Decimal(0)) + Decimal(line["amount"])
    assert len(given) == 1
    assert {start for start, amount in booked.items() if amount} == {"2026-09-30T21:00:00Z"}
    proven(store, biller)


def test_what_comes_too_late_is_written_down_once_and_not_billed() -> None:
    catalog = CATALOG.replace('currency = "EUR"', 'currency = "EUR"\nlook_back = "1mo"', 1)
    store, biller, gateway = lived(catalog)
    receive(store, gateway.lines[:21], at=NOVEMBER + LATER)
    bill_due(store, (NOVEMBER + LATER) * 1000, biller)
    receive(store, gateway.lines[21:64], at=DECEMBER + LATER)
    bill_due(store, (DECEMBER + LATER) * 1000, biller)
    barred = [(row["contract"], row["line"]["charge"], row["line"]["service_start"]) for row in too_late(store)]
    assert barred == [("acme-chargers", "Energy", "2026-09-30T21:00:00Z")]
    rows = store.rows("too_late_known", "acme-chargers")
    bill_due(store, (JANUARY + LATER) * 1000, biller)
    assert store.rows("too_late_known", "acme-chargers") == rows
    proven(store, biller)


@pytest.mark.parametrize(("catalog", "at"), [(KEEP, "2026-10-13T21:00:00Z"), (KEEP.replace("keep", "adjust"), None)])
def test_a_start_that_an_invoice_has_stated_stays_where_late_evidence_keeps_it(catalog: str, at: str | None) -> None:
    """P18: the first fortnight of sdm630-2 arrives after the invoice that says when it started."""
    store, biller = new_store(catalog=catalog), store_biller()
    gateway = Gateway()
    gateway.birth(OCTOBER - 3_600)
    for day in range(64):
        gateway.day(OCTOBER + day * DAY, {"sdm630-1": 330, "sdm630-2": 140})
    receive(store, [gateway.lines[0], *gateway.lines[14:36]], at=NOVEMBER + 7 * DAY)
    bill_due(store, (NOVEMBER + 7 * DAY) * 1000, biller)
    receive(store, [*gateway.lines[1:14], *gateway.lines[36:]], at=DECEMBER + 7 * DAY)
    bill_due(store, (DECEMBER + 7 * DAY) * 1000, biller)
    first, second = (
        {row["device"]: row["at"] for row in body(biller.archive.get(number) or b"")["activations"]}
        for number in ("INV-1", "INV-2")
    )
    assert (first == second) == (at is not None)
    proven(store, biller)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (('"roof-1/sdm630-2"', '"sdm630-2"'), "contracts.acme-chargers.devices: .sdm630-2. can never be measured"),
        (('grace = "20d"', 'grace = "30d"'), "plans.charger.activation: acme-chargers has been billed by another rule"),
        (
            ("[contracts.acme-chargers]", "[contracts.other]"),
            "contracts.acme-chargers has been billed: give it an `end`",
        ),
    ],
)
def test_what_billing_cannot_do_is_refused_before_it_is_applied(change: tuple[str, str], why: str) -> None:
    store, biller, gateway = lived(CATALOG, days=33)
    receive(store, gateway.lines, at=NOVEMBER + LATER)
    bill_due(store, (NOVEMBER + LATER) * 1000, biller)
    with pytest.raises(CannotBill, match=why):
        apply(store, load_catalog(CATALOG.replace(*change)), now_ms=(NOVEMBER + LATER) * 1000)
    assert len(store.rows("catalog_revisions")) == 1


def test_two_currencies_are_never_added_up() -> None:
    store, biller, gateway = lived(CATALOG, days=66)
    receive(store, gateway.lines[:21], at=NOVEMBER + LATER)
    bill_due(store, (NOVEMBER + LATER) * 1000, biller)
    dollars = CATALOG.replace('title = "Charger"', 'title = "Charger"\ncurrency = "USD"')
    apply(store, load_catalog(dollars), now_ms=0, effective_at=NOVEMBER)
    receive(store, gateway.lines[21:], at=DECEMBER + LATER)
    outcomes = bill_due(store, (DECEMBER + LATER) * 1000, biller).outcomes
    assert [each.state for each in outcomes] == ["parked"]
    assert "EUR and USD on one invoice" in (outcomes[0].reason or "")


def test_a_tick_says_once_what_it_issued_and_whom_it_parked(caplog: pytest.LogCaptureFixture) -> None:
    catalog = CATALOG + (
        '[accounts.bolt]\nname = "Bolt"\n[contracts.bolt]\naccount = "bolt"\nplan = "charger"\nstart = 2026-10-01\n'
    )
    store, biller, gateway = lived(
        catalog.replace('name = "Connection"', 'name = "Connection"\nper = "contract"'), days=33
    )
    receive(store, gateway.lines, at=NOVEMBER + LATER)
    with caplog.at_level(logging.INFO):
        for minute in range(3):
            biller(store, (NOVEMBER + LATER + 60 * minute) * 1000)
    said = [record.getMessage() for record in caplog.records]
    assert [each.split()[0] for each in said] == ["event=invoice_issued", "event=contract_parked"]
    assert "number=INV-1 contract=acme-chargers" in said[0]
    assert "contract=bolt" in said[1]


def test_an_invoice_shows_no_counter_of_the_time_in_which_a_device_is_another_accounts() -> None:
    """P20: sdm630-1 goes from one account to another in the middle of the month."""
    catalog = CATALOG.replace(
        '"roof-1/sdm630-1", "roof-1/sdm630-2"', '{ id = "roof-1/sdm630-1", until = 2026-10-11 }'
    ) + (
        '[accounts.bolt]\nname = "Bolt"\ncountry = "FI"\n[contracts.bolt]\naccount = "bolt"\nplan = "charger"\n'
        'start = 2026-10-01\ndevices = [{ id = "roof-1/sdm630-1", from = 2026-10-11 }]\n'
    )
    store, biller, gateway = lived(catalog, days=33)
    receive(store, gateway.lines, at=NOVEMBER + LATER)
    bill_due(store, (NOVEMBER + LATER) * 1000, biller)
    first, second = (body(biller.archive.get(number) or b"")["rated"][0]["reads"] for number in ("INV-1", "INV-2"))
    assert first[-1][8] == second[0][6]
