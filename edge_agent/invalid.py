"""How a setting says that it cannot be: by its key, so that the configuration can name file and line."""

import re

from edge_agent.reading import HOLD_SECONDS_MAX, Kind
from shared.errors import InvalidRecord, MetersealError
from shared.grammar import NAME_PATTERN, PLAIN_TEXT
from shared.limits import EXPONENT_MAX, INTEGER_MAX, UNIT_CHARS_MAX

PER_SECONDS_MAX = 86_400
POLL_SECONDS_MIN = 0.1
POLL_SECONDS_MAX = 86_400.0


class ConfigInvalid(MetersealError):
    """The configuration cannot be used; one sentence a line."""


class InvalidSetting(InvalidRecord):
    """A setting has a value that it cannot have."""

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(f"{key} {reason}")
        self.key = key
        self.reason = reason


def require_within(key: str, value: float, least: float, most: float) -> None:
    """The value lies within its bounds, both included."""
    if not least <= value <= most:
        raise InvalidSetting(key, f"must be from {_plain(least)} to {_plain(most)}, this is {_plain(value)}")


def _plain(number: float) -> str:
    return f"{number:f}".rstrip("0").rstrip(".") if isinstance(number, float) else str(number)


def require_fits(key: str, value: str, pattern: re.Pattern[str] = NAME_PATTERN) -> None:
    """The text fits a pattern from end to end; by default that of names."""
    if pattern.fullmatch(value) is None:
        raise InvalidSetting(key, f"must fit {pattern.pattern}, this is {value[:48]!r}")


def require_source(name: str, log: str, poll_seconds: float) -> None:
    """What every source has is right."""
    require_fits("name", name)
    require_fits("log", log)
    require_within("poll_seconds", poll_seconds, POLL_SECONDS_MIN, POLL_SECONDS_MAX)


def require_kind(kind: str, unit: str, per_seconds: int, hold_seconds: int) -> None:
    """What a channel's kind asks for is right."""
    require_within("per_seconds", per_seconds, 1, PER_SECONDS_MAX)
    require_within("hold_seconds", hold_seconds, 1, HOLD_SECONDS_MAX)
    if kind == Kind.STATE and unit != "s":
        raise InvalidSetting("unit", f'must be "s" where the kind is state: active time is counted, this is {unit!r}')


def require_channel(device: str, meter: str, unit: str, exponent: int, rate_max: int) -> None:
    """What every configured channel has is right."""
    require_fits("device", device)
    require_fits("meter", meter)
    if not 0 < len(unit) <= UNIT_CHARS_MAX or PLAIN_TEXT.fullmatch(unit) is None:
        raise InvalidSetting("unit", f"must be a UCUM unit of at most {UNIT_CHARS_MAX} characters")
    require_within("exponent", exponent, -EXPONENT_MAX, EXPONENT_MAX)
    require_within("rate_max", rate_max, 1, INTEGER_MAX)
