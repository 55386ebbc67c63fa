"""What pages look up in the newest catalog, made before one asks: of a hundred thousand devices it takes seconds."""

from cloud_collector.activity.holding import holdings
from cloud_collector.billing.revisions import NoCatalog, revisions
from cloud_collector.insight.device_index import device_index
from cloud_collector.insight.owned import owned
from cloud_collector.store.store import Store


def prepare(store: Store) -> None:
    """From now on it is there; where it was already, nothing is done. Raises DatabaseError."""
    try:
        catalog = revisions(store)[-1].catalog
    except NoCatalog:
        return
    device_index(catalog)
    holdings(catalog)
    owned(catalog, "")
