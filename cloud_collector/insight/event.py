"""Something that happened to a device, at an instant, with what caused it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cloud_collector.contracts.period import iso


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One entry of a device's timeline."""

    at: int
    what: str
    told: str
    """A sentence for people."""
    details: tuple[str, ...] = ()
    """Further ones: why, by which report, by whom."""
    data: Mapping[str, Any] = field(default_factory=dict)
    """The same for programs."""
    expected: bool = False
    """It lies in the future, and comes unless something else does."""

    def to_json(self) -> dict[str, Any]:
        """The public form."""
        return {
            "at": iso(self.at),
            "what": self.what,
            "told": self.told,
            "details": list(self.details),
            "expected": self.expected,
            **self.data,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportName:
    """Which sealed report, and when it came."""

    gateway: str
    log: str
    epoch: str
    seq: int
    received_at: int | None
    """Milliseconds, by the collector's clock; None where it is not known any more."""

    def to_json(self) -> dict[str, Any]:
        """The public form."""
        received = None if self.received_at is None else iso(self.received_at // 1000)
        return {
            "gateway": self.gateway,
            "log": self.log,
            "epoch": self.epoch,
            "seq": self.seq,
            "received_at": received,
        }

    def __str__(self) -> str:
        said = f"report {self.gateway} {self.log} {self.epoch}:{self.seq}"
        return said if self.received_at is None else f"{said}, received {iso(self.received_at // 1000)}"
