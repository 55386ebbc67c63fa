"""The same tests on both engines: wherever a test opens a file of SQLite, a schema of PostgreSQL stands in for it.

A schema costs half a second to make and some milliseconds to empty: schemas are kept from test to test.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from unittest.mock import patch

import pytest

from cloud_collector.store.copy import copy_store
from cloud_collector.store.store import Store, migrate
from shared.effects.postgres import PostgresDatabase
from shared.effects.sqlite import SqliteDatabase
from tests.postgres import new_schema

ON_BOTH: Final = frozenset(
    f"tests.{name}"
    for name in """
    unit.test_intake unit.test_rotation unit.test_epochs unit.test_orders unit.test_collector unit.test_fleet
    unit.test_enrolment unit.test_enrolment_cli unit.test_keys_cli unit.test_collector_cli unit.test_commands
    unit.test_device_states unit.test_billing unit.test_billing_cli unit.test_billing_terms unit.test_void
    unit.test_strangers unit.test_alarms unit.test_rebill unit.test_sending unit.test_signing unit.test_tariff
    unit.test_web unit.test_ingest_log
    unit.test_extremes unit.test_device_cli unit.test_starts
    unit.test_retention unit.test_gate unit.test_tokens unit.test_people unit.test_sign_in unit.test_trail
    """.split()
)
"""Modules that touch the store: all of their tests run twice."""
SQLITE_ALONE: Final[dict[str, str]] = {
    "tests.unit.test_billing.test_a_store_older_than_the_folder_is_refused_before_a_number_is_used_twice": (
        "the backup is made by SQLite"
    ),
    "tests.unit.test_device_states.test_an_audit_holds_what_an_invoice_states_against_what_was_done": (
        "it takes a trigger away, and the next test has the schema"
    ),
    "tests.unit.test_ingest_log.test_a_backup_with_keys_puts_a_logs_key_back": "a database server has tools of its own",
}
"""Tests that are about SQLite itself, with the reason."""
SQLITES_OWN: Final = (__name__, "tests.unit.test_parity", "cloud_collector.store.copy")
"""Modules that mean SQLite itself."""
_EMPTY: Final = """
do $$
declare each record; filled boolean;
begin
    set local session_replication_role = replica;
    for each in select c.relname from pg_class c where c.relnamespace = current_schema()::regnamespace
            and c.relkind in ('r', 'p') and not c.relispartition and c.relname <> 'migration' loop
        execute format('select exists (select 1 from %I)', each.relname) into filled;
        if filled then execute format('delete from %I', each.relname); end if;
    end loop;
    for each in select sequencename from pg_sequences where schemaname = current_schema() and last_value > 0 loop
        execute format('alter sequence %I restart', each.sequencename);
    end loop;
end $$
"""
_free: list[str] = []


class Schemas:
    """Which schema stands for which file in one test."""

    def __init__(self) -> None:
        self._named: dict[str, str] = {}
        self._taken: list[str] = []
        self._open: list[PostgresDatabase] = []

    def opened(
        self, path: Path | str, *, exclusive: bool = False, read_only: bool = False, log_pages: int | None = None
    ) -> SqliteDatabase | PostgresDatabase:
        """A connection to the schema that stands for the file; it has no log of its own."""
        del log_pages
        assert not exclusive, "a store is shared"
        database = PostgresDatabase(self._schema(_named(path)), read_only=read_only)
        self._open.append(database)
        return database

    def is_there(self, path: Path) -> bool:
        """Whether a test has begun that file."""
        return _named(path) in self._named or path.exists()

    def end(self) -> None:
        """Every schema is as good as new."""
        for database in self._open:
            database.close()
        for url in self._taken:
            database = PostgresDatabase(url)
            database.execute(_EMPTY)
            database.close()
        _free.extend(self._taken)

    def _schema(self, path: str) -> str:
        if path != ":memory:" and path in self._named:
            return self._named[path]
        if _free:
            url = _free.pop()
        else:
            url = new_schema()
            database = PostgresDatabase(url)
            migrate(database)
            database.close()
        self._taken.append(url)
        if path != ":memory:":
            self._named[path] = url
            if Path(path).exists():
                _moved(Path(path), url)
        return url


def _moved(file: Path, url: str) -> None:
    """What an earlier fixture laid down as a file is in the schema."""
    source, target = SqliteDatabase(file), PostgresDatabase(url)
    try:
        copy_store(Store(source), Store(target))
    finally:
        source.close()
        target.close()


def _named(path: Path | str) -> str:
    """One name for a file, from wherever it is opened."""
    return str(path) if str(path) == ":memory:" else str(Path(path).absolute())


def run_on(engine: str) -> Iterator[None]:
    """Within, what opens a file of SQLite in tests and commands has a schema of PostgreSQL, where that is asked for."""
    if engine == "sqlite":
        yield
        return
    schemas = Schemas()
    with pytest.MonkeyPatch.context() as swapped:
        for name, module in list(sys.modules.items()):
            mine = name.startswith(("tests.", "cloud_collector.")) and name not in SQLITES_OWN
            if mine and vars(module).get("SqliteDatabase") is SqliteDatabase:
                swapped.setattr(module, "SqliteDatabase", schemas.opened)
        with patch("cloud_collector.store.place.is_there", lambda known: schemas.is_there(known.store_path)):
            for name in ("cloud_collector.cli.opened", "cloud_collector.web.server", "cloud_collector.cli.config"):
                if name in sys.modules:
                    swapped.setattr(sys.modules[name], "is_there", lambda known: schemas.is_there(known.store_path))
            yield
    schemas.end()
