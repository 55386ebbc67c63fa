"""`cloud-collector retention`, the collector's chore, and what customers are told (P2, P12, P20)."""

import json
import sqlite3
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner, Result

from cloud_collector.access.tokens import make_token
from cloud_collector.access.viewer import ALLOWED, Role
from cloud_collector.billing.archive import FolderArchive
from cloud_collector.billing.run import bill_due
from cloud_collector.cli import retention as command
from cloud_collector.cli.main import app
from cloud_collector.insight.detail import days, intervals
from cloud_collector.insight.series import Step, series
from cloud_collector.rating.measure import channel_of
from cloud_collector.retention.chore import Retention
from cloud_collector.store.store import Store
from cloud_collector.store.view import StoreView
from cloud_collector.upkeep.checkpoints import make
from cloud_collector.web.app import create_app
from shared.effects.memory import SimpleClock
from shared.effects.sqlite import SqliteDatabase
from tests.portal_site import site_of
from tests.serving import served
from tests.unit.billing_samples import NOVEMBER, OCTOBER, RECEIPT_KEY, new_store, receive, store_biller
from tests.unit.test_retention import DAY, DECEMBER, FIRST, KEEPS, LATER, compared, gone, metered, sums


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """October and November are billed and under a checkpoint, on disk."""
    folder = tmp_path_factory.mktemp("retention")
    gateway, archive = metered(), FolderArchive(folder / "invoices")
    store = new_store(folder / "collector.db", KEEPS)
    receive(store, gateway.lines[:33], at=NOVEMBER + DAY)
    bill_due(store, (NOVEMBER + 3 * DAY) * 1000, store_biller(archive))
    receive(store, gateway.lines[33:], at=OCTOBER + 72 * DAY)
    bill_due(store, (DECEMBER + 4 * DAY) * 1000, store_biller(archive))
    make(store, RECEIPT_KEY, archive, DECEMBER + 4 * DAY)
    store.close()
    return folder


@pytest.fixture
def site(good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it for one test, on the day on which all of it is old enough."""
    with sqlite3.connect(good / "collector.db") as source, sqlite3.connect(tmp_path / "collector.db") as copy:
        source.backup(copy)
    source.close()
    copy.close()
    (tmp_path / "invoices").symlink_to(good / "invoices")
    (tmp_path / "receipt.key").write_text(RECEIPT_KEY.pem, encoding="ascii")
    (tmp_path / "collector.toml").write_text(
        'store_path = "collector.db"\nkey_file = "receipt.key"\n[broker]\nhost = "127.0.0.1"\n', encoding="utf-8"
    )
    monkeypatch.setattr(command, "SystemClock", lambda: SimpleClock(utc_ms=LATER * 1000))
    return tmp_path


def run(site: Path, *words: str) -> Result:
    return CliRunner().invoke(app, ["--config", str(site / "collector.toml"), *words], catch_exceptions=False)


def opened(site: Path) -> Store:
    return Store(SqliteDatabase(site / "collector.db"))


def test_a_preview_says_what_goes_what_stays_and_why_and_changes_nothing(site: Path) -> None:
    done = run(site, "retention", "preview")
    assert done.exit_code == 0
    first, *others = done.stdout.splitlines()
    assert first.startswith("acme: detail before 2026-12-01: 54 reports (")
    assert first.endswith("bytes) would go")
    assert any("acme-chargers: the period from 2026-11-30T22:00:00Z is not billed yet" in each for each in others)
    assert any("stay: an issued invoice rests on them" in each for each in others)
    (row,) = json.loads(run(site, "retention", "preview", "--json").stdout)
    assert (row["account"], row["lines"]) == ("acme", 54)
    assert gone(opened(site)) == []


def test_a_run_does_what_the_preview_said_and_the_audit_says_so(site: Path) -> None:
    done = run(site, "retention", "run")
    assert done.exit_code == 0, done.output
    assert "54 reports" in done.stdout
    audited = run(site, "audit")
    assert audited.exit_code == 0, audited.output
    assert audited.stdout.splitlines() == [
        "71 lines, 2 invoices: everything in the store follows from the lines",
        "54 of the lines have no bytes any more, and 2 of the invoices cannot be made again for that:",
        "    acme: detail before 2026-12-01 was deleted on 2027-02-07 as agreed",
    ]
    assert len(gone(opened(site))) == 54
    log = run(site, "audit-log", "list", "--json").stdout
    assert "deleted the detail before 2026-12-01: 54 reports, deed 1" in log
    again = run(site, "retention", "run")
    assert (again.exit_code, "0 reports" in again.stdout) == (0, True)


def test_a_request_is_carried_out_under_the_same_rules(site: Path) -> None:
    store = opened(site)
    store.run("deletion_add", "acme", "2026-11-10", LATER * 1000, "anna")
    store.close()
    assert run(site, "retention", "run", "--request", "7").exit_code == 3
    (row,) = json.loads(run(site, "retention", "run", "--request", "1", "--json").stdout)
    assert row["lines"] > 0
    store = opened(site)
    assert store.rows("let_go_requests_done")[0][0] == 1


def test_the_collector_does_it_once_a_day_a_step_a_tick(site: Path) -> None:
    store = opened(site)
    before = sums(store)
    chore = Retention()
    for tick in range(12):
        chore(store, LATER * 1000 + tick * 10_000)
    assert len(gone(store)) == 54
    assert (sums(store), compared(store)) == (before, None)
    for tick in range(3):
        chore(store, (LATER + DAY) * 1000 + tick * 10_000)
    assert store.rows("let_go_deeds", "acme", 10) == store.rows("let_go_deeds", "acme", 1)


def test_nobody_spreads_a_total_over_days_that_nobody_knows(site: Path) -> None:
    """What is left of a stretch is shown as a whole, or as deleted."""
    assert run(site, "retention", "run").exit_code == 0
    view = StoreView(opened(site))
    time = (OCTOBER + 10 * DAY, OCTOBER + 12 * DAY)
    found = days(view, FIRST, "kWh", time, LATER, "Europe/Helsinki")
    assert [(each.quantity, each.estimated, each.deleted, each.gap_seconds) for each in found] == [
        (None, False, True, 0)
    ] * 2
    assert {(each.quantity, each.why) for each in intervals(view, FIRST, "kWh", time, LATER)} == {(None, "deleted")}
    hours = list(series(view, FIRST, *time, Step.HOUR, "Europe/Helsinki"))
    assert {(each.units, each.estimated, each.gap) for each in hours} == {(None, False, "deleted")}
    (pieces,) = series(view, FIRST, *time, Step.INTERVAL, "Europe/Helsinki")
    assert (pieces.units, pieces.gap) == (None, "deleted")
    months = list(series(view, FIRST, OCTOBER, DECEMBER, Step.MONTH, "Europe/Helsinki"))
    assert [each.gap for each in months] == [None, None]
    assert all(each.units for each in months)
    told = run(
        site, "usage", "show", "roof-1", "--from", "2026-10-12T00:00:00Z", "--to", "2026-10-13T00:00:00Z", "--json"
    )
    assert [(row["units"], row["deleted"]) for row in json.loads(told.stdout)] == [(None, True)] * 2
    assert channel_of("roof-1/sdm630-1", "energy") == FIRST


def test_a_backup_of_it_verifies_and_is_computed_again(site: Path) -> None:
    """P22: what is in the backup is what is in the store."""
    assert run(site, "retention", "run").exit_code == 0
    assert run(site, "backup", "create").exit_code == 0
    (made,) = (site / "backups").glob("*.zip")
    done = run(site, "backup", "verify", str(made), "--audit")
    assert done.exit_code == 0, done.output
    assert run(site, "checkpoint", "verify").exit_code == 0


def test_customers_see_what_was_deleted_when_and_what_they_asked_for(site: Path) -> None:
    """On the data page; the page of a report that went says so, and its evidence is refused with the reason."""
    store = opened(site)
    token = make_token(
        store,
        "of-acme",
        scopes=ALLOWED[Role.CUSTOMER],
        accounts={"acme"},
        days=30,
        by="a test",
        chance=bytes(32),
        now_ms=LATER * 1000,
    )
    store.close()
    portal = site_of(site / "collector.db", SimpleClock(utc_ms=LATER * 1000))
    with (
        served(create_app(portal)) as url,
        httpx.Client(base_url=f"{url}/portal/acme", headers={"Authorization": f"Bearer {token}"}) as client,
    ):
        assert 'action="/portal/acme/deletion"' in client.get("/data").text
        assert client.post("/deletion", data={"until": "soon"}).status_code == 409
        assert client.get("/data.json").json()["requests"] == []
        assert client.post("/deletion", data={"until": "2026-11-10"}).headers["Location"] == "/portal/acme/data"
        (asked,) = client.get("/data.json").json()["requests"]
        assert (asked["id"], asked["until"], asked["who"], asked["done_at"]) == (1, "2026-11-10", "token of-acme", None)
        page = client.get("/data").text
        assert "of-acme asked on" in page
        assert "Not carried out yet" in page
        assert client.get("/lines/roof-1/main/5f2c91aa/20").status_code == 200, (
            "the operator does it, and it stays so far"
        )
    assert run(site, "retention", "run", "--request", "1").exit_code == 0
    told = "etail before 2026-12-01 was deleted on 2027-02-07 as asked for by request 1"
    with (
        served(create_app(portal)) as url,
        httpx.Client(base_url=f"{url}/portal/acme", headers={"Authorization": f"Bearer {token}"}) as client,
    ):
        page = client.get("/data").text
        assert f"D{told}: 54 reports" in page
        assert "(request 1). Carried out on" in page
        data = client.get("/data.json").json()
        assert [each["lines"] for each in data["deleted"]] == [54]
        assert data["requests"][0]["done_at"] == "2027-02-07T21:00:00Z"
        line = client.get("/lines/roof-1/main/5f2c91aa/20")
        assert (line.status_code, told in line.text) == (404, True)
        kept = client.get("/lines/roof-1/main/5f2c91aa/33.json")
        assert kept.json()["genuine"] is True
        evidence = client.get("/invoices/INV-1/evidence.zip")
        day = client.get("/days/2026-10-20").text
        assert "detail deleted as agreed" in day
    assert evidence.status_code == 409
    assert "lines 8 to 32 of roof-1 main 5f2c91aa are gone" in evidence.text
