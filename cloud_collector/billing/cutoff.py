"""What had been received when an invoice was issued, read from the store in the issuing transaction."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from cloud_collector.intake.fact import report_of
from cloud_collector.invoice.basis import Cutoff, LogCutoff
from cloud_collector.invoice.compose import Composition
from cloud_collector.store.store import Store
from cloud_collector.usage.derive import OWN_TIME, Placement, RowKind
from cloud_collector.usage.span import ChannelName, Read
from cloud_collector.usage.unfold import placed_start
from shared.report import Summary


@dataclass(slots=True)
class _Basis:
    """Which reports the counters rest on, by epoch of each log."""

    lowest: dict[tuple[str, str, str], int] = field(default_factory=dict)
    also: set[tuple[str, str, str, int, int]] = field(default_factory=set)
    carried: set[tuple[str, str, str]] = field(default_factory=set)
    summaries: list[tuple[str, str, str, int]] = field(default_factory=list)
    """(gateway, log, epoch, id of the line) of summaries that may tell of what is absent."""

    def add(self, gateway: str, log: str, epoch: str, first: int, last: int) -> None:
        """These reports as well."""
        self.also.add((gateway, log, epoch, first, last))
        self.low(gateway, log, epoch, first)

    def low(self, gateway: str, log: str, epoch: str, first: int) -> None:
        """The epoch is used from here on, or from earlier."""
        name = (gateway, log, epoch)
        self.lowest[name] = min(self.lowest.get(name, first), first)


class _Known(NamedTuple):
    """A channel, and whether anything of it needs explaining: most have neither."""

    id: int
    bridged: bool
    """It has a bridge, within an epoch or between two; or nobody knows how much was between."""
    unknown: bool


def cutoff(
    store: Store,
    composition: Composition,
    *,
    now_ms: int,
    silent: Mapping[str, int | None],
    rates_max: Mapping[str, int],
    skew_seconds: int,
) -> Cutoff:
    """The chain positions of every log that the counters rest on, and what only the collector knows of its lines."""
    basis = _basis(store, composition)
    received: list[LogCutoff] = []
    moved: list[tuple[str, str, str, int, int]] = []
    boots: set[tuple[str, str, str, int]] = set()
    strangers: list[tuple[str, str, str, int]] = []
    for gateway, log in sorted({name[:2] for name in basis.lowest}):
        for chain, epoch, through, top, gone in store.rows("received_chains", gateway, log):
            low = basis.lowest.get((gateway, log, epoch))
            if low is None:
                continue
            holes = _holes(store, chain, 0 if gone else through)
            received.append(LogCutoff(gateway=gateway, log=log, epoch=epoch, last=top, holes=holes))
            strangers += [(gateway, log, epoch, seq) for (seq,) in store.rows("received_disowned", chain)]
            late = store.rows("received_moved", chain, top, low, chain, top)
            moved += [(gateway, log, epoch, seq, received_at) for seq, received_at in late]
            laid = store.rows("received_boots", gateway, log, chain, top)
            boots |= {(gateway, log, boot, shift) for boot, shift in laid}
    return Cutoff(
        measured_until=composition.draft.period.end,
        received_until=now_ms,
        received=tuple(received),
        also=tuple(sorted(basis.also)),
        carried=tuple(sorted(basis.carried)),
        silent=dict(silent),
        moved=tuple(sorted({*moved, *_moved_summaries(store, basis, skew_seconds)})),
        boots=tuple(sorted(boots)),
        strangers=tuple(sorted(strangers)),
        skew_seconds=skew_seconds,
        rates_max=dict(rates_max),
    )


def _basis(store: Store, composition: Composition) -> _Basis:
    basis = _Basis()
    # A counter stands on its line, beside its period and at a start; it is the same.
    reads = list(dict.fromkeys(_reads(composition)))
    names = {read.channel for read in reads} | composition.asked.keys()
    known = _channels(store, sorted({(name.gateway, name.device) for name in names}))
    chains: dict[tuple[str, str, str], int | None] = {}
    for read in reads:
        name, chain = read.channel, (read.channel.gateway, read.log, read.epoch)
        basis.low(*chain, read.seq_start)
        channel = known.get((name.gateway, name.device, name.meter))
        if channel is None or not channel.bridged:
            continue
        if chain not in chains:
            row = store.row("chain_by_name", *chain)
            chains[chain] = None if row is None else row[0]
        if (its := chains[chain]) is not None:
            _explain(store, basis, channel.id, its, read)
    for name, stretches in composition.asked.items():
        channel = known.get((name.gateway, name.device, name.meter))
        if channel is not None and channel.unknown:
            for start, end in stretches:
                _name_gaps(store, basis, name, channel.id, start, end)
    _unfold(store, basis, reads)
    _tell_time(store, basis)
    return basis


def _channels(store: Store, devices: Iterable[tuple[str, str]]) -> dict[tuple[str, str, str], _Known]:
    return {
        (gateway, device, meter): _Known(id_, bool(bridged), bool(unknown))
        for gateway, device in devices
        for meter, id_, bridged, unknown in store.rows("basis_device", gateway, device)
    }


def _explain(store: Store, basis: _Basis, channel: int, chain: int, read: Read) -> None:
    """What stands before the first report, where its register alone does not say it."""
    gateway, log = read.channel.gateway, read.log
    if store.row("basis_bridge", channel, chain, read.seq_start) is not None:
        before = store.row("node_before", channel, chain, read.seq_start)
        if before is not None:
            basis.add(gateway, log, read.epoch, before[0], read.seq_start)
    if store.row("basis_carried", channel, chain, channel, chain) is not None:
        _carry(store, basis, channel, chain, (gateway, log))


def _carry(store: Store, basis: _Basis, channel: int, chain: int, log: tuple[str, str]) -> None:
    """The last word of the epoch before, and how this one began; an epoch that read nothing is carried over."""
    chains: Sequence[tuple[int, str]] = [(row[0], row[1]) for row in store.rows("basis_chains", *log)]
    here = next((at for at, (id_, _) in enumerate(chains) if id_ == chain), 0)
    first = store.row("first_node", channel, chain)
    if first is not None:
        basis.add(*log, chains[here][1], first[0], first[0])
    for id_, epoch in reversed(chains[:here]):
        began, last = store.row("first_node", channel, id_), store.row("last_true_node", channel, id_)
        if began is None or last is None:
            continue
        basis.add(*log, epoch, last[0], last[0])
        use = store.row("last_true_use", channel, id_)
        if use is not None:
            basis.add(*log, epoch, use[0], use[0])
        basis.carried.add((*log, epoch))
        if store.row("first_mark", channel, id_) is not None:
            return
        basis.add(*log, epoch, began[0], began[0])


def _name_gaps(store: Store, basis: _Basis, name: ChannelName, channel: int, start: int, end: int) -> None:
    """The reports that say of which time nothing is known."""
    for chain, log, epoch, seq, kind in store.rows("basis_unknown", channel, end, start):
        if kind == RowKind.BETWEEN:
            basis.low(name.gateway, log, epoch, seq)
            _carry(store, basis, channel, chain, (name.gateway, log))
        else:
            basis.add(name.gateway, log, epoch, seq, seq)


def _unfold(store: Store, basis: _Basis, reads: Iterable[Read]) -> None:
    """Summaries that may tell of what is absent there, with all that they cover: their share is what is left by it."""
    stretches: dict[tuple[str, str, str], list[tuple[int, int]]] = {}
    named = ((read.channel.gateway, read.log, read.epoch, read.seq_start, read.seq_end) for read in reads)
    for gateway, log, epoch, first, last in (*named, *sorted(basis.also)):
        stretches.setdefault((gateway, log, epoch), []).append((first, last))
    for name, here in stretches.items():
        row = store.row("chain_by_name", *name)
        if row is None or not row[8]:
            continue
        left = [tuple(found) for found in store.rows("cover_extents", row[0])]
        while found := [each for each in left if any(each[2] <= last and each[3] >= first for first, last in here)]:
            for line, seq, first, last in found:
                here += [(first, last), (seq, seq)]
                basis.add(*name, first, last)
                basis.add(*name, seq, seq)
                basis.summaries.append((*name, line))
            left = [each for each in left if each not in found]


def _moved_summaries(store: Store, basis: _Basis, skew_seconds: int) -> list[tuple[str, str, str, int, int]]:
    """Summaries whose clock ran ahead of their receipt."""
    found = []
    for gateway, log, epoch, line in basis.summaries:
        raw, received_at = store.rows("summary_raw", line)[0]
        report = report_of(raw)
        if isinstance(report, Summary):
            placement: Placement | None = OWN_TIME
            if not report.header.clock.placed:
                boot = store.row("boot_one", gateway, log, report.header.boot)
                placement = Placement(boot[0], bool(boot[1])) if boot and boot[0] is not None else None
            if placed_start(report, placement, received_at, skew_seconds)[1]:
                found.append((gateway, log, epoch, report.header.seq, int(received_at)))
    return found


def _tell_time(store: Store, basis: _Basis) -> None:
    """The clock lines of boots without UTC, in whatever epoch they came to stand."""
    for gateway, log, epoch in sorted(basis.lowest):
        row = store.row("chain_by_name", gateway, log, epoch)
        if row is None:
            continue
        for its_epoch, seq in store.rows("basis_clocks", gateway, log, row[0], row[6]):
            basis.add(gateway, log, its_epoch, seq, seq)


def _reads(composition: Composition) -> Iterable[Read]:
    for rated in composition.rated:
        yield from rated.reads
    for line in composition.draft.lines:
        yield from line.reads
    yield from composition.beside
    for reads in composition.starts.values():
        yield from reads


def _holes(store: Store, chain: int, above: int) -> tuple[tuple[int, int], ...]:
    """Positions up to the highest that are not held, or whose key is not valid there; up to `above` all are held."""
    first = store.rows("received_from", chain, above)[0][0]
    holes = [(above + 1, first - 1)] if first is not None and first > above + 1 else []
    holes += [(a, b) for a, b in store.rows("received_holes", chain, above)]
    strangers = [(seq, seq) for (seq,) in store.rows("received_disowned", chain)]
    return _joined((*holes, *strangers)) if strangers else tuple(holes)


def _joined(ranges: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Ranges apart from one another, in order."""
    found: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if found and first <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(found[-1][1], last))
        else:
            found.append((first, last))
    return tuple(found)
