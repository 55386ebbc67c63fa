"""The store: a Database with named queries and forward-only migrations.

Queries live in `queries/{common,sqlite,postgres}/*.sql`, each under a line `-- name: the_name`; an
engine's own file wins over the common one. Rooms call them by name and never spell SQL.
"""

import re
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from functools import cache
from importlib import resources
from typing import Final

from cloud_collector.store.dialect import for_postgres
from shared.effects.database import Database, Parameters, Row
from shared.errors import DatabaseFailed, SchemaNewer

_BEGUN: Final = {
    "sqlite": "select 1 from sqlite_master where name = 'migration'",
    "postgres": "select 1 from pg_tables where tablename = 'migration' and schemaname = current_schema()",
}
"""Answered where the store has been opened before."""
_ALONE: Final = {
    "sqlite": "select 1",
    "postgres": "select 1 from pg_advisory_xact_lock(hashtext('meterseal migration'), hashtext(current_schema()))",
}
"""Taken by whoever changes the schema, to the end of its transaction; SQLite has one writer anyway."""
_NAME: Final = re.compile(r"^-- name: ([a-z0-9_]+)\s*$", re.MULTILINE)


class Store:
    """One connection to the collector's database; opening it brings the schema forward, but for a mere reader."""

    def __init__(
        self, database: Database, *, migrated: bool = False, before: Callable[[int], None] = lambda _: None
    ) -> None:
        """`before` is called with the schema's version before a store with a schema gets another."""
        self._database = database
        self._queries = named_queries(database.engine)
        if not migrated:
            migrate(database, before)

    def rows(self, name: str, *parameters: object) -> list[Row]:
        """All rows of the named query."""
        return self._database.execute(self._queries[name], parameters)

    def row(self, name: str, *parameters: object) -> Row | None:
        """The first row of the named query, or None."""
        found = self._database.execute(self._queries[name], parameters)
        return found[0] if found else None

    def run(self, name: str, *parameters: object) -> None:
        """Run the named statement."""
        self._database.execute(self._queries[name], parameters)

    def run_many(self, name: str, rows: Iterable[Parameters]) -> None:
        """Run the named statement for each row."""
        self._database.executemany(self._queries[name], rows)

    def atomic(self) -> AbstractContextManager[None]:
        """A transaction: durable when the block ends, rolled back when it raises. Does not nest."""
        return self._database.atomic()

    def snapshot(self) -> AbstractContextManager[None]:
        """Everything read within is of one instant; nothing is written. Does not nest."""
        return self._database.snapshot()

    @property
    def engine(self) -> str:
        """Which engine keeps it: `sqlite` or `postgres`."""
        return self._database.engine

    def close(self) -> None:
        """Close the connection."""
        self._database.close()


@cache
def named_queries(engine: str) -> dict[str, str]:
    """Every named query of an engine; a name that stands twice in one folder is a broken build."""
    found: dict[str, str] = {}
    for folder in ("common", engine):
        here: dict[str, str] = {}
        root = resources.files("cloud_collector.store").joinpath("queries", folder)
        files = sorted((file for file in root.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name)
        for file in files:
            parts = _NAME.split(file.read_text(encoding="utf-8"))
            for name, sql in zip(parts[1::2], parts[2::2], strict=True):
                if name in here:
                    raise DatabaseFailed(f"the query {name} stands twice in queries/{folder}")
                here[name] = sql.strip().rstrip(";")
        found |= here
    return found


@cache
def migrations(engine: str) -> tuple[tuple[int, tuple[str, ...]], ...]:
    """Every migration of an engine as (version, statements), in order; statements are parted by a line `--;`.

    What lies beside the folders is for both; a file in `migrations/postgres` is for that engine alone, as it stands.
    """
    root = resources.files("cloud_collector.store").joinpath("migrations")
    files = [(file, engine == "postgres") for file in root.iterdir()]
    if engine == "postgres":
        files += [(file, False) for file in root.joinpath(engine).iterdir()]
    found = []
    for file, foreign in sorted(files, key=lambda each: each[0].name):
        if file.name.endswith(".sql"):
            parts = [part.strip() for part in file.read_text(encoding="utf-8").split("\n--;\n") if part.strip()]
            found.append((int(file.name[:3]), tuple(for_postgres(part) if foreign else part for part in parts)))
    return tuple(found)


def migrate(database: Database, before: Callable[[int], None] = lambda _: None) -> None:
    """Bring the schema forward, one transaction a version; refuses a schema newer than this program."""
    for version, statements in _due(database, before):
        with database.atomic():
            # Another process may have been here while this one waited for its turn.
            database.execute(_ALONE[database.engine])
            if database.execute("select 1 from migration where version = ?", (version,)):
                continue
            for statement in statements:
                database.execute(statement)
            database.execute("insert into migration (version) values (?)", (version,))


def _due(database: Database, before: Callable[[int], None]) -> list[tuple[int, tuple[str, ...]]]:
    if not database.execute(_BEGUN[database.engine]):
        with database.atomic():
            database.execute(_ALONE[database.engine])
            if database.engine == "postgres":
                database.execute("create table if not exists migration (version bigint primary key)")
            else:
                database.execute("create table if not exists migration (version integer primary key)")
    done = {version for (version,) in database.execute("select version from migration")}
    known = migrations(database.engine)
    names = {version for version, _ in known}
    if done - names:
        raise SchemaNewer(
            f"the store has schema {max(done)}, and this program knows up to {max(names)}: a newer version has "
            "written it. Start that version, or restore the backup from before it (`cloud-collector backup restore`)"
        )
    due = [migration for migration in known if migration[0] not in done]
    if done and due:
        before(max(done))
    return due
