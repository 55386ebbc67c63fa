"""The latest of what was worked out, kept so that it need not be again: bounded, and for several threads at once."""

from collections.abc import Callable, Hashable
from itertools import count
from typing import Final, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
_SPARED: Final = 8
"""Of many values this part is forgotten at once, so that putting one in seldom asks for the age of all."""


class Latest(Generic[K, V]):
    """Values by key up to a weight together; what was asked for longest ago is forgotten first.

    Whatever threads do meanwhile, each step on a plain dict is whole; an OrderedDict would break where keys compare
    themselves in Python.
    """

    def __init__(self, most: int, weigh: Callable[[V], int] | None = None) -> None:
        """At most so many values; or so much weight, of which one value alone may have more."""
        self._most = most
        self._weigh = weigh
        self._held: dict[K, V] = {}
        self._asked: dict[K, int] = {}
        """By key when it was asked for, as a place in an order."""
        self._turns = count(1)

    def get(self, key: K) -> V | None:
        """What is kept of it."""
        found = self._held.get(key)
        if found is not None:
            self._asked[key] = next(self._turns)
        return found

    def put(self, key: K, value: V) -> V:
        """It is kept from now on."""
        self._held[key] = value
        self._asked[key] = next(self._turns)
        if self._weight() > self._most:
            self._forget(key)
        return value

    def made(self, key: K, make: Callable[[], V]) -> V:
        """What is kept of it, or is made now; several threads may make it at once."""
        found = self.get(key)
        return self.put(key, make()) if found is None else found

    def _forget(self, newest: K) -> None:
        most = self._most - (self._most // _SPARED if self._weigh is None else 0)
        # Sorted copies them first, in one step.
        for key in sorted(self._asked, key=lambda each: self._asked.get(each, 0)):
            if self._weight() <= most:
                return
            if key != newest:
                self._held.pop(key, None)
                self._asked.pop(key, None)

    def _weight(self) -> int:
        return len(self._held) if self._weigh is None else sum(map(self._weigh, list(self._held.values())))
