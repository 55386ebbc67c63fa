"""The grammar of single fields: the patterns of names, hashes and numbers, and the checks that name a place.

Source: docs/reference/wire.md, section 8. A check raises InvalidRecord; readers of untrusted bytes turn
that into a Refused.
"""

import re
from enum import StrEnum
from typing import Any, Final, TypeVar

from shared.errors import InvalidRecord
from shared.limits import GATEWAY_CHARS_MAX, INTEGER_MAX, NAME_CHARS_MAX

GATEWAY_PATTERN: Final = re.compile(rf"[a-z0-9]([a-z0-9-]{{0,{GATEWAY_CHARS_MAX - 2}}}[a-z0-9])?", re.ASCII)
NAME_PATTERN: Final = re.compile(rf"[a-z0-9_.-]{{1,{NAME_CHARS_MAX}}}", re.ASCII)
HEX8_PATTERN: Final = re.compile(r"[0-9a-f]{8}", re.ASCII)
KEY_ID_PATTERN: Final = re.compile(r"[0-9a-f]{16}", re.ASCII)
HASH_PATTERN: Final = re.compile(r"[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]", re.ASCII)
SIGNATURE_PATTERN: Final = re.compile(r"[A-Za-z0-9_-]{85}[AQgw]", re.ASCII)
NOTE_INDEX_PATTERN: Final = re.compile(r"0|[1-9][0-9]{0,3}", re.ASCII)
PLAIN_TEXT: Final = re.compile(r"[ !#-\[\]-{}~]*", re.ASCII)
"""Printable ASCII without the quotation mark, the backslash and the bar."""


def require(holds: bool, reason: str) -> None:  # noqa: FBT001 - an assertion in words.
    """The rule holds, or InvalidRecord says which one does not."""
    if not holds:
        raise InvalidRecord(reason)


def require_match(pattern: re.Pattern[str], value: object, place: str) -> None:
    """The value is text that fits the pattern from end to end."""
    if type(value) is not str or pattern.fullmatch(value) is None:
        raise InvalidRecord(f"{place} is {shown(value)}, which does not fit {pattern.pattern}")


def require_plain(value: object, place: str, chars_max: int) -> None:
    """The value is plain text of at most `chars_max` characters."""
    if type(value) is not str or len(value) > chars_max or PLAIN_TEXT.fullmatch(value) is None:
        raise InvalidRecord(f"{place} must be plain text of at most {chars_max} characters")


def require_integer(value: object, place: str, least: int = -INTEGER_MAX, most: int = INTEGER_MAX) -> None:
    """The value is an integer within the bounds, both included."""
    # `type(…) is int` on purpose: True is no integer on the wire.
    if type(value) is not int or not least <= value <= most:
        raise InvalidRecord(f"{place} is {shown(value)}, not an integer from {least} to {most}")


_Name = TypeVar("_Name", bound=StrEnum)


def one_of(kind: type[_Name], value: object, place: str) -> _Name:
    """The member of `kind` that the text names."""
    member = kind._value2member_map_.get(value) if type(value) is str else None
    if member is None:
        raise InvalidRecord(f"{place} is {shown(value)}, not one of {', '.join(kind)}")
    return member  # type: ignore[return-value]


def listed(value: object, place: str, length: int) -> list[Any]:
    """The value, a list of exactly this length."""
    if type(value) is not list or len(value) != length:
        raise InvalidRecord(f"{place} must be a list of {length}")
    return value


def require_keys(body: dict[str, Any], keys: frozenset[str], place: str = "the body") -> None:
    """The object has exactly these keys."""
    if body.keys() != keys:
        missing = sorted(keys - body.keys())
        unknown = sorted(body.keys() - keys)
        parts = [f"lacks {', '.join(missing)}"] if missing else []
        parts += [f"has the unknown {', '.join(name[:32] for name in unknown[:8])}"] if unknown else []
        raise InvalidRecord(f"{place} {' and '.join(parts)}")


def shown(value: object) -> str:
    """At most 48 characters of an untrusted value, for a reason that people read."""
    # A long list is not spelled out: untrusted values cost no more than they are worth.
    if isinstance(value, str):
        return repr(value[:48])
    return "a list or an object" if isinstance(value, (list, dict)) else str(value)[:48]
