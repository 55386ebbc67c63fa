"""What metering hands over to be sealed: the content of a line, without its position in the chain."""

from dataclasses import dataclass

from shared.report import Cause, Channel, Clock, GapRow, UsageRow


@dataclass(frozen=True, slots=True, kw_only=True)
class BirthContent:
    """Where the log's channels stand; the spool adds agent, config and previous."""

    cause: Cause
    channels: tuple[Channel, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageContent:
    """A closed window."""

    start: int
    step: int
    count: int
    rows: tuple[UsageRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GapContent:
    """What could not be metered."""

    rows: tuple[GapRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockContent:
    """UTC minus boot time, in seconds."""

    offset: int


Content = BirthContent | UsageContent | GapContent | ClockContent


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealable:
    """One line to be sealed: the header's part that metering knows, and the content."""

    log: str
    boot: str
    clock: Clock
    sealed_at: int
    content: Content
