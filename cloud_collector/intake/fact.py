"""A sealed line as a fact: what it says, and when it came. Read back from the store or fresh from admission."""

from dataclasses import dataclass

from cloud_collector.intake.content import Content, read_content
from cloud_collector.store.store import Store
from shared.effects.database import Row
from shared.errors import DatabaseCorrupt, Refused
from shared.line import Line
from shared.report import Report


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One line of the store."""

    id: int
    content: Content
    raw: bytes
    hash: str
    received_at: int


def fact_of(row: Row) -> Fact:
    """A fact as the queries `fact` and `facts` return it; raises DatabaseCorrupt where it cannot be what was stored."""
    content = read_content(Line("MS1", bytes(row[13])))
    if isinstance(content, Refused):
        raise DatabaseCorrupt(f"line {row[0]} of the store cannot be read again: {content.reason}")
    return Fact(id=row[0], content=content, raw=bytes(row[13]), hash=row[5], received_at=row[12])


def fact(store: Store, line: int) -> Fact:
    """One fact by its id."""
    row = store.row("fact", line)
    if row is None:
        raise DatabaseCorrupt(f"the store has no line {line}, though something rests on it")
    return fact_of(row)


def report_of(raw: bytes) -> Report | None:
    """What a stored line says, as far as it can be read."""
    content = read_content(Line("MS1", bytes(raw)))
    return None if isinstance(content, Refused) else content.report
