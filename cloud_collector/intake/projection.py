"""From accepted lines to rows, bridges and gaps in the store: what the set of lines says, in whatever order it came.

The hot path appends: a row that starts where the channel's last one ended needs no look-up. Everything
else (late lines, holes, boots placed late, epochs, clones) marks channels of a chain as dirty, and
they are walked again from there by `usage.settle` until nothing changes.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from cloud_collector.fleet.positions import Chain, NumberOf, chain_of
from cloud_collector.intake.channels import Channels, Known
from cloud_collector.intake.fact import Fact, fact
from cloud_collector.intake.keys import Keys
from cloud_collector.intake.linking import relink
from cloud_collector.intake.placing import Log, clock_boots, drop_boots, lay_boots
from cloud_collector.intake.spans import Dirty, Spot, Tails, append, carry, drop_line, settle_dirty
from cloud_collector.intake.summaries import Unfolding, make_way, reach, unfold_chain
from cloud_collector.limits import CACHED_CHANNELS_MAX
from cloud_collector.store.store import Store
from cloud_collector.usage.between import RATES_MAX
from cloud_collector.usage.derive import OWN_TIME, SKEW_SECONDS, Placement, Row, RowKind, rows_of
from shared.report import ClockLine, Header, Summary, UsageRow
from shared.validity import Validity

CLONED: Final = 1
DISOWNED: Final = 2


@dataclass(slots=True)
class _Work:
    """What one batch has to do in one log."""

    gateway: str
    log: str
    derive: dict[int, Fact]
    gone: list[Fact]
    boots: set[str]
    clocks: set[str]
    again: list[int] = field(default_factory=list)
    """Lines that became a stranger's, or ceased to be one."""
    relink: bool = False
    between: bool = False


class Projection:
    """Keeps the rows of the store true to its lines; forget what is cached when a transaction fails."""

    def __init__(
        self,
        store: Store,
        *,
        skew_seconds: int = SKEW_SECONDS,
        rates_max: Mapping[str, int] | None = None,
        number: NumberOf = lambda *_: None,
    ) -> None:
        """`number` says which number a new channel has that another store numbers."""
        self._store = store
        self._number = number
        self._skew_seconds = skew_seconds
        self._rates_max = {**RATES_MAX, **(rates_max or {})}
        self._channels = Channels(store, number)
        self._tails = Tails(store)
        self._clocked_logs: dict[str, set[str]] = {}
        """By gateway: logs without a boot that waits for its clock line."""
        self._chain_ids: dict[str, set[int]] = {}
        self._keys = Keys(store)

    def validity(self, gateway: str) -> Validity:
        """What is known of the gateway's keys."""
        return self._keys.of(gateway)

    def forget_gateway(self, gateway: str) -> None:
        """Nothing of this gateway is cached: another collector has worked on it."""
        self._keys.forget_gateway(gateway)
        self._channels.forget_gateway(gateway)
        for chain in self._chain_ids.pop(gateway, ()):
            self._tails.forget(chain)
        self._clocked_logs.pop(gateway, None)

    def forget(self) -> None:
        """Nothing is cached: the store may have changed without this object."""
        self._keys.forget()
        self._channels = Channels(self._store, self._number)
        self._tails = Tails(self._store)
        self._clocked_logs.clear()
        self._chain_ids.clear()

    def apply(self, arrived: Sequence[Fact], taken: Sequence[Fact], lost: Iterable[tuple[int, Chain]]) -> None:
        """The rows follow: `arrived` took positions in this order, `taken` hold theirs, `lost` no longer do.

        Call within the transaction that holds the lines, after they are written.
        """
        for each in arrived:
            self._channels.register(each.content.header.gateway, each.content.report)
        works: dict[tuple[str, str], _Work] = {}
        dirty = Dirty()
        for line, chain in lost:
            gone = fact(self._store, line)
            drop_line(self._store, self._channels, chain, gone, dirty)
            self._note(works, gone, derive=False)
            self._keys.lose(chain, gone)
        for each in taken:
            self._note(works, each, derive=True)
            self._keys.take(each)
        for judged in self._keys.judge():
            work = self._work(works, judged.gateway, judged.log)
            work.relink = True
            work.again += judged.lines
        for work in works.values():
            self._apply(work, dirty)
        self._tails.flush()

    def rejudge(self, gateway: str) -> None:
        """The rows follow what was decided about the gateway's keys and epochs. Call within a transaction."""
        works: dict[tuple[str, str], _Work] = {}
        dirty = Dirty()
        for judged in self._keys.rejudge(gateway):
            work = self._work(works, judged.gateway, judged.log)
            work.relink = True
            work.again += judged.lines
        for work in works.values():
            self._apply(work, dirty)
        self._tails.flush()

    def _note(self, works: dict[tuple[str, str], _Work], each: Fact, *, derive: bool) -> None:
        header = each.content.header
        work = self._work(works, header.gateway, header.log)
        if derive:
            work.derive[each.id] = each
        else:
            work.gone.append(each)
        if not header.clock.placed:
            work.boots.add(header.boot)
        if isinstance(each.content.report, ClockLine):
            work.clocks.add(header.boot)
        if header.seq == 1:
            work.relink = True

    def _work(self, works: dict[tuple[str, str], _Work], gateway: str, log: str) -> _Work:
        work = works.get((gateway, log))
        if work is None:
            work = works[gateway, log] = _Work(gateway, log, {}, [], set(), set())
        return work

    def _apply(self, work: _Work, dirty: Dirty) -> None:
        chains = self._chains(work)
        again = dict.fromkeys((*work.again, *self._order(work, chains)))
        for line in again:
            if line not in work.derive:
                renewed = fact(self._store, line)
                chain = chains[renewed.content.header.epoch]
                drop_line(self._store, self._channels, chain, renewed, dirty)
                work.derive[line] = renewed
        facts = sorted(
            work.derive.values(), key=lambda each: (chains[each.content.header.epoch].id, each.content.header.seq)
        )
        superseded = False
        last: dict[int, int] = {}
        for each in reversed(facts):
            chain = chains[each.content.header.epoch]
            seq = each.content.header.seq
            superseded = superseded or chain.succeeded is not None
            if seq + 1 != last.get(chain.id, chain.top + 1):
                # A late line: what follows it in the chain was settled without it.
                dirty.all_after(chain.id, seq)
            last[chain.id] = seq
        unfolding = self._unfolding()
        for chain in chains.values():
            if chain.gone:
                make_way(unfolding, chain, (each for each in facts if each.content.header.epoch == chain.epoch), dirty)
        for each in facts:
            self._derive(chains[each.content.header.epoch], each, dirty)
        self._unfold(unfolding, [*facts, *work.gone], chains, dirty)
        touched = settle_dirty(self._store, self._channels, self._tails, dirty, {c.id: c for c in chains.values()})
        moved = touched or not dirty.begun.isdisjoint(chain.id for chain in chains.values())
        superseded = superseded or any(chains[each.content.header.epoch].succeeded is not None for each in work.gone)
        marks = any(_marks(each) for each in (*facts, *work.gone))
        if work.between or superseded or marks or (moved and len(chains) > 1):
            self._tails.flush()
            carry(self._store, work.gateway, work.log, self._channels.of(work.gateway), self._rates_max)

    def _chains(self, work: _Work) -> dict[str, Chain]:
        rows = self._store.rows("chains_whole", work.gateway, work.log)
        chains = {chain.epoch: chain for chain in map(chain_of, rows)}
        self._chain_ids.setdefault(work.gateway, set()).update(chain.id for chain in chains.values())
        if any(not chains[each.content.header.epoch].linked for each in work.derive.values()):
            # A chain without its birth, or one that is new, or one that waits.
            work.relink = True
        return chains

    def _order(self, work: _Work, chains: dict[str, Chain]) -> list[int]:
        """Boots and epochs find their places; the lines whose rows that changes."""
        store = self._store
        log = _log_of(work, chains)
        waiting = self._unclocked(work)
        moved = clock_boots(store, log, (work.boots | work.clocks) & (waiting | work.boots | self._known(work)))
        lines: list[int] = []
        if work.relink or moved:
            relinked = relink(store, work.gateway, work.log, self._keys.of(work.gateway))
            lines += relinked.lines
            work.between = relinked.moved
            if relinked.moved:
                chains |= self._chains(work)
                log = _log_of(work, chains)
        known = self._known(work)
        open_boots = work.boots | waiting | known
        if open_boots:
            followed = {id_ for id_, _, superseded in log.chains if superseded}
            touched = bool(work.boots or known or work.between) or any(
                chains[each.content.header.epoch].id in followed for each in work.derive.values()
            )
            moved |= lay_boots(store, log, open_boots, touched=touched)
        if work.gone:
            drop_boots(store, log, work.boots)
        for boot in sorted(moved):
            for chain, _, _ in log.chains:
                lines += [row[0] for row in store.rows("boot_lines", chain, boot)]
        return lines

    def _known(self, work: _Work) -> set[str]:
        """Boots whose placement a late clock line may still change."""
        return {boot for boot in work.clocks if self._store.row("boot_one", work.gateway, work.log, boot) is not None}

    def _unclocked(self, work: _Work) -> set[str]:
        """Boots of the log that no clock line has placed; asked for once, until lines without UTC come."""
        clocked = self._clocked_logs.get(work.gateway, set())
        if work.boots or work.clocks or work.log not in clocked:
            waiting = {row[0] for row in self._store.rows("boots_not_clocked", work.gateway, work.log)}
            if waiting or work.boots or work.clocks:
                clocked.discard(work.log)
                return waiting
            if len(self._clocked_logs) >= CACHED_CHANNELS_MAX:
                self._clocked_logs.clear()
            self._clocked_logs.setdefault(work.gateway, clocked).add(work.log)
        return set()

    def _derive(self, chain: Chain, each: Fact, dirty: Dirty) -> None:
        content, header = each.content, each.content.header
        store, channels = self._store, self._channels.of(header.gateway)
        for at, bad in enumerate(content.bad):
            store.run("bad_row_put", each.id, at, chain.id, header.seq, bad.device, bad.meter, bad.reason, None)
        cloned = beside(chain, header, disowned=self._keys.disowned(each))
        if cloned == CLONED:
            text = f"{header.gateway}/{header.log} {header.epoch}:{header.seq} comes from a clone of the gateway"
            store.run("alarm_raise", each.id, "cloned", header.gateway, header.log, text, each.received_at)
        if content.report is None:
            return
        placement = self._placement(header)
        derived = rows_of(content.report, placement, each.received_at, self._skew_seconds)
        bad_at = len(content.bad)
        for folded in content.report.rows if isinstance(content.report, Summary) else ():
            known = channels[folded.device, folded.meter]
            if (known.unit, known.exponent) != (folded.unit, folded.exponent):
                self._refuse_unit(chain, each, bad_at, folded, known)
                bad_at += 1
        for row in derived.rows:
            known = channels[row.device, row.meter]
            if row.unit is not None and (known.unit, known.exponent) != (row.unit, row.exponent):
                self._refuse_unit(chain, each, bad_at, row, known)
                bad_at += 1
            else:
                append(self._tails, Spot(known.id, chain.id, header.seq, each.id), row, dirty, cloned=cloned)
        # P12: a key that is not valid there declares nothing; whoever checks the invoice does not see it either.
        for gap in () if cloned == DISOWNED else derived.unknown:
            known = channels[gap.device, gap.meter]
            why = "the gateway could not meter"
            place = (known.id, chain.id, header.seq, int(RowKind.GAP), each.id)
            store.run("unknown_put", *place, gap.start, gap.until, gap.cause, why)

    def _refuse_unit(self, chain: Chain, each: Fact, at: int, row: Row | UsageRow, known: Known) -> None:
        reason = f"the unit is {row.unit}·10^{row.exponent}, the channel's is {known.unit}·10^{known.exponent}"
        place = (each.id, at, chain.id, each.content.header.seq, row.device, row.meter)
        # Its units are another unit's: what it withholds shows in the registers of its neighbours.
        self._store.run("bad_row_put", *place, reason, None)

    def _unfolding(self) -> Unfolding:
        return Unfolding(
            store=self._store,
            channels=self._channels,
            tails=self._tails,
            skew_seconds=self._skew_seconds,
            placement=self._placement,
            beside=lambda chain, each: beside(chain, each.content.header, disowned=self._keys.disowned(each)),
        )

    def _unfold(self, unfolding: Unfolding, facts: Iterable[Fact], chains: Mapping[str, Chain], dirty: Dirty) -> None:
        """Summaries tell what is absent: whatever came or went may change their share."""
        touched: dict[str, list[tuple[int, int]]] = {}
        for each in facts:
            touched.setdefault(each.content.header.epoch, []).append(reach(each))
        for epoch, ranges in touched.items():
            if chains[epoch].gone:
                unfold_chain(unfolding, chains[epoch], ranges, dirty)

    def _placement(self, header: Header) -> Placement | None:
        if header.clock.placed:
            return OWN_TIME
        row = self._store.row("boot_one", header.gateway, header.log, header.boot)
        return None if row is None or row[0] is None else Placement(row[0], estimated=bool(row[1]))


def _log_of(work: _Work, chains: Mapping[str, Chain]) -> Log:
    ranked = sorted(chains.values(), key=lambda chain: (chain.rank is None, chain.rank or 0, chain.id))
    return Log(
        gateway=work.gateway,
        log=work.log,
        chains=tuple((chain.id, chain.through, chain.succeeded is not None or chain.rank is None) for chain in ranked),
    )


def beside(chain: Chain, header: Header, *, disowned: bool) -> int:
    """Whether the line is a clone's (1), or signed by a key that is not valid there (2); else 0.

    A clone's is what an epoch beside the line says, and what was sealed after its successor's birth.
    """
    if disowned or chain.standing == "disowned":
        return DISOWNED
    if chain.standing == "cloned":
        return CLONED
    after = chain.succeeded is not None and header.clock.placed and header.sealed_at > chain.succeeded
    return CLONED if after else 0


def _marks(each: Fact) -> bool:
    return each.content.kind in ("birth", "exchange")
