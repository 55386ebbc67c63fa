"""Pages of lists: a cursor names the last item that was given, so that what is inserted meanwhile moves nothing."""

import base64
import binascii
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Final, TypeVar

from fastapi import Depends, Query

from cloud_collector.client.page import Page
from cloud_collector.web.api.problem import Refusal

LIMIT_DEFAULT: Final = 50
LIMIT_MAX: Final = 200
"""Items of a page."""
CURSOR_CHARS_MAX: Final = 512

T = TypeVar("T")
Key = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Which part of a list is asked for."""

    cursor: str | None
    limit: int

    def after(self, like: Key) -> Key | None:
        """The key of the item before, of the same types as `like`; None where the list begins. Raises Refusal (404)."""
        if self.cursor is None:
            return None
        found = _read(self.cursor)
        if found is None or [type(part) for part in found] != [type(part) for part in like]:
            raise Refusal(404, "this list has no such page: take `next` of the page before as it is")
        return tuple(found)


def asked(
    cursor: Annotated[
        str | None,
        Query(
            max_length=CURSOR_CHARS_MAX,
            pattern="^[A-Za-z0-9_-]+$",
            description="`next` of the page before; without it the list begins.",
        ),
    ] = None,
    limit: Annotated[int, Query(ge=1, le=LIMIT_MAX, description="Items of a page, at most.")] = LIMIT_DEFAULT,
) -> Asked:
    """The parameters that every list takes."""
    return Asked(cursor=cursor, limit=limit)


Part = Annotated[Asked, Depends(asked)]


def page(found: Iterable[T], asked: Asked, key: Callable[[T], Key]) -> Page[T]:
    """The first items of what follows the cursor; `found` holds one more than a page where there are more."""
    items: list[T] = []
    for each in found:
        if len(items) == asked.limit:
            return Page(items=items, next=_write(key(items[-1])))
        items.append(each)
    return Page(items=items)


def told(of: Page[Any], make: Callable[[Any], T]) -> Page[T]:
    """The same page, its items made into something else."""
    return Page(items=[make(each) for each in of.items], next=of.next)


def _write(key: Key) -> str:
    return base64.urlsafe_b64encode(json.dumps(key, separators=(",", ":")).encode()).decode().rstrip("=")


def _read(cursor: str) -> list[Any] | None:
    try:
        found = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError):
        return None
    return found if isinstance(found, list) else None
