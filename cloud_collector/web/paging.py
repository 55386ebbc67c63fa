"""Long tables a screenful at a time: which rows a page shows, and the links to those before and after."""

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from fastapi import Request

PAGE_ROWS: Final = 60
"""Rows of one page, so that it stays light; its CSV and JSON have all of them."""
_DIGITS_MAX: Final = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Pager:
    """Rows [start, end) of `total`, and where the others are; an empty address leads nowhere."""

    start: int
    end: int
    total: int
    before: str
    after: str

    @property
    def rows(self) -> slice:
        """Of a sequence of all rows those that are shown."""
        return slice(self.start, self.end)


def pager(request: Request, total: int, *, size: int = PAGE_ROWS) -> Pager:
    """The page that `?after=` asks for: the rows after so many; what is no number is the first page."""
    asked = request.query_params.get("after", "")
    start = int(asked) if asked.isascii() and asked.isdecimal() and len(asked) <= _DIGITS_MAX else 0
    start = min(start, max(0, total - 1))
    end = min(start + size, total)
    return Pager(
        start=start,
        end=end,
        total=total,
        before=_address(request, max(0, start - size)) if start else "",
        after=_address(request, end) if end < total else "",
    )


def _address(request: Request, after: int) -> str:
    kept = {name: value for name, value in request.query_params.items() if name != "after"}
    asked = urlencode(kept | ({"after": str(after)} if after else {}))
    return f"{request.url.path}?{asked}" if asked else request.url.path
