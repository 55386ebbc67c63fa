"""Positions of a chain: which genuine line holds which, what stands aside, how far the chain is whole (P5, P11).

Source: docs/reference/wire.md, section 4. `through` is the end of the hash-linked run from seq 1 that
is held; at or below it nothing changes. Above it lines take their positions as they come, until the
chain that grows towards them says otherwise.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum

from cloud_collector.limits import ASIDE_LINES_MAX
from cloud_collector.store.store import Store
from shared.effects.database import Row
from shared.limits import GATEWAY_LOGS_MAX
from shared.report import Header


class Hold(IntEnum):
    """How a line is held."""

    POSITION = 0
    LOSER = 1
    """Another line holds its position."""
    DEAD = 2
    """It, or an ancestor, contradicts the chain."""


@dataclass(slots=True, kw_only=True)
class Chain:
    """One epoch of one log, as its row in the store says."""

    id: int
    gateway: str
    log: str
    epoch: str
    through: int = 0
    head: str = ""
    top: int = 0
    """The highest position held."""
    asides: int = 0
    gone: int = 0
    """How many ranges the gateway says it has forgotten or folded into summaries."""
    standing: str = "linked"
    succeeded: int | None = None
    born: int = 0
    rank: int | None = None

    @property
    def linked(self) -> bool:
        """Whether its birth is held and it has its place among the log's epochs."""
        return bool(self.born) and self.rank is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A genuine line as the chain sees it, and the rest of its row."""

    id: int
    seq: int
    hash: str
    prev: str
    received_at: int
    row: tuple[object, ...]
    """key, kind, boot, clock, sealed, received_at, raw"""
    covers: tuple[tuple[int, int, str, str], ...] = ()
    """Of a summary: first, last, the hash before the first, the hash of the last."""


@dataclass(frozen=True, slots=True)
class Taken:
    """The line holds its position."""


@dataclass(frozen=True, slots=True)
class Known:
    """The very line is held already."""

    aside: bool


@dataclass(frozen=True, slots=True)
class PutAside:
    """The line is kept aside."""

    reason: str


@dataclass(frozen=True, slots=True)
class Overflow:
    """Too many lines of the chain stand aside: this one is not kept."""


Outcome = Taken | Known | PutAside | Overflow


NumberOf = Callable[[str, str, str], int | None]
"""The number of the thing of this name, or None where it may have any."""


class Positions:
    """Lets lines take positions within one transaction; `flush` writes what is still held back."""

    def __init__(self, store: Store, number: NumberOf = lambda *_: None) -> None:
        """`number` says which number a new chain has that another store numbers."""
        self._store = store
        self._number = number
        self._at = 0
        self._rows: list[tuple[object, ...]] = []
        self._chains: dict[tuple[str, str, str], Chain] = {}
        self._dirty: dict[int, Chain] = {}
        self.events: list[int] = []
        """Ids of lines in the order in which they took positions, also those that lost them again."""
        self.taken: dict[int, None] = {}
        """Ids of lines that hold a position since this transaction began."""
        self.lost: dict[int, Chain] = {}
        """Ids of lines that held one before it and no longer do."""

    def chain(self, gateway: str, log: str, epoch: str) -> Chain | None:
        """The chain of an epoch, begun where it is new; None where the gateway has as many logs as it may."""
        name = (gateway, log, epoch)
        chain = self._chains.get(name)
        if chain is None:
            row = self._store.row("chain_by_name", *name)
            if row is None:
                # P9, P21: a gateway that invents logs without end harms only its own account.
                if self._store.rows("logs_beside", gateway, log)[0][0] >= GATEWAY_LOGS_MAX:
                    return None
                number = self._number(*name)
                row = self._store.rows("chain_begin", *name)[0] if number is None else self._begin_as(number, name)
            chain = self._chains[name] = chain_of(row)
        return chain

    def _begin_as(self, number: int, name: tuple[str, str, str]) -> Row:
        return self._store.rows("chain_begin_as", number, *name)[0]

    def holds(self, header: Header, name: str) -> bool:
        """Whether the very line of this hash is held, in its position or aside."""
        self.flush()
        row = self._store.row("chain_by_name", header.gateway, header.log, header.epoch)
        if row is None:
            return False
        chain = chain_of(row)
        holder = self._holder(chain, header.seq)
        beside = any(held[1] == name for held in self._aside(chain, header.seq))
        return beside or (holder is not None and holder[1] == name)

    def place(self, chain: Chain, entry: Entry) -> Outcome:
        """Let a genuine line take its position, or say why not."""
        seq = entry.seq
        if seq == chain.through + 1 == chain.top + 1 and entry.prev == chain.head and not chain.asides:
            # The common case: the next line of a whole chain.
            self._put(chain, entry, Hold.POSITION)
            chain.through = chain.top = seq
            chain.head = entry.hash
            return Taken()
        self.flush()
        self._at = entry.received_at
        aside = self._aside(chain, seq)
        if any(held[1] == entry.hash for held in aside):
            return Known(aside=True)
        holder = self._holder(chain, seq)
        if holder is not None and holder[1] == entry.hash:
            return Known(aside=False)
        if holder is None and seq <= chain.through and self._is_covered(chain, seq):
            return self._take_covered(chain, entry)
        reason = self._contradiction(chain, entry, holder)
        if reason is None and holder is not None and not self._committed(chain, seq, entry.hash):
            return self._set_aside(chain, entry, Hold.LOSER, "another line holds its position")
        if reason is not None:
            outcome = self._set_aside(chain, entry, Hold.DEAD, reason)
            # What follows it may have come before it, and taken positions that were free.
            self._bury_after(chain, seq, entry.hash)
            return outcome
        if holder is not None:
            self._demote(chain, seq, holder, Hold.LOSER, "the line after it follows another one")
        self._put(chain, entry, Hold.POSITION)
        chain.top = max(chain.top, seq)
        self.flush()
        self._commit_below(chain, seq, entry.prev)
        self._advance(chain)
        return Taken()

    def forget(self, chain: Chain, ranges: int = 1) -> None:
        """The gateway has said that it forgot or folded positions: they may no longer hold the chain up."""
        self.flush()
        chain.gone += ranges
        self._mark(chain)
        self._advance(chain)

    def flush(self) -> None:
        """Write lines and chains that are still held back."""
        if self._dirty:
            self._store.run_many(
                "chain_update",
                [(c.through, c.head, c.top, c.asides, c.gone, c.id) for c in self._dirty.values()],
            )
            self._dirty.clear()
        if self._rows:
            self._store.run_many("line_put", self._rows)
            self._rows.clear()

    def _is_covered(self, chain: Chain, seq: int) -> bool:
        return bool(chain.gone) and self._store.row("covers_at", chain.id, seq, seq) is not None

    def _take_covered(self, chain: Chain, entry: Entry) -> Outcome:
        """A line that a summary covers comes after all: it takes its position where its neighbours agree."""
        seq = entry.seq
        before, after = self._holder(chain, seq - 1), self._holder(chain, seq + 1)
        follows = {before[1]} if before else set()
        followed = {after[2]} if after else set()
        for first, last, before_first, ends in self._store.rows("covers_at", chain.id, seq - 1, seq + 1):
            follows |= {before_first} if first == seq else {ends} if last == seq - 1 else set()
            followed |= {ends} if last == seq else {before_first} if first == seq + 1 else set()
        if not follows <= {entry.prev} or not followed <= {entry.hash}:
            return self._set_aside(chain, entry, Hold.DEAD, "it is not the line that a summary covers")
        reason = self._forked(chain, entry)
        if reason is not None:
            return self._set_aside(chain, entry, Hold.DEAD, reason)
        self._put(chain, entry, Hold.POSITION)
        self.flush()
        return Taken()

    def _contradiction(self, chain: Chain, entry: Entry, holder: tuple[int, str, str] | None) -> str | None:
        if entry.seq <= chain.through:
            # P5: at or below `through` nothing changes; what is not held there was forgotten.
            return "another line holds its position" if holder else "its position was forgotten"
        if entry.seq == chain.through + 1:
            follows = entry.prev == chain.head
            return self._forked(chain, entry) if follows else "it follows another line than the one held"
        return self._forked(chain, entry)

    def _forked(self, chain: Chain, entry: Entry) -> str | None:
        """Why a line whose position may be free belongs to another life of the gateway."""
        if any(held[1] == entry.prev and held[3] == Hold.DEAD for held in self._aside(chain, entry.seq - 1)):
            return "the line that it follows contradicts the chain"
        for first, last, before, ends in entry.covers:
            for seq, said in ((first - 1, before), (last, ends)):
                holder = self._holder(chain, seq) if 0 < seq <= chain.through else None
                if holder is not None and holder[1] != said:
                    return "it covers other lines than those held"
        return None

    def _committed(self, chain: Chain, seq: int, name: str) -> bool:
        successor = self._holder(chain, seq + 1)
        return successor is not None and successor[2] == name

    def _commit_below(self, chain: Chain, seq: int, prev: str) -> None:
        # Above `through` an accepted successor's `prev` decides between two lines at one position.
        while seq - 1 > chain.through:
            seq -= 1
            holder = self._holder(chain, seq)
            if holder is not None and holder[1] == prev:
                return
            rival = next((held for held in self._aside(chain, seq) if held[1] == prev and held[3] == Hold.LOSER), None)
            if rival is None:
                return
            if holder is not None:
                self._demote(chain, seq, holder, Hold.LOSER, "the line after it follows another one")
            self._promote(chain, rival)
            prev = rival[2]

    def _advance(self, chain: Chain) -> None:
        while True:
            seq = chain.through + 1
            holder = self._holder(chain, seq)
            if holder is not None and holder[2] != chain.head:
                self._bury(chain, seq, holder)
                holder = None
            if holder is None:
                holder = self._heir(chain, seq)
            if holder is not None:
                chain.through, chain.head = seq, holder[1]
                self._mark(chain)
            elif not self._skip(chain, seq):
                return

    def _heir(self, chain: Chain, seq: int) -> tuple[int, str, str] | None:
        """The line set aside that follows the head, now holding the position."""
        for held in self._aside(chain, seq) if chain.asides else ():
            if held[3] == Hold.LOSER and held[2] == chain.head:
                self._promote(chain, held)
                chain.top = max(chain.top, seq)
                return held[:3]
        return None

    def _skip(self, chain: Chain, seq: int) -> bool:
        """Pass over positions that a summary covers, or that the gateway has forgotten, their successor being held."""
        if not chain.gone:
            return False
        if self._skip_covered(chain, seq):
            return True
        row = self._store.row("gone_at", chain.id, seq, seq)
        successor = None if row is None else self._holder(chain, row[0] + 1)
        if row is None or successor is None:
            return False
        chain.through, chain.head = row[0], successor[2]
        self._mark(chain)
        return True

    def _skip_covered(self, chain: Chain, seq: int) -> bool:
        for first, last, before, ends in self._store.rows("covers_at", chain.id, seq, seq):
            if first == seq and before != chain.head:
                # It covers other lines than those of this chain.
                continue
            held = self._store.row("line_next_held", chain.id, seq, last)
            chain.through, chain.head = (last, ends) if held is None else (held[0] - 1, held[1])
            self._mark(chain)
            return True
        return False

    def _bury(self, chain: Chain, seq: int, holder: tuple[int, str, str]) -> None:
        """Set a line that contradicts the chain aside, and every line that follows it."""
        self._demote(chain, seq, holder, Hold.DEAD, "it follows another line than the one held")
        self._bury_after(chain, seq, holder[1])

    def _bury_after(self, chain: Chain, seq: int, name: str) -> None:
        """Set every line aside that follows one which contradicts the chain."""
        while True:
            seq += 1
            following = self._holder(chain, seq)
            if following is None or following[2] != name:
                break
            self._demote(chain, seq, following, Hold.DEAD, "the line that it follows contradicts the chain")
            name = following[1]
        row = self._store.row("line_top", chain.id)
        chain.top = max(chain.through, row[0] if row and row[0] else 0)

    def _put(self, chain: Chain, entry: Entry, hold: Hold) -> None:
        self._rows.append((entry.id, chain.id, entry.seq, entry.hash, entry.prev, *entry.row, int(hold)))
        self._mark(chain)
        if hold is Hold.POSITION:
            self.events.append(entry.id)
            self.taken[entry.id] = None

    def _set_aside(self, chain: Chain, entry: Entry, hold: Hold, reason: str) -> PutAside | Overflow:
        # P9: a gateway that equivocates without end harms only its own account.
        if chain.asides >= ASIDE_LINES_MAX:
            return Overflow()
        chain.asides += 1
        self._put(chain, entry, hold)
        self.flush()
        self._alarm(chain, entry.id, entry.seq, reason)
        return PutAside(reason)

    def _demote(self, chain: Chain, seq: int, holder: tuple[int, str, str], hold: Hold, reason: str) -> None:
        self._store.run("line_hold", int(hold), holder[0])
        chain.asides += 1
        self._mark(chain)
        if holder[0] in self.taken:
            del self.taken[holder[0]]
        else:
            self.lost[holder[0]] = chain
        self._alarm(chain, holder[0], seq, reason)

    def _promote(self, chain: Chain, held: tuple[int, str, str, int]) -> None:
        self._store.run("line_hold", int(Hold.POSITION), held[0])
        chain.asides -= 1
        self._mark(chain)
        self.events.append(held[0])
        if held[0] in self.lost:
            del self.lost[held[0]]
        else:
            self.taken[held[0]] = None

    def _alarm(self, chain: Chain, line: int, seq: int, reason: str) -> None:
        text = f"{chain.gateway}/{chain.log} {chain.epoch}:{seq} is kept aside: {reason}"
        self._store.run("alarm_raise", line, "aside", chain.gateway, chain.log, text, self._at)

    def _mark(self, chain: Chain) -> None:
        self._dirty[chain.id] = chain

    def _holder(self, chain: Chain, seq: int) -> tuple[int, str, str] | None:
        row = self._store.row("line_at", chain.id, seq)
        return None if row is None else (row[0], row[1], row[2])

    def _aside(self, chain: Chain, seq: int) -> Sequence[tuple[int, str, str, int]]:
        if not chain.asides:
            return ()
        return [(row[0], row[1], row[2], row[3]) for row in self._store.rows("line_aside_at", chain.id, seq)]


def chain_of(row: Row) -> Chain:
    """A chain as `chain_by_name` and its kin return it."""
    return Chain(
        id=row[0],
        gateway=row[1],
        log=row[2],
        epoch=row[3],
        through=row[4],
        head=row[5],
        top=row[6],
        asides=row[7],
        gone=row[8],
        standing=row[9],
        succeeded=row[10],
        born=row[11],
        rank=row[12],
    )
