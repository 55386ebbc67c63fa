"""Periods that are closed in one transaction: as if each had been alone, and no dearer for the readings behind them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cloud_collector.billing import issue as issuing
from cloud_collector.billing.archive import FolderArchive, MemoryArchive
from cloud_collector.billing.run import bill_due
from cloud_collector.contracts import revision as revising
from cloud_collector.contracts.read import load_catalog
from cloud_collector.contracts.revision import terms_in_force
from cloud_collector.store import view as viewing
from cloud_collector.store.store import Store
from cloud_collector.store.view import StoreView
from cloud_collector.usage.span import ChannelName
from shared.effects.sqlite import SqliteDatabase
from shared.errors import InvalidRecord
from shared.line import seal
from tests.bench.billing import DAY, HOUR, LATER_MS, MONTH, Fleet, agreed
from tests.unit.billing_samples import CATALOG, NOVEMBER, Gateway, new_store, october, receive, store_biller

NOW = (NOVEMBER + 3 * DAY) * 1000
JANUARY = NOVEMBER + 65 * DAY
OTHERS = "".join(
    f'\n[contracts.{name}]\naccount = "acme"\nplan = "charger"\nstart = 2026-10-01\n' for name in ("ampere", "zink")
)
WORLD = CATALOG.replace('name = "Connection"', 'name = "Connection"\nper = "contract"') + OTHERS


def world() -> Store:
    """Three contracts, one of them with devices; each has a subscription of its own."""
    store = new_store(catalog=WORLD)
    receive(store, october(Gateway(), days=95).lines, at=JANUARY)
    return store


def test_however_many_are_closed_at_once_the_bytes_are_the_same() -> None:
    """P15."""
    found = []
    for together in (1, 2, 64):
        archive = MemoryArchive()
        report = bill_due(world(), JANUARY * 1000, replace(store_biller(archive), together=together))
        assert len(report.of("issued")) == 9
        found.append(archive.lines)
    assert found[0] == found[1] == found[2]


def test_a_contract_that_fails_after_its_number_was_taken_rolls_back_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """P14, P19: the number goes to the next invoice."""

    def refuses(tag: str, body: Any, key: Any) -> bytes:
        if body["contract"] == "ampere":
            raise InvalidRecord("the line has too many bytes")
        return seal(tag, body, key)

    store, archive = world(), MemoryArchive()
    monkeypatch.setattr(issuing, "seal", refuses)
    states = {each.contract: each.state for each in bill_due(store, NOW, store_biller(archive)).outcomes}
    assert states == {"acme-chargers": "issued", "ampere": "parked", "zink": "issued"}
    assert set(archive.lines) == {"INV-1", "INV-2"}
    assert [row[0] for row in store.rows("parked")] == ["ampere"]
    monkeypatch.undo()
    again = bill_due(store, NOW + 1_000, store_biller(archive)).outcomes
    assert [(each.contract, each.number) for each in again] == [("ampere", "INV-3")]
    assert store.rows("parked") == []


def test_no_more_is_closed_than_was_asked_for() -> None:
    store, biller = world(), store_biller()
    assert [len(bill_due(store, JANUARY * 1000, biller, most=4).of("issued")) for _ in range(3)] == [4, 4, 1]


def test_a_folder_keeps_many_as_it_keeps_one(tmp_path: Path) -> None:
    """P16: real and in-memory."""
    for archive in (FolderArchive(tmp_path / "a"), MemoryArchive()):
        archive.put("INV-2", b"two")
        archive.put_all([("INV-1", b"one"), ("INV-2", b"two"), ("INV-3", b"three")])
        archive.put_all([])
        assert [archive.get(f"INV-{number}") for number in (1, 2, 3)] == [b"one", b"two", b"three"]
    assert oct((tmp_path / "a" / "INV-3.ms").stat().st_mode)[-3:] == "444"


def test_a_file_that_a_dead_process_left_hinders_none(tmp_path: Path) -> None:
    """P16."""
    (tmp_path / ".INV-1.ms.99").write_bytes(b"half")
    (tmp_path / ".INV-1.ms.99").chmod(0o444)
    archive = FolderArchive(tmp_path)
    archive.put("INV-1", b"whole")
    assert archive.get("INV-1") == b"whole"
    assert archive.numbers() == {"INV-1"}


def steps(fleet: Fleet) -> int:
    """What SQLite has to do to bill a fleet, in steps of its machine."""
    database = SqliteDatabase(":memory:")
    store, counted = Store(database), 0
    agreed(lambda _: None, store, fleet)

    def count() -> int:
        nonlocal counted
        counted += 1
        return 0

    database._connection.set_progress_handler(count, 1)
    assert len(bill_due(store, LATER_MS, store_biller()).of("issued")) == fleet.contracts
    return counted


def test_the_readings_behind_an_invoice_do_not_make_it_dearer() -> None:
    few, many = Fleet(contracts=2, devices=2), Fleet(contracts=2, devices=2, step=HOUR // 20)
    assert many.lines_a_month == 20 * few.lines_a_month
    assert steps(many) <= 1.02 * steps(few)


def test_a_view_that_has_forgotten_looks_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """P9: what it remembers is bounded."""
    store = world()
    days = [MONTH + day * DAY for day in range(40)]
    name = ChannelName(gateway="roof-1", device="sdm630-1", meter="energy")
    whole = [StoreView(store).measure(name, start, start + DAY) for start in days]
    assert any(each is not None and each.units for each in whole)
    monkeypatch.setattr(viewing, "LOOKS_MAX", 3)
    view = StoreView(store)
    assert [view.measure(name, start, start + DAY) for start in days] == whole
    assert len(view._looks) <= 3


def test_terms_that_were_forgotten_are_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """P9: so are they."""
    catalog = load_catalog(WORLD)
    names = sorted(catalog.contracts)
    known = [terms_in_force(catalog, catalog, catalog, name) for name in names]
    assert known == [terms_in_force(catalog, catalog, catalog, name) for name in names]
    monkeypatch.setattr(revising, "TERMS_MAX", 1)
    monkeypatch.setattr(revising, "_TERMS", {})
    assert [terms_in_force(catalog, catalog, catalog, name) for name in names] == known
    assert len(revising._TERMS) == 1
