"""Devices that have ever reported, by name: read once, and then only what has come since."""

from typing import Final, NamedTuple

from cloud_collector.store.store import Store


class _Read(NamedTuple):
    channels: int
    newest: tuple[int, str] | None
    """The channel that was read last, and its device."""
    names: frozenset[str]


_NOTHING: Final = _Read(channels=0, newest=None, names=frozenset())


class Heard:
    """The memory of one store."""

    def __init__(self) -> None:
        self._read = _NOTHING

    def names(self, store: Store) -> frozenset[str]:
        """Every `gateway/device` of which anything was accepted."""
        before = self._read
        ((count,),) = store.rows("channels_count")
        come = store.rows("devices_heard", 0 if before.newest is None else before.newest[0])
        if before.newest is not None and (come[:1] != [before.newest] or before.channels + len(come) - 1 != count):
            # The store was made anew, or is another one.
            before, come = _NOTHING, store.rows("devices_heard", 0)
        new = come[0 if before.newest is None else 1 :]
        if new:
            names = before.names.union(name for _, name in new)
            before = _Read(channels=before.channels + len(new), newest=new[-1], names=names)
        self._read = before
        return before.names
