"""How often somebody may do something: a few times at once, then one in a while; in bounded memory (P9)."""

import ipaddress
import threading
from collections import OrderedDict
from dataclasses import dataclass, field

from cloud_collector.limits import (
    GUESS_SECONDS,
    GUESSES_AT_ONCE_MAX,
    NAMES_PACED_MAX,
    REQUESTS_OF_ADDRESS_AT_ONCE_MAX,
    REQUESTS_OF_ADDRESS_SECOND_MAX,
    REQUESTS_OF_ONE_AT_ONCE_MAX,
    REQUESTS_OF_ONE_SECOND_MAX,
    SIGN_IN_SECONDS,
    SIGN_INS_AT_ONCE_MAX,
)


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

    def wait(self, name: str, now_ms: int) -> int:
        """How many seconds until `take` would let it be done; 0: now. Nothing is counted."""
        with self._turn:
            ahead = max(self._empty_at.get(name, 0), now_ms) + self._each_ms - now_ms - self._room_ms
            return max(0, -(-ahead // 1_000))

    def __len__(self) -> int:
        return len(self._empty_at)


def _pace(at_once: int, each_ms: int) -> Pace:
    return Pace(at_once=at_once, each_ms=each_ms, names=NAMES_PACED_MAX)


@dataclass(frozen=True, slots=True, kw_only=True)
class Paces:
    """How often who may do what, in this process."""

    addresses: Pace = field(
        default_factory=lambda: _pace(REQUESTS_OF_ADDRESS_AT_ONCE_MAX, 1_000 // REQUESTS_OF_ADDRESS_SECOND_MAX)
    )
    """Requests of an address."""
    viewers: Pace = field(
        default_factory=lambda: _pace(REQUESTS_OF_ONE_AT_ONCE_MAX, 1_000 // REQUESTS_OF_ONE_SECOND_MAX)
    )
    """Requests of a token or a person, from wherever."""
    guesses: Pace = field(default_factory=lambda: _pace(GUESSES_AT_ONCE_MAX, GUESS_SECONDS * 1_000))
    """Tokens of an address that were none."""
    sign_ins: Pace = field(default_factory=lambda: _pace(SIGN_INS_AT_ONCE_MAX, SIGN_IN_SECONDS * 1_000))
    """Sign-ins of an address."""


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
