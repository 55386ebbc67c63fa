"""Usage out of the store: two register look-ups a channel where its rows are plain, the sum over spans elsewhere.

Plain means that between the two ends nothing stands that registers alone would get wrong: no gap, no
bridge, nothing estimated, quarantined, unplaced or out of order in time. Both ways agree with
`cloud_collector.usage.ledger`, which is the definition.
"""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from cloud_collector.store.store import Store
from cloud_collector.usage.derive import RowKind, estimated_indices
from cloud_collector.usage.ledger import Ledger
from cloud_collector.usage.packing import unpack_deltas
from cloud_collector.usage.span import ChannelName, Measured, NamedGap, Read, Span, SpanKind
from shared.effects.database import Row

_KIND: Final[Mapping[int, SpanKind]] = {
    RowKind.GAP: SpanKind.GAP,
    RowKind.USAGE: SpanKind.USAGE,
    RowKind.BRIDGE: SpanKind.BRIDGE,
    RowKind.BETWEEN: SpanKind.BRIDGE,
}


class _Channel(NamedTuple):
    name: ChannelName
    id: int
    unit: str
    exponent: int
    longest: int


class _Reach(NamedTuple):
    """A channel, from when on it has usage, and until when it has gaps and bridges."""

    channel: _Channel
    begins: int | None
    others_until: int | None


LOOKS_MAX: Final = 4_096
"""Devices in a stretch of time that a view remembers; then it forgets them all and looks again."""


class StoreView:
    """A UsageView on the store as it is now; it looks at each thing once, so it is made anew for each transaction."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._looks: dict[tuple[str, str, int, int], dict[str, Row | Measured | None]] = {}
        self._names: dict[tuple[str, str], list[ChannelName]] = {}
        self._reaches: dict[ChannelName, _Reach | None] = {}

    def measure(self, channel: ChannelName, start: int, end: int) -> Measured | None:
        """Usage in [start, end), summed over spans by `units_before`; None where nothing is known."""
        if start >= end:
            return None
        key = (channel.gateway, channel.device, start, end)
        look = self._looks.get(key)
        if look is None:
            look = self._look(*key)
        found = look.get(channel.meter)
        if found is not None and not isinstance(found, Measured):
            found = look[channel.meter] = self._measured(channel, found, start, end)
        return found

    def spans(self, channel: ChannelName, start: int, end: int) -> list[Span]:
        """Spans that overlap [start, end), by start, then epoch and seq."""
        known = self._reached(channel)
        if known is None:
            return []
        return [_span(known.channel, row) for row in self._rows(known.channel, start, end, known)]

    def facts(self, channel: ChannelName, start: int, end: int) -> list[Row]:
        """What the spans of every stretch within [start, end) follow from; equal facts, equal spans."""
        known = self._reached(channel)
        if known is None:
            return []
        return [(known.channel.unit, known.channel.exponent), *self._rows(known.channel, start, end, known)]

    def channels(self, gateway: str, device: str) -> list[ChannelName]:
        """The channels of a device that have ever reported."""
        known = self._names.get((gateway, device))
        if known is None:
            meters = [row[0] for row in self._store.rows("channels_of_device", gateway, device)]
            known = self._name(gateway, device, meters)
        return list(known)

    def _name(self, gateway: str, device: str, meters: Iterable[str]) -> list[ChannelName]:
        names = [ChannelName(gateway=gateway, device=device, meter=meter) for meter in meters]
        self._names[gateway, device] = names
        return names

    def _reached(self, name: ChannelName) -> _Reach | None:
        if name not in self._reaches:
            self._reaches[name] = self._reach(name)
        return self._reaches[name]

    def _reach(self, name: ChannelName) -> _Reach | None:
        row = self._store.row("view_channel", name.gateway, name.device, name.meter)
        if row is None or row[1] is None:
            return None
        channel = _Channel(name=name, id=row[0], unit=row[1], exponent=row[2], longest=row[3])
        return _Reach(channel=channel, begins=row[4], others_until=row[5])

    def _look(self, gateway: str, device: str, start: int, end: int) -> dict[str, Row | Measured | None]:
        """Both ends of every channel of a device: a period costs one query, however many readings lie between."""
        if len(self._looks) >= LOOKS_MAX:
            self._looks.clear()
            self._names.clear()
            self._reaches.clear()
        rows = self._store.rows("view_device", end, start, start, end, start, start, start, end, gateway, device)
        look: dict[str, Row | Measured | None] = {}
        for row in rows:
            # Of several rows at one end none is plain.
            look[row[0]] = (*row[:6], None) if row[0] in look else row
        self._looks[gateway, device, start, end] = look
        if (gateway, device) not in self._names:
            self._name(gateway, device, look)
        return look

    def _measured(self, name: ChannelName, row: Row, start: int, end: int) -> Measured | None:
        _, id_, unit, exponent, longest, unknown, chain = row[:7]
        if unit is None:
            return None
        channel = _Channel(name=name, id=id_, unit=unit, exponent=exponent, longest=longest)
        gaps = self._gaps(channel, start, end) if unknown else ()
        if chain is None:
            return self._summed(channel, start, end, gaps)
        seq_first, first_start, first_step, first_count, first_deltas, first_register = row[7:13]
        seq_last, last_start, last_step, last_count, last_deltas, last_register, last_end, last_until = row[13:21]
        log, epoch, only, other, special = row[21:]
        if seq_first > seq_last or first_start >= end or other or special:
            return self._summed(channel, start, end, gaps)
        if not (only or self._alone(channel, chain, start, end)):
            return self._summed(channel, start, end, gaps)
        low, high, cuts = first_register, last_end, False
        if start > first_start:
            inside, cut = _before(first_start, first_step, first_count, first_deltas, start)
            low, cuts = first_register + inside, cut
        if end < last_until:
            inside, cut = _before(last_start, last_step, last_count, last_deltas, end)
            high, cuts = last_register + inside, cuts or cut
        if cuts and self._hidden(channel, start, end):
            return self._summed(channel, start, end, gaps)
        read = Read(
            channel=name,
            log=log,
            epoch=epoch,
            seq_start=seq_first,
            register_start=low,
            seq_end=seq_last,
            register_end=high,
            estimated=cuts,
        )
        return Measured(units=high - low, unit=unit, exponent=exponent, estimated=cuts, reads=(read,), gaps=gaps)

    def _hidden(self, channel: _Channel, start: int, end: int) -> bool:
        return any(_span(channel, row).hides(start, end) for row in self._rows(channel, start, end))

    def _alone(self, channel: _Channel, chain: int, start: int, end: int) -> bool:
        """Whether this chain is in order of time and no other chain of the channel reaches into it."""
        other = 0
        while True:
            row = self._store.row("view_chain_next", channel.id, other)
            if row is None or row[0] is None:
                return True
            other = row[0]
            if self._store.row("view_chain_ragged", channel.id, other) is not None:
                return False
            if other == chain:
                continue
            first = self._store.row("view_chain_first", channel.id, other)
            last = self._store.row("view_chain_last", channel.id, other)
            if first is not None and last is not None and first[0] < end and last[0] > start:
                return False

    def _summed(self, channel: _Channel, start: int, end: int, gaps: tuple[NamedGap, ...]) -> Measured | None:
        spans = [_span(channel, row) for row in self._rows(channel, start, end)]
        if spans:
            return Ledger(spans, gaps).measure(channel.name, start, end)
        if not gaps or self._store.row("view_known", channel.id) is None:
            return None
        return Measured(units=0, unit=channel.unit, exponent=channel.exponent, estimated=False, reads=(), gaps=gaps)

    def _rows(self, channel: _Channel, start: int, end: int, reach: _Reach | None = None) -> list[Row]:
        """What overlaps [start, end), by start, then epoch, seq and kind."""
        rows: list[Row] = []
        # A device that waits for weeks before it reports is asked about in vain again and again.
        if reach is None or (reach.begins is not None and reach.begins < end):
            rows += self._store.rows("view_usage", channel.id, end, start - channel.longest, start)
        if reach is None or (reach.others_until is not None and reach.others_until > start):
            rows += self._store.rows("view_other", channel.id, start, end)
        return sorted(rows, key=lambda row: (row[4], row[1], row[2], _KIND[row[3]]))

    def _gaps(self, channel: _Channel, start: int, end: int) -> tuple[NamedGap, ...]:
        rows = self._store.rows("view_unknown", channel.id, end, start)
        return tuple(NamedGap(channel=channel.name, start=row[0], end=row[1], cause=row[2]) for row in rows)


def _before(start: int, step: int, count: int, deltas: bytes, instant: int) -> tuple[int, bool]:
    """What of a row lies before an instant in it, as `Span.units_before` counts, and whether that cuts an interval."""
    whole, inside = divmod(instant - start, step)
    each = unpack_deltas(deltas, count)
    return sum(each[:whole]) + each[whole] * inside // step, inside != 0


def _span(channel: _Channel, row: Row) -> Span:
    log, epoch, seq, kind, start, step, count, deltas, register, estimated, received_at, let_go = row
    return Span(
        channel=channel.name,
        log=log,
        unit=channel.unit,
        exponent=channel.exponent,
        kind=_KIND[kind] if let_go is None else SpanKind.LET_GO,
        epoch=epoch,
        seq=seq,
        start=start,
        step=step,
        deltas=unpack_deltas(deltas, count),
        register=register,
        estimated=estimated_indices(estimated, count),
        received_at=received_at,
    )
