"""Small things that the spool keeps beside lines: who signs, which commands were done, which interval was asked for."""

import json
import zlib
from typing import Any, Final

from edge_agent.statements import statements
from shared.effects.database import Database, Row
from shared.errors import DatabaseCorrupt

SIGNER: Final = "signer"
"""The id of the key that signs the next line."""
COUNTER: Final = "counter"
"""The highest counter of a command that was done, or tried."""
ANSWERS: Final = "answers"
"""The last answers: [counter, ok, why, hash of the command]."""
COMMISSIONED: Final = "commissioned"
"""By channel: what people found its display to show, and the line that states it."""
INTERVAL: Final = "interval"
"""[step, count] as a command has set them."""

GONE: Final = "gone"
"""By log and epoch: up to where receipted lines have been forgotten, and when the last of them was receipted."""


def prepare(database: Database) -> None:
    """The table is there, also in a spool of an earlier version."""
    if not database.execute(statements()["has_kept"]):
        database.execute(statements()["create_kept"])


def put_row(name: str, value: Any) -> Row:
    """A value as its row, with its check sum; every value is plain JSON data."""
    text = json.dumps(value, separators=(",", ":"))
    return (name, text, zlib.crc32(f"{name} {text}".encode()))


def get(database: Database, name: str) -> Any:
    """The value, or None where there is none; raises DatabaseCorrupt."""
    rows = database.execute(statements()["kept"], (name,))
    if not rows:
        return None
    check([(name, *rows[0])])
    return json.loads(rows[0][0])


def check(rows: list[Row]) -> None:
    """Nothing where every row is what was committed; raises DatabaseCorrupt."""
    for name, text, check_sum in rows:
        if zlib.crc32(f"{name} {text}".encode()) != check_sum:
            raise DatabaseCorrupt(f"the spool is damaged: {name} is not what was committed")
