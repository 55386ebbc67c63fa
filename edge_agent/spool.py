"""The spool: what was metered and sealed and is not yet known to be safe elsewhere (P2, P7)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edge_agent.disk import Disk as Disk
from edge_agent.disk import FileDisk as FileDisk
from shared.errors import MetersealError
from shared.receipt import Receipt


class SpoolFull(MetersealError):
    """The spool is full of lines that the collector has not confirmed: bring the link up or raise spool_bytes_max."""


@dataclass(frozen=True, slots=True)
class SpoolLine:
    """A sealed line at its position; `raw` is what is sent."""

    log: str
    epoch: str
    seq: int
    hash: str
    raw: bytes
    kind: str
