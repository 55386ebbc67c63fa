"""Spools for tests: small contents to seal, receipts as the collector would seal them, openers."""

from pathlib import Path
from random import Random
from typing import Final

from edge_agent.disk import Disk, FileDisk
from edge_agent.sealable import BirthContent, Sealable, UsageContent
from edge_agent.sealed import Author
from edge_agent.spool import Spool
from shared.key import SigningKey
from shared.line import hash_of
from shared.receipt import Receipt
from shared.report import Cause, Channel, Clock, UsageRow

GATEWAY: Final = "gw-1"
KEY: Final = SigningKey(b"g" * 32)
COLLECTOR_KEY: Final = SigningKey(b"c" * 32)
AUTHOR: Final = Author(agent="meterseal test", config=hash_of(b"config"))
BYTES_MAX: Final = 16 * 1024 * 1024
START: Final = 1_800_000_000
DAY_MS: Final = 86_400_000


def open_spool(where: Path | Disk, *, seed: int = 1, bytes_max: int = BYTES_MAX, gateway: str = GATEWAY) -> Spool:
    """The spool at a path or on a disk."""
    disk = FileDisk(where) if isinstance(where, Path) else where
    return Spool.open(disk, gateway=gateway, key=KEY, author=AUTHOR, random=Random(seed), bytes_max=bytes_max)


def birth(log: str = "main", *, cause: Cause = Cause.START) -> Sealable:
    """A birth of one channel."""
    channel = Channel("eth0", "down", "By", 0, "netdev", "", 0, 0)
    return _sealable(log, START, BirthContent(cause=cause, channels=(channel,)))


def usage(number: int, log: str = "main", *, intervals: int = 1) -> Sealable:
    """The usage line of the window with this number; its size grows with its intervals."""
    row = UsageRow("eth0", "down", "By", 0, number * intervals, (1,) * intervals, {})
    content = UsageContent(start=START + 60 * number, step=60, count=intervals, rows=(row,))
    return _sealable(log, START + 60 * (number + 1), content)


def receipt(
    spool: Spool,
    through: int,
    *,
    at: int,
    head: str | None = None,
    log: str = "main",
    epoch: str | None = None,
    missing: tuple[tuple[int, int], ...] = (),
    aside: tuple[str, ...] = (),
) -> Receipt:
    """A receipt of this spool's line at `through`, or of another's where `head` is given."""
    epoch = epoch or spool.epoch
    if head is None:
        head = held_hash(spool, log, epoch, through) if through else ""
    return Receipt(
        gateway=spool.gateway,
        log=log,
        key=COLLECTOR_KEY.public.id,
        epoch=epoch,
        through=through,
        head=head,
        missing=missing,
        aside=aside,
        at=at,
    )


def held_hash(spool: Spool, log: str, epoch: str, seq: int) -> str:
    """The hash of a line that the spool holds."""
    rows = spool._database.execute("select hash from line where log = ? and epoch = ? and seq = ?", (log, epoch, seq))
    return str(rows[0][0])


def held(spool: Spool, log: str = "main") -> list[int]:
    """The seqs of a log that the spool still holds, of all epochs, in the order of sealing."""
    return [row[0] for row in spool._database.execute("select seq from line where log = ? order by id", (log,))]


def _sealable(log: str, sealed_at: int, content: BirthContent | UsageContent) -> Sealable:
    return Sealable(log=log, boot="b0000001", clock=Clock.SYNCHRONISED, sealed_at=sealed_at, content=content)
