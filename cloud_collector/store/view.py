"""Usage out of the store: two register look-ups a channel where its rows are plain, the sum over spans elsewhere.

Plain means that between the two ends nothing stands that registers alone would get wrong: no gap, no
bridge, nothing estimated, quarantined, unplaced or out of order in time. Both ways agree with
`cloud_collector.usage.ledger`, which is the definition.
"""

from dataclasses import dataclass

from cloud_collector.store.store import Store
from cloud_collector.usage.derive import RowKind, estimated_indices
from cloud_collector.usage.ledger import Ledger
from cloud_collector.usage.packing import unpack_deltas
from cloud_collector.usage.span import ChannelName, Measured, NamedGap, Read, Span, SpanKind
from shared.effects.database import Row

_KIND = {
    RowKind.GAP: SpanKind.GAP,
    RowKind.USAGE: SpanKind.USAGE,
    RowKind.BRIDGE: SpanKind.BRIDGE,
    RowKind.BETWEEN: SpanKind.BRIDGE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Channel:
    name: ChannelName
    id: int
    unit: str
    exponent: int
    longest: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _End:
    """A usage row at one end of the time that is asked for."""

    chain: int
    seq: int
    start: int
    step: int
    deltas: tuple[int, ...]
    register: int
    until: int

    def register_at(self, instant: int) -> int:
        """The register at an instant, as `Span.units_before` counts."""
        if instant <= self.start:
            return self.register
        if instant >= self.until:
            return self.register + sum(self.deltas)
        whole, inside = divmod(instant - self.start, self.step)
        return self.register + sum(self.deltas[:whole]) + self.deltas[whole] * inside // self.step

    def cuts(self, instant: int) -> bool:
        """Whether the instant lies strictly inside an interval."""
        return self.start < instant < self.until and (instant - self.start) % self.step != 0


class StoreView:
    """A UsageView on the store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def measure(self, channel: ChannelName, start: int, end: int) -> Measured | None:
        """Usage in [start, end), summed over spans by `units_before`; None where nothing is known."""
        known = self._channel(channel)
        if known is None or start >= end:
            return None
        return self._looked_up(known, start, end) or self._summed(known, start, end)

    def spans(self, channel: ChannelName, start: int, end: int) -> list[Span]:
        """Spans that overlap [start, end), by start, then epoch and seq."""
        known = self._channel(channel)
        return [] if known is None else self._spans(known, start, end)

    def channels(self, gateway: str, device: str) -> list[ChannelName]:
        """The channels of a device that have ever reported."""
        rows = self._store.rows("channels_of_device", gateway, device)
        return [ChannelName(gateway=gateway, device=device, meter=row[0]) for row in rows]

    def _channel(self, name: ChannelName) -> _Channel | None:
        row = self._store.row("view_channel", name.gateway, name.device, name.meter)
        if row is None or row[1] is None:
            return None
        return _Channel(name=name, id=row[0], unit=row[1], exponent=row[2], longest=row[3])

    def _looked_up(self, channel: _Channel, start: int, end: int) -> Measured | None:
        """By registers; None where the rows between are not plain."""
        store = self._store
        last = self._end(store.row("view_at", channel.id, end))
        first = self._end(store.row("view_at", channel.id, start + 1))
        if first is None or first.until <= start:
            first = self._end(store.row("view_from", channel.id, start))
        if first is None or last is None or first.chain != last.chain or first.seq > last.seq or first.start >= end:
            return None
        if store.row("view_other_any", channel.id, start, end) is not None:
            return None
        if store.row("view_special", channel.id, first.chain, first.seq, last.seq) is not None:
            return None
        if not self._alone(channel, first.chain, start, end):
            return None
        low, high = first.register_at(start), last.register_at(end)
        estimated = first.cuts(start) or last.cuts(end)
        log, epoch = store.rows("view_chain_name", first.chain)[0]
        read = Read(
            channel=channel.name,
            log=log,
            epoch=epoch,
            seq_start=first.seq,
            register_start=low,
            seq_end=last.seq,
            register_end=high,
            estimated=estimated,
        )
        return Measured(
            units=high - low,
            unit=channel.unit,
            exponent=channel.exponent,
            estimated=estimated,
            reads=(read,),
            gaps=self._gaps(channel, start, end),
        )

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

    def _summed(self, channel: _Channel, start: int, end: int) -> Measured | None:
        spans, gaps = self._spans(channel, start, end), self._gaps(channel, start, end)
        if spans:
            return Ledger(spans, gaps).measure(channel.name, start, end)
        if not gaps or self._store.row("view_known", channel.id) is None:
            return None
        return Measured(units=0, unit=channel.unit, exponent=channel.exponent, estimated=False, reads=(), gaps=gaps)

    def _spans(self, channel: _Channel, start: int, end: int) -> list[Span]:
        rows = self._store.rows("view_usage", channel.id, end, start - channel.longest, start)
        rows += self._store.rows("view_other", channel.id, start, end)
        found = [_span(channel, row) for row in rows]
        return sorted(found, key=lambda span: (span.start, span.epoch, span.seq, span.kind))

    def _gaps(self, channel: _Channel, start: int, end: int) -> tuple[NamedGap, ...]:
        rows = self._store.rows("view_unknown", channel.id, end, start)
        return tuple(NamedGap(channel=channel.name, start=row[0], end=row[1], cause=row[2]) for row in rows)

    def _end(self, row: Row | None) -> _End | None:
        if row is None:
            return None
        return _End(
            chain=row[0],
            seq=row[1],
            start=row[2],
            step=row[3],
            deltas=unpack_deltas(row[5], row[4]),
            register=row[6],
            until=row[8],
        )


def _span(channel: _Channel, row: Row) -> Span:
    log, epoch, seq, kind, start, step, count, deltas, register, estimated, received_at = row
    return Span(
        channel=channel.name,
        log=log,
        unit=channel.unit,
        exponent=channel.exponent,
        kind=_KIND[RowKind(kind)],
        epoch=epoch,
        seq=seq,
        start=start,
        step=step,
        deltas=unpack_deltas(deltas, count),
        register=register,
        estimated=estimated_indices(estimated, count),
        received_at=received_at,
    )
