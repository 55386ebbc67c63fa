"""That it is kept who read whose data over the API, around every route: no route has to think of it.

Whose it is follows from what a request names, in its path or its query. Who reads the same again within an hour has
looked once; what is taken along as a file is kept by the route itself, each time.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Final

from fastapi import Request

from cloud_collector.access.trail import has_looked
from cloud_collector.billing.disputes import dispute
from cloud_collector.web.api.sight import Sight, seen, site_of
from cloud_collector.web.looking import SEEN_AGAIN_MS, looked
from shared.latest import Latest

Named = Mapping[str, str]


def _row_of(query: str, place: int, *, number: bool = False) -> Callable[[Sight, str, Named], Iterable[str]]:
    """Whose a row is: its account stands at this place."""

    def found(sight: Sight, name: str, _: Named) -> Iterable[str]:
        row = sight.store.row(query, _id(name) if number else name)
        return () if row is None else (row[place],)

    return found


def _account(sight: Sight, name: str, _: Named) -> Iterable[str]:
    return (name,) if name in sight.accounts else ()


def _contract(sight: Sight, name: str, _: Named) -> Iterable[str]:
    found = sight.contracts.get(name)
    return () if found is None else (found.account,)


def _device(sight: Sight, name: str, named: Named) -> Iterable[str]:
    """Everybody in sight who has or had it: what is read of it may be anybody's of them."""
    return {each.account for each in sight.held(f"{named['gateway']}/{name}")}


def _dispute(sight: Sight, name: str, _: Named) -> Iterable[str]:
    found = dispute(sight.store, _id(name))
    return () if found is None else (found.account,)


OWNERS: Final[Mapping[str, Callable[[Sight, str, Named], Iterable[str]]]] = {
    "account": _account,
    "contract": _contract,
    "device": _device,
    "number": _row_of("api_invoice", 3),
    "warning": _row_of("warning_one", 2, number=True),
    "webhook": _row_of("webhook_one", 2),
    "delivery": _row_of("api_delivery", 8, number=True),
    "dispute": _dispute,
}
"""By the name of a parameter: whose it is what it names."""
ASKED: Final = frozenset({"account", "contract", "number"})
"""Those of them that a query names as well."""
AGAIN_MS: Final = 60_000
REMEMBERED_MAX: Final = 10_000
"""Looks that one process remembers; the oldest is forgotten, and asked of the store again."""
TOO_FINE: Final = frozenset({"log", "epoch", "seq"})
"""Of these a program reads thousands an hour: that it looked at lines of the gateway is said once."""


class Looks:
    """Looks of the last minute, which are looks again: for these nobody asks the store."""

    def __init__(self) -> None:
        self._at = Latest[tuple[str, str, str], int](REMEMBERED_MAX)

    def is_again(self, request: Request, path: str) -> bool:
        """Whether the same was read, and kept, by the same a moment ago."""
        at = self._at.get(_same(request, path))
        return at is not None and 0 <= site_of(request).clock.utc_ms() - at < AGAIN_MS

    def keep(self, request: Request, path: str) -> None:
        """Who reads what this request names is kept for whoever owns it, where he was not within the hour."""
        if getattr(request.state, "looked", False):
            return
        site, viewer, named = site_of(request), request.state.viewer, names(request)
        what = f"{_told(path, request.path_params)} over the API"
        now_ms = site.clock.utc_ms()
        with seen(site, viewer) as sight:
            whose = {each for name in named.keys() & OWNERS.keys() for each in OWNERS[name](sight, named[name], named)}
            after_ms = now_ms - SEEN_AGAIN_MS
            due = [
                each
                for each in sorted(whose - {""})
                if not has_looked(sight.store, viewer, what, account=each, after_ms=after_ms)
            ]
        for account in due:
            looked(site, request, viewer, account, what)
        self._at.put(_same(request, path), now_ms)


def names(request: Request) -> Named:
    """What a request names that is an account's, and what stands beside it in its path; empty: nothing of anybody's."""
    asked = {name: value for name, value in request.query_params.items() if name in ASKED}
    named = {**asked, **request.path_params}
    return {} if OWNERS.keys().isdisjoint(named) else named


def _same(request: Request, path: str) -> tuple[str, str, str]:
    """By which a look is the same as another."""
    asked = "&".join(f"{name}={request.query_params[name]}" for name in sorted(ASKED & request.query_params.keys()))
    return request.state.viewer.name, _told(path, request.path_params), asked


def _told(path: str, values: Named) -> str:
    """The path with the things that it names, for people."""
    parts = (re.sub(r"{(\w+)}", lambda found: _value(found[1], values), part) for part in path.split("/"))
    return "/".join(part for part in parts if part)


def _value(name: str, values: Named) -> str:
    return "" if name in TOO_FINE else str(values[name])


def _id(text: str) -> int:
    """An id as the route has read it."""
    return int(Decimal(text))
