"""What pages look up in a catalog is there before one asks."""

import pytest

from cloud_collector.activity import holding
from cloud_collector.billing.revisions import revisions
from cloud_collector.insight import device_index, owned
from cloud_collector.insight.prepare import prepare
from cloud_collector.store.store import Store
from shared.effects.sqlite import SqliteDatabase
from tests.unit.billing_samples import CATALOG, new_store


def test_nothing_is_left_to_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    store = new_store(catalog=CATALOG + "# prepared for the pages\n")
    catalog = revisions(store)[-1].catalog
    prepare(store)
    for room, name in ((device_index, "DeviceIndex"), (holding, "_found"), (owned, "_by_account")):
        monkeypatch.setattr(room, name, None)
    prepare(store)
    assert device_index.device_index(catalog).names == {"roof-1/sdm630-1", "roof-1/sdm630-2"}
    assert set(holding.holdings(catalog)) == {"roof-1/sdm630-1", "roof-1/sdm630-2"}
    assert [each.device for each in owned.owned(catalog, "acme")] == ["roof-1/sdm630-1", "roof-1/sdm630-2"]


def test_without_a_catalog_there_is_nothing_to_make() -> None:
    prepare(Store(SqliteDatabase(":memory:")))
