"""The spool's tables: created in one transaction, checked whenever a spool is opened, loaded."""

import json
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from edge_agent import kept
from edge_agent.limits import SPOOL_CHECK_LINES
from edge_agent.receipts import Chain
from edge_agent.sealed import Place, SealedLine
from edge_agent.statements import statements
from shared.effects.database import Database, Row
from shared.errors import DatabaseCorrupt, DatabaseFailed
from shared.line import hash_of
from shared.report import Position

VERSION: Final = 1
_HEAD: Final = re.compile(
    rb'MS1\|\{"kind":"([a-z]+)","gateway":"[^"]*","log":"([^"]*)","key":"[^"]*","epoch":"([^"]*)","seq":([0-9]+),'
)
"""How this program spells the beginning of a line; what it did not seal itself is not in the spool."""
_CREATES: Final = (
    "create_identity",
    "create_chain",
    "create_heard",
    "create_line",
    "create_line_waiting",
    "create_snapshot",
    "create_kept",
    "set_version",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What a spool's tables say, lines apart."""

    gateway: str
    epoch: str
    chains: tuple[Chain, ...]
    heard: dict[str, int]


def created(database: Database) -> bool:
    """Whether the spool's tables exist; raises DatabaseFailed for a spool of a newer program."""
    sql = statements()
    version = int(database.execute(sql["version"])[0][0])
    if version > VERSION:
        raise DatabaseFailed(f"the spool has form {version}, this program knows {VERSION}: start a newer version of it")
    return version == VERSION


def create(
    database: Database,
    *,
    gateway: str,
    epoch: str,
    chains: Iterable[Chain],
    lines: Iterable[SealedLine],
    behind: Sequence[Place] = (),
) -> None:
    """Create a spool with what was salvaged, all in one transaction: a cut before its end leaves an empty file.

    `behind`: where lines stand that are sent only where nothing else needs their place.
    """
    sql = statements()
    with database.atomic():
        for name in _CREATES:
            database.execute(sql[name])
        database.execute(sql["set_identity"], summed(gateway, epoch))
        database.executemany(sql["put_chain"], [chain_row(chain) for chain in chains])
        database.executemany(sql["put_salvaged_line"], [line_row(line) for line in lines])
        if behind:
            database.execute(sql["create_line_behind"])
            database.executemany(sql["put_line_behind"], [(place.log, place.epoch, place.seq) for place in behind])


def check(database: Database) -> None:
    """Nothing if every page, line, chain and the snapshot are sound; raises DatabaseCorrupt.

    SQLite finds torn pages and indices, not changed values: those are held by hashes and check sums.
    """
    sql = statements()
    verdict = database.execute(sql["integrity"])
    _require(verdict == [("ok",)], str(verdict[0][0])[:200])
    if not created(database):
        _require(not database.execute(sql["tables"]), "it has tables and no version")
        return
    _require(database.execute(sql["unreadable_texts"]) == [(0,)], "a text in it is unreadable")
    heads: dict[tuple[str, str], tuple[int, str]] = {}
    for _, log, epoch, seq, name, kind, raw in _lines(database):
        head = _HEAD.match(raw)
        said = head and (head[1].decode(), head[2].decode(), head[3].decode(), int(head[4]))
        sound = said == (kind, log, epoch, seq) and hash_of(raw) == name
        _require(sound, f"line {seq} of {log} in epoch {epoch} is not what was sealed")
        heads[log, epoch] = max(heads.get((log, epoch), (0, "")), (seq, name))
    for chain in load(database).chains:
        seq, name = heads.get((chain.log, chain.epoch), (0, ""))
        ends = seq < chain.seq or (seq == chain.seq and name == chain.head)
        _require(ends, f"{chain.log} in epoch {chain.epoch} ends elsewhere")
    load_snapshot(database)
    if database.execute(sql["has_kept"]):
        kept.check(database.execute(sql["kept_all"]))


def load(database: Database) -> Loaded:
    """Read everything but lines and snapshot; raises DatabaseCorrupt."""
    sql = statements()
    identity = _whole(database.execute(sql["identity"]))
    _require(len(identity) == 1, "it does not say whose it is")
    gateway, epoch = identity[0]
    chains = tuple(_chain(row) for row in _whole(database.execute(sql["chains"])))
    heard = {str(log): int(at) for log, at in _whole(database.execute(sql["heard"]))}
    return Loaded(gateway=gateway, epoch=epoch, chains=chains, heard=heard)


def pack_snapshot(snapshot: Any) -> tuple[int, bytes]:
    """A snapshot as it is stored: small, because flash wears out, and with a check sum."""
    packed = zlib.compress(json.dumps(snapshot, separators=(",", ":"), allow_nan=False).encode(), 6)
    return zlib.crc32(packed), packed


def load_snapshot(database: Database) -> Any:
    """The stored snapshot, or None where there is none; raises DatabaseCorrupt."""
    rows = database.execute(statements()["snapshot"])
    if not rows:
        return None
    check_sum, packed = rows[0]
    sound = isinstance(packed, bytes) and zlib.crc32(packed) == check_sum
    _require(sound, "its snapshot is not what was committed")
    return json.loads(zlib.decompress(packed))


def chain_row(chain: Chain) -> Row:
    """A chain as its row."""
    return summed(
        chain.log,
        chain.epoch,
        chain.seq,
        chain.head,
        chain.through,
        chain.through_head,
        _position_text(chain.previous),
        _position_text(chain.rival),
    )


def summed(*values: str | int | None) -> Row:
    """A row with its check sum at the end."""
    return (*values, zlib.crc32(json.dumps(values).encode()))


def line_row(line: SealedLine) -> Row:
    """A line as its row."""
    place = line.place
    return (place.log, place.epoch, place.seq, line.hash, line.kind, line.sealed_at, line.raw)


def _chain(row: Row) -> Chain:
    log, epoch, seq, head, through, through_head, previous, rival = row
    return Chain(
        log=log,
        epoch=epoch,
        seq=seq,
        head=head,
        through=through,
        through_head=through_head,
        previous=_position(previous),
        rival=_position(rival),
    )


def _whole(rows: list[Row]) -> list[Row]:
    """The rows without their check sums, which must be right."""
    for row in rows:
        _require(summed(*row[:-1]) == row, f"a row is not what was committed: {str(row)[:100]}")
    return [row[:-1] for row in rows]


def _require(holds: bool, why: str) -> None:  # noqa: FBT001 - an assertion in words.
    if not holds:
        raise DatabaseCorrupt(f"the spool is damaged: {why}")


def _position_text(position: Position | None) -> str | None:
    return None if position is None else json.dumps(list(position))


def _position(text: str | None) -> Position | None:
    return None if text is None else Position(*json.loads(text))


def _lines(database: Database) -> Iterator[Row]:
    at = 0
    while rows := database.execute(statements()["lines_after"], (at, SPOOL_CHECK_LINES)):
        yield from rows
        at = rows[-1][0]
