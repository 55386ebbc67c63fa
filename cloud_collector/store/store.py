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

from shared.effects.database import Database, Parameters, Row
from shared.errors import DatabaseFailed

_NAME: Final = re.compile(r"^-- name: ([a-z0-9_]+)\s*$", re.MULTILINE)


class Store:
    """One connection to the collector's database; opening it brings the schema forward, but for a mere reader."""

    def __init__(
        self,
        database: Database,
        *,
        engine: str = "sqlite",
        migrated: bool = False,
        before: Callable[[int], None] = lambda _: None,
    ) -> None:
        """`before` is called with the schema's version before a store with a schema gets another."""
        self._database = database
        self._queries = named_queries(engine)
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
def migrations() -> tuple[tuple[int, tuple[str, ...]], ...]:
    """Every migration as (version, statements), in order; statements are parted by a line `--;`."""
    root = resources.files("cloud_collector.store").joinpath("migrations")
    files = sorted((file for file in root.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name)
    return tuple(
        (int(file.name[:3]), tuple(s.strip() for s in file.read_text(encoding="utf-8").split("\n--;\n") if s.strip()))
        for file in files
    )


def migrate(database: Database, before: Callable[[int], None] = lambda _: None) -> None:
    """Bring the schema forward, one transaction a version; refuses a schema newer than this program."""
    database.execute("create table if not exists migration (version integer primary key)")
    done = {version for (version,) in database.execute("select version from migration")}
    known = {version for version, _ in migrations()}
    if done - known:
        raise DatabaseFailed(
            f"the store has schema {max(done)}, and this program knows up to {max(known)}: a newer version has "
            "written it. Start that version, or restore the backup from before it (`cloud-collector backup restore`)"
        )
    if done and known - done:
        before(max(done))
    for version, statements in migrations():
        if version in done:
            continue
        with database.atomic():
            for statement in statements:
                database.execute(statement)
            database.execute("insert into migration (version) values (?)", (version,))
