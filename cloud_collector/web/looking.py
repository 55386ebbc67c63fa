"""That it is kept who looked at whose data, whichever page he did it on."""

from typing import Final

from fastapi import Request

from cloud_collector.access import trail
from cloud_collector.access.viewer import Deed, Viewer
from cloud_collector.web import gate
from cloud_collector.web.site import Site

SEEN_AGAIN_MS: Final = 3_600_000
"""Who looks at the same page again within an hour has looked once."""


def looked(site: Site, request: Request, viewer: Viewer, account: str, what: str, deed: Deed = Deed.READ) -> None:
    """It is kept who looked at the account's data; what leaves the house is kept each time."""
    request.state.looked = True
    if deed is Deed.READ:
        # Most looks are looks again, and wait for nobody who writes.
        after_ms = site.clock.utc_ms() - SEEN_AGAIN_MS
        with site.open_store() as store:
            if trail.has_looked(store, viewer, what, account=account, after_ms=after_ms):
                return
    with site.writing() as store:
        gate.record(request, deed, what, account=account, store=store)
