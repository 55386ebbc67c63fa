"""Somebody with access to the database takes half an hour off an afternoon that has been billed (P11)."""

import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from demo.people import SITE, Calendar, instant
from demo.readings import DAY, HOUR, ZONE

DEVICE: Final = "excavator-1"
LEAST: Final = 2_160
TAKEN: Final = 1_800
AFTERNOON: Final = 12 * HOUR
"""UTC; in the window after it nobody works, so that all that is wrong is in one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tampered:
    """What was changed."""

    gateway: str
    log: str
    seq: int
    device: str
    day: str
    """The local day of the interval that differs."""
    was: int
    now: int


def tamper(store: Path, calendar: Calendar) -> Tampered:
    """One stored line of the month before last says less than its gateway has signed."""
    with closing(sqlite3.connect(store, timeout=30)) as database, database:
        for id_, raw in database.execute("select id, raw from line where kind = 'usage' order by id").fetchall():
            text = bytes(raw).decode("ascii")
            body = json.loads(text[text.index("|") + 1 : text.rindex("|")])
            index = _place(body, calendar)
            if index is not None:
                changed, told = _changed(text, body, index)
                _write(database, id_, changed.encode("ascii"))
                return told
    raise LookupError(f"{DEVICE} of {SITE} never worked for {LEAST} s of an afternoon's hour")


def _place(body: dict[str, Any], calendar: Calendar) -> int | None:
    """The interval of this line that is worth a lie."""
    first, end = instant(calendar.before) + 9 * DAY, instant(calendar.last) - 5 * DAY
    if body["gateway"] != SITE or not first <= body["start"] < end or body["start"] % DAY != AFTERNOON:
        return None
    deltas = _row(body)[5]
    return next((index for index, amount in enumerate(deltas) if amount >= LEAST), None)


def _row(body: dict[str, Any]) -> list[Any]:
    return next(row for row in body["rows"] if row[0] == DEVICE)


def _changed(text: str, body: dict[str, Any], index: int) -> tuple[str, Tampered]:
    row = _row(body)
    lie = [*row[5][:index], row[5][index] - TAKEN, *row[5][index + 1 :]]
    at = text.index(f'["{DEVICE}"')
    before, after = (json.dumps(deltas, separators=(",", ":")) for deltas in (row[5], lie))
    told = Tampered(
        gateway=body["gateway"],
        log=body["log"],
        seq=body["seq"],
        device=DEVICE,
        day=datetime.fromtimestamp(body["start"] + index * body["step"], ZONE).date().isoformat(),
        was=row[5][index],
        now=lie[index],
    )
    return text[:at] + text[at:].replace(before, after, 1), told


def _write(database: sqlite3.Connection, id_: int, raw: bytes) -> None:
    """The schema forbids it; who owns the file takes the trigger away and puts it back."""
    (trigger,) = database.execute("select sql from sqlite_master where name = 'line_bytes_unchanged'").fetchone()
    database.execute("drop trigger line_bytes_unchanged")
    database.execute("update line set raw = ? where id = ?", (raw, id_))
    database.execute(trigger)
