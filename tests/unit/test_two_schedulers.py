"""Several runs at once over one store, after months without any: every period once, in order, no number twice."""

from collections import Counter, defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from threading import Barrier
from typing import Final

import pytest

from cloud_collector.billing.accounts import NotPossible, pay, standing
from cloud_collector.billing.archive import FolderArchive
from cloud_collector.billing.outcome import Report
from cloud_collector.billing.rebill import Rebilling, rebill
from cloud_collector.billing.revisions import apply
from cloud_collector.billing.run import bill_due
from cloud_collector.billing.void import Voiding, void
from cloud_collector.contracts.read import load_catalog
from cloud_collector.store.store import Store
from shared.effects.postgres import PostgresDatabase
from shared.effects.sqlite import SqliteDatabase
from shared.errors import DatabaseBusy
from tests.postgres import new_schema
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

MONTHS: Final = 4
NOW: Final = (NOVEMBER + 92 * 86_400) * 1000
CONTRACTS: Final = 10
BASE: Final = (
    '[plans.base]\ncycle = "month"\n[[plans.base.charges]]\nname = "Base"\ntype = "subscription"\nper = "contract"\n'
    "price = 10\n"
)


def several(path: Path) -> Path:
    """Ten contracts of one account, of which four months are due each; and one with meters."""
    more = "".join(
        f'[contracts.c-{at}]\naccount = "acme"\nplan = "base"\nstart = 2026-10-01\n' for at in range(CONTRACTS)
    )
    store = new_store(path / "collector.db", CATALOG + BASE + more)
    receive(store, october(Gateway(), days=33).lines, at=NOVEMBER + 3 * 86_400)
    store.close()
    return path


def at_once(site: Path, *acts: Callable[[Store], object]) -> list[object]:
    """Each on a connection of its own, all let go in one moment; what came of each."""
    start = Barrier(len(acts))

    def one(act: Callable[[Store], object]) -> object:
        store = Store(SqliteDatabase(site / "collector.db"))
        try:
            start.wait()
            return act(store)
        except NotPossible as error:
            return error
        finally:
            store.close()

    with ThreadPoolExecutor(len(acts)) as threads:
        return list(threads.map(one, acts))


def billing(site: Path, together: int) -> Callable[[Store], Report]:
    biller = replace(store_biller(FolderArchive(site / "invoices")), together=together)
    return lambda store: bill_due(store, NOW, biller)


@pytest.mark.parametrize("together", [1, 3, 64])
def test_several_schedulers_bill_each_period_once(tmp_path: Path, together: int) -> None:
    """P14: also where the collector was down for four months."""
    site = several(tmp_path)
    reports = at_once(site, *(billing(site, together) for _ in range(3)))
    issued = [
        each.number for report in reports if isinstance(report, Report) for each in report.outcomes if each.number
    ]
    store = Store(SqliteDatabase(site / "collector.db"))
    rows = store.rows("invoices")
    assert sorted(issued) == sorted(row[0] for row in rows)
    assert [row[0] for row in rows] == [f"INV-{at}" for at in range(1, len(rows) + 1)]
    assert set(Counter((row[2], row[4]) for row in rows).values()) == {1}
    months = defaultdict(list)
    for row in rows:
        months[row[2]].append(row[4])
    assert {contract: len(starts) for contract, starts in months.items()} == {
        # Its gateway is silent, and January waits for it still.
        "acme-chargers": MONTHS - 1,
        **{f"c-{at}": MONTHS for at in range(CONTRACTS)},
    }
    assert all(starts == sorted(starts) for starts in months.values()), "each contract's periods close in order"
    assert FolderArchive(site / "invoices").numbers() == {row[0] for row in rows}
    store.close()


def test_an_invoice_is_taken_back_once_by_two_at_once(tmp_path: Path) -> None:
    """P16."""
    site = several(tmp_path)
    at_once(site, billing(site, 64))
    biller = store_biller(FolderArchive(site / "invoices"))

    def take(store: Store) -> object:
        asked = Voiding(number="INV-1", reason="Wrong", by="Anna")
        return void(store, asked, now_ms=NOW, key=RECEIPT_KEY, archive=biller.archive).number

    done = at_once(site, take, take, take)
    assert sorted(str(each) for each in done if not isinstance(each, NotPossible)) == ["INV-CN-1"]
    assert len([each for each in done if isinstance(each, NotPossible)]) == 2


def test_what_is_missing_is_billed_once_by_a_run_and_a_correction_at_once(tmp_path: Path) -> None:
    """P1, P14: either the next invoice has it, or what replaces the old one."""
    site = several(tmp_path)
    biller = store_biller(FolderArchive(site / "invoices"))
    store = Store(SqliteDatabase(site / "collector.db"))
    bill_due(store, (NOVEMBER + 3 * 86_400) * 1000, biller)
    first = next(row[0] for row in store.rows("invoices") if row[2] == "c-0")
    asked = Voiding(number=first, reason="Wrong", by="Anna")
    void(store, asked, now_ms=NOW, key=RECEIPT_KEY, archive=biller.archive)
    again = Rebilling(number=first, by="Anna")
    at_once(site, billing(site, 1), lambda held: rebill(held, again, now_ms=NOW, means=biller))
    totals = [Decimal(row[7]) for row in store.rows("invoices") if row[2] == "c-0"]
    assert sum(totals) == 10 * MONTHS
    store.close()


def test_the_same_credit_is_not_spent_by_two_contracts_at_once(tmp_path: Path) -> None:
    site = several(tmp_path)
    biller = store_biller(FolderArchive(site / "invoices"))
    store = Store(SqliteDatabase(site / "collector.db"))
    bill_due(store, (NOVEMBER + 3 * 86_400) * 1000, biller)
    first = next(row[0] for row in store.rows("invoices") if row[2] == "c-0")
    pay(store, first, amount=None, at=NOW // 1000, by="Anna")
    asked = Voiding(number=first, reason="Wrong", by="Anna")
    credit = void(store, asked, now_ms=NOW, key=RECEIPT_KEY, archive=biller.archive).number
    at_once(site, *(billing(site, 1) for _ in range(3)))
    used = [row for row in store.rows("credits_all") if row[2] == credit]
    assert [(row[6], row[7]) for row in used] == [("offset", "10.00")]
    assert standing(store, credit).open == 0
    store.close()


def test_on_a_shared_server_a_run_and_corrections_at_once_bill_what_is_missing_once(tmp_path: Path) -> None:
    """P1, P14: the database holds whose turn a contract is."""
    url = new_schema()
    first = Store(PostgresDatabase(url))
    more = "".join(f'[contracts.c-{at}]\naccount = "acme"\nplan = "base"\nstart = 2026-10-01\n' for at in range(6))
    apply(first, load_catalog(CATALOG + BASE + more), now_ms=OCTOBER * 1000)
    biller = replace(store_biller(FolderArchive(tmp_path / "invoices")), together=2)
    contracts = [f"c-{at}" for at in range(6)]
    bill_due(first, (NOVEMBER + 3 * 86_400) * 1000, biller, contracts=contracts)
    numbers = [row[0] for row in first.rows("invoices")]
    for number in numbers:
        asked = Voiding(number=number, reason="Wrong", by="Anna")
        void(first, asked, now_ms=NOW, key=RECEIPT_KEY, archive=biller.archive)
    start = Barrier(3)

    def correct(chosen: list[str]) -> None:
        store = Store(PostgresDatabase(url))
        start.wait()
        for number in chosen:
            with suppress(DatabaseBusy, NotPossible):
                rebill(store, Rebilling(number=number, by="Anna"), now_ms=NOW, means=biller)
        store.close()

    def run() -> None:
        store = Store(PostgresDatabase(url))
        start.wait()
        bill_due(store, NOW, biller, contracts=contracts)
        store.close()

    with ThreadPoolExecutor(3) as threads:
        for done in [threads.submit(correct, numbers), threads.submit(correct, numbers[::-1]), threads.submit(run)]:
            done.result()
    for _ in range(2):
        bill_due(first, NOW, biller, contracts=contracts)
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for row in first.rows("invoices"):
        sums[row[2]] += Decimal(row[7])
    assert sums == dict.fromkeys(contracts, Decimal(10 * MONTHS))
    issued = [row[0] for row in first.rows("invoices") if row[1] == "regular"]
    assert sorted(issued) == sorted(f"INV-{at}" for at in range(1, len(issued) + 1))
    first.close()
