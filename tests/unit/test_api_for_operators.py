"""What the console shows and does is there for programs too, and comes from the same functions."""

import re
from typing import Any

import pytest

from cloud_collector.access.trail import enter
from cloud_collector.access.viewer import LOCAL_OPERATOR, Deed, Means, Role, everything
from cloud_collector.insight.strangers import strangers
from cloud_collector.web.console import warnings
from cloud_collector.web.console.warnings import standing_warnings
from cloud_collector.web.site import Site
from shared.key import SigningKey
from tests.api_world import DAYS, NOW
from tests.unit.billing_samples import Gateway, october, receive
from tests.unit.test_api import Program, desk, site, world
from tests.unit.test_web import Browser

__all__ = ["desk", "site", "world"]


def done(desk: Program) -> list[Any]:
    """What was done, the newest first; looks are kept as well."""
    return [each for each in desk.every("/audit", 200) if each["deed"] != "read"]


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
    assert "voided" in [each["what"] for each in desk.every("/audit?since=2026-11-05T22:00:02Z")]
    assert "billed" not in [each["what"] for each in desk.every("/audit?since=2026-11-05T22:00:02Z")]
    newest = done(desk)[0]
    assert (newest["who"], newest["role"], newest["by"], newest["deed"]) == ("local", "operator", "local", "bill")


def test_the_fleet_is_asked_for_what_stands_so(desk: Program, site: Site) -> None:
    whole = desk.every("/gateways")
    with site.writing() as store:
        for each in whole:
            store.run("standing_put", each["gateway"], "late" if "roof" in each["gateway"] else "online", 900, NOW)
    assert [each["gateway"] for each in desk.every("/gateways?state=late", 1)] == ["roof-1", "roof-2"]
    assert len(desk.every("/gateways?state=online")) == len(whole) - 2
    assert [each["gateway"] for each in desk.every("/gateways?search=roof-1")] == ["roof-1"]
    assert desk.get("/gateways?state=tired", 422)["status"] == 422


def test_a_gateway_is_asked_to_read_and_the_log_says_by_whom(desk: Program) -> None:
    answer = desk.ask("POST", "/gateways/roof-1/read")
    assert (answer.status_code, answer.json()["command"]) == (202, 1)
    (command,) = desk.get("/gateways/roof-1")["commands"]
    assert (command["order"], command["state"]) == ("read_now", "waits")
    entry = done(desk)[0]
    assert (entry["what"], entry["deed"]) == ("gateway command roof-1 read_now", "command")
    assert "did you mean roof-1" in desk.ask("POST", "/gateways/rooof-1/read").json()["detail"]


def test_what_is_missing_is_asked_for_once(desk: Program, site: Site) -> None:
    more = october(Gateway(name="roof-1"), days=DAYS + 4)
    with site.writing() as store:
        receive(store, more.lines[-1:], at=NOW + 2, gateway="roof-1")
    (hole,) = desk.get("/gateways/roof-1/holes")
    made = desk.ask("POST", "/gateways/roof-1/resend").json()
    assert made["lines"] == made["missing"] == hole["last"] - hole["first"] + 1
    assert len(made["commands"]) == 1
    again = desk.ask("POST", "/gateways/roof-1/resend").json()
    assert (again["lines"], again["commands"]) == (0, []), "it was asked for all of it before"
    assert done(desk)[0]["what"] == f"gateway resend roof-1: {made['lines']} lines"
    assert desk.ask("POST", "/gateways/roof-2/resend").json()["missing"] == 0


def test_a_deed_that_names_itself_is_done_once(desk: Program) -> None:
    headers = {"Idempotency-Key": "read-1"}
    first, again = (desk.ask("POST", "/gateways/roof-1/read", headers=headers) for _ in range(2))
    assert first.json() == again.json()
    assert len(desk.get("/gateways/roof-1")["commands"]) == 1


def test_a_device_is_suspended_resumed_and_not_twice(desk: Program) -> None:
    path = "/devices/roof-1/sdm630-1/state"
    tried = desk.ask("POST", path, json={"word": "suspend", "reason": "winter", "dry_run": True}).json()
    assert (tried["before"], tried["state"], tried["new"]) == ("active", "suspended", True)
    assert desk.get("/devices/roof-1/sdm630-1")[0]["state"] == "active", "nothing was kept"
    assert desk.ask("POST", path, json={"word": "suspend", "reason": "winter"}).json()["contract"] == "acme-chargers"
    assert desk.get("/devices/roof-1/sdm630-1")[0]["state"] == "suspended"
    refused = desk.ask("POST", path, json={"word": "activate", "reason": "why not"})
    assert (refused.status_code, "resume it first" in refused.text) == (409, True)
    assert done(desk)[0]["what"] == "device suspend roof-1/sdm630-1: winter"
    assert desk.ask("POST", path, json={"word": "resume", "reason": " "}).status_code == 409
    late = {"word": "resume", "reason": "spring", "at": "2036-01-01T00:00:00Z"}
    assert "more than a year ahead" in desk.ask("POST", path, json=late).text
    nowhere = desk.ask("POST", "/devices/roof-1/none/state", json={"word": "resume", "reason": "spring"})
    assert nowhere.status_code == 404


TOPIC = "meterseal/v1/roof-3/report"


def test_what_nobody_knows_is_listed_as_on_the_page_devices_without_a_contract_too(desk: Program, site: Site) -> None:
    with site.open_store() as store:
        page = {each.name for each in strangers(store)}
    found = desk.every("/unmatched", 1)
    assert {each["name"] for each in found} == page
    assert (found[0]["name"], found[0]["kind"], found[0]["nearest"]) == (TOPIC, "topic", "roof-2")
    assert {each["kind"] for each in found[1:]} == {"device"}


def test_a_stranger_is_blocked_heard_of_no_more_and_let_knock_again(desk: Program) -> None:
    made = desk.ask("POST", "/unmatched/block", json={"name": TOPIC, "reason": "a neighbour's"}).json()
    assert (made["name"], made["by"], made["reason"]) == (TOPIC, "local", "a neighbour's")
    assert TOPIC not in [each["name"] for each in desk.every("/unmatched")]
    assert desk.every("/unmatched/blocked", 1) == [made]
    assert desk.ask("POST", "/unmatched/unblock", json={"name": TOPIC}).json() == made
    assert desk.every("/unmatched/blocked") == []
    assert desk.ask("POST", "/unmatched/unblock", json={"name": TOPIC}).status_code == 404
    said = [each["what"] for each in done(desk)]
    assert said[:2] == [f"unmatched unblock {TOPIC}", f"unmatched block {TOPIC}: a neighbour's"]


def test_a_device_that_nobody_has_is_put_into_a_contract(desk: Program) -> None:
    device = next(each["name"] for each in desk.every("/unmatched") if each["kind"] == "device")
    told = {"name": device, "contract": "acme-chargers", "start": "2026-11-02"}
    assert desk.ask("POST", "/unmatched/assign", json={**told, "contract": "nobodys"}).status_code == 404
    made = desk.ask("POST", "/unmatched/assign", json=told).json()
    assert made == {"device": device, "contract": "acme-chargers", "revision": 2}
    assert device in [each["device"] for each in desk.every("/devices?contract=acme-chargers")]
    assert done(desk)[0]["what"] == f"unmatched accept {device} --contract acme-chargers: revision 2"
    assert desk.ask("POST", "/unmatched/assign", json=told).status_code == 404, "it is no stranger any more"


def test_a_key_is_enrolled_by_the_words_on_the_gateways_screen(desk: Program, site: Site) -> None:
    """P10: by those alone."""
    key = SigningKey(b"pending!" * 4).public
    with site.writing() as store:
        store.run("claimed_put", "roof-8", key.id, key.raw, 0, NOW * 1_000, "10.0.0.9")
    words = {"name": "roof-8", "words": key.words.replace("-", " ")}
    wrong = desk.ask("POST", "/unmatched/accept", json={**words, "words": "acid bird"})
    assert (wrong.status_code, "not the words" in wrong.text) == (409, True)
    assert desk.ask("POST", "/unmatched/accept", json=words).json() == {"gateway": "roof-8", "key": key.id}
    assert desk.get("/gateways/roof-8")["keys"][0]["words"] == key.words
    assert done(desk)[0]["what"] == f"unmatched accept roof-8: key {key.id}"


def test_an_auditor_sees_all_of_it_and_does_none(site: Site) -> None:
    auditor = Program(site, everything(Role.AUDITOR, "otto", accounts=None, means=Means.TOKEN))
    assert auditor.every("/unmatched")
    assert auditor.every("/audit") == []
    for path, body in (
        ("/gateways/roof-1/read", {}),
        ("/unmatched/block", {"name": TOPIC}),
        ("/devices/roof-1/sdm630-1/state", {"word": "end", "reason": "why not"}),
    ):
        assert auditor.ask("POST", path, json=body).status_code == 403


def test_of_warnings_those_that_stand_are_asked_for_as_on_the_page(desk: Program, site: Site) -> None:
    whole = desk.every("/warnings")
    (first, *_) = [each for each in whole if each["account"] == "acme"]
    with site.writing() as store:
        row = store.row("warning_one", first["id"])
        assert row is not None
        store.run("warning_add", *row[1:9], row[9] + 1, "withdrawn", NOW * 1_000, *row[12:])
    standing = desk.every("/warnings?standing=true", 1)
    assert {each["id"] for each in standing} == {each["id"] for each in whole} - {first["id"]}
    with site.look() as look:
        told = standing_warnings(look.store, ["acme-chargers", "beta-chargers"], NOW)
    assert {each.id for each in told} == {each["id"] for each in standing}
    every = desk.every("/warnings")
    assert len(every) == len(whole) + 1
    pages = Browser(site)
    shown = pages.get("/warnings.json").json()
    assert [each["id"] for each in shown] == [each["id"] for each in every], "the newest first"
    assert {each["id"] for each in shown if each["standing"]} == {each["id"] for each in standing}
    assert {each["id"] for each in pages.get("/warnings.json?standing=1").json()} == {each["id"] for each in standing}


@pytest.mark.parametrize("only", [0, 1])
def test_warnings_come_page_by_page(desk: Program, site: Site, monkeypatch: pytest.MonkeyPatch, only: int) -> None:
    wanted = [each["id"] for each in desk.every(f"/warnings?standing={bool(only)}")]
    assert len(wanted) > 1
    monkeypatch.setattr(warnings, "PAGE_ROWS", 1)
    pages, found, address = Browser(site), [], f"/warnings?standing={only}"
    for _ in wanted:
        found += [each["id"] for each in pages.get(address.replace("/warnings", "/warnings.json")).json()]
        (address,) = re.findall(r'href="(/warnings\?[^"]*after=[1-9][^"]*)"', pages.get(address).text)[-1:] or [""]
        address = address.replace("&amp;", "&")
    assert found == wanted
    assert address == "", "there is no further page"
