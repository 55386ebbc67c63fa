"""Bytes in and out of network interfaces, from /proc/net/dev."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class NetdevSettings:
    """Which interfaces are metered, and how often."""

    kind: Literal["netdev"] = "netdev"
    name: str = "netdev"
    """The source's name in messages; unique in a configuration."""
    log: str = "main"
    """The log that its channels are sealed in."""
    poll_seconds: float = 1.0
    """How often it is read."""
    interfaces: tuple[str, ...] = ("*",)
    """Names or patterns (`eth*`) of the interfaces; loopback only where it is named."""
    rate_max: int = 12_500_000_000
    """The most bytes a second that can be true of one direction of one interface."""
