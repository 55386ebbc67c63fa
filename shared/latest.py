"""The latest of what was worked out, kept so that it need not be again: bounded, and for several threads at once."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Latest(Generic[K, V]):
    """Values by key up to a weight together; what was asked for longest ago is forgotten first."""

    def __init__(self, most: int, weigh: Callable[[V], int] = lambda _: 1) -> None:
        """At most so many values; or so much weight, of which one value alone may have more."""
        self._most = most
        self._weigh = weigh
        self._weight = 0
        self._held: OrderedDict[K, V] = OrderedDict()
        self._lock = Lock()

    def get(self, key: K) -> V | None:
        """What is kept of it."""
        with self._lock:
            found = self._held.get(key)
            if found is not None:
                self._held.move_to_end(key)
            return found

    def put(self, key: K, value: V) -> V:
        """It is kept from now on."""
        with self._lock:
            before = self._held.pop(key, None)
            self._weight += self._weigh(value) - (0 if before is None else self._weigh(before))
            self._held[key] = value
            while self._weight > self._most and len(self._held) > 1:
                self._weight -= self._weigh(self._held.popitem(last=False)[1])
        return value

    def made(self, key: K, make: Callable[[], V]) -> V:
        """What is kept of it, or is made now; several threads may make it at once."""
        found = self.get(key)
        return self.put(key, make()) if found is None else found
