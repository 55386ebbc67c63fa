"""A sealed line as a fact: what it says, and when it came. Read back from the store or fresh from admission."""

from dataclasses import dataclass

from cloud_collector.intake.content import Content, read_content
from cloud_collector.store.store import Store
from cloud_collector.usage.let_go import LetGo
from shared.effects.database import Row
from shared.errors import DatabaseCorrupt, Refused
from shared.line import Line
from shared.report import Clock, Header, Report, UsageRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One line of the store."""

    id: int
    content: Content
    raw: bytes
    hash: str
    received_at: int


def fact_of(store: Store, row: Row) -> Fact:
    """A fact as the queries `fact` and `facts` return it; raises DatabaseCorrupt where it cannot be what was stored."""
    if row[14] is not None:
        return Fact(id=row[0], content=_let_go(store, row), raw=b"", hash=row[5], received_at=row[12])
    content = read_content(Line("MS1", bytes(row[13])))
    if isinstance(content, Refused):
        raise DatabaseCorrupt(f"line {row[0]} of the store cannot be read again: {content.reason}")
    return Fact(id=row[0], content=content, raw=bytes(row[13]), hash=row[5], received_at=row[12])


def fact(store: Store, line: int) -> Fact:
    """One fact by its id."""
    row = store.row("fact", line)
    if row is None:
        raise DatabaseCorrupt(f"the store has no line {line}, though something rests on it")
    return fact_of(store, row)


def _let_go(store: Store, row: Row) -> Content:
    """What is left of a line whose bytes were deleted: its header, and of a stretch's last what it came to."""
    _, gateway, log, epoch, seq, _, prev, key, kind, boot, clock, sealed, _, _, line, start, until = row
    header = Header(
        gateway=gateway,
        log=log,
        key=key,
        epoch=epoch,
        seq=seq,
        prev=prev,
        boot=boot,
        clock=Clock(clock),
        sealed_at=sealed,
    )
    rows = tuple(
        UsageRow(device, meter, unit, exponent, register, (units,), {})
        for device, meter, unit, exponent, register, units in (store.rows("let_go_rows", line) if until else ())
    )
    return Content(header, kind, LetGo(header=header, start=start or 0, step=(until or 1) - (start or 0), rows=rows))


def report_of(raw: bytes) -> Report | None:
    """What a stored line says, as far as it can be read."""
    content = read_content(Line("MS1", bytes(raw)))
    said = None if isinstance(content, Refused) else content.report
    return None if isinstance(said, LetGo) else said
