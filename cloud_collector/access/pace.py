"""How often somebody may do something: a few times at once, then one in a while; in bounded memory (P9)."""

import ipaddress
import threading
from collections import OrderedDict


class Pace:
    """A leaky bucket for each name."""

    def __init__(self, *, at_once: int, each_ms: int, names: int) -> None:
        self._room_ms = at_once * each_ms
        self._each_ms = each_ms
        self._names = names
        self._empty_at: OrderedDict[str, int] = OrderedDict()
        """When a name's bucket is empty again; the longest silent one first."""
        self._turn = threading.Lock()

    def take(self, name: str, now_ms: int) -> int:
        """0 where it may be done now, and that is counted; else how many seconds to wait."""
        with self._turn:
            empty_at = max(self._empty_at.get(name, 0), now_ms)
            ahead = empty_at + self._each_ms - now_ms - self._room_ms
            if ahead > 0:
                return -(-ahead // 1_000)
            self._empty_at[name] = empty_at + self._each_ms
            self._empty_at.move_to_end(name)
            if len(self._empty_at) > self._names:
                self._empty_at.popitem(last=False)
            return 0

    def __len__(self) -> int:
        return len(self._empty_at)


def neighbourhood(address: str) -> str:
    """What of an address one party has to itself: all of IPv4's, of IPv6's the first 64 bits."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((int(found) >> 64 << 64, 64)))
    return str(found)
