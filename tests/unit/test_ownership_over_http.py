"""Whose the data is, over the API: what was agreed, who looked, and detail that is to be deleted."""

import shutil
from pathlib import Path

import pytest

from cloud_collector.access import trail
from cloud_collector.access.viewer import LOCAL_OPERATOR
from cloud_collector.billing.archive import MemoryArchive
from cloud_collector.web.site import Site
from shared.effects.memory import SimpleClock
from tests.api_world import NOW, site_of
from tests.unit.test_api import ACME, BETA, Program, site, world

__all__ = ["site", "world"]


@pytest.fixture
def acme(site: Site) -> Program:
    return Program(site, ACME)


def test_where_nothing_was_agreed_the_data_is_the_accounts_own(acme: Program) -> None:
    told = acme.get("/accounts/acme/data")
    assert told["owner"] == acme.get("/accounts/acme")["name"]
    assert (told["purposes"], told["shared_with"], told["keep_detail"]) == ([], [], None)


def test_who_looked_is_told_the_newest_first_and_looking_again_is_one_look(acme: Program, site: Site) -> None:
    desk = Program(site, LOCAL_OPERATOR)
    for _ in range(3):
        desk.get("/contracts/acme-chargers/cost")
        desk.get("/devices/roof-1/sdm630-1/usage")
        desk.get("/devices/roof-2/sdm630-1/usage")
    assert desk.ask("GET", "/accounts/acme/usage.csv").status_code == 200
    found = [(each["who"], each["deed"], each["what"]) for each in acme.every("/accounts/acme/looks")]
    assert found[-3:] == [
        ("local", "export", "usage as csv"),
        ("local", "read", "devices/roof-1/sdm630-1/usage over the API"),
        ("local", "read", "contracts/acme-chargers/cost over the API"),
    ]
    assert "roof-2" not in str(found), "what is beta's is told to beta"
    assert {each for each in found if each[0] == "anna"} <= {("anna", "read", "accounts/acme/looks over the API")}


def test_a_list_of_one_account_is_a_look_at_it_and_a_list_of_all_is_nobodys(site: Site, acme: Program) -> None:
    desk = Program(site, LOCAL_OPERATOR)
    desk.get("/invoices")
    desk.get("/invoices?account=acme")
    desk.get("/warnings?contract=acme-chargers")
    desk.get("/invoices?account=nobody")
    desk.get("/accounts/acme/cost?limit=0", 422)
    told = [each["what"] for each in acme.get("/accounts/acme/looks")["items"]]
    assert told == ["warnings over the API", "invoices over the API"]


def test_detail_is_asked_to_be_deleted_and_the_request_stands(acme: Program) -> None:
    made = acme.ask("POST", "/accounts/acme/deletions", json={"until": "2026-10-15"}).json()
    assert (made["until"], made["who"], made["done_at"]) == ("2026-10-15", "anna", None)
    assert acme.get("/accounts/acme/deletions") == {"requests": [made], "done": []}
    assert acme.ask("POST", "/accounts/acme/deletions", json={"until": "2026-02-30"}).status_code == 409
    assert acme.ask("POST", "/accounts/acme/deletions", json={"until": "soon"}).status_code == 422
    (told,) = [each["what"] for each in acme.every("/accounts/acme/looks") if each["deed"] == "dispute"]
    assert told == "asked that detail before 2026-10-15 be deleted"


def test_it_is_the_accounts_alone(site: Site) -> None:
    """P20."""
    beta = Program(site, BETA)
    for path in ("data", "looks", "deletions"):
        assert beta.get(f"/accounts/acme/{path}", 404)["detail"] == "there is nothing here"
    assert beta.ask("POST", "/accounts/acme/deletions", json={"until": "2026-10-15"}).status_code == 404


def test_who_reads_on_is_one_look_an_hour_and_each_reader_has_his_own(
    world: tuple[Path, MemoryArchive], tmp_path: Path
) -> None:
    shutil.copyfile(world[0], tmp_path / "collector.db")
    clock = SimpleClock(utc_ms=NOW * 1_000)
    site = site_of(tmp_path / "collector.db", world[1], clock=clock)
    desk = Program(site, LOCAL_OPERATOR)
    counts = []
    for minutes in (0, 0.5, 30, 29, 2, 50):
        clock.advance(int(minutes * 60_000))
        desk.get("/accounts/acme")
        with site.open_store() as store:
            counts.append(len(trail.entries(store, account="acme", who="local", limit=99)))
    assert counts == [1, 1, 1, 1, 2, 2]
    Program(site, ACME).get("/accounts/acme")
    with site.open_store() as store:
        assert len(trail.entries(store, account="acme", who="anna", limit=99)) == 1
