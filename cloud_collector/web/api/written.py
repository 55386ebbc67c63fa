"""Instants as requests write them: RFC 3339 with an offset, and nothing that could be read as another one."""

import re
from datetime import datetime
from typing import Annotated, Final

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

_INSTANT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", re.ASCII | re.IGNORECASE)


def _with_offset(told: object) -> object:
    """What is written as an instant; a bare number or a local time names none, although a library would read it."""
    if not isinstance(told, str) or _INSTANT.fullmatch(told) is None:
        raise PydanticCustomError("instant", "write the instant with its offset, such as 2026-11-03T00:00:00Z")
    return told


Written = Annotated[datetime, BeforeValidator(_with_offset)]
"""For a parameter of a route: an aware instant."""
