"""What was read out of many reports a moment ago, for pages: forecasts and charts, which change as slowly.

How long a thing is kept follows from how much was read for it: what rests on a few reports is always made anew, and
what rests on a hundred thousand stands for some minutes. The cost so far is never kept; the starts of devices, on which
it rests, are by what they rest on (`starts`).

A page does not wait for what rests on many reports: it is shown without, and asks for it when it is there.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Final, TypeVar

from cloud_collector.insight.heard import Heard
from cloud_collector.insight.starts import Starts
from cloud_collector.usage.span import ChannelName, Measured, Span, UsageView
from shared.latest import Latest

READ_A_SECOND: Final = 500
"""For so many reports that were read a thing is kept a second."""
READ_AT_ONCE_MAX: Final = 2_000
"""Reports that are read while a page waits."""
KEPT_SECONDS_MAX: Final = 1_800
KEPT_MAX: Final = 4_096
"""Things that are remembered; then the oldest are forgotten."""
T = TypeVar("T")


class Later(Exception):
    """It rests on so many reports that whoever asked does not wait for it."""


class Counted:
    """A UsageView that counts the reports that it hands out; beyond `most` it raises Later."""

    def __init__(self, usage: UsageView, most: int | None = None) -> None:
        self._usage = usage
        self._most = most
        self.read = 0

    def measure(self, channel: ChannelName, start: int, end: int) -> Measured | None:
        """Usage in [start, end)."""
        return self._usage.measure(channel, start, end)

    def spans(self, channel: ChannelName, start: int, end: int) -> list[Span]:
        """Spans that overlap [start, end)."""
        found = self._usage.spans(channel, start, end)
        self.read += len(found)
        if self._most is not None and self.read > self._most:
            raise Later
        return found

    def channels(self, gateway: str, device: str) -> list[ChannelName]:
        """The channels of a device that have ever reported."""
        return self._usage.channels(gateway, device)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Made:
    at: int
    until: int
    found: object


class Kept:
    """The memory of one store's pages."""

    def __init__(self) -> None:
        self.starts = Starts()
        self.heard = Heard()
        self._held = Latest[Hashable, _Made](KEPT_MAX)
        self._dear = Latest[Hashable, bool](KEPT_MAX)
        """What is known to rest on many reports."""

    def made(self, key: Hashable, at: int, usage: UsageView, make: Callable[[UsageView], T], *, wait: bool = True) -> T:
        """What `make` reads out of usage, as it was found a moment ago or is found now; `key` names what it is.

        Without `wait` it raises Later where many reports would have to be read now.
        """
        held = self._held.get(key)
        if held is not None and held.at <= at < held.until:
            return held.found  # type: ignore[return-value]  # what this key was made by
        if not wait and self._dear.get(key):
            raise Later
        counted = Counted(usage, None if wait else READ_AT_ONCE_MAX)
        try:
            found = make(counted)
        except Later:
            self._dear.put(key, value=True)
            raise
        self._dear.put(key, value=counted.read > READ_AT_ONCE_MAX)
        seconds = min(counted.read // READ_A_SECOND, KEPT_SECONDS_MAX)
        if seconds:
            self._held.put(key, _Made(at=at, until=at + seconds, found=found))
        return found
