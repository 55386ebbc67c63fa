"""Several billing runs on one PostgreSQL: every period is closed once, and numbers have no gaps (P14, P15, P16)."""

import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from cloud_collector.billing.archive import FolderArchive
from cloud_collector.billing.outcome import Outcome
from cloud_collector.billing.revisions import apply, revisions
from cloud_collector.billing.run import bill_due
from cloud_collector.billing.turns import Turn, begin_turns, take_contract
from cloud_collector.contracts.read import load_catalog
from cloud_collector.store.store import Store
from shared.effects.postgres import PostgresDatabase
from shared.errors import DatabaseBusy
from tests.postgres import new_schema
from tests.unit.billing_samples import CATALOG, OCTOBER, Gateway, october, receive, store_biller

NOW_MS = (OCTOBER + 40 * 86_400) * 1000


@pytest.fixture
def stores() -> Iterator[tuple[Store, Store]]:
    url = new_schema()
    first, second = (Store(PostgresDatabase(url)) for _ in range(2))
    apply(first, load_catalog(CATALOG), now_ms=(OCTOBER - 86_400) * 1000)
    receive(first, october(Gateway()).lines, at=NOW_MS // 1000)
    yield first, second
    for store in (first, second):
        store.close()


def test_two_runs_at_once_issue_each_invoice_once(stores: tuple[Store, Store], tmp_path: Path) -> None:
    found: list[list[Outcome]] = [[], []]
    failed: list[BaseException] = []

    def work(at: int) -> None:
        biller = store_biller(FolderArchive(tmp_path))
        try:
            for _ in range(20):
                with suppress(DatabaseBusy):
                    found[at] += bill_due(stores[at], NOW_MS, biller).outcomes
                    return
        except BaseException as error:  # noqa: BLE001 (a thread's error is the test's)
            failed.append(error)

    threads = [threading.Thread(target=work, args=(at,)) for at in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failed == []
    numbers = sorted(outcome.number for each in found for outcome in each if outcome.number is not None)
    held = [row[0] for row in stores[0].rows("invoices")]
    assert held, "the month is billed"
    assert numbers == sorted(held)
    assert bill_due(stores[1], NOW_MS, store_biller(FolderArchive(tmp_path))).outcomes == ()
    assert stores[0].rows("invoices_not_archived") == []


def test_a_contract_that_another_run_works_on_is_left_to_it(stores: tuple[Store, Store]) -> None:
    first, second = stores
    known = revisions(first)
    contract = min(known[-1].catalog.contracts)
    begin_turns(first, [contract])
    with first.atomic():
        assert take_contract(first, known, contract, patient=False) is Turn.MINE
        with second.atomic():
            assert take_contract(second, known, contract, patient=False) is Turn.TAKEN
    with second.atomic():
        assert take_contract(second, known, contract, patient=False) is Turn.MINE


def test_a_contract_whose_reports_are_taken_in_at_the_moment_waits_for_its_turn(stores: tuple[Store, Store]) -> None:
    """P12: what an invoice says was received is what it was rated from."""
    first, second = stores
    known = revisions(first)
    contract = min(known[-1].catalog.contracts)
    begin_turns(first, [contract])
    with first.atomic():
        first.rows("turns_take", '["roof-1"]', 7)
        with second.atomic():
            assert take_contract(second, known, contract, patient=False) is Turn.BUSY
    with second.atomic():
        assert take_contract(second, known, contract, patient=True) is Turn.MINE
