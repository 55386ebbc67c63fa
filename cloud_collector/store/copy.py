"""A whole store in another engine, row by row, with the proof that nothing has changed.

Everything happens in one transaction of the target, which must be empty: a copy that was interrupted has never been.
Before it is committed, every table is read back: its rows in the order of their key have the same SHA-256 on
both sides, and each chain's lines the same Merkle root (RFC 9162).
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from itertools import groupby
from typing import Final

from cloud_collector.store.months import keep_months
from cloud_collector.store.store import Store, migrate, migrations
from shared.effects.database import Database, Row
from shared.effects.sqlite import SqliteDatabase
from shared.errors import DatabaseFailed
from shared.merkle import leaf_hash, root_of

PAGE_ROWS: Final = 5_000
"""Rows that are held in memory at once."""
MONTHS_MAX: Final = 240
"""Months of usage that get a partition of their own on the way; what lies outside of them is kept together."""
Progress = Callable[[str, int], None]
"""Called with a table and how many rows of it were handled since the last call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table as both engines have it, in an order in which what is referred to comes first."""

    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What a store holds of a table."""

    table: str
    rows: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """What a store holds of a chain: its lines in their order, under one hash."""

    gateway: str
    log: str
    epoch: str
    through: int
    head: str
    lines: int
    root: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """The proof: the same for the source and the target."""

    tables: tuple[Held, ...]
    logs: tuple[Log, ...]

    @property
    def rows(self) -> int:
        """All rows of all tables."""
        return sum(each.rows for each in self.tables)


class NotCopied(DatabaseFailed):
    """The target is as it was."""


def copy_store(source: Store, target: Store, progress: Progress = lambda *_: None) -> Copied:
    """Everything in the source is in the target; raises NotCopied where that cannot be proven, and DatabaseError."""
    left, right = source._database, target._database  # noqa: SLF001 (tables are copied as a whole, whatever is in them)
    for table in tables():
        if right.execute(f"select 1 from {table.name} limit 1"):
            raise NotCopied(f"the target is not empty: its table {table.name} has rows. Name an empty one")
    with right.atomic():
        with left.snapshot():
            _keep_months(left, target)
            for table in tables():
                for page in _pages(left, table):
                    marks = ", ".join("?" * len(table.columns))
                    right.executemany(f"insert into {table.name} ({', '.join(table.columns)}) values ({marks})", page)
                    progress(table.name, len(page))
            said = held(left)
        _count_on(right)
        found = held(right)
        for before, after in zip((*said.tables, *said.logs), (*found.tables, *found.logs), strict=True):
            if before != after:
                raise NotCopied(f"the target would hold {after}, and the source holds {before}: nothing was copied")
        if source.rows("facts_count") != [(_rows_of(said, "line"),)]:
            raise NotCopied("lines came while it was copied: stop every collector on the source, then copy again")
    return found


def held(database: Database) -> Copied:
    """What a store holds, in figures that do not depend on its engine."""
    return Copied(tables=tuple(_held(database, table) for table in tables()), logs=tuple(_logs(database)))


@cache
def tables() -> tuple[Table, ...]:
    """Every table but the migrations' own, in the order in which migrations make them."""
    named = [
        name
        for _, statements in migrations("sqlite")
        for statement in statements
        for name in re.findall(r"^create table (?:if not exists )?(\w+)", statement, re.MULTILINE)
    ]
    scratch = SqliteDatabase(":memory:")
    migrate(scratch)
    found = []
    for name in dict.fromkeys(named):
        rows = scratch.execute(f"select name, pk from pragma_table_info('{name}')")
        key = tuple(_quoted(column) for column, place in sorted(rows, key=lambda row: row[1]) if place)
        found.append(Table(name=name, columns=tuple(_quoted(row[0]) for row in rows), key=key))
    scratch.close()
    return tuple(found)


def _quoted(name: str) -> str:
    # The one word of the schema that PostgreSQL keeps for itself.
    return '"do"' if name == "do" else name


def _pages(database: Database, table: Table) -> Iterator[list[Row]]:
    """All rows by key, a page at a time; each page begins behind the last one."""
    key, columns = ", ".join(table.key), ", ".join(table.columns)
    places = [table.columns.index(name) for name in table.key]
    last: tuple[object, ...] = ()
    while True:
        behind = f"where ({key}) > ({', '.join('?' * len(last))})" if last else ""
        page = database.execute(f"select {columns} from {table.name} {behind} order by {key} limit {PAGE_ROWS}", last)
        if page:
            yield page
        if len(page) < PAGE_ROWS:
            return
        last = tuple(page[-1][place] for place in places)


def _held(database: Database, table: Table) -> Held:
    digest, count = hashlib.sha256(), 0
    for page in _pages(database, table):
        count += len(page)
        for row in page:
            digest.update(b"".join(map(_bytes_of, row)))
    return Held(table=table.name, rows=count, sha256=digest.hexdigest())


def _bytes_of(value: object) -> bytes:
    """A value with its kind and length, so that no two rows have the same bytes."""
    match value:
        case None:
            return b"n"
        case int():
            return b"i%d;" % value
        case str():
            raw = value.encode()
            return b"t%d:%b" % (len(raw), raw)
        case _:
            return b"b%d:%b" % (len(bytes(value)), bytes(value))  # type: ignore[call-overload]


def _logs(database: Database) -> Iterator[Log]:
    chains = {
        row[0]: row[1:]
        for row in database.execute("select id, gateway, log, epoch, through, head from chain order by id")
    }
    for chain, lines in groupby(_raw(database), key=lambda row: row[0]):
        leaves = [leaf_hash(raw) for _, raw in lines]
        gateway, log, epoch, through, head = chains[chain]
        root = root_of(leaves).hex()
        yield Log(gateway=gateway, log=log, epoch=epoch, through=through, head=head, lines=len(leaves), root=root)


def _raw(database: Database) -> Iterable[tuple[int, bytes]]:
    last: tuple[int, int] = (0, 0)
    while True:
        page = database.execute(
            f"select chain, seq, raw from line where aside = 0 and (chain, seq) > (?, ?) "
            f"order by chain, seq limit {PAGE_ROWS}",
            last,
        )
        yield from ((chain, bytes(raw)) for chain, _, raw in page)
        if len(page) < PAGE_ROWS:
            return
        last = (page[-1][0], page[-1][1])


def _rows_of(copied: Copied, table: str) -> int:
    return next(each.rows for each in copied.tables if each.table == table)


def _keep_months(source: Database, target: Store) -> None:
    (first, last) = source.execute("select min(start), max(start) from span where kind = 4 and start is not null")[0]
    if first is None:
        return
    begin, end = (datetime.fromtimestamp(at, UTC) for at in (first, last))
    months = (end.year - begin.year) * 12 + end.month - begin.month
    from_month = begin.month + max(0, months - MONTHS_MAX)
    keep_months(target, begin.year, from_month, begin.month + months)


def _count_on(database: Database) -> None:
    """What is numbered from here on goes on behind the highest number."""
    if database.engine == "postgres":
        for table in tables():
            if table.key == ("id",):
                database.execute(
                    f"select setval(pg_get_serial_sequence('{table.name}', 'id'), max(id)) from {table.name} "
                    "having max(id) is not null and pg_get_serial_sequence(?, 'id') is not null",
                    (table.name,),
                )
