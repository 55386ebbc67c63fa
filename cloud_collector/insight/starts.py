"""Starts that were found before: given again for as long as the reports that they rest on stand unchanged.

A start rests on a few reports of long ago, and each page asks for those of every device of a contract. It takes a
fraction of finding them anew to see that nothing has come between those reports, was deleted or is placed otherwise.
"""

import marshal
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final, TypeVar

from cloud_collector.activity.recall import Spans
from cloud_collector.store.view import StoreView
from cloud_collector.usage.span import ChannelName, Span, UsageView
from shared.latest import Latest

GROUPS_MAX: Final = 16_384
"""Devices, or contracts whose devices start together, that are remembered: some 2 KB each."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    reads: tuple[tuple[ChannelName, int, int], ...]
    reached: int
    """The first second after what was read."""
    stamp: bytes
    """Of what lay there."""
    found: object


class Starts:
    """The memory of one store's pages; each look must be at one instant, as a snapshot is."""

    def __init__(self) -> None:
        self._held = Latest[Hashable, _Found](GROUPS_MAX)

    def over(self, usage: UsageView, held: UsageView) -> "Recalled | None":
        """The memory for a look at this usage, which is what `held` has; None where that is not the store itself."""
        return Recalled(self._held, usage.spans, held) if isinstance(held, StoreView) else None


class Recalled:
    """A Recall of one look."""

    def __init__(self, held: Latest[Hashable, _Found], spans: Spans, store: StoreView) -> None:
        self._held = held
        self._spans = spans
        self._store = store

    def made(self, key: Hashable, stop: int, make: Callable[[Spans], T]) -> T:
        """What `make` finds, or found before under this key in the same reports."""
        held = self._held.get(key)
        if held is not None and held.reached < stop and held.stamp == self._stamp(held.reads):
            return held.found  # type: ignore[return-value]  # what this key was made by
        asked: dict[ChannelName, tuple[int, int]] = {}

        def spans(channel: ChannelName, start: int, end: int) -> list[Span]:
            low, high = asked.get(channel, (start, end))
            asked[channel] = min(low, start), max(high, end)
            return self._spans(channel, start, end)

        found = make(spans)
        reads = tuple((channel, start, end) for channel, (start, end) in asked.items())
        reached = max((end for _, _, end in reads), default=0)
        if reached < stop:
            self._held.put(key, _Found(reads=reads, reached=reached, stamp=self._stamp(reads), found=found))
        return found

    def _stamp(self, reads: tuple[tuple[ChannelName, int, int], ...]) -> bytes:
        # Version 2 writes equal values alike, whatever else refers to them.
        said = marshal.dumps([self._store.facts(*each) for each in reads], 2)
        return blake2b(said, digest_size=16).digest()
