"""Usage as it was known at an earlier moment: what was received later does not count."""

from cloud_collector.usage.ledger import Ledger
from cloud_collector.usage.span import ChannelName, Measured, Span, UsageView


class AsOf:
    """A UsageView over what had been received by a moment, in milliseconds."""

    def __init__(self, usage: UsageView, at_ms: int) -> None:
        self._usage = usage
        self._at_ms = at_ms

    def measure(self, channel: ChannelName, start: int, end: int) -> Measured | None:
        """Usage in [start, end), summed over spans; gaps are named as they are known today."""
        spans = self.spans(channel, start, end)
        if not spans:
            return None
        measured = Ledger(spans).measure(channel, start, end)
        if measured is None:
            return None
        whole = self._usage.measure(channel, start, end)
        return Measured(
            units=measured.units,
            unit=measured.unit,
            exponent=measured.exponent,
            estimated=measured.estimated,
            reads=measured.reads,
            gaps=() if whole is None else whole.gaps,
        )

    def spans(self, channel: ChannelName, start: int, end: int) -> list[Span]:
        """Spans that overlap [start, end)."""
        return [span for span in self._usage.spans(channel, start, end) if span.received_at <= self._at_ms]

    def channels(self, gateway: str, device: str) -> list[ChannelName]:
        """The channels of a device that have ever reported."""
        return self._usage.channels(gateway, device)
