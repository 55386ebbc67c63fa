"""What a verified receipt says about a chain of this gateway: the rules of forgetting, as values (P7).

Source: docs/reference/wire.md, sections 2 and 4.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from shared.receipt import Receipt
from shared.report import Position


class HeardAs(StrEnum):
    """What a receipt means here."""

    STALE = "stale"
    """Its `at` is not newer than the highest heard: nothing follows from it."""
    UNKNOWN = "unknown"
    """It speaks of an epoch that this spool does not know, such as that of a lost one."""
    CONFIRMED = "confirmed"
    """Its head is this gateway's own line: every line up to it is safe."""
    UNPROVEN = "unproven"
    """The line at `through` is no longer held: it says nothing about forks and confirms nothing."""
    CONTRADICTED = "contradicted"
    """It goes beyond the last line, or names another line there: a restored image, or a copy, has spoken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """Where a log stands in an epoch: its last line, and the highest line that receipts have confirmed.

    `previous` is the position that the epoch's first birth names; `rival` the collector's own line
    that contradicts this chain.
    """

    log: str
    epoch: str
    seq: int = 0
    head: str = ""
    through: int = 0
    through_head: str = ""
    previous: Position | None = None
    rival: Position | None = None

    @property
    def last(self) -> Position | None:
        """The chain's last line."""
        return Position(self.epoch, self.seq, self.head) if self.seq else None

    @property
    def confirmed(self) -> Position | None:
        """The highest line that a receipt has confirmed."""
        return Position(self.epoch, self.through, self.through_head) if self.through else None

    @property
    def contradicted(self) -> bool:
        """Whether a receipt has named a line of another history."""
        return self.rival is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """A receipt's meaning, and what it did to the spool."""

    meaning: HeardAs
    confirmed_lines: int = 0
    reopened_lines: int = 0
    aside_lines: int = 0


def judge(chain: Chain | None, receipt: Receipt, *, heard_at: int, own_hash: str | None) -> HeardAs:
    """What the receipt means for the chain; `own_hash` is that of the line at `through`, None if not held."""
    if receipt.at <= heard_at:
        return HeardAs.STALE
    if chain is None:
        return HeardAs.UNKNOWN
    if receipt.through > chain.seq:
        return HeardAs.CONTRADICTED
    if receipt.through == 0:
        return HeardAs.CONFIRMED
    known = chain.head if receipt.through == chain.seq else own_hash
    if known is None:
        return HeardAs.UNPROVEN
    return HeardAs.CONFIRMED if known == receipt.head else HeardAs.CONTRADICTED


def follow(chain: Chain, receipt: Receipt, meaning: HeardAs) -> Chain:
    """The chain after a receipt; a contradiction is kept, for it names what the next epoch follows."""
    match meaning:
        case HeardAs.CONFIRMED:
            return replace(chain, through=receipt.through, through_head=receipt.head)
        case HeardAs.CONTRADICTED:
            return replace(chain, rival=Position(receipt.epoch, receipt.through, receipt.head))
        case HeardAs.UNPROVEN if receipt.through < chain.through:
            return replace(chain, through=receipt.through, through_head=receipt.head)
        case _:
            return chain


def successor(chain: Chain, *, forked: bool = False) -> Chain:
    """What a log's next epoch follows, as a chain without lines whose epoch is still to be set.

    The own last line where receipts agree with it; the collector's where they do not. When another
    log of this gateway is contradicted, only a confirmed line is surely known to the collector.
    """
    if chain.rival is not None:
        return replace(_EMPTY, log=chain.log, previous=chain.rival)
    return replace(_EMPTY, log=chain.log, previous=chain.confirmed if forked else chain.last)


def absent(asked: tuple[int, int], held: Iterable[int], told: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Of the positions asked for those that are neither held nor told of, as ranges."""
    left = [asked] if asked[0] <= asked[1] else []
    for first, last in (*((seq, seq) for seq in held), *told):
        cut = [part for low, high in left for part in ((low, min(high, first - 1)), (max(low, last + 1), high))]
        left = [(low, high) for low, high in cut if low <= high]
    return left


_EMPTY = Chain(log="", epoch="")
