"""A view that notes what is asked of it: whoever rates again from the same answers comes to the same figure (P12)."""

from collections.abc import Iterable, Mapping
from typing import TypeAlias

from cloud_collector.usage.span import ChannelName, Measured, Span, UsageView

Stretches: TypeAlias = tuple[tuple[int, int], ...]
"""Half-open, apart from one another, in order."""


class NotedView:
    """Another view's answers; `asked` is the time of each channel that was looked at."""

    def __init__(self, view: UsageView) -> None:
        self._view = view
        self._asked: dict[ChannelName, set[tuple[int, int]]] = {}

    def measure(self, channel: ChannelName, start: int, end: int) -> Measured | None:
        """Usage in [start, end), summed over spans by `units_before`; None where nothing is known."""
        self._note(channel, start, end)
        return self._view.measure(channel, start, end)

    def spans(self, channel: ChannelName, start: int, end: int) -> list[Span]:
        """Spans that overlap [start, end), by start, then epoch and seq."""
        self._note(channel, start, end)
        return self._view.spans(channel, start, end)

    def channels(self, gateway: str, device: str) -> list[ChannelName]:
        """The channels of a device that have ever reported."""
        return self._view.channels(gateway, device)

    def also(self, asked: Mapping[ChannelName, Stretches]) -> None:
        """That was asked as well, of the same view."""
        for channel, stretches in asked.items():
            for start, end in stretches:
                self._note(channel, start, end)

    @property
    def asked(self) -> dict[ChannelName, Stretches]:
        """By channel."""
        return {channel: merged(stretches) for channel, stretches in self._asked.items()}

    def _note(self, channel: ChannelName, start: int, end: int) -> None:
        if start < end:
            known = self._asked.get(channel)
            if known is None:
                self._asked[channel] = {(start, end)}
            else:
                known.add((start, end))


def merged(stretches: Iterable[tuple[int, int]]) -> Stretches:
    """The same time as few stretches."""
    pieces = sorted(stretches)
    if len(pieces) == 1:
        return (pieces[0],)
    found: list[tuple[int, int]] = []
    for start, end in pieces:
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return tuple(found)


def together(views: Iterable[Mapping[ChannelName, Stretches]]) -> dict[ChannelName, Stretches]:
    """What was asked of several, by channel in order of their names."""
    found: dict[ChannelName, list[tuple[int, int]]] = {}
    for view in views:
        for channel, stretches in view.items():
            found.setdefault(channel, []).extend(stretches)
    order = sorted(found, key=lambda each: (each.gateway, each.device, each.meter))
    return {channel: merged(found[channel]) for channel in order}


def without(stretches: Stretches, others: Iterable[tuple[int, int]]) -> Stretches:
    """The time that lies in none of the others."""
    if stretches == others:
        return ()
    left: list[tuple[int, int]] = list(stretches)
    for start, end in others:
        cut = [piece for begin, until in left for piece in ((begin, min(until, start)), (max(begin, end), until))]
        left = [(begin, until) for begin, until in cut if begin < until]
    return merged(left)
