"""How a gateway stands: by when it last spoke on the collector's own clock, and how far its own is believed. Pure."""

from enum import StrEnum
from typing import Final

LATE_WINDOWS: Final = 2
"""After so many of its windows without a word a gateway is late."""
LATE_SECONDS_MIN: Final = 120
"""But never before this time."""
EVERY_SECONDS: Final = 900
"""How long a gateway's windows are where none has been seen: the agent's default."""
SILENT_SECONDS: Final = 86_400
"""After this it is silent, whoever looked."""


class Standing(StrEnum):
    """How a gateway stands."""

    ONLINE = "online"
    LATE = "late"
    SILENT = "silent"
    CLOCK = "clock"
    """It speaks, and its clock is not to be believed."""
    NEVER = "never"
    """It is enrolled and has not spoken yet."""


def kept_standing(now_ms: int, heard_ms: int, every_seconds: int, *, silent: bool, clock_is_wrong: bool) -> Standing:
    """What a look that has judged silence and clocks finds."""
    if silent:
        return Standing.SILENT
    if clock_is_wrong:
        return Standing.CLOCK
    return Standing.LATE if is_late(now_ms, heard_ms, every_seconds) else Standing.ONLINE


def standing_now(
    now_ms: int, heard_ms: int | None, every_seconds: int | None, kept: Standing | None, since_ms: int | None
) -> Standing:
    """How it stands at this moment: as the last look found it, unless it has spoken, or gone quiet, since."""
    if heard_ms is None:
        return Standing.NEVER
    if now_ms - heard_ms > SILENT_SECONDS * 1000 or (kept is Standing.SILENT and heard_ms <= (since_ms or 0)):
        return Standing.SILENT
    if is_late(now_ms, heard_ms, every_seconds or EVERY_SECONDS):
        return Standing.LATE
    return Standing.CLOCK if kept is Standing.CLOCK else Standing.ONLINE


def is_late(now_ms: int, heard_ms: int, every_seconds: int) -> bool:
    """Whether it should have spoken by now."""
    return now_ms - heard_ms > max(LATE_WINDOWS * every_seconds, LATE_SECONDS_MIN) * 1000
