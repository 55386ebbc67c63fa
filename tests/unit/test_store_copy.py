"""A store moves from one engine to the other and stays what it was (P1, P2, P11)."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cloud_collector.billing.run import bill_due
from cloud_collector.cli.main import app
from cloud_collector.intake.replay import audit
from cloud_collector.settings import CollectorSettings
from cloud_collector.store.account import account
from cloud_collector.store.copy import NotCopied, copy_store, held, tables
from cloud_collector.store.store import Store
from shared.effects.postgres import PostgresDatabase
from shared.effects.sqlite import SqliteDatabase
from tests.postgres import new_schema
from tests.unit.billing_samples import OCTOBER, Gateway, new_store, october, receive, store_biller

NOW_MS = (OCTOBER + 40 * 86_400) * 1000


@pytest.fixture
def billed(tmp_path: Path) -> Iterator[Store]:
    """October of a garage, billed."""
    store = new_store(tmp_path / "collector.db")
    receive(store, october(Gateway()).lines, at=NOW_MS // 1000)
    bill_due(store, NOW_MS, store_biller())
    yield store
    store.close()


@pytest.fixture
def target() -> Iterator[Store]:
    store = Store(PostgresDatabase(new_schema()))
    yield store
    store.close()


def test_there_and_back_everything_is_the_same(billed: Store, target: Store, tmp_path: Path) -> None:
    there = copy_store(billed, target)
    back = Store(SqliteDatabase(tmp_path / "back.db"))
    assert copy_store(target, back) == there == held(billed._database)
    assert there.rows > 100
    assert [(log.gateway, log.lines == log.through) for log in there.logs] == [("roof-1", True)]
    assert account(back) == account(target) == account(billed)
    scratch = Store(SqliteDatabase(":memory:"))
    assert audit(target, scratch, CollectorSettings()) is None


def test_the_copy_is_taken_in_and_billed_from_where_the_source_ended(billed: Store, target: Store) -> None:
    """P14: numbers of invoices go on, and so do the database's own."""
    copy_store(billed, target)
    gateway = october(Gateway(), days=75)
    held_lines = billed.rows("facts_count")[0][0]
    receive(target, gateway.lines[held_lines:], at=NOW_MS // 1000 + 40 * 86_400)
    bill_due(target, NOW_MS + 40 * 86_400_000, store_biller())
    numbers = [row[0] for row in target.rows("invoices")]
    assert len(numbers) > len(billed.rows("invoices"))
    assert len(set(numbers)) == len(numbers)
    assert audit(target, Store(SqliteDatabase(":memory:")), CollectorSettings()) is None


def test_usage_rows_lie_in_the_months_that_they_belong_to(billed: Store, target: Store) -> None:
    copy_store(billed, target)
    counted = target._database.execute("select tableoid::regclass::text, count(*) from span where kind = 4 group by 1")
    assert counted
    assert all(str(place).startswith("span_20") for place, _ in counted)


def test_a_target_with_rows_is_refused_and_stays_as_it_was(billed: Store, target: Store) -> None:
    copy_store(billed, target)
    before = held(target._database)
    with pytest.raises(NotCopied, match="not empty"):
        copy_store(billed, target)
    assert held(target._database) == before


def test_a_source_that_changes_meanwhile_is_refused_and_nothing_is_copied(
    billed: Store, target: Store, tmp_path: Path
) -> None:
    other = Store(SqliteDatabase(tmp_path / "collector.db"))
    more = october(Gateway(), days=40).lines[len(october(Gateway()).lines) :]
    done = False

    def change(_table: str, _rows: int) -> None:
        nonlocal done
        if not done:
            done = True
            receive(other, more, at=NOW_MS // 1000)

    with pytest.raises(NotCopied, match="stop every collector"):
        copy_store(billed, target, change)
    assert all(not target._database.execute(f"select 1 from {table.name} limit 1") for table in tables())


def test_a_target_that_changes_a_row_is_found_out(billed: Store, target: Store) -> None:
    """The proof can fail: a trigger of somebody else's rounds on the way."""
    target._database.execute(
        "create function meddle() returns trigger language plpgsql as $$ begin new.total = '0.00'; return new; end $$"
    )
    target._database.execute("create trigger meddle before insert on invoice for each row execute function meddle()")
    with pytest.raises(NotCopied, match="table='invoice'"):
        copy_store(billed, target)
    assert target.rows("facts_count") == [(0,)]


def test_the_command_copies_and_says_what_is_proven(billed: Store, tmp_path: Path) -> None:
    url, source = new_schema(), str(tmp_path / "collector.db")
    done = CliRunner().invoke(app, ["store", "copy", "--from", source, "--to", url, "--json"])
    assert done.exit_code == 0, done.stderr
    told = json.loads(done.stdout)
    assert {each["table"]: each["rows"] for each in told["tables"]}["invoice"] == len(billed.rows("invoices"))
    again = CliRunner().invoke(app, ["store", "copy", "--from", source, "--to", url])
    assert again.exit_code == 4
    assert "not empty" in again.stderr
    listed = CliRunner().invoke(app, ["invoice", "list", "--store", url, "--json"])
    assert listed.exit_code == 0, listed.stderr
    assert len(json.loads(listed.stdout)) == len(billed.rows("invoices"))
    missing = CliRunner().invoke(app, ["invoice", "list", "--store", new_schema()])
    assert missing.exit_code == 3
