"""MQTT topics of the wire: `<prefix>/<gateway>/<leaf>`, built and taken apart by a fixed grammar (P10)."""

from enum import StrEnum
from typing import Final

from shared.errors import InvalidRecord
from shared.grammar import GATEWAY_PATTERN

PREFIX: Final = "meterseal/v1"
GROUP: Final = "collectors"
"""Those that take turns, where nothing else is said."""


class Leaf(StrEnum):
    """The last level of a topic, and so the direction."""

    REPORT = "report"
    RESPONSE = "response"
    STATE = "state"
    HEALTH = "health"
    RECEIPT = "receipt"
    COMMAND = "command"
    ALERT = "alert"


_LEAVES: Final = frozenset(leaf.value for leaf in Leaf)


def topic_of(gateway: str, leaf: Leaf, prefix: str = PREFIX) -> str:
    """The topic of a gateway's leaf; raises InvalidRecord for what is no gateway id."""
    if not GATEWAY_PATTERN.fullmatch(gateway):
        raise InvalidRecord(f"{gateway[:48]!r} is no gateway id: {GATEWAY_PATTERN.pattern}")
    return f"{prefix}/{gateway}/{leaf.value}"


def filter_of(leaf: Leaf, prefix: str = PREFIX, *, group: str = "") -> str:
    """The filter of every gateway's leaf; those who name the same group take turns."""
    return f"{f'$share/{group}/' if group else ''}{prefix}/+/{leaf.value}"


def gateway_of(topic: str, prefix: str = PREFIX) -> str | None:
    """The gateway that a topic names, or None where the topic is not of this grammar."""
    head, _, leaf = topic.rpartition("/")
    gateway = head.removeprefix(prefix + "/")
    if leaf not in _LEAVES or head == gateway or not GATEWAY_PATTERN.fullmatch(gateway):
        return None
    return gateway
