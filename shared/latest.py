"""The latest of what was worked out, kept so that it need not be again: bounded, and for several threads at once."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from contextlib import suppress
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Latest(Generic[K, V]):
    """Values by key up to a weight together; what was asked for longest ago is forgotten first."""

    def __init__(self, most: int, weigh: Callable[[V], int] | None = None) -> None:
        """At most so many values; or so much weight, of which one value alone may have more."""
        self._most = most
        self._weigh = weigh
        self._held: OrderedDict[K, V] = OrderedDict()

    def get(self, key: K) -> V | None:
        """What is kept of it."""
        found = self._held.get(key)
        if found is not None:
            self._moves(key)
        return found

    def put(self, key: K, value: V) -> V:
        """It is kept from now on."""
        self._held[key] = value
        self._moves(key)
        while len(self._held) > 1 and self._weight() > self._most:
            # Each is one step, whatever other threads do; several may drop one more than they must.
            with suppress(KeyError):
                self._held.popitem(last=False)
        return value

    def made(self, key: K, make: Callable[[], V]) -> V:
        """What is kept of it, or is made now; several threads may make it at once."""
        found = self.get(key)
        return self.put(key, make()) if found is None else found

    def _moves(self, key: K) -> None:
        # Another thread may have dropped it.
        with suppress(KeyError):
            self._held.move_to_end(key)

    def _weight(self) -> int:
        return len(self._held) if self._weigh is None else sum(map(self._weigh, list(self._held.values())))
