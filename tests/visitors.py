"""A site's visitors for tests: a site over a store of one's own, browsers, and tokens that are real."""

import asyncio
import hashlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from cloud_collector.access.tokens import make_token
from cloud_collector.access.viewer import Deed
from cloud_collector.store.store import Store
from cloud_collector.web.site import Site
from shared.effects.memory import SimpleClock
from shared.effects.sqlite import SqliteDatabase

NOW_MS: Final = 1_794_000_000_000
HERE: Final = "http://127.0.0.1:8080"
"""Where the local operator looks."""
THERE: Final = "https://meter.example"
"""Where everybody else does."""


def chance_of(*words: str) -> bytes:
    """Bytes that are as good as random, and the same each time."""
    return hashlib.sha256("|".join(words).encode()).digest()


def bare_site(folder: Path, **told: Any) -> Site:
    """A site over an empty store, or over what lies there."""

    @contextmanager
    def open_store() -> Iterator[Store]:
        held = Store(SqliteDatabase(folder / "collector.db"))
        yield held
        held.close()

    known: dict[str, Any] = {
        "open_store": open_store,
        "clock": SimpleClock(utc_ms=NOW_MS),
        "zone": lambda _: "UTC",
        "subscriptions": lambda *_: [],
        "key_words": "",
        "readiness": dict,
        "metrics": CollectorRegistry(),
    }
    return Site(**(known | told))


def token_of(
    site: Site,
    name: str,
    *,
    scopes: Collection[Deed] = (Deed.READ,),
    accounts: Collection[str] | None = None,
    days: int = 90,
) -> dict[str, str]:
    """The header of a program with this new token."""
    with site.writing() as store:
        secret = make_token(
            store,
            name,
            scopes=scopes,
            accounts=accounts,
            days=days,
            by="test",
            chance=chance_of(name),
            now_ms=site.clock.utc_ms(),
        )
    return {"Authorization": f"Bearer {secret}"}


def ask(
    app: FastAPI,
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    client: str = "127.0.0.1",
    at: str = HERE,
    data: Mapping[str, str] | None = None,
    breaks: bool = False,
) -> httpx.Response:
    """One request, as it comes from an address; redirections are not followed. `breaks`: an error may lie under it."""

    async def asked() -> httpx.Response:
        transport = httpx.ASGITransport(app=app, client=(client, 40_000), raise_app_exceptions=not breaks)
        async with httpx.AsyncClient(transport=transport, base_url=at) as browser:
            return await browser.request(method, url, headers=headers, data=data)

    return asyncio.run(asked())
