"""From every schema that there ever was to the newest one, with a store's real rows in it, on both engines (P23).

A store is filled by the program as it is. For each version its rows are laid into a store of that version, as far as
that version has the tables and columns; then it is brought forward, and must hold every row, and compute the same.
"""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from typer.testing import CliRunner

from cloud_collector.billing.run import bill_due
from cloud_collector.cli.main import app
from cloud_collector.intake.replay import audit
from cloud_collector.settings import CollectorSettings
from cloud_collector.store.copy import _quoted, tables
from cloud_collector.store.store import Store, migrate, migrations
from shared.effects.database import Database, Row
from shared.effects.postgres import PostgresDatabase
from shared.effects.sqlite import SqliteDatabase
from shared.errors import DatabaseFailed, SchemaNewer
from tests.postgres import new_schema
from tests.requirements import require
from tests.unit.billing_samples import NOVEMBER, Gateway, new_store, october, receive, store_biller

VERSIONS: Final = [version for version, _ in migrations("sqlite")]
POSTGRES_FIRST: Final = 101
"""The first schema that a PostgreSQL has ever had: usage rows by month came with it."""
OLD: Final = 110
"""A schema that both engines have had."""
EVERY: Final = [
    *(("sqlite", version) for version, _ in migrations("sqlite")),
    *(("postgres", version) for version, _ in migrations("postgres") if version >= POSTGRES_FIRST),
]
REFUSED: Final = 4


@pytest.fixture(scope="module")
def full() -> Iterator[Store]:
    """October, received and billed."""
    store = new_store()
    receive(store, october(Gateway()).lines, at=NOVEMBER + 3 * 86_400)
    bill_due(store, (NOVEMBER + 3 * 86_400) * 1000, store_biller())
    yield store
    store.close()


def at_version(database: Database, version: int, full: Store) -> dict[str, tuple[list[str], list[Row]]]:
    """The database has the schema of that version, and the rows of the full store in it; what it got."""
    database.execute(
        "create table migration (version integer primary key)"
        if database.engine == "sqlite"
        else "create table migration (version bigint primary key)"
    )
    for each, statements in migrations(database.engine):
        if each <= version:
            for statement in statements:
                database.execute(statement)
            database.execute("insert into migration (version) values (?)", (each,))
    laid = {}
    for table in tables():
        columns = [_quoted(name) for name in _columns(database, table.name)]
        if columns:
            rows = full._database.execute(f"select {', '.join(columns)} from {table.name}")
            marks = ", ".join("?" * len(columns))
            database.executemany(f"insert into {table.name} ({', '.join(columns)}) values ({marks})", rows)
            laid[table.name] = (columns, sorted(rows, key=repr))
    return laid


def _columns(database: Database, table: str) -> list[str]:
    if database.engine == "sqlite":
        return [row[0] for row in database.execute(f"select name from pragma_table_info('{table}') order by cid")]
    return [
        row[0]
        for row in database.execute(
            "select column_name::text from information_schema.columns where table_schema = current_schema() "
            "and table_name = ? order by ordinal_position",
            (table,),
        )
    ]


def opened(engine: str) -> Database:
    return SqliteDatabase(":memory:") if engine == "sqlite" else PostgresDatabase(new_schema())


@pytest.mark.parametrize(("engine", "version"), EVERY)
def test_a_store_of_any_earlier_schema_comes_forward_with_all_that_it_holds(
    full: Store, engine: str, version: int
) -> None:
    database = opened(engine)
    laid = at_version(database, version, full)
    asked: list[int] = []
    store = Store(database, before=asked.append)
    assert asked == ([version] if version < VERSIONS[-1] else []), "whoever wants a backup before is asked once"
    assert database.execute("select max(version) from migration") == [(VERSIONS[-1],)]
    for name, (columns, rows) in laid.items():
        found = database.execute(f"select {', '.join(columns)} from {name}")
        assert sorted(found, key=repr) == rows, name
    assert len(laid["line"][1]) > 20, "there is something to lose"
    assert audit(store, Store(SqliteDatabase(":memory:")), CollectorSettings()) is None
    store.close()


@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
def test_a_migration_that_is_broken_off_is_begun_again(full: Store, engine: str) -> None:
    """P2: one transaction a version; what was done is done, what was under way has never been."""
    database = opened(engine)
    at_version(database, OLD, full)
    later = [version for version, _ in migrations(engine) if version > OLD]
    real = database.execute

    class Broken(Exception):
        """The power is gone."""

    def failing(sql: str, parameters: tuple[object, ...] = ()) -> list[Row]:
        if sql.startswith("insert into migration") and parameters == (later[1],):
            raise Broken
        return real(sql, parameters)

    with pytest.MonkeyPatch.context() as swapped:
        swapped.setattr(type(database), "execute", lambda _self, sql, parameters=(): failing(sql, parameters))
        with pytest.raises(Broken):
            migrate(database)
    assert database.execute("select max(version) from migration") == [(later[0],)]
    migrate(database)
    assert database.execute("select max(version) from migration") == [(VERSIONS[-1],)]
    database.close()


@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
def test_a_newer_schema_is_refused_by_every_command_with_4(
    engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A restart mends nothing, so the unit does not restart after it."""
    database = (
        SqliteDatabase(tmp_path / "collector.db") if engine == "sqlite" else PostgresDatabase(url := new_schema())
    )
    migrate(database)
    database.execute("insert into migration (version) values (999)")
    with pytest.raises(SchemaNewer, match="schema 999"):
        Store(database)
    database.close()
    monkeypatch.setenv("METERSEAL_COLLECTOR__STORE_PATH", str(tmp_path / "collector.db"))
    if engine == "postgres":
        monkeypatch.setenv("METERSEAL_COLLECTOR__STORE", url)
    for words in (["gateway", "list"], ["rebuild"], ["unmatched", "list"], ["billing", "preview"]):
        done = CliRunner().invoke(app, words)
        assert (done.exit_code, "a newer version has written it" in done.stderr) == (REFUSED, True), words


def test_before_the_schema_of_a_postgres_changes_it_is_dumped(
    full: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require("pg_dump")
    url = new_schema()
    database = PostgresDatabase(url)
    at_version(database, OLD, full)
    (schema,) = database.execute("select current_schema()")[0]
    database.close()
    monkeypatch.setenv("METERSEAL_COLLECTOR__STORE", url)
    monkeypatch.setenv("METERSEAL_COLLECTOR__BACKUP__PATH", str(tmp_path / "backups"))
    done = CliRunner().invoke(app, ["gateway", "list"])
    kept = tmp_path / "backups" / f"store.schema-{OLD}.dump"
    assert (done.exit_code, str(kept) in done.stderr) == (0, True)
    assert kept.stat().st_mode & 0o077 == 0
    listed = subprocess.run(["pg_restore", "--list", kept], capture_output=True, text=True, check=True).stdout
    assert f"TABLE DATA {schema} line" in listed
    assert CliRunner().invoke(app, ["gateway", "list"]).stderr == "", "once"


def test_without_pg_dump_the_schema_of_a_postgres_stays_as_it_is(
    full: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = new_schema()
    database = PostgresDatabase(url)
    at_version(database, OLD, full)
    monkeypatch.setenv("METERSEAL_COLLECTOR__STORE", url)
    monkeypatch.setenv("METERSEAL_COLLECTOR__BACKUP__PATH", str(tmp_path / "backups"))
    with monkeypatch.context() as bare:
        bare.setattr(shutil, "which", lambda _: None)
        done = CliRunner().invoke(app, ["gateway", "list"])
        assert (done.exit_code, "postgresql-client" in done.stderr) == (1, True)
        assert database.execute("select max(version) from migration") == [(OLD,)]
        bare.setenv("METERSEAL_COLLECTOR__BACKUP__BEFORE_UPGRADE", "false")
        assert CliRunner().invoke(app, ["gateway", "list"]).exit_code == 0
    database.close()


def test_a_dump_that_fails_changes_nothing(full: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require("pg_dump")
    database = PostgresDatabase(url := new_schema())
    at_version(database, OLD, full)
    (tmp_path / "backups").write_text("a file where the folder should be", encoding="ascii")
    monkeypatch.setenv("METERSEAL_COLLECTOR__STORE", url)
    monkeypatch.setenv("METERSEAL_COLLECTOR__BACKUP__PATH", str(tmp_path / "backups"))
    assert CliRunner().invoke(app, ["gateway", "list"]).exit_code == 1
    assert database.execute("select max(version) from migration") == [(OLD,)]
    database.close()


def test_a_newer_schema_is_a_failed_database_to_whoever_asks_no_more() -> None:
    assert issubclass(SchemaNewer, DatabaseFailed)
