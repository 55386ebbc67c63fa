"""Billing: what is due is issued once, completely, in numbers without gaps, whatever stops it in between."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from cloud_collector.billing.archive import Archive, ArchiveConflict, ArchiveFailed, FolderArchive, MemoryArchive
from cloud_collector.billing.case import Sight
from cloud_collector.billing.issue import BillingRefused
from cloud_collector.billing.preview import preview
from cloud_collector.billing.revisions import NoCatalog, apply, revisions
from cloud_collector.billing.run import Biller, bill_due
from cloud_collector.contracts.read import load_catalog
from cloud_collector.store.store import Store
from cloud_collector.store.view import StoreView
from shared.effects.database import Parameters, Row
from shared.effects.sqlite import SqliteDatabase
from shared.errors import DatabaseFailed, Refused
from shared.line import Body, parse, read_body
from tests.unit.billing_samples import (
    CATALOG,
    NOVEMBER,
    OCTOBER,
    RECEIPT_KEY,
    Gateway,
    new_store,
    october,
    receive,
    store_biller,
)

NOW = (NOVEMBER + 3 * 86_400) * 1000
DECEMBER = NOVEMBER + 30 * 86_400


def body(line: bytes) -> Body:
    parsed = parse(line)
    assert not isinstance(parsed, Refused)
    assert parsed.verified_by(RECEIPT_KEY.public)
    found = read_body(parsed)
    assert not isinstance(found, Refused)
    return found


def billed(catalog: str = CATALOG) -> tuple[Store, Biller, Gateway]:
    store, gateway = new_store(catalog=catalog), october(Gateway())
    receive(store, gateway.lines, at=NOW // 1000)
    return store, store_biller(), gateway


def lines_of(biller: Biller, number: str) -> list[Body]:
    found = biller.archive.get(number)
    assert found is not None
    return list(body(found)["lines"])


def test_a_period_is_billed_once_and_a_rerun_is_no_op() -> None:
    """P14, P15."""
    store, biller, _ = billed()
    first = bill_due(store, NOW, biller)
    assert [(each.state, each.number, each.total) for each in first.outcomes] == [
        ("issued", "INV-1", Decimal("394.61"))
    ]
    assert bill_due(store, NOW, biller).outcomes == ()
    assert biller.archive.numbers() == {"INV-1"}


def test_usage_before_a_start_in_a_later_period_is_billed_with_it_where_the_plan_says_so() -> None:
    """P1: the closed period's usage is due as soon as the device has started."""
    waits = CATALOG.replace("at_least = 0.5", "at_least = 1000").replace('grace = "20d"', 'usage_before = "billed"')
    store, biller, _ = billed(waits)
    assert [each.state for each in bill_due(store, NOW, biller).outcomes] == ["nothing"]
    outcomes = bill_due(store, (DECEMBER + 3 * 86_400) * 1000, biller).outcomes
    assert [each.state for each in outcomes] == ["issued"]
    used = {
        (line["device"], line["service_start"]): Decimal(line["quantity"])
        for line in lines_of(biller, "INV-1")
        if line["charge"] == "Energy"
    }
    assert used == {
        (None, "2026-09-30T21:00:00Z"): Decimal("983.4"),
        (None, "2026-10-31T22:00:00Z"): Decimal("62.04"),
    }


def test_a_preview_says_what_the_run_then_does_and_changes_nothing() -> None:
    store, biller, _ = billed()
    found = preview(store, NOW, Sight(view=StoreView))
    assert [(each.state, each.total) for each in found] == [("due", Decimal("394.61"))]
    assert store.rows("invoices") == []
    assert bill_due(store, NOW, biller).outcomes[0].total == found[0].total


def test_an_invoice_sums_to_the_last_cent_and_names_its_counters() -> None:
    """P17."""
    store, biller, _ = billed()
    bill_due(store, NOW, biller)
    sealed = biller.archive.get("INV-1")
    assert sealed is not None
    said = body(sealed)
    assert Decimal(said["net"]) == sum(Decimal(line["amount"]) for line in said["lines"])
    assert Decimal(said["total"]) == Decimal(said["net"]) + sum(Decimal(tax["amount"]) for tax in said["taxes"])
    energy = said["lines"][2]
    moved = sum(row[8] - row[6] for row in energy["reads"])
    assert Decimal(energy["quantity"]) == Decimal(moved).scaleb(-3)


def test_nothing_is_due_before_the_period_has_ended() -> None:
    store, biller, _ = billed()
    assert bill_due(store, (NOVEMBER - 1) * 1000, biller).outcomes == ()


def test_a_period_waits_for_missing_reports_and_then_closes_with_named_gaps() -> None:
    store, gateway = new_store(), october(Gateway(), days=20)
    receive(store, gateway.lines, at=OCTOBER + 21 * 86_400)
    biller = store_biller()
    waiting = bill_due(store, (NOVEMBER + 60) * 1000, biller).outcomes
    assert [each.state for each in waiting] == ["waiting"]
    assert "roof-1" in (waiting[0].reason or "")
    closed = bill_due(store, (NOVEMBER + 48 * 3_600) * 1000, biller).outcomes
    assert [each.state for each in closed] == ["issued"]
    sealed = biller.archive.get("INV-1")
    assert sealed is not None
    gaps = body(sealed)["gaps"]
    assert [(gap[1], gap[4], gap[5]) for gap in gaps] == [
        ("sdm630-1", "2026-10-31T22:00:00Z", "not_received"),
        ("sdm630-2", "2026-10-31T22:00:00Z", "not_received"),
    ]


def test_late_usage_of_a_closed_period_is_a_delta_with_its_own_service_period() -> None:
    """P1 to the invoice: what arrives late is billed in the next period, and everything once."""
    store, gateway = new_store(), october(Gateway(), days=62)
    biller = store_biller()
    receive(store, gateway.lines[:21], at=OCTOBER + 21 * 86_400)
    bill_due(store, NOW, biller)
    receive(store, gateway.lines[21:], at=DECEMBER + 86_400)
    bill_due(store, (DECEMBER + 86_400) * 1000, biller)
    second = lines_of(biller, "INV-2")
    late = [line for line in second if line["service_start"] < "2026-10-31T22:00:00Z"]
    assert [(line["charge"], line["kind"]) for line in late] == [("Energy", "usage")]
    everything, one = new_store(), store_biller()
    receive(everything, gateway.lines, at=DECEMBER + 86_400)
    bill_due(everything, (DECEMBER + 86_400) * 1000, one)
    assert _amounts(biller) == _amounts(one)


def _amounts(biller: Biller) -> dict[tuple[str, str | None, str], Decimal]:
    found: dict[tuple[str, str | None, str], Decimal] = {}
    for number in sorted(biller.archive.numbers()):
        for line in lines_of(biller, number):
            key = (line["charge"], line["device"], line["service_start"])
            found[key] = found.get(key, Decimal(0)) + Decimal(line["amount"])
    return found


def test_numbers_have_no_gaps_and_a_parked_account_takes_none() -> None:
    """P19: who cannot be billed is parked with a plain reason, everyone else is billed."""
    catalog = CATALOG + (
        '[accounts.bolt]\nname = "Bolt"\n[contracts.bolt]\naccount = "bolt"\nplan = "charger"\nstart = 2026-10-01\n'
        '[contracts.zink]\naccount = "acme"\nplan = "charger"\nstart = 2026-10-01\n'
    )
    store, biller, _ = billed(catalog.replace('name = "Connection"', 'name = "Connection"\nper = "contract"'))
    outcomes = {each.contract: each for each in bill_due(store, NOW, biller).outcomes}
    assert outcomes["bolt"].state == "parked"
    assert "accounts.bolt.country" in (outcomes["bolt"].reason or "")
    assert [outcomes[name].number for name in ("acme-chargers", "zink")] == ["INV-1", "INV-2"]
    assert [row[0] for row in store.rows("parked")] == ["bolt"]
    fixed = load_catalog(catalog.replace('name = "Bolt"', 'name = "Bolt"\ncountry = "FI"'))
    apply(store, fixed, now_ms=NOW)
    bill_due(store, NOW, biller)
    assert store.rows("parked") == []


def test_a_period_without_lines_is_closed_without_an_invoice() -> None:
    catalog = CATALOG.replace("grace", "# grace")
    store, biller = new_store(catalog=catalog), store_biller()
    gateway = Gateway()
    gateway.birth(OCTOBER - 3_600)
    receive(store, gateway.lines, at=OCTOBER)
    outcomes = bill_due(store, NOW, biller).outcomes
    assert [each.state for each in outcomes] == ["nothing"]
    assert biller.archive.numbers() == frozenset()
    assert [row[4] for row in store.rows("periods_closed_all")] == [None]
    assert bill_due(store, NOW, biller).outcomes == ()


def test_a_device_taken_back_from_the_contract_makes_a_credit_note_of_its_own_series() -> None:
    store, biller, _ = billed()
    bill_due(store, NOW, biller)
    ended = CATALOG.replace("start = 2026-10-01\ndevices", "start = 2026-10-01\nend = 2026-11-01\ndevices")
    apply(store, load_catalog(ended.replace('"roof-1/sdm630-1", ', "")), now_ms=NOW)
    outcomes = bill_due(store, (DECEMBER + 3 * 86_400) * 1000, biller).outcomes
    assert [(each.number, each.kind) for each in outcomes] == [("INV-CN-1", "credit_note")]
    assert all(Decimal(line["amount"]) < 0 for line in lines_of(biller, "INV-CN-1"))
    assert bill_due(store, (DECEMBER + 4 * 86_400) * 1000, biller).outcomes == ()


def test_after_a_contracts_end_late_usage_goes_on_an_adjustment_invoice() -> None:
    ended = CATALOG.replace("start = 2026-10-01\ndevices", "start = 2026-10-01\nend = 2026-11-01\ndevices")
    store, gateway, biller = new_store(catalog=ended), october(Gateway()), store_biller()
    receive(store, gateway.lines[:21], at=OCTOBER + 21 * 86_400)
    bill_due(store, NOW, biller)
    receive(store, gateway.lines[21:], at=NOW // 1000)
    outcomes = bill_due(store, (DECEMBER + 86_400) * 1000, biller).outcomes
    assert [(each.number, each.kind) for each in outcomes] == [("INV-2", "adjustment")]


def test_issued_facts_refuse_every_change() -> None:
    """P16: the database itself refuses."""
    store, biller, _ = billed()
    bill_due(store, NOW, biller)
    database = store._database
    for table, column in (
        ("invoice", "total"),
        ("booking", "line"),
        ("activation_used", "why"),
        ("period_closed", "contract"),
        ("catalog_revision", "content"),
    ):
        for sql in (f"update {table} set {column} = 'x'", f"delete from {table}"):
            with pytest.raises(DatabaseFailed, match="P16"):
                database.execute(sql)
    for sql in (
        "update invoice_series set last = last + 2",
        "update invoice_series set last = 0",
        "delete from invoice_series",
    ):
        with pytest.raises(DatabaseFailed, match="P16"):
            database.execute(sql)


def test_the_schema_refuses_a_second_invoice_for_a_period() -> None:
    """P14, whatever the program does."""
    store, biller, _ = billed()
    bill_due(store, NOW, biller)
    with pytest.raises(DatabaseFailed, match=r"(?i)unique"):
        store._database.execute(
            "insert into invoice select id + 1, 'X-1', series, 99, contract, account, period_start, period_end, kind, "
            "revision, currency, total, issued_at, inputs, 'h', line from invoice"
        )


class Killed(BaseException):
    """SIGKILL: nothing after it runs, not even a rollback of ours."""


class DyingDatabase:
    """Dies before the nth statement that writes, or inside a commit."""

    def __init__(self, path: Path, fuse: int) -> None:
        self._real = SqliteDatabase(path)
        self._fuse = fuse
        self.statements = 0

    @property
    def engine(self) -> str:
        return self._real.engine

    def _burn(self, sql: str) -> None:
        if not sql.lstrip().lower().startswith(("select", "create", "pragma")):
            self.statements += 1
            if self.statements == self._fuse:
                raise Killed

    def execute(self, sql: str, parameters: Parameters = ()) -> list[Row]:
        self._burn(sql)
        return self._real.execute(sql, parameters)

    def executemany(self, sql: str, rows: Any) -> None:
        self._burn(sql)
        self._real.executemany(sql, rows)

    @contextmanager
    def atomic(self) -> Iterator[None]:
        self._burn("begin")
        with self._real.atomic():
            yield
            self._burn("commit")
        self._burn("committed")

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        with self._real.snapshot():
            yield

    def close(self) -> None:
        self._real.close()


class DyingArchive(MemoryArchive):
    """Dies before or after writing."""

    def __init__(self, *, after: bool) -> None:
        super().__init__()
        self._after = after
        self._alive = True

    def put(self, number: str, line: bytes) -> None:
        if self._alive and not self._after:
            self._alive = False
            raise Killed
        super().put(number, line)
        if self._alive:
            self._alive = False
            raise Killed


def _world(path: Path) -> None:
    catalog = CATALOG + '[contracts.zink]\naccount = "acme"\nplan = "charger"\nstart = 2026-10-01\n'
    store = new_store(path, catalog.replace('name = "Connection"', 'name = "Connection"\nper = "contract"'))
    receive(store, october(Gateway()).lines, at=NOW // 1000)
    store.close()


def test_a_run_killed_before_any_statement_is_completed_with_the_same_bytes(tmp_path: Path) -> None:
    """P15, P16, P2: at every place where a run can die, the same command again completes it."""
    _world(tmp_path / "undisturbed.db")
    store, whole = Store(SqliteDatabase(tmp_path / "undisturbed.db")), store_biller()
    bill_due(store, NOW, whole)
    store.close()
    fuse, died = 0, True
    while died:
        fuse += 1
        path = tmp_path / f"killed-{fuse}.db"
        _world(path)
        archive = MemoryArchive()
        dying = DyingDatabase(path, 10**9)
        store = Store(dying)
        dying._fuse, dying.statements = fuse, 0
        try:
            bill_due(store, NOW, replace(whole, archive=archive))
            died = False
        except Killed:
            pass
        store.close()
        again = Store(SqliteDatabase(path))
        bill_due(again, NOW, replace(whole, archive=archive))
        assert archive.lines == whole.archive.lines, fuse  # type: ignore[attr-defined]
        assert bill_due(again, NOW, replace(whole, archive=archive)).outcomes == ()
        again.close()
    assert fuse > 20


@pytest.mark.parametrize("together", [1, 2])
@pytest.mark.parametrize("after", [False, True])
def test_a_run_killed_at_the_folder_is_completed_with_the_same_bytes(
    tmp_path: Path, *, after: bool, together: int
) -> None:
    _world(tmp_path / "c.db")
    archive = DyingArchive(after=after)
    store = Store(SqliteDatabase(tmp_path / "c.db"))
    with pytest.raises(Killed):
        bill_due(store, NOW, replace(store_biller(archive), together=together))
    sealed = store.rows("invoice_line", "INV-1")[0][1]
    report = bill_due(store, NOW + 5_000, store_biller(archive))
    assert report.archived == ("INV-1", "INV-2")[:together]
    assert archive.lines["INV-1"] == sealed
    assert set(archive.lines) == {"INV-1", "INV-2"}


def test_two_runs_at_once_do_not_double(tmp_path: Path) -> None:
    """P14: between looking and issuing another run may have been here."""
    _world(tmp_path / "c.db")
    archive = MemoryArchive()
    other = Store(SqliteDatabase(tmp_path / "c.db"))
    store = Store(SqliteDatabase(tmp_path / "c.db"))
    seen = 0

    def meanwhile(opened: Store) -> StoreView:
        nonlocal seen
        seen += 1
        return StoreView(opened)

    first = bill_due(other, NOW, store_biller(archive), contracts=["acme-chargers"])
    both = bill_due(store, NOW, replace(store_biller(archive), view=meanwhile))
    assert [each.contract for each in (*first.outcomes, *both.outcomes)] == ["acme-chargers", "zink"]
    assert set(archive.lines) == {"INV-1", "INV-2"}


def test_a_store_older_than_the_folder_is_refused_before_a_number_is_used_twice(tmp_path: Path) -> None:
    """P22."""
    _world(tmp_path / "c.db")
    backup = sqlite3.connect(tmp_path / "backup.db")
    source = sqlite3.connect(tmp_path / "c.db")
    source.backup(backup)
    backup.close()
    source.close()
    folder = FolderArchive(tmp_path / "invoices")
    store = Store(SqliteDatabase(tmp_path / "c.db"))
    bill_due(store, NOW, store_biller(folder))
    restored = Store(SqliteDatabase(tmp_path / "backup.db"))
    with pytest.raises(BillingRefused, match="older backup"):
        bill_due(restored, NOW, store_biller(folder))
    assert restored.rows("invoices") == []


@pytest.mark.parametrize("kind", ["folder", "memory"])
def test_the_folder_keeps_what_it_holds(tmp_path: Path, kind: str) -> None:
    """P16: real and in-memory keep one contract."""
    archive: Archive = FolderArchive(tmp_path / "a" / "b") if kind == "folder" else MemoryArchive()
    assert archive.numbers() == frozenset()
    assert archive.get("INV-1") is None
    archive.put("INV-1", b"one")
    archive.put("INV-1", b"one")
    archive.put("2026/7", b"two")
    with pytest.raises(ArchiveConflict):
        archive.put("INV-1", b"other")
    assert archive.get("INV-1") == b"one"
    assert archive.numbers() == {"INV-1", "2026/7"}


def test_a_half_written_file_is_no_invoice_and_hinders_none(tmp_path: Path) -> None:
    (tmp_path / ".INV-1.ms.99").write_bytes(b"hal")
    archive = FolderArchive(tmp_path)
    assert archive.numbers() == frozenset()
    archive.put("INV-1", b"whole")
    assert archive.get("INV-1") == b"whole"
    assert oct((tmp_path / "INV-1.ms").stat().st_mode)[-3:] == "444"


def test_a_folder_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="ascii")
    with pytest.raises(ArchiveFailed, match="cannot be written"):
        FolderArchive(tmp_path / "file").put("INV-1", b"one")


def test_revisions_are_kept_byte_for_byte_and_the_same_bytes_are_no_new_one() -> None:
    store = new_store()
    again = apply(store, load_catalog(CATALOG), now_ms=NOW)
    assert (again.number, again.new) == (1, False)
    changed = apply(store, load_catalog(CATALOG + "\n# a comment\n"), now_ms=NOW)
    assert (changed.number, changed.new) == (2, True)
    assert [revision.catalog.text for revision in revisions(store)] == [CATALOG, CATALOG + "\n# a comment\n"]


def test_new_prices_begin_with_the_next_period_and_new_devices_at_once() -> None:
    store, gateway = new_store(), october(Gateway(), days=62)
    receive(store, gateway.lines, at=DECEMBER)
    dearer = CATALOG.replace("price = 9.90", "price = 19.90").replace(
        '["roof-1/sdm630-1", ', '["roof-1/sdm630-1", "roof-1/x", '
    )
    apply(store, load_catalog(dearer), now_ms=(OCTOBER + 86_400) * 1000)
    biller = store_biller()
    bill_due(store, (DECEMBER + 3 * 86_400) * 1000, biller)
    prices = [
        {line["unit_price"] for line in lines_of(biller, number) if line["charge"] == "Connection"}
        for number in ("INV-1", "INV-2")
    ]
    assert prices == [{"9.90"}, {"19.90"}]
    assert any(line["device"] == "roof-1/x" for line in lines_of(biller, "INV-1"))


def test_without_a_catalog_a_run_says_so_and_a_tick_does_nothing() -> None:
    store, biller = Store(SqliteDatabase(":memory:")), store_biller()
    with pytest.raises(NoCatalog):
        bill_due(store, NOW, biller)
    biller(store, NOW)
    assert store.rows("invoices") == []


def test_the_order_of_arrival_changes_no_byte_of_an_invoice() -> None:
    """P15, P18."""
    sealed = []
    for order in (1, -1):
        store, biller = new_store(), store_biller()
        receive(store, october(Gateway()).lines[::order], at=NOW // 1000)
        bill_due(store, NOW, biller)
        sealed.append(biller.archive.get("INV-1"))
    assert sealed[0] == sealed[1]
