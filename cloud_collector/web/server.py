"""Serves the pages beside the collector, in its loop, for as long as it runs."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

import uvicorn

from cloud_collector.billing.revisions import NoCatalog, revisions
from cloud_collector.collector import Collector
from cloud_collector.settings import CollectorSettings
from cloud_collector.store.store import Store
from cloud_collector.store.view import StoreView
from cloud_collector.web.app import create_app
from cloud_collector.web.metrics import registry
from cloud_collector.web.subscriptions import subscriptions
from shared.effects.clock import Clock
from shared.effects.sqlite import SqliteDatabase
from shared.key import PublicKey

_log: Final = logging.getLogger(__name__)


@asynccontextmanager
async def serving(
    settings: CollectorSettings, collector: Collector, clock: Clock, key: PublicKey
) -> AsyncIterator[None]:
    """Within, the pages are served where the settings say; without a host, nothing is."""
    if not settings.web.host:
        yield
        return

    @contextmanager
    def open_store() -> Iterator[Store]:
        with _reading(settings.store_path) as store:
            yield store

    app = create_app(
        open_store=open_store,
        clock=clock,
        zone=_zone,
        subscriptions=lambda store, now: subscriptions(store, StoreView(store), now),
        key_words=key.words,
        readiness=lambda: {"store": settings.store_path.exists(), "broker": collector.connected},
        metrics=registry(collector, open_store),
    )
    server = _Server(
        uvicorn.Config(app, host=settings.web.host, port=settings.web.port, log_level="warning", lifespan="off")
    )
    task = asyncio.create_task(server.serve())
    _log.info("event=web_started address=http://%s:%d/", settings.web.host, settings.web.port)
    try:
        yield
    finally:
        server.should_exit = True
        await task


class _Server(uvicorn.Server):
    """Leaves the signals to the command that runs the collector."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextmanager
def _reading(path: Path) -> Iterator[Store]:
    store = Store(SqliteDatabase(path, read_only=True), migrated=True)
    try:
        yield store
    finally:
        store.close()


def _zone(store: Store) -> str:
    try:
        return revisions(store)[-1].catalog.operator.timezone
    except NoCatalog:
        return "UTC"
