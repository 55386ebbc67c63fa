"""The latest of what was worked out, kept so that it need not be again: bounded, and for several threads at once."""

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Latest(Generic[K, V]):
    """At most so many values by key; the one that was put first is forgotten first."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: dict[K, V] = {}

    def get(self, key: K) -> V | None:
        """What is kept of it."""
        return self._held.get(key)

    def put(self, key: K, value: V) -> V:
        """It is kept from now on."""
        self._held[key] = value
        if len(self._held) > self._most:
            # The list is one step, whatever other threads do; two may mean the same key.
            for oldest in list(self._held)[: -self._most]:
                self._held.pop(oldest, None)
        return value

    def made(self, key: K, make: Callable[[], V]) -> V:
        """What is kept of it, or is made now."""
        found = self._held.get(key)
        return self.put(key, make()) if found is None else found
