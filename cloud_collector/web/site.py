"""What the pages are made from: handed in, so that nothing here opens a socket or reads a clock of its own."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from cloud_collector.store.store import Store
from cloud_collector.web.pages import Moment, Subscriptions
from shared.effects.clock import Clock

OpenStore = Callable[[], AbstractContextManager[Store]]
Readiness = Callable[[], Mapping[str, bool]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What the pages are made from; `open_store` gives a read connection for the length of one request."""

    open_store: OpenStore
    clock: Clock
    zone: Callable[[Store], str]
    subscriptions: Subscriptions
    key_words: str
    readiness: Readiness
    metrics: CollectorRegistry
    open_writer: OpenStore | None = None
    """Gives a writing connection for the length of one request; None: `open_store` writes as well."""
    local_operator: bool = True
    """Whether who opens the pages on the collector's own machine is its operator."""

    @contextmanager
    def writing(self) -> Iterator[Store]:
        """The store, to change it."""
        with (self.open_writer or self.open_store)() as store:
            yield store

    def moment(self, store: Store) -> Moment:
        """When and in which zone this store's pages speak."""
        return Moment(now_ms=self.clock.utc_ms(), zone=self.zone(store))
