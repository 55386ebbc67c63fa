"""What is still to be read in a damaged spool: every line that this gateway's own keys have signed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from edge_agent.limits import SALVAGE_FAILURES_MAX, SALVAGE_ROWS_STEP_MAX, SPOOL_CHECK_LINES
from edge_agent.sealed import SealedLine
from shared.effects.database import Database, Row
from shared.errors import DatabaseError, Refused
from shared.key import PublicKey
from shared.line import parse
from shared.report import read

_LAST: Final = "select max(id) from line"
_AFTER: Final = "select id, raw from line where id > ? order by id limit ?"
_EPOCH: Final = "select epoch from identity"
_ROWS_MAX: Final = 2**40
"""Where even the highest id cannot be read, no spool has had more lines."""


@dataclass(frozen=True, slots=True)
class Salvaged:
    """The lines that verify, in the order in which they were sealed, and how many rows were unreadable."""

    lines: tuple[SealedLine, ...] = ()
    unreadable: int = 0
    epoch: str | None = None
    """The epoch that the spool was in, where that can be read."""


def salvage(database: Database, *, gateway: str, keys: Sequence[PublicKey]) -> Salvaged:
    """Read what can be read; a row that fails is leapt over, in ever longer leaps."""
    lines = []
    unreadable = 0
    for raw in _raws(database):
        line = verified(raw, gateway=gateway, keys=keys) if raw is not None else None
        if line is None:
            unreadable += 1
        else:
            lines.append(line)
    return Salvaged(tuple(lines), unreadable, _epoch(database))


def verified(raw: object, *, gateway: str, keys: Sequence[PublicKey]) -> SealedLine | None:
    """The line that these bytes are, if they are one that this gateway sealed."""
    if not isinstance(raw, bytes):
        return None
    line = parse(raw)
    if isinstance(line, Refused) or not any(line.verified_by(key) for key in keys):
        return None
    report = read(line)
    if isinstance(report, Refused) or report.header.gateway != gateway:
        return None
    return SealedLine.of(report, raw)


def _epoch(database: Database) -> str | None:
    try:
        rows = database.execute(_EPOCH)
    except DatabaseError:
        return None
    return rows[0][0] if rows and isinstance(rows[0][0], str) else None


def _raws(database: Database) -> Iterator[bytes | None]:
    last = _last_id(database)
    at, step, failed = 0, 1, 0
    while at < last and failed < SALVAGE_FAILURES_MAX:
        rows = _readable(database, at, SPOOL_CHECK_LINES) or _readable(database, at, 1)
        if rows is None:
            yield None
            failed += 1
            at += step
            step = min(step * 2, SALVAGE_ROWS_STEP_MAX)
            continue
        if not rows:
            return
        for _, raw in rows:
            yield raw
        at, step = max(int(row[0]) for row in rows), 1


def _readable(database: Database, after: int, limit: int) -> Sequence[Row] | None:
    try:
        rows = database.execute(_AFTER, (after, limit))
    except DatabaseError:
        return None
    # A damaged tree may lead back to rows before.
    rising = [row for row in rows if isinstance(row[0], int) and row[0] > after]
    return rising or (None if rows else rows)


def _last_id(database: Database) -> int:
    try:
        rows = database.execute(_LAST)
    except DatabaseError:
        return _ROWS_MAX
    return int(rows[0][0] or 0)
