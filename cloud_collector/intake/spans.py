"""The rows of the projection in the store: appended, walked again behind late lines, carried from epoch to epoch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Final, NamedTuple

from cloud_collector.fleet.positions import Chain
from cloud_collector.intake.channels import Channels, Known
from cloud_collector.intake.fact import Fact
from cloud_collector.limits import CACHED_CHANNELS_MAX, LATE_WALK_ROWS
from cloud_collector.store.store import Store
from cloud_collector.usage.between import (
    Carried,
    EpochEnd,
    EpochStart,
    Uncarried,
    between_epochs,
    raw_at_end,
    surely_before,
)
from cloud_collector.usage.derive import ALL, Row, RowKind
from cloud_collector.usage.let_go import LetGo
from cloud_collector.usage.packing import pack_deltas
from cloud_collector.usage.settle import DISOWNED_LINE, BridgeUnits, Node, Settled, Tail, settle
from shared.effects.database import Row as SqlRow
from shared.report import Birth, Exchange, Gap, GapCause, Summary, Usage

NOT_SETTLED: Final = -1
"""`ragged` of a row whose neighbours have not been looked at; none is left when a transaction ends."""


@dataclass(slots=True)
class Dirty:
    """Which channels of which chains must be walked again, and from which positions."""

    rows: dict[tuple[int, int], list[int]] = field(default_factory=dict)
    chains: dict[int, list[int]] = field(default_factory=dict)
    begun: set[int] = field(default_factory=set)
    """Chains in which a channel's first row has just arrived: what is carried over to it may be another."""

    def row(self, channel: int, chain: int, seq: int) -> None:
        """This channel, from here."""
        self.rows.setdefault((channel, chain), []).append(seq)

    def all_after(self, chain: int, seq: int) -> None:
        """Every channel of the chain: a hole was filled or torn here."""
        self.chains.setdefault(chain, []).append(seq)


UNREAD: Final = Tail(-1, -1, None, None)
"""In the place of a last row that has to be read again."""


class Tails:
    """The last row of each channel in each chain, and rows that wait to be written."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.known: dict[int, dict[int, Tail | None]] = {}
        """By chain and channel, a chain with all its channels; UNREAD where the store knows better."""
        self.waiting: list[tuple[object, ...]] = []
        self._held = 0

    def get(self, channel: int, chain: int) -> Tail | None:
        """The last row, from memory or from the store."""
        known = self.of(chain)
        tail = known.get(channel)
        if tail is UNREAD:
            row = self._store.row("node_tail", channel, chain)
            tail = None if row is None else Tail(*row)
        known[channel] = tail
        return tail

    def of(self, chain: int) -> dict[int, Tail | None]:
        """The last rows of all channels of the chain, read at once where they are not known."""
        known = self.known.get(chain)
        if known is None:
            # What waits to be written is known here alone.
            self.flush()
            if self._held >= CACHED_CHANNELS_MAX:
                self.known.clear()
                self._held = 0
            rows = self._store.rows("tails_of_chain", chain)
            known = self.known[chain] = {row[0]: Tail(*row[1:]) for row in rows}
            self._held += len(known) + 1
        return known

    def drop(self, channel: int, chain: int) -> None:
        """The store knows better, once what waits is written."""
        if chain in self.known:
            self.known[chain][channel] = UNREAD

    def forget(self, chain: int) -> None:
        """Another process may have changed the chain's rows."""
        self.known.pop(chain, None)

    def flush(self) -> None:
        """Every row is written, neighbours together."""
        if self.waiting:
            self.waiting.sort(key=_place)
            self._store.run_many("span_put", self.waiting)
            self.waiting.clear()


_place: Final = itemgetter(0, 1, 2, 3)


class Spot(NamedTuple):
    """Where a row stands, and the line that says it."""

    channel: int
    chain: int
    seq: int
    line: int


def append(tails: Tails, spot: Spot, row: Row, dirty: Dirty, *, cloned: int) -> None:
    """The row is in the store, settled at once where it simply goes on; else marked to be walked."""
    channel, chain, seq, line = spot
    _, _, _, _, kind, start, step, deltas, register, register_end, estimated, raw, serial = row
    count = len(deltas)
    until = None if start is None else start + step * count
    tail = None
    goes_on = start is not None and not cloned and (channel, chain) not in dirty.rows
    if goes_on:
        known = tails.known.get(chain)
        tail = UNREAD if known is None else known.get(channel, UNREAD)
        if tail is UNREAD:
            tail = tails.get(channel, chain)
            known = tails.known[chain]
        goes_on = tail is None or (tail.seq < seq and tail.top == register)
    if goes_on:
        # What `settle` decides where nothing has to be decided: this is intake's innermost loop.
        if tail is None:
            dirty.begun.add(chain)
            reach = None
        else:
            reach = tail.reach
        ragged = 0
        if kind == RowKind.USAGE:
            ragged = int(reach is not None and start < reach)  # type: ignore[operator]
            reach = until if reach is None else max(reach, until)  # type: ignore[type-var]
        top = register_end
        known[channel] = tuple.__new__(Tail, (seq, top, until, reach))  # type: ignore[index]
    else:
        dirty.row(channel, chain, seq)
        tails.drop(channel, chain)
        ragged, top, reach = NOT_SETTLED, register_end, None
    tails.waiting.append(
        (channel, chain, seq, int(kind), line, start, step, count, until, register, register_end, pack_deltas(deltas),
         estimated, raw, serial, cloned, None, 0, ragged, top, reach)
    )  # fmt: skip


def drop_line(store: Store, channels: Channels, chain: Chain, fact: Fact, dirty: Dirty) -> None:
    """The store says nothing any more that this line said."""
    seq = fact.content.header.seq
    report, known = fact.content.report, channels.of(fact.content.header.gateway)
    if isinstance(report, Summary):
        for row in report.rows:
            said = known.get((row.device, row.meter))
            if said is not None:
                place = (said.id, chain.id, report.covers[0].first, report.covers[-1].last, seq)
                for (at,) in store.rows("folded_drop_line", *place):
                    store.run("bridge_drop", said.id, chain.id, at)
                    dirty.row(said.id, chain.id, at)
    for channel in spoken_of(fact, known):
        store.run("node_drop", channel.id, chain.id, seq)
        store.run("bridge_drop", channel.id, chain.id, seq)
        store.run("unknown_drop_line", channel.id, chain.id, seq)
        dirty.row(channel.id, chain.id, seq)
    store.run("bad_row_drop", fact.id)
    store.run("alarm_drop", fact.id, "cloned")
    dirty.all_after(chain.id, seq)


def settle_dirty(store: Store, channels: Channels, tails: Tails, dirty: Dirty, chains: Mapping[int, Chain]) -> bool:
    """Every row that was marked is settled among its neighbours; whether there was any."""
    if dirty.rows or dirty.chains:
        tails.flush()
    for id_, seqs in dirty.chains.items():
        chain = chains.get(id_)
        for known in channels.of(chain.gateway).values() if chain is not None else ():
            dirty.rows.setdefault((known.id, id_), []).extend((min(seqs), max(seqs)))
    mine = sorted(key for key in dirty.rows if key[1] in chains)
    names = {known.id: name for chain in chains.values() for name, known in channels.of(chain.gateway).items()}
    for channel, id_ in mine:
        _walk(store, names[channel], channel, id_, dirty.rows.pop((channel, id_)))
        tails.drop(channel, id_)
    for id_ in chains:
        dirty.chains.pop(id_, None)
    return bool(mine)


def _walk(store: Store, name: tuple[str, str], channel: int, chain: int, seqs: list[int]) -> None:
    row = store.row("node_before", channel, chain, min(seqs))
    before = None if row is None else Tail(*row)
    seq, last = min(seqs), max(seqs)
    while True:
        page = store.rows("nodes_from", channel, chain, seq, LATE_WALK_ROWS)
        for found in page:
            node = Node(found[0], found[1], found[2], found[3], found[4], found[5], found[6])
            settled = _settle(store, name, chain, before, node)
            changed = _write(store, (channel, chain), settled, found)
            if not changed and node.seq > last:
                return
            if node.cloned != DISOWNED_LINE:
                before = settled.tail
        if len(page) < LATE_WALK_ROWS:
            return
        seq = page[-1][0] + 1


def _settle(store: Store, name: tuple[str, str], chain: int, before: Tail | None, node: Node) -> Settled:
    hole = unreadable = False
    if before is not None and node.register > before.top:
        held = store.rows("lines_held_between", chain, before.seq, node.seq)[0][0]
        hole = held < node.seq - before.seq - 1
        unreadable = bool(store.rows("bad_rows_between", chain, before.seq, node.seq, *name)[0][0])
    return settle(before, node, hole=hole, unreadable=unreadable)


def _write(store: Store, key: tuple[int, int], settled: Settled, found: SqlRow) -> bool:
    (channel, chain), seq = key, found[0]
    new = (settled.reason, settled.withheld, int(settled.ragged), settled.tail.top, settled.tail.reach)
    changed = new != tuple(found[8:13])
    if changed:
        store.run("span_settle", *new, channel, chain, seq)
    bridge = settled.bridge
    held = None if found[15] is None else (found[13], found[14], found[15], found[16] - found[15])
    if bridge != (None if held is None else BridgeUnits(*held)):
        changed = True
        store.run("bridge_drop", channel, chain, seq)
        if bridge is not None:
            spot = Spot(channel, chain, seq, found[7])
            store.run("span_put", *_derived(spot, RowKind.BRIDGE, bridge))
    return changed


def _derived(spot: Spot, kind: RowKind, what: BridgeUnits | Carried) -> tuple[object, ...]:
    end = what.register + what.units
    until = None if what.start is None else what.start + what.seconds
    channel, chain, seq, line = spot
    return (
        channel, chain, seq, int(kind), line, what.start, what.seconds, 1, until, what.register, end,
        pack_deltas((what.units,)), ALL, None, None, 0, None, 0, 0, end, None,
    )  # fmt: skip


def carry(
    store: Store, gateway: str, log: str, channels: Mapping[tuple[str, str], Known], rates_max: Mapping[str, int]
) -> None:
    """What was used between the log's epochs is in the store, for each channel."""
    everyone = [row[0] for row in store.rows("chains_of_log", gateway, log)]
    if len(everyone) < 2:
        return
    chains = [row[0] for row in store.rows("chains_in_line", gateway, log)]
    # Also where one alone is left in line: what was carried between it and one that waits now is gone.
    for chain in everyone:
        for known in channels.values():
            store.run("between_drop", known.id, chain)
            store.run("between_unknown_drop", known.id, chain)
    for known in channels.values():
        if known.unit is not None and known.exponent is not None:
            _carry(store, chains, known, rates_max)


def _carry(store: Store, chains: list[int], known: Known, rates_max: Mapping[str, int]) -> None:
    assert known.unit is not None
    assert known.exponent is not None
    end: EpochEnd | None = None
    unsure: tuple[int, int, Uncarried] | None = None
    for chain in chains:
        tail = store.row("last_true_node", known.id, chain)
        first = store.row("first_node", known.id, chain)
        if tail is None or first is None:
            continue
        mark = store.row("first_mark", known.id, chain)
        last = store.row("last_mark", known.id, chain)
        silent = mark is None and tail[1] == first[1]
        if end is not None:
            seq, line = (first[0], first[3]) if mark is None else (mark[0], mark[5])
            begun = _begun(first, mark)
            what = between_epochs(end, begun, unit=known.unit, exponent=known.exponent, rates_max=rates_max)
            if isinstance(what, Uncarried) and silent:
                # It may yet be carried over this epoch, which has read nothing.
                unsure = unsure or (chain, line, what)
                continue
            unsure = None
            _write_between(store, Spot(known.id, chain, seq, line), what)
        if last is None:
            end = EpochEnd(raw=None, serial=None, at=tail[2])
        else:
            raw = raw_at_end(mark_raw=last[0], mark_register=last[2], top=tail[1])
            use = store.row("last_true_use", known.id, chain)
            surely = tail[2] if use is None else surely_before(*use[1:])
            sure = surely if last[3] is None else (store.row("last_sure_mark", known.id, chain) or (None,))[0]
            end = EpochEnd(raw=raw, serial=last[1], at=tail[2], sure=sure)
    if unsure is not None:
        _write_between(store, Spot(known.id, unsure[0], unsure[2].seq, unsure[1]), unsure[2])


def _begun(first: SqlRow, mark: SqlRow | None) -> EpochStart:
    if mark is None:
        return EpochStart(seq=first[0], register=first[1], raw=None, serial=None, at=first[2])
    return EpochStart(seq=mark[0], register=mark[3], raw=mark[1], serial=mark[2], at=mark[4])


def _write_between(store: Store, spot: Spot, what: Carried | Uncarried | None) -> None:
    if isinstance(what, Carried):
        store.run("span_put", *_derived(spot, RowKind.BETWEEN, what))
    elif isinstance(what, Uncarried):
        place = (spot.channel, spot.chain, spot.seq, int(RowKind.BETWEEN), spot.line)
        store.run("unknown_put", *place, what.start, what.until, GapCause.SPOOL_LOST.value, what.why)


def spoken_of(fact: Fact, known: Mapping[tuple[str, str], Known]) -> list[Known]:
    """The channels of which a line says something at its own position."""
    match fact.content.report:
        case Birth(channels=rows) | Usage(rows=rows) | Gap(rows=rows) | Exchange(rows=rows) | LetGo(rows=rows):
            return [known[row[0], row[1]] for row in rows if (row[0], row[1]) in known]
        case _:
            return []
