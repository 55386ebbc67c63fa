"""What may remember a start between two looks at the same store."""

from collections.abc import Callable, Hashable
from typing import Protocol, TypeVar

from cloud_collector.usage.span import ChannelName, Span

T = TypeVar("T")
Spans = Callable[[ChannelName, int, int], list[Span]]
"""Spans of a channel that overlap [start, end), as UsageView gives them."""


class Recall(Protocol):
    """A memory of what was found in spans, which never gives what would be found otherwise now."""

    def made(self, key: Hashable, stop: int, make: Callable[[Spans], T]) -> T:
        """What `make` finds, or found before under the same key in the same spans.

        It must follow from the key and from the spans that `make` asks for, and from `stop` only where it asks for
        spans up to there or beyond.
        """
