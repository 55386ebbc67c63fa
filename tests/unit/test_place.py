"""P2: how the store on a file is opened, whoever opens it."""

from pathlib import Path

from cloud_collector.limits import STORE_LOG_PAGES
from cloud_collector.settings import CollectorSettings
from cloud_collector.store.place import open_database


def test_every_commit_is_durable_in_a_log_that_is_emptied_seldom(tmp_path: Path) -> None:
    database = open_database(CollectorSettings(store_path=tmp_path / "store.db"))
    asked = ("journal_mode", "synchronous", "foreign_keys", "wal_autocheckpoint")
    assert [database.execute(f"pragma {each}")[0][0] for each in asked] == ["wal", 2, 1, STORE_LOG_PAGES]
    database.close()
