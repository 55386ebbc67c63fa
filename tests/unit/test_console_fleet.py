"""The fleet and one gateway: who is late by this server's clock, what is missing, and asking for it again."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry

from cloud_collector.fleet.roster import roster
from cloud_collector.fleet.standing import Standing
from cloud_collector.settings import AlarmSettings
from cloud_collector.store.store import Store
from cloud_collector.upkeep.watch import Watch
from cloud_collector.web.app import create_app
from cloud_collector.web.site import Site
from shared.effects.memory import SimpleClock
from shared.effects.sqlite import SqliteDatabase
from tests.unit.billing_samples import OCTOBER, Gateway, new_store, receive

DAY = 86_400


class Place:
    """Three gateways: one speaks, one has stopped, of one three lines are missing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        store = new_store(path)
        for name, days, dropped in (("dock-1", 3, ()), ("dock-2", 1, ()), ("dock-3", 9, (5, 6, 7))):
            gateway = Gateway(name=name)
            gateway.birth(OCTOBER)
            for day in range(days):
                gateway.day(OCTOBER + day * DAY, {"sdm630-1": 5})
            kept = [line for seq, line in enumerate(gateway.lines, 1) if seq not in dropped]
            at = OCTOBER + (1 if name == "dock-2" else 10) * DAY
            receive(store, kept, at=at, gateway=name)
        self.now = OCTOBER + 10 * DAY + 60
        watch = Watch(AlarmSettings(hole_seconds=0), connected=lambda: True, name="_collector", skew_seconds=300)
        store.run("hearing_put", 0, self.now * 1000)
        watch(store, self.now * 1000)
        store.close()

        @contextmanager
        def open_store() -> Iterator[Store]:
            held = Store(SqliteDatabase(path), migrated=True)
            yield held
            held.close()

        self.open_store = open_store
        self.app = create_app(
            Site(
                open_store=open_store,
                clock=SimpleClock(utc_ms=self.now * 1000),
                zone=lambda _: "Europe/Helsinki",
                subscriptions=lambda *_: [],
                key_words="",
                readiness=dict,
                metrics=CollectorRegistry(),
            )
        )

    def get(self, path: str, **told: Any) -> httpx.Response:
        """One request."""
        return asyncio.run(self._ask("GET", path, **told))

    def post(self, path: str, form: Mapping[str, str] | None = None) -> httpx.Response:
        """A form sent by a page of this site."""
        return asyncio.run(self._ask("POST", path, data=form or {}, headers={"Sec-Fetch-Site": "same-origin"}))

    async def _ask(self, method: str, path: str, **told: Any) -> httpx.Response:
        transport = httpx.ASGITransport(app=self.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return await client.request(method, path, **told)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "collector.db")


def test_the_fleet_tells_who_speaks_who_is_silent_and_of_whom_lines_are_missing(place: Place) -> None:
    found = place.get("/gateways.json").json()
    standings = {each["gateway"]: (each["standing"], each["backlog"]) for each in found["gateways"]}
    assert standings == {"dock-1": ("online", 0), "dock-2": ("silent", 0), "dock-3": ("online", 3)}
    assert {name: count for name, count in found["counts"].items() if count} == {"online": 2, "silent": 1, "holes": 1}
    text = place.get("/gateways").text
    assert "9 d ago" in text, "by this server's clock"
    assert "alarm" in text


def test_the_fleet_is_searched_chosen_from_and_turned_page_by_page(place: Place) -> None:
    def names(query: str) -> list[str]:
        return [each["gateway"] for each in place.get(f"/gateways.json?{query}").json()["gateways"]]

    assert names("state=silent") == ["dock-2"]
    assert names("state=holes") == ["dock-3"]
    assert names("state=never") == []
    assert names("q=k-1") == ["dock-1"]
    assert names("q=%25") == [], "a sign that SQL would read is looked for as it stands"
    assert names("after=dock-1") == ["dock-2", "dock-3"]
    with place.open_store() as store:
        first = roster(store, place.now * 1000, rows=2)
    assert ([each.gateway for each in first.gateways], first.next) == (["dock-1", "dock-2"], "dock-2")
    assert place.get("/gateways.csv?state=holes").text.count("\r\n") == 2


def test_between_two_looks_a_gateway_stands_as_its_newest_line_says(place: Place) -> None:
    with place.open_store() as store:
        later = roster(store, (place.now + 3 * 86_400) * 1000)
        soon = roster(store, (place.now + 50 * 3_600) * 1000, search="dock-1")
    assert {each.standing for each in later.gateways} == {Standing.SILENT}
    assert soon.gateways[0].standing is Standing.SILENT


def test_a_gateways_page_draws_what_is_missing_and_asks_for_it_once(place: Place) -> None:
    text = place.get("/gateways/dock-3").text
    assert '<rect class="hole"' in text
    assert "5 to 7 (3 lines)" in text
    asked = place.post("/gateways/dock-3/resend")
    assert (asked.status_code, asked.headers["Location"]) == (303, "/gateways/dock-3")
    after = place.get("/gateways/dock-3", headers={"Cookie": asked.headers["Set-Cookie"].partition(";")[0]})
    assert "dock-3 is asked for 3 lines again" in after.text
    (command,) = place.get("/gateways/dock-3.json").json()["commands"]
    assert (command["do"], command["state"]) == ("resend", "waits")
    place.post("/gateways/dock-3/resend")
    assert len(place.get("/gateways/dock-3.json").json()["commands"]) == 1, "it was asked for all of it before"
    with place.open_store() as store:
        kept = [row[4:6] for row in store.rows("trail", None, None, None, None, 0, 99, 9)]
    assert kept == [("command", "gateway resend dock-3: 3 lines")]


def test_another_sites_page_cannot_ask_for_anything(place: Place) -> None:
    refused = asyncio.run(place._ask("POST", "/gateways/dock-3/resend", headers={"Sec-Fetch-Site": "cross-site"}))
    assert refused.status_code == 403
    assert place.get("/gateways/dock-3.json").json()["commands"] == []


def test_a_gateway_that_is_not_there_is_said_with_the_nearest_name(place: Place) -> None:
    answer = place.get("/gateways/dock-33", headers={"Accept": "text/html"})
    assert answer.status_code == 404
    assert "did you mean dock-3?" in answer.text
    assert place.post("/gateways/dock-33/resend").status_code == 404


def test_alarms_are_listed_with_where_they_lead(place: Place) -> None:
    found = place.get("/alarms.json").json()
    assert {(each["kind"], each["gateway"]) for each in found} == {("silent", "dock-2"), ("hole", "dock-3")}
    assert '<a href="/gateways/dock-2">' in place.get("/alarms").text
