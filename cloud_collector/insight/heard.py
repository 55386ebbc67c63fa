"""Devices that have ever reported, by name: read once, and then only what has come since."""

from typing import NamedTuple

from cloud_collector.store.store import Store


class _Read(NamedTuple):
    channels: int
    newest: int
    names: frozenset[str]


class Heard:
    """The memory of one store."""

    def __init__(self) -> None:
        self._read = _Read(channels=0, newest=0, names=frozenset())

    def names(self, store: Store) -> frozenset[str]:
        """Every `gateway/device` of which anything was accepted."""
        before = self._read
        ((count,),) = store.rows("channels_count")
        come = store.rows("devices_heard", before.newest)
        if before.channels + len(come) != count:
            # The store has been made anew, or is another one.
            before, come = _Read(channels=0, newest=0, names=frozenset()), store.rows("devices_heard", 0)
        if come:
            names = before.names.union(name for _, name in come)
            self._read = before = _Read(channels=before.channels + len(come), newest=come[-1][0], names=names)
        return before.names
