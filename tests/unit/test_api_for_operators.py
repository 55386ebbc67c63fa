"""What the console shows and does is there for programs too, and comes from the same functions."""

import pytest

from cloud_collector.access.trail import enter
from cloud_collector.access.viewer import LOCAL_OPERATOR, Deed
from cloud_collector.web.site import Site
from tests.api_world import NOW
from tests.unit.test_api import Program, desk, site, world

__all__ = ["desk", "site", "world"]


@pytest.fixture
def logged(site: Site) -> None:
    with site.writing() as store, store.atomic():
        for at, what in enumerate(("looked", "billed", "voided")):
            account = "acme" if at else ""
            enter(store, LOCAL_OPERATOR, Deed.BILL, what, account=account, now_ms=(NOW + at) * 1_000)


@pytest.mark.usefixtures("logged")
def test_the_log_is_read_in_pages_the_newest_first_and_what_is_done_meanwhile_moves_nothing(
    desk: Program, site: Site
) -> None:
    whole = desk.every("/audit", 200)
    assert [each["what"] for each in whole][:3] == ["voided", "billed", "looked"]
    first = desk.get("/audit?limit=1")
    with site.writing() as store, store.atomic():
        enter(store, LOCAL_OPERATOR, Deed.BILL, "between", now_ms=NOW * 1_000)
    assert first["items"] + desk.get(f"/audit?cursor={first['next']}")["items"] == whole
    assert desk.every("/audit", 1)[1:] == whole


@pytest.mark.usefixtures("logged")
def test_the_log_is_told_of_an_account_of_a_person_and_since_an_instant(desk: Program) -> None:
    assert {each["what"] for each in desk.every("/audit?account=acme")} == {"billed", "voided"}
    assert desk.every("/audit?who=nobody") == []
    assert [each["what"] for each in desk.every("/audit?since=2026-11-05T22:00:02Z")] == ["voided"]
    (newest,) = desk.get("/audit?limit=1")["items"]
    assert (newest["who"], newest["role"], newest["by"], newest["deed"]) == ("local", "operator", "local", "bill")
