"""Instants, dates and amounts as requests write them: in one way, and nothing that could be read as another."""

import re
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Final

from pydantic import BeforeValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

_INSTANT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", re.ASCII | re.IGNORECASE)
_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
AMOUNT_PATTERN: Final = r"^[0-9]{1,15}(\.[0-9]{1,6})?$"
_AMOUNT: Final = re.compile(AMOUNT_PATTERN, re.ASCII)


def _with_offset(told: object) -> object:
    """What is written as an instant; a bare number or a local time names none, although a library would read it."""
    if not isinstance(told, str) or _INSTANT.fullmatch(told) is None:
        raise PydanticCustomError("instant", "write the instant with its offset, such as 2026-11-03T00:00:00Z")
    return told


def _as_day(told: object) -> object:
    """What is written as a date; a number of seconds names none."""
    if told is not None and (not isinstance(told, str) or _DAY.fullmatch(told) is None):
        raise PydanticCustomError("day", "write the date, such as 2026-11-01")
    return told


def _as_amount(told: object) -> object:
    """What is written as decimal text; a float is never an amount."""
    if told is not None and (not isinstance(told, str) or _AMOUNT.fullmatch(told) is None):
        raise PydanticCustomError("amount", 'write the amount as decimal text, such as "12.50"')
    return told


PRINTABLE: Final = r"^[^\x00-\x1f\x7f-\x9f]*$"
"""The pattern of a text that people write and read: one line, without control characters."""
Day = Annotated[date, BeforeValidator(_as_day)]
"""A local date."""
Amount = Annotated[
    Decimal,
    BeforeValidator(_as_amount),
    WithJsonSchema({"type": "string", "pattern": AMOUNT_PATTERN, "examples": ["12.50"]}),
]
"""Money above zero, as decimal text."""
Written = Annotated[datetime, BeforeValidator(_with_offset)]
"""For a parameter of a route: an aware instant."""
