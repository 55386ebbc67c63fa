"""What one request sees: the store at one moment, the newest catalog, and only what its viewer may see (P20)."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Annotated

from fastapi import Depends, Request

from cloud_collector.access.viewer import Viewer
from cloud_collector.activity.holding import Holding, holdings
from cloud_collector.activity.lifecycle import FOREVER
from cloud_collector.billing.revisions import NoCatalog, revisions
from cloud_collector.contracts.catalog import Account, Contract
from cloud_collector.contracts.revision import Revision
from cloud_collector.insight.kept import Kept
from cloud_collector.store.store import Store
from cloud_collector.store.view import StoreView
from cloud_collector.web.api.problem import absent
from cloud_collector.web.site import Site


@dataclass(frozen=True, kw_only=True)
class Sight:
    """The store as a viewer sees it."""

    store: Store
    viewer: Viewer
    now_ms: int
    kept: Kept = field(default_factory=Kept)
    """What the site's pages remember."""

    @property
    def now(self) -> int:
        """The second of this moment."""
        return self.now_ms // 1_000

    @property
    def view(self) -> StoreView:
        """Usage as it is now."""
        return StoreView(self.store)

    @cached_property
    def known(self) -> tuple[Revision, ...]:
        """Every revision of the catalog, the newest last; none where nothing was applied."""
        try:
            return revisions(self.store)
        except NoCatalog:
            return ()

    @property
    def accounts(self) -> Mapping[str, Account]:
        """The accounts in sight, by name."""
        every = self.known[-1].catalog.accounts if self.known else {}
        return {name: every[name] for name in sorted(every) if self.viewer.sees(name)}

    @property
    def contracts(self) -> Mapping[str, Contract]:
        """The contracts of these."""
        every = self.known[-1].catalog.contracts if self.known else {}
        return {name: every[name] for name in sorted(every) if self.viewer.sees(every[name].account)}

    def account(self, name: str) -> Account:
        """The account; raises Refusal (404)."""
        found = self.accounts.get(name)
        if found is None:
            raise absent()
        return found

    def contract(self, name: str) -> Contract:
        """The contract; raises Refusal (404)."""
        found = self.contracts.get(name)
        if found is None:
            raise absent()
        return found

    def held(self, device: str) -> tuple[Holding, ...]:
        """Who had the device when, as far as it is in sight; raises Refusal (404) where nothing is."""
        every = holdings(self.known[-1].catalog) if self.known else {}
        found = tuple(each for each in every.get(device, ()) if self.viewer.sees(each.account))
        if not found:
            raise absent()
        return found


def site_of(request: Request) -> Site:
    """What the application was made with."""
    site: Site = request.app.state.gate.site
    return site


Here = Annotated[Site, Depends(site_of)]


@contextmanager
def seen(site: Site, viewer: Viewer) -> Iterator[Sight]:
    """The store at this moment."""
    with site.open_store() as store:
        yield Sight(store=store, viewer=viewer, now_ms=site.clock.utc_ms(), kept=site.kept)


def instant(seconds: int) -> datetime:
    """A second as programs read it."""
    return datetime.fromtimestamp(seconds, UTC)


def moment(ms: int) -> datetime:
    """The second of a millisecond."""
    return instant(ms // 1_000)


def until(seconds: int) -> datetime | None:
    """An end that may never come."""
    return None if seconds >= FOREVER else instant(seconds)
