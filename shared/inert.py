"""Cells of files that people open with a spreadsheet, which runs as a formula what looks like one."""

import re
from typing import Final

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_NUMBER: Final = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?", re.ASCII)


def inert(value: str | int | None) -> str | int | None:
    """The same as text where it could be run; a number stays one, below zero too."""
    if isinstance(value, str) and value.startswith(_FORMULA) and _NUMBER.fullmatch(value) is None:
        return f"'{value}"
    return value
