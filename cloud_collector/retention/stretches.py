"""Lines of a chain that say nothing but intervals, between neighbours that go on from them: stretches that may go.

A line may go where it and both of its neighbours are plain: usage at a time that was known, nothing estimated, set
apart, bridged or told by summaries, the same channels, each register and the time going on without a break. So births,
gaps, exchanges, clocks and the lines beside them stay, and with them everything that other lines follow from.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from cloud_collector.store.store import Store
from shared.report import Verdict

WINDOW_LINES: Final = 1_000
"""Positions of a chain that are read at once."""
MARKS: Final = tuple(f'"{verdict.value}"'.encode() for verdict in Verdict)
"""A line with one of these says of an interval what became of its meter: a fact that nothing else tells."""
STRETCH_LINES_MAX: Final = 10_000
"""Lines that become one figure, at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """A channel of the chain's gateway."""

    id: int
    device: str
    meter: str
    unit: str
    exponent: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """An epoch of a log, whole up to `through`."""

    id: int
    gateway: str
    log: str
    epoch: str
    through: int

    @property
    def name(self) -> tuple[str, str, str]:
        """As invoices name it."""
        return self.gateway, self.log, self.epoch


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A line that holds its position."""

    id: int
    seq: int
    received: int
    """Seconds."""
    size: int
    plain: bool
    start: int = 0
    until: int = 0
    rows: Mapping[int, tuple[int, int]] = field(default_factory=dict)
    """By channel: its register at the start and at the end."""

    def follows(self, before: "Held | None") -> bool:
        """Whether both are plain and this one goes on where the other ended."""
        if before is None or not (self.plain and before.plain) or self.seq != before.seq + 1:
            return False
        same = self.start == before.until and self.rows.keys() == before.rows.keys()
        return same and all(self.rows[each][0] == before.rows[each][1] for each in self.rows)


@dataclass(slots=True, kw_only=True)
class Stretch:
    """Lines that follow one another and may go together."""

    lines: list[Held]

    @property
    def start(self) -> int:
        """When it begins."""
        return self.lines[0].start

    @property
    def until(self) -> int:
        """When it ends."""
        return self.lines[-1].until

    @property
    def rows(self) -> dict[int, tuple[int, int]]:
        """By channel: its register at the start and what it came to."""
        last = self.lines[-1].rows
        return {each: (register, last[each][1] - register) for each, (register, _) in self.lines[0].rows.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """A line was looked at that stays; `why` is empty where its time has not come."""

    seq: int
    why: str


NOT_PLAIN: Final = "they say more than intervals, or stand beside a line that does"


def stretches(
    store: Store, chain: Chain, channels: Iterable[Channel], may: Callable[[Held], str | None], first: int = 1
) -> Iterator[Stretch | Looked]:
    """What may go from a position on, in order. `may` says why a line stays: empty for its time, None where it goes."""
    going: list[Held] = []
    before: Held | None = None
    this: Held | None = None
    for after in _and_none(_lines(store, chain, list(channels), max(1, first - 1))):
        if this is not None and this.seq >= first:
            why = may(this)
            if why is None and not (this.follows(before) and after is not None and after.follows(this)):
                why = NOT_PLAIN
            if why is None and len(going) >= STRETCH_LINES_MAX:
                # Beside every stretch stand lines that are kept as they were signed.
                why = ""
            if going and why is not None:
                yield Stretch(lines=going)
                going = []
            if why is None:
                going.append(this)
            else:
                yield Looked(seq=this.seq, why=why)
        before, this = this, after
    if going:
        yield Stretch(lines=going)


def _and_none(lines: Iterator[Held]) -> Iterator[Held | None]:
    yield from lines
    yield None


def _lines(store: Store, chain: Chain, channels: list[Channel], first: int) -> Iterator[Held]:
    told = _told(store, chain)
    while rows := store.rows("retention_lines", chain.id, first, chain.through, WINDOW_LINES):
        last = rows[-1][1]
        spans: dict[int, dict[int, tuple[int, ...]]] = defaultdict(dict)
        doubled: Counter[int] = Counter()
        for channel in channels:
            for seq, start, until, register, end, plain in store.rows(
                "retention_spans", channel.id, chain.id, first, last
            ):
                if channel.id in spans[seq] or not plain:
                    doubled[seq] += 1
                spans[seq][channel.id] = (start or 0, until or 0, register, end)
        for id_, seq, received_at, content, plain in rows:
            raw = bytes(content)
            found = spans.get(seq, {})
            times = {(row[0], row[1]) for row in found.values()}
            noted = any(mark in raw for mark in MARKS)
            whole = bool(plain) and not noted and len(times) == 1 and not doubled[seq] and not told(seq)
            start, until = next(iter(times)) if whole else (0, 0)
            yield Held(
                id=id_,
                seq=seq,
                received=received_at // 1000,
                size=len(raw),
                plain=whole,
                start=start,
                until=until,
                rows={channel: (row[2], row[3]) for channel, row in found.items()} if whole else {},
            )
        first = last + 1


def _told(store: Store, chain: Chain) -> Callable[[int], bool]:
    """Whether summaries, or what the gateway has forgotten, speak of a position or of one beside it."""
    ranges = [(first - 1, last + 1) for _, _, first, last in store.rows("cover_extents", chain.id)]
    ranges += [(first - 1, last + 1) for first, last in store.rows("gone_of", chain.id)]
    ranges += [(seq, seq) for (seq,) in store.rows("retention_unknown", chain.id)]
    return lambda seq: any(first <= seq <= last for first, last in ranges)
