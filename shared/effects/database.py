"""SQL, handed in: one connection, explicit transactions, errors that say what to do.

The same room code runs on sqlite3, on PostgreSQL and, for power cuts, on apsw.
"""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

Row = tuple[Any, ...]
Parameters = Sequence[Any]


class Database(Protocol):
    """One connection. Statements outside `atomic` commit by themselves."""

    @property
    def engine(self) -> str:
        """Whose SQL it speaks where engines differ: `sqlite` or `postgres`."""

    def execute(self, sql: str, parameters: Parameters = ()) -> list[Row]:
        """Run one statement, return all its rows; raises DatabaseError."""

    def executemany(self, sql: str, rows: Iterable[Parameters]) -> None:
        """Run one statement for each row; raises DatabaseError."""

    def atomic(self) -> AbstractContextManager[None]:
        """A transaction: durable when the block ends, rolled back when it raises. Does not nest."""

    def snapshot(self) -> AbstractContextManager[None]:
        """Everything read within is of one instant; nothing is written. Does not nest."""

    def close(self) -> None:
        """Close the connection; an open transaction is rolled back."""
