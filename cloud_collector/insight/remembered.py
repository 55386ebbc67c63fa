"""A view that asks once: what several looks at the same facts share."""

from cloud_collector.usage.span import ChannelName, Measured, Span, UsageView


class Remembered:
    """A UsageView whose answers are kept for as long as it lives; the facts must not change meanwhile."""

    def __init__(self, usage: UsageView) -> None:
        self._usage = usage
        self._measured: dict[tuple[ChannelName, int, int], Measured | None] = {}
        self._spans: dict[tuple[ChannelName, int, int], list[Span]] = {}
        self._channels: dict[tuple[str, str], list[ChannelName]] = {}

    def measure(self, channel: ChannelName, start: int, end: int) -> Measured | None:
        """Usage in [start, end)."""
        key = (channel, start, end)
        if key not in self._measured:
            self._measured[key] = self._usage.measure(channel, start, end)
        return self._measured[key]

    def spans(self, channel: ChannelName, start: int, end: int) -> list[Span]:
        """Spans that overlap [start, end)."""
        key = (channel, start, end)
        if key not in self._spans:
            self._spans[key] = self._usage.spans(channel, start, end)
        return self._spans[key]

    def channels(self, gateway: str, device: str) -> list[ChannelName]:
        """The channels of a device that have ever reported."""
        key = (gateway, device)
        if key not in self._channels:
            self._channels[key] = self._usage.channels(gateway, device)
        return self._channels[key]
