"""What operators do to devices reaches the bill: suspended, resumed, ended, set active, as a quote says it would."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from cloud_collector.billing.archive import MemoryArchive
from cloud_collector.billing.audit import Books, audit_invoices
from cloud_collector.billing.device_states import Deed, changes_for, keep
from cloud_collector.billing.export import as_bundle, invoice
from cloud_collector.billing.preview import preview
from cloud_collector.billing.revisions import apply
from cloud_collector.billing.run import bill_due
from cloud_collector.contracts.catalog import State
from cloud_collector.contracts.period import iso
from cloud_collector.contracts.read import load_catalog
from cloud_collector.contracts.terms import terms_of
from cloud_collector.proof.trust import Trust
from cloud_collector.proof.verify import verify
from cloud_collector.rating.csv_facts import read_states, read_usage
from cloud_collector.rating.quote import Question, quote
from cloud_collector.store.store import Store
from shared.errors import MetersealError
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
NOW = (NOVEMBER + 3 * DAY) * 1000
TRUST = Trust(fingerprints=frozenset({RECEIPT_KEY.public.sha256, GATEWAY_KEY.public.sha256}), words=frozenset())
FIRST, SECOND = "roof-1/sdm630-1", "roof-1/sdm630-2"
FEES = "".join(
    f'[[plans.charger.charges]]\nname = "Fee {on}"\ntype = "one_time"\non = "{on}"\nprice = {price}\n'
    for on, price in (("activated", 5), ("suspended", 2), ("resumed", 3), ("ended", 7), ("contract_start", 11))
)
PRICED = CATALOG.replace("price = 9.90", "price = 31\nstate_prices = { provisioned = 3.10, suspended = 6.20 }").replace(
    "[[plans.charger.taxes]]", FEES + "[[plans.charger.taxes]]"
)
IMMEDIATE = PRICED.replace('rule = "first_use"\nany = [{ meter = "energy", at_least = 0.5 }]\ngrace = "20d"\n', "")


def done(store: Store, device: str, state: State, at: int) -> None:
    """An operator has said so."""
    keep(store, Deed(device=device, state=state, at=at, said_at=NOW, by_whom="Anna", reason="asked by telephone"))


def world(catalog: str = PRICED, *, days: int = 33) -> Store:
    store = new_store(catalog=catalog)
    receive(store, october(Gateway(), days=days).lines, at=NOVEMBER + (days - 30) * DAY)
    return store


def usage_csv() -> str:
    """What `october` meters, as anyone would write it down for a quote."""
    rows = ["device,meter,start,end,quantity"]
    for day in range(33):
        for device, watts in ((FIRST, 330), (SECOND, 140 if day >= 13 else 0)):
            if watts:
                start = OCTOBER + day * DAY
                rows += [
                    f"{device},energy,{iso(start + at * 900)},{iso(start + (at + 1) * 900)},{Decimal(watts) / 1000}"
                    for at in range(96)
                ]
    return "\n".join(rows) + "\n"


def quoted(catalog: str, deeds: list[tuple[str, State, int]]) -> dict[str, Any]:
    book = load_catalog(catalog)
    states = "device,state,at\n" + "".join(f"{device},{state},{iso(at)}\n" for device, state, at in deeds)
    question = Question(
        period="2026-10",
        spans=read_usage(usage_csv(), "usage.csv", book.meters),
        states=read_states(states, "states.csv"),
    )
    return quote(terms_of(book, "acme-chargers"), question).to_json()


def charged(lines: list[dict[str, Any]]) -> list[tuple[str, str, str, str]]:
    return sorted((line["charge"], line["device"] or "", line["service_start"], line["amount"]) for line in lines)


DEEDS: dict[str, list[tuple[str, State, int]]] = {
    "suspended": [(FIRST, State.SUSPENDED, OCTOBER + 10 * DAY)],
    "suspended and resumed": [
        (FIRST, State.SUSPENDED, OCTOBER + 10 * DAY),
        (FIRST, State.ACTIVE, OCTOBER + 20 * DAY + 7),
    ],
    "ended": [(FIRST, State.ENDED, OCTOBER + 15 * DAY + 5)],
    "set active before it was used": [(SECOND, State.ACTIVE, OCTOBER + 2 * DAY + 100)],
    "suspended before it was used, and put back": [
        (SECOND, State.SUSPENDED, OCTOBER + 3 * DAY),
        (SECOND, State.PROVISIONED, OCTOBER + 8 * DAY),
    ],
    "suspended when it was first used": [(SECOND, State.SUSPENDED, OCTOBER + 10 * DAY)],
    "ended and suspended at once": [(FIRST, State.SUSPENDED, OCTOBER + DAY), (FIRST, State.ENDED, OCTOBER + 20 * DAY)],
}


@pytest.mark.parametrize("catalog", [PRICED, IMMEDIATE], ids=["first use", "immediate"])
@pytest.mark.parametrize("what", DEEDS)
def test_what_was_done_to_a_device_is_billed_as_it_was_previewed_and_quoted(what: str, catalog: str) -> None:
    """P15, P12: one code; and the invoice states what was done, so that anyone can rate it again."""
    store, biller, deeds = world(catalog), store_biller(), DEEDS[what]
    plain = world(catalog)
    for device, state, at in deeds:
        done(store, device, state, at)
    foreseen = preview(store, NOW, biller.sight)[0].draft
    untouched = preview(plain, NOW, biller.sight)[0].draft
    bill_due(store, NOW, biller)
    said = body(biller.archive.get("INV-1") or b"")
    expected = quoted(catalog, deeds)
    assert foreseen is not None
    assert untouched is not None
    assert charged(said["lines"]) == charged(expected["lines"]) == charged(foreseen.to_json()["lines"])
    assert said["total"] == expected["total"] == str(foreseen.total)
    had_started = catalog == IMMEDIATE and what == "set active before it was used"
    assert (charged(said["lines"]) == charged(untouched.to_json()["lines"])) == had_started
    assert said["states"] == [[device, state, iso(at)] for device, state, at in sorted(deeds, key=lambda each: each[2])]
    made = as_bundle(store, invoice(store, biller.archive, "INV-1"), RECEIPT_KEY.public)
    assert verify(made, TRUST).findings == ()


def audited(store: Store, archive: MemoryArchive) -> list[str]:
    """What an audit finds of invoices."""
    faults = audit_invoices(store, archive, [RECEIPT_KEY.public], (), Books())
    return [sentence for fault in faults for sentence in fault.sentences]


def test_an_audit_holds_what_an_invoice_states_against_what_was_done() -> None:
    archive = MemoryArchive()
    store, biller = world(), store_biller(archive)
    before = Deed(
        device=FIRST,
        state=State.SUSPENDED,
        at=OCTOBER + DAY,
        said_at=NOW - 3_600_000,
        by_whom="Anna",
        reason="r",
    )
    keep(store, before)
    bill_due(store, NOW, biller)
    assert audited(store, archive) == []
    keep(store, replace(before, at=OCTOBER + 2 * DAY, said_at=NOW + 1))
    assert audited(store, archive) == [], "what was said later is the next invoice's"
    keep(store, replace(before, at=OCTOBER + 3 * DAY))
    assert audited(store, archive) == ["it does not state that roof-1/sdm630-1 was suspended from 2026-10-03T21:00:00Z"]
    store._database.execute("drop trigger device_state_is_kept")
    store._database.execute("delete from device_state")
    assert audited(store, archive) == [
        "it states that roof-1/sdm630-1 was suspended from 2026-10-01T21:00:00Z, and nobody has said so"
    ]


def test_an_invoice_of_which_nothing_was_done_says_nothing_of_states() -> None:
    store, biller = world(), store_biller()
    bill_due(store, NOW, biller)
    assert "states" not in body(biller.archive.get("INV-1") or b"")


def fees(biller_archive: MemoryArchive, number: str) -> dict[str, Decimal]:
    """The charges of a document but for usage."""
    found: dict[str, Decimal] = {}
    for line in body(biller_archive.get(number) or b"")["lines"]:
        if line["charge"] != "Energy":
            found[line["charge"]] = found.get(line["charge"], Decimal(0)) + Decimal(line["amount"])
    return found


def test_what_is_said_after_the_invoice_is_a_difference_on_the_next_one() -> None:
    archive = MemoryArchive()
    store, biller = world(IMMEDIATE, days=64), store_biller(archive)
    bill_due(store, NOW, biller)
    assert fees(archive, "INV-1") == {"Connection": Decimal(62), "Fee activated": 10, "Fee contract_start": 11}
    done(store, FIRST, State.SUSPENDED, OCTOBER + 21 * DAY)
    done(store, FIRST, State.ACTIVE, NOVEMBER + 10 * DAY)
    bill_due(store, (NOVEMBER + 33 * DAY) * 1000, biller)
    # October: 10 of 31 days at 6.20 in place of 31 a month; November: 10 of 30 days.
    lines = [line for line in body(archive.get("INV-2") or b"")["lines"] if line["charge"] == "Connection"]
    assert {(line["service_start"][:7], line["device"], line["amount"]) for line in lines} == {
        ("2026-09", FIRST, "-8.00"),
        ("2026-10", FIRST, "22.73"),
        ("2026-10", SECOND, "31.00"),
    }
    assert fees(archive, "INV-2") | {"Connection": 0} == {
        "Connection": 0,
        "Fee suspended": Decimal(2),
        "Fee resumed": Decimal(3),
    }
    assert bill_due(store, (NOVEMBER + 33 * DAY) * 1000, biller).outcomes == ()
    for number in ("INV-1", "INV-2"):
        made = as_bundle(store, invoice(store, archive, number), RECEIPT_KEY.public)
        assert verify(made, TRUST).findings == ()


def test_what_is_planned_for_later_stands_on_no_invoice_before_its_time() -> None:
    store, biller, plain = world(), store_biller(), store_biller()
    done(store, FIRST, State.SUSPENDED, NOVEMBER + 40 * DAY)
    bill_due(store, NOW, biller)
    bill_due(world(), NOW, plain)
    assert biller.archive.get("INV-1") == plain.archive.get("INV-1")


def test_what_is_billed_in_advance_knows_what_is_planned() -> None:
    advance = IMMEDIATE.replace("price = 31\n", 'price = 31\ndue = "advance"\n')
    store, biller = world(advance), store_biller()
    done(store, FIRST, State.ENDED, NOVEMBER + 15 * DAY)
    bill_due(store, NOW, biller)
    lines = [line for line in body(biller.archive.get("INV-1") or b"")["lines"] if line["charge"] == "Connection"]
    assert sorted(line["amount"] for line in lines) == ["15.50", "31.00", "31.00", "31.00"]


def test_a_gateway_is_waited_for_until_its_devices_ended_and_no_longer() -> None:
    silent, eyes, just_over = world(days=10), store_biller().sight, (NOVEMBER + 1) * 1000
    assert preview(silent, just_over, eyes)[0].state == "waiting"
    done(silent, FIRST, State.ENDED, OCTOBER + 9 * DAY)
    assert preview(silent, just_over, eyes)[0].state == "waiting", "the other device is in use"
    done(silent, SECOND, State.ENDED, OCTOBER + 9 * DAY + 60)
    assert preview(silent, just_over, eyes)[0].state == "due"
    late = world(days=8)
    for device in (FIRST, SECOND):
        done(late, device, State.ENDED, OCTOBER + 9 * DAY)
    assert preview(late, just_over, eyes)[0].state == "waiting", "the day before the end is missing"


MOVED = """
[contracts.other]
account = "{account}"
plan = "charger"
start = 2026-11-01
devices = ["roof-1/sdm630-1"]
[accounts.bolt]
name = "Bolt"
"""


@pytest.mark.parametrize(("account", "goes_on"), [("acme", True), ("bolt", False)])
def test_a_word_about_a_device_goes_with_it_within_the_account_and_not_to_another(
    account: str, *, goes_on: bool
) -> None:
    """P20: what one customer asked for does not reach the next one's bill."""
    catalog = load_catalog(
        PRICED.replace('"roof-1/sdm630-1",', '{ id = "roof-1/sdm630-1", until = 2026-11-01 },')
        + MOVED.format(account=account)
    )
    store = world()
    apply(store, catalog, now_ms=NOW)
    done(store, FIRST, State.SUSPENDED, OCTOBER + DAY)
    assert len(changes_for(store, catalog, ["acme-chargers"])) == 1
    assert bool(changes_for(store, catalog, ["other"])) == goes_on
    done(store, FIRST, State.ACTIVE, NOVEMBER + DAY)
    assert len(changes_for(store, catalog, ["acme-chargers"])) == 1
    assert len(changes_for(store, catalog, ["other"])) == 1 + goes_on


def test_what_was_done_is_never_changed_or_forgotten() -> None:
    """P16."""
    store = world()
    done(store, FIRST, State.SUSPENDED, OCTOBER)
    for statement in ("delete from device_state", "update device_state set reason = 'x'"):
        with pytest.raises(MetersealError, match="P16"):
            store._database.execute(statement)
