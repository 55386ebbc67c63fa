"""Database on psycopg 3: one connection to a PostgreSQL that keeps its promises about disks (P2).

Rooms speak the SQL that sqlite3 speaks, with `?` for parameters; what differs is said here. Integers are 64
bits wide and stay integers, sums included. Rows of an insert travel together: by COPY where nothing can
conflict, as arrays otherwise. A connection that broke is made anew with the next statement outside of a
transaction; what was under way is rolled back and `DatabaseBusy`: whoever ran it runs it again.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Final

import psycopg
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import TransactionStatus
from psycopg.types.numeric import Int8BinaryDumper, Int8Dumper

from shared.effects.database import Parameters, Row
from shared.errors import DatabaseBusy, DatabaseCorrupt, DatabaseError, DatabaseFailed, DatabaseFull, DatabaseRefused

SERVER_MIN: Final = 150000
"""PostgreSQL 15: unique indexes in which nulls are not distinct."""
COPY_ROWS_MIN: Final = 16
"""From so many rows on, COPY is faster than arrays."""
LOCK_SECONDS_MAX: Final = 10
"""How long a statement waits for another collector's lock before it is DatabaseBusy."""
IDLE_SECONDS_MAX: Final = 60
"""How long a transaction may do nothing: a collector that was stopped must not hold the others up."""
_DEFAULTS: Final = {
    "application_name": "meterseal",
    "connect_timeout": "10",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "60000",
}
_SESSION: Final = (
    "set timezone = 'UTC'",
    "set jit = off",
    f"set lock_timeout = '{LOCK_SECONDS_MAX}s'",
    f"set idle_in_transaction_session_timeout = '{IDLE_SECONDS_MAX}s'",
)
_PARAMETER: Final = re.compile(r"'(?:[^']|'')*'|--[^\n]*|\?(\d*)")
_INSERT: Final = re.compile(
    r"\s*insert into (\w+) \(([^)]*)\)\s*values \(([?,\s]+)\)\s*(.*)", re.IGNORECASE | re.DOTALL
)
_AGAIN: Final = (
    errors.LockNotAvailable,
    errors.DeadlockDetected,
    errors.SerializationFailure,
    errors.AdminShutdown,
    errors.CrashShutdown,
    errors.CannotConnectNow,
    errors.TooManyConnections,
    errors.IdleInTransactionSessionTimeout,
)
_REFUSED: Final = (
    "authentication failed",
    "does not exist",
    "no pg_hba.conf entry",
    "permission denied",
    "no password",
)


class _Flag(Int8BinaryDumper):
    """A bool as the 0 or 1 that sqlite3 makes of it."""

    def dump(self, obj: Any) -> Any:
        return super().dump(int(obj))


class _Whole(psycopg.adapt.Loader):
    """The sum of integers, an integer of any size."""

    def load(self, data: Any) -> int:
        return int(bytes(data))


class _Bit(psycopg.adapt.Loader):
    """A condition as sqlite3 answers it."""

    def load(self, data: Any) -> int:
        return int(bytes(data) == b"t")


class PostgresDatabase:
    """One connection to one schema of one database, named by a postgresql:// URL."""

    engine: Final = "postgres"

    def __init__(self, url: str, *, read_only: bool = False) -> None:
        self._url = url
        self._read_only = read_only
        self.name = shown(url)
        """The URL without what is nobody's business."""
        self._types: dict[str, dict[str, str]] = {}
        self._within = False
        self._connection = self._connect()

    def execute(self, sql: str, parameters: Parameters = ()) -> list[Row]:
        """Run one statement, return all its rows; raises DatabaseError."""
        try:
            cursor = self._live().execute(_native(sql), parameters or None)
            return cursor.fetchall() if cursor.description is not None else []
        except psycopg.Error as error:
            raise self._translated(error) from error

    def executemany(self, sql: str, rows: Iterable[Parameters]) -> None:
        """Run one statement for each row; raises DatabaseError."""
        rows = rows if isinstance(rows, Sequence) else list(rows)
        if not rows:
            return
        try:
            insert = _insert(sql)
            if insert is None:
                with self._live().cursor() as cursor:
                    cursor.executemany(_native(sql), rows)
            elif not insert[2] and len(rows) >= COPY_ROWS_MIN:
                self._copy(insert[0], insert[1], rows)
            else:
                self._insert_arrays(*insert, rows)
        except psycopg.Error as error:
            raise self._translated(error) from error

    @contextmanager
    def atomic(self) -> Iterator[None]:
        """A transaction: durable when the block ends, rolled back when it raises. Does not nest."""
        with self._transaction("begin read write" if not self._read_only else "begin read only"):
            yield

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Everything read within is of one instant; nothing is written."""
        with self._transaction("begin isolation level repeatable read read only"):
            yield

    def close(self) -> None:
        """Close the connection; an open transaction is rolled back."""
        self._connection.close()

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[None]:
        if self._within:
            raise DatabaseFailed("a transaction is open already")
        self.execute(begin)
        self._within = True
        try:
            yield
            # Inside: a connection that broke has rolled back, and must not commit an empty transaction anew.
            self.execute("commit")
        except BaseException:
            if self._connection.info.transaction_status in (TransactionStatus.INTRANS, TransactionStatus.INERROR):
                try:
                    self._connection.execute("rollback")
                except psycopg.Error:
                    # The server rolls back what nobody can commit any more.
                    self._connection.close()
            raise
        finally:
            self._within = False

    def _live(self) -> "psycopg.Connection[Row]":
        if self._connection.closed and not self._within:
            self._connection = self._connect()
        return self._connection

    def _connect(self) -> "psycopg.Connection[Row]":
        told = make_conninfo("", **{**_DEFAULTS, **conninfo_to_dict(self._url)})
        try:
            connection = psycopg.connect(told, autocommit=True, cursor_factory=psycopg.RawCursor)
        except psycopg.OperationalError as error:
            why = str(error).strip().splitlines()[-1]
            refused = any(sign in why for sign in _REFUSED)
            raise (DatabaseFailed if refused else DatabaseBusy)(f"{self.name} cannot be reached: {why}") from error
        for type_, dumper in ((int, Int8Dumper), (int, Int8BinaryDumper), (bool, _Flag)):
            connection.adapters.register_dumper(type_, dumper)
        for name, loader in (("numeric", _Whole), ("bool", _Bit)):
            connection.adapters.register_loader(name, loader)
        try:
            self._require(connection)
        except psycopg.Error as error:
            connection.close()
            raise self._translated(error) from error
        except DatabaseError:
            connection.close()
            raise
        return connection

    def _require(self, connection: "psycopg.Connection[Row]") -> None:
        """P2: what the server was told about disks, and whether it knows what the schema needs."""
        if connection.info.server_version < SERVER_MIN:
            raise DatabaseFailed(f"{self.name} is PostgreSQL {connection.info.server_version // 10000}: 15 is needed")
        told: dict[str, str] = dict(
            connection.execute(
                "select name, setting from pg_settings where name in ('fsync', 'synchronous_commit', 'server_encoding')"
            ).fetchall()
        )
        if told["fsync"] != "on":
            raise DatabaseFailed(f"{self.name} runs with fsync = off, and loses what it confirmed: switch it on")
        if told["server_encoding"] != "UTF8":
            raise DatabaseFailed(f"{self.name} has the encoding {told['server_encoding']}: make one with UTF8")
        session = [*_SESSION]
        if told["synchronous_commit"] in ("off", "local"):
            session.append("set synchronous_commit = on")
        if self._read_only:
            session.append("set default_transaction_read_only = on")
        connection.execute("; ".join(session))

    def _copy(self, table: str, columns: str, rows: Sequence[Parameters]) -> None:
        types = self._typed(table)
        with (
            self._live().cursor() as cursor,
            cursor.copy(f"copy {table} ({columns}) from stdin (format binary)") as copy,
        ):
            copy.set_types([types[name] for name in _names(columns)])
            for row in rows:
                copy.write_row(row)

    def _insert_arrays(self, table: str, columns: str, conflict: str, rows: Sequence[Parameters]) -> None:
        types = self._typed(table)
        arrays = ", ".join(f"${at}::{types[name]}[]" for at, name in enumerate(_names(columns), start=1))
        sql = f"insert into {table} ({columns}) select * from unnest({arrays}) {conflict}"
        self._live().execute(sql, [list(column) for column in zip(*rows, strict=True)])

    def _typed(self, table: str) -> dict[str, str]:
        if table not in self._types:
            found = self._live().execute(
                "select attname, format_type(atttypid, null) from pg_attribute "
                "where attrelid = to_regclass($1) and attnum > 0 and not attisdropped",
                (table,),
            )
            self._types[table] = {f'"{name}"' if name == "do" else name: type_ for name, type_ in found.fetchall()}
        return self._types[table]

    def _translated(self, error: psycopg.Error) -> DatabaseError:
        why = str(error).strip().partition("\n")[0] or type(error).__name__
        match error:
            case errors.DiskFull():
                return DatabaseFull(f"there is no room left for {self.name}: free some, then start again")
            case errors.DataCorrupted() | errors.IndexCorrupted():
                return DatabaseCorrupt(f"{self.name} is damaged: {why}")
            case errors.IntegrityError() | errors.RaiseException():
                return DatabaseRefused(f"{self.name} refuses a row: {why}")
            case errors.DataError() | errors.ProgramLimitExceeded():
                return DatabaseRefused(f"{self.name}: {why}")
        broken = self._connection.closed and error.sqlstate is None
        if broken or isinstance(error, _AGAIN):
            return DatabaseBusy(f"{self.name} cannot do it now, try again: {why}")
        return DatabaseFailed(f"{self.name}: {why}")


def shown(url: str) -> str:
    """The URL as it may stand in a log: where, which database, which schema; neither user nor password."""
    try:
        known = conninfo_to_dict(url)
    except psycopg.ProgrammingError as error:
        raise DatabaseFailed(f"the store's URL cannot be read: {str(error).strip()}") from error
    schema = re.search(r"search_path=(\w+)", str(known.get("options", "")))
    place = f"{known.get('host', '')}/{known.get('dbname', '')}"
    return f"postgresql://{place}{f' ({schema[1]})' if schema else ''}"


@lru_cache(maxsize=2048)
def _native(sql: str) -> str:
    """The statement with PostgreSQL's own `$1` in place of `?` and `?1`."""
    count = 0

    def numbered(found: re.Match[str]) -> str:
        nonlocal count
        if found[1] is None:
            return found[0]
        count += 1
        return f"${found[1] or count}"

    return _PARAMETER.sub(numbered, sql)


@lru_cache(maxsize=512)
def _insert(sql: str) -> tuple[str, str, str] | None:
    """Table, columns and conflict clause of an insert whose values are all parameters."""
    found = _INSERT.fullmatch(sql)
    return None if found is None else (found[1], found[2].strip(), found[4])


def _names(columns: str) -> list[str]:
    return [name.strip() for name in columns.split(",")]
