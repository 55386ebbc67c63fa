"""The HTTP interface: everything that pages show, in pages that inserts do not move, and problems for the rest."""

import asyncio
import csv
import io
import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request
from pyarrow import parquet as pq

from cloud_collector.access.viewer import LOCAL_OPERATOR, Means, Role, Viewer, everything
from cloud_collector.billing.archive import MemoryArchive
from cloud_collector.insight.look import look
from cloud_collector.store.store import Store
from cloud_collector.store.view import StoreView
from cloud_collector.web import gate
from cloud_collector.web.api import PATH, application
from cloud_collector.web.api.route import BODY_BYTES_MAX
from cloud_collector.web.api.sight import seen
from cloud_collector.web.app import create_app
from cloud_collector.web.site import Site
from shared.effects.memory import SimpleClock
from tests.api_world import DAY, NOVEMBER, NOW, filled, site_of

ACME = everything(Role.CUSTOMER, "anna", accounts=frozenset({"acme"}), means=Means.TOKEN)
BETA = everything(Role.CUSTOMER, "bert", accounts=frozenset({"beta"}), means=Means.TOKEN)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, MemoryArchive]:
    path = tmp_path_factory.mktemp("api") / "collector.db"
    return path, filled(path)


@pytest.fixture
def site(world: tuple[Path, MemoryArchive], tmp_path: Path) -> Site:
    copy = tmp_path / "collector.db"
    shutil.copyfile(world[0], copy)
    return site_of(copy, world[1])


class Program:
    """Somebody's program."""

    def __init__(self, site: Site, viewer: Viewer = LOCAL_OPERATOR) -> None:
        self.app: FastAPI = application(site)

        def known(request: Request) -> Viewer:
            request.state.viewer = viewer
            return viewer

        self.app.dependency_overrides[gate.viewer] = known

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        async def asked() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
                return await client.request(method, path, **options)

        return asyncio.run(asked())

    def get(self, path: str, status: int = 200, headers: Mapping[str, str] | None = None) -> Any:
        answer = self.ask("GET", path, headers=headers)
        assert answer.status_code == status, answer.text
        return answer.json()

    def every(self, path: str, limit: int = 2) -> list[Any]:
        """All items of a list, page by page."""
        found: list[Any] = []
        cursor = ""
        while True:
            glue = "&" if "?" in path else "?"
            page = self.get(f"{path}{glue}limit={limit}{f'&cursor={cursor}' if cursor else ''}")
            assert len(page["items"]) <= limit
            found += page["items"]
            if page["next"] is None:
                return found
            assert page["next"] != cursor, "it goes on"
            cursor = page["next"]


@pytest.fixture
def desk(site: Site) -> Program:
    return Program(site)


LISTS = (
    "/accounts",
    "/accounts/acme/cost",
    "/contracts",
    "/contracts/acme-chargers/periods",
    "/contracts/acme-chargers/devices",
    "/devices",
    "/devices/roof-1/sdm630-1/timeline",
    "/devices/roof-1/sdm630-1/usage?step=day",
    "/invoices",
    "/credit-notes",
    "/invoices/INV-1/lines",
    "/warnings",
    "/gateways",
    "/unmatched",
    "/alarms",
    "/billing/preview",
    "/billing/runs",
    "/checkpoints",
    "/catalog/revisions",
    "/webhooks",
    "/deliveries",
    "/audit",
)


@pytest.mark.parametrize("path", LISTS)
def test_a_list_says_the_same_in_pages_as_in_one(desk: Program, path: str) -> None:
    """Each item once, in one order, whatever a page holds."""
    whole = desk.every(path, 200)
    assert desk.every(path, 1) == desk.every(path, 2) == whole
    texts = [json.dumps(each) for each in whole]
    assert len(set(texts)) == len(texts)
    if path not in ("/credit-notes", "/billing/preview", "/audit"):
        assert whole, "there is something to be seen in this world"


def test_what_is_inserted_between_two_pages_moves_nothing(desk: Program, site: Site) -> None:
    first = desk.get("/alarms?limit=1")
    with site.writing() as store:
        store.run("incident_begin", "clock", "roof-9", "", "a new one", NOW * 1_000)
    ids = [each["id"] for each in first["items"] + desk.get(f"/alarms?cursor={first['next']}")["items"]]
    assert len(ids) == len(set(ids)) == 3, "the three that were there, each once"
    assert desk.get("/alarms?limit=1")["items"][0]["text"] == "a new one"


def test_a_cursor_of_another_list_is_refused(desk: Program) -> None:
    cursor = desk.get("/accounts?limit=1")["next"]
    assert cursor is not None
    told = desk.get(f"/alarms?cursor={cursor}", 404)
    assert "no such page" in told["detail"]
    assert desk.get("/alarms?cursor=AAAA", 404)["status"] == 404


def test_a_cost_is_what_the_insight_says(desk: Program, site: Site) -> None:
    told = desk.get("/contracts/acme-chargers/cost")
    with seen(site, LOCAL_OPERATOR) as sight:
        known = look(sight.store, sight.known, "acme-chargers", NOW * 1_000, StoreView).cost().to_json()
    assert {name: told[name] for name in ("net", "total", "shared", "currency", "as_of")} == {
        name: known[name] for name in ("net", "total", "shared", "currency", "as_of")
    }
    assert told["draft"]["lines"][0]["amount"] == known["draft"]["lines"][0]["amount"]
    assert sum(Decimal(each["net"]) for each in told["charges"]) == Decimal(told["net"])


def test_a_cost_may_be_asked_of_an_earlier_moment_and_of_none_to_come(desk: Program) -> None:
    assert desk.get("/contracts/acme-chargers/cost?as_of=2026-11-03T00:00:00Z")["as_of"] == "2026-11-03T00:00:00Z"
    assert "future" in desk.get("/contracts/acme-chargers/cost?as_of=2027-11-03T00:00:00Z", 409)["detail"]
    assert "offset" in desk.get("/contracts/acme-chargers/cost?as_of=2026-11-03T00:00:00", 422)["detail"]
    assert "begins" in desk.get("/contracts/acme-chargers/cost?as_of=2026-09-03T00:00:00Z", 409)["detail"]


def test_days_sum_to_the_month_and_hours_to_the_day(desk: Program) -> None:
    """P17: read to read, like a bill."""
    start, end = "start=2026-09-30T21:00:00Z", "end=2026-10-31T22:00:00Z"
    path = f"/devices/roof-1/sdm630-1/usage?{start}&{end}&step="
    sums = {}
    for step in ("interval", "hour", "day", "month"):
        items = desk.every(f"{path}{step}", 200)
        sums[step] = (len(items), sum(Decimal(each["quantity"]) for each in items))
    assert {count for count, _ in sums.values()} == {31 * 24 * 4 + 4, 31 * 24 + 1, 31, 1}, (
        "a day of October has 25 hours"
    )
    assert len({total for _, total in sums.values()}) == 1


def test_what_is_not_known_is_not_zero(desk: Program) -> None:
    path = "/devices/roof-1/sdm630-1/usage?start=2026-08-01T00:00:00Z&end=2026-12-01T00:00:00Z&step=month"
    items = desk.every(path, 200)
    assert items[0]["start"] == "2026-09-30T21:00:00Z", "before, it was nobody's"
    items = desk.every("/devices/roof-1/sdm630-1/usage?end=2026-12-01T00:00:00Z&step=day", 200)
    assert items[-1]["quantity"] is None


def test_an_invoice_is_handed_out_in_every_form(desk: Program) -> None:
    (*_, first) = desk.every("/invoices")
    assert first["number"] == "INV-1"
    assert (first["state"], first["open"]) == ("issued", first["total"])
    for form, begins in (("json", b"{"), ("html", b"<!"), ("sealed", b"MI1|"), ("bundle", b"PK"), ("pdf", b"%PDF")):
        answer = desk.ask("GET", f"/invoices/INV-1/{form}")
        assert answer.status_code == 200, answer.text
        assert answer.content.startswith(begins), form
        assert "attachment" in answer.headers["content-disposition"]
    assert desk.get("/invoices/INV-1/word", 404)["title"] == "not found"
    assert desk.ask("GET", "/invoices/INV-1/void").headers["allow"] == "POST"
    lines = desk.every("/invoices/INV-1/lines")
    assert sum(Decimal(each["line"]["amount"]) for each in lines) == Decimal(
        json.loads(desk.ask("GET", "/invoices/INV-1/json").content)["net"]
    )


def test_a_proof_of_inclusion_and_one_of_growth_are_handed_out(desk: Program) -> None:
    newer, older = desk.every("/checkpoints")
    told = desk.get(f"/checkpoints/{newer['id']}/inclusion?number=INV-1")
    assert told["size"] == newer["size"]
    assert told["checkpoint"] == newer["line"]
    grown = desk.get(f"/checkpoints/{newer['id']}/consistency?older={older['id']}")
    assert grown["older"] == older["line"]
    assert desk.get(f"/checkpoints/{older['id']}/consistency?older={newer['id']}", 409)["status"] == 409


def test_what_another_customer_has_is_answered_like_what_there_is_not(site: Site) -> None:
    """P20: the same bytes, so that nothing can be learnt from them."""
    acme = Program(site, ACME)
    theirs = ("/accounts/beta", "/contracts/beta-chargers", "/devices/roof-2/sdm630-1", "/invoices/INV-2")
    absent = ("/accounts/nobody", "/contracts/nothing", "/devices/roof-2/nothing", "/invoices/INV-99")
    beta = Program(site, BETA)
    for mine, none in zip(theirs, absent, strict=True):
        beta.get(mine)
        assert acme.ask("GET", mine).content == acme.ask("GET", none).content
        assert acme.get(mine, 404)["detail"] == "there is nothing here"


@pytest.mark.parametrize("path", LISTS)
def test_a_list_shows_a_customer_his_own_alone(site: Site, path: str) -> None:
    """P20: nothing of anybody else's stands in any page."""
    acme, beta = Program(site, ACME), Program(site, BETA)
    for program, others in ((acme, ("beta", "roof-2", "desk.example")), (beta, ("acme", "roof-1", "desk.example"))):
        answer = program.ask("GET", path)
        assert answer.status_code in (200, 403, 404)
        assert not [name for name in others if name in answer.text], answer.text


def test_the_operators_own_is_not_a_customers(site: Site) -> None:
    acme = Program(site, ACME)
    for path in (
        "/gateways",
        "/unmatched",
        "/alarms",
        "/billing/preview",
        "/billing/runs",
        "/catalog/revisions",
        "/audit",
    ):
        assert acme.get(path, 403)["status"] == 403


@pytest.mark.parametrize("start", ["0.5", "1790000000", "2026-10-02", "2026-10-02T00:00:00"])
def test_an_instant_without_an_offset_is_refused(desk: Program, start: str) -> None:
    told = desk.get(f"/devices/roof-1/sdm630-1/usage?start={start}", 422)
    assert told["detail"] == "query.start: write the instant with its offset, such as 2026-11-03T00:00:00Z"


def test_usage_that_ends_before_it_begins_is_refused_and_of_the_far_future_nothing_is_told(desk: Program) -> None:
    path = "/devices/roof-1/sdm630-1/usage?start=2026-11-01T00:00:00Z&end="
    assert "before `start`" in desk.get(path + "2026-11-01T00:00:00Z", 409)["detail"]
    items = desk.every(
        "/devices/roof-1/sdm630-1/usage?step=month&end=9999-12-31T23:59:59Z&start=0001-01-01T00:00:00Z", 200
    )
    assert len(items) == 2, "as far as anything may be known"


def test_every_refusal_is_a_problem(desk: Program) -> None:
    for method, path, status in (
        ("GET", "/nothing", 404),
        ("GET", "/accounts/nobody", 404),
        ("DELETE", "/accounts", 405),
        ("GET", "/accounts?limit=0", 422),
        ("GET", "/accounts?limit=many", 422),
        ("GET", "/alarms?cursor=!", 422),
    ):
        answer = desk.ask(method, path)
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"
        assert set(answer.json()) >= {"type", "title", "status", "detail"}
    assert "NUL" in desk.get("/devices?contract=a%00", 422)["detail"]
    assert desk.get("/accounts/a%00", 404)["detail"] == "there is nothing here"
    assert "stands twice" in desk.get("/devices?contract=acme-chargers&contract=beta-chargers", 422)["detail"]
    assert desk.ask("PUT", "/billing/runs").headers["allow"] == "GET, POST"
    told = desk.get("/accounts?limit=0", 422)
    assert told["errors"][0]["at"] == "query.limit"

    def broken(_: Store) -> None:
        raise RuntimeError("a bug")

    desk.app.dependency_overrides[gate.viewer] = lambda: broken(Store.__new__(Store))
    answer = desk.ask("GET", "/accounts")
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert "a bug" not in answer.text


def test_what_the_asker_has_is_not_sent_again(desk: Program) -> None:
    first = desk.ask("GET", "/accounts")
    again = desk.ask("GET", "/accounts", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert desk.ask("GET", "/contracts", headers={"If-None-Match": first.headers["etag"]}).status_code == 200


def test_a_delivery_is_sent_once_more(desk: Program, site: Site) -> None:
    first = desk.every("/deliveries")[-1]
    with site.writing() as store:
        store.run("delivery_set", "given_up", 9, 0, first["id"])
    answer = desk.ask("POST", f"/deliveries/{first['id']}/replay")
    assert answer.status_code == 202
    assert (answer.json()["state"], answer.json()["attempts"]) == ("due", 0)
    assert desk.ask("POST", "/deliveries/999/replay").status_code == 404


def test_the_interface_is_mounted_where_its_description_says(site: Site) -> None:
    async def asked() -> dict[str, Any]:
        transport = httpx.ASGITransport(app=create_app(site), client=("127.0.0.1", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            told = (await client.get(f"{PATH}/openapi.json")).json()
            assert (await client.get(f"{PATH}/me")).json()["role"] == "operator"
            assert (await client.get(f"{PATH}/nothing")).headers["content-type"] == "application/problem+json"
            return dict(told)

    told = asyncio.run(asked())
    assert told["servers"] == [{"url": PATH}]
    assert {"token", "session"} <= set(told["components"]["securitySchemes"])


def test_every_operation_is_described(desk: Program) -> None:
    told = desk.get("/openapi.json")
    for path, methods in told["paths"].items():
        for method, operation in methods.items():
            name = f"{method} {path}"
            assert operation.get("description"), name
            assert operation.get("tags"), name
            assert {"401", "403", "404", "422", "500"} <= set(operation["responses"]), name
            for status, answer in operation["responses"].items():
                if status.startswith(("4", "5")):
                    assert list(answer["content"]) == ["application/problem+json"], f"{name} {status}"


def test_nothing_running_is_said_so(desk: Program) -> None:
    assert NOVEMBER + 5 * DAY == NOW
    assert desk.get("/contracts/acme-chargers/warnings")[0]["what"] == "fired"


def test_a_request_that_names_itself_is_done_once(desk: Program) -> None:
    named = {"Idempotency-Key": "a"}
    first = desk.ask("POST", "/billing/runs", json={}, headers=named)
    assert first.status_code == 202, first.text
    again = desk.ask("POST", "/billing/runs", json={}, headers=named)
    assert (again.status_code, again.content) == (202, first.content)
    assert again.headers["idempotency-replayed"] == "true"
    assert len(desk.every("/billing/runs")) == 2, "the one of this world, and this one"
    other = desk.ask("POST", "/billing/runs", json={"contracts": ["acme-chargers"]}, headers=named)
    assert other.status_code == 409
    assert desk.ask("POST", "/billing/drafts", json={}, headers=named).status_code == 409
    assert desk.ask("POST", "/billing/runs", json={"contracts": ["nothing"]}).status_code == 404


def test_another_persons_request_of_the_same_name_is_another(site: Site) -> None:
    named = {"Idempotency-Key": "a"}
    first = Program(site).ask("POST", "/billing/drafts", json={}, headers=named)
    assert "idempotency-replayed" not in first.headers
    auditor = everything(Role.OPERATOR, "carl", means=Means.TOKEN)
    assert (
        "idempotency-replayed"
        not in Program(site, auditor).ask("POST", "/billing/drafts", json={}, headers=named).headers
    )


def test_what_was_refused_may_be_put_right_under_the_same_name(desk: Program) -> None:
    named = {"Idempotency-Key": "b"}
    assert desk.ask("POST", "/billing/runs", json={"contracts": ["nothing"]}, headers=named).status_code == 404
    assert desk.ask("POST", "/billing/runs", json={}, headers=named).status_code == 202


def test_every_post_may_name_itself(desk: Program) -> None:
    for path, methods in desk.get("/openapi.json")["paths"].items():
        named = [each["name"] for each in methods.get("post", {"parameters": []}).get("parameters", [])]
        assert ("post" in methods) == ("Idempotency-Key" in named), path


def test_a_run_says_how_far_it_is_and_what_was_drafted(desk: Program, site: Site) -> None:
    later = NOVEMBER + 40 * DAY
    desk = Program(replace(site, clock=SimpleClock(utc_ms=later * 1_000)))
    drafted = desk.ask("POST", "/billing/drafts", json={"contracts": ["acme-chargers"]}).json()
    assert drafted["drafts"] == 1
    told = desk.get(f"/billing/runs/{drafted['run']}")
    assert (told["run"]["what"], told["drafts"][0]["contract"]) == ("drafts", "acme-chargers")
    assert desk.ask("POST", f"/billing/runs/{drafted['run']}/approve", json={}).json()["approved"] == 1
    assert desk.get(f"/billing/runs/{drafted['run']}")["drafts"][0]["approved_by"] == "local"
    begun = desk.ask("POST", "/billing/runs", json={}).json()["run"]["run"]
    told = desk.get(f"/billing/runs/{begun}")
    assert told["progress"] == {"total": 2, "left": 0, "done": {"issued": 2}, "failed": None}
    assert told["run"]["issued"] == 2


def test_files_say_what_pages_say(desk: Program) -> None:
    path = "/accounts/acme/usage.{}?step=day&start=2026-10-01T00:00:00Z&end=2026-11-01T00:00:00Z"
    answer = desk.ask("GET", path.format("csv"))
    assert answer.headers["content-disposition"] == 'attachment; filename="acme-usage.csv"'
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    items = [
        each
        for device in ("sdm630-1", "sdm630-2")
        for each in desk.every(f"/devices/roof-1/{device}/usage?{path.partition('?')[2]}", 200)
    ]
    told = [{name: "" if value is None else value for name, value in each.items()} for each in items]
    assert rows == [each | {"estimated": str(each["estimated"]).lower()} for each in told]
    table = pq.read_table(io.BytesIO(desk.ask("GET", path.format("parquet")).content)).to_pylist()
    assert [each["quantity"] for each in table] == [Decimal(each["quantity"]) for each in items]
    assert [each["start"].isoformat().replace("+00:00", "Z") for each in table] == [each["start"] for each in items]


def test_a_file_longer_than_a_batch_is_whole(desk: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    path = "/accounts/acme/usage.{}?step=interval&start=2026-10-01T00:00:00Z&end=2026-10-05T00:00:00Z"
    whole = desk.ask("GET", path.format("csv")).text
    monkeypatch.setattr("cloud_collector.web.api.exports.BATCH_ROWS", 7)
    assert desk.ask("GET", path.format("csv")).text == whole
    table = pq.read_table(io.BytesIO(desk.ask("GET", path.format("parquet")).content))
    assert table.num_rows == len(whole.splitlines()) - 1 > 700


def test_every_line_that_was_billed_is_in_one_file(desk: Program) -> None:
    rows = list(csv.DictReader(io.StringIO(desk.ask("GET", "/accounts/acme/lines.csv").text)))
    assert {row["number"] for row in rows} == {"INV-1"}
    assert sum(Decimal(row["amount"]) for row in rows) == Decimal(rows[0]["net"])
    table = pq.read_table(io.BytesIO(desk.ask("GET", "/accounts/acme/lines.parquet").content)).to_pylist()
    assert [str(row["charge"]) for row in table] == [row["charge"] for row in rows]


def test_no_file_holds_what_is_anothers(site: Site) -> None:
    """P20: and what another has is not there."""
    acme = Program(site, ACME)
    for what in ("usage", "lines"):
        assert acme.get(f"/accounts/beta/{what}.csv", 404)["detail"] == "there is nothing here"
        assert "roof-2" not in acme.ask("GET", f"/accounts/acme/{what}.csv").text


def test_a_body_has_a_bound(desk: Program) -> None:
    """P9: nothing is read without end."""
    answer = desk.ask("POST", "/billing/runs", content=b" " * (BODY_BYTES_MAX + 1))
    assert (answer.status_code, answer.headers["content-type"]) == (413, "application/problem+json")


def test_the_page_on_http_lists_every_operation_in_the_words_of_its_description(desk: Program) -> None:
    told = desk.get("/openapi.json")
    rows = {
        f"| `{method.upper()} {path}` | {operation['description'].splitlines()[0].rstrip('.')} |"
        for path, methods in told["paths"].items()
        for method, operation in methods.items()
    }
    page = (Path(__file__).parents[2] / "docs" / "reference" / "http.md").read_text(encoding="utf-8")
    table = page.partition("## API\n")[2].partition("\n## ")[0]
    assert {line for line in table.splitlines() if line.startswith(("| `GET ", "| `POST "))} == rows
