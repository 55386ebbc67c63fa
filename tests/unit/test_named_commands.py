"""The commands that pages name say what the pages say: from the same functions, to the same values."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from typer.testing import CliRunner, Result

from cloud_collector.access.people import put_person
from cloud_collector.access.sessions import Lasting, begin_session
from cloud_collector.access.viewer import Role
from cloud_collector.billing.disputes import Complaint, open_dispute
from cloud_collector.cli import detail
from cloud_collector.cli.main import app
from cloud_collector.web.app import create_app
from shared.effects.clock import Clock, SystemClock
from shared.effects.memory import SimpleClock
from tests.api_world import NOW, filled, site_of
from tests.unit.billing_samples import RECEIPT_KEY

DAY: Final = "2026-10-05"


class House:
    """A filled store with its pages and its commands."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "collector.db"
        site = replace(site_of(self.path, filled(self.path)), key=RECEIPT_KEY.public)
        with site.writing() as store:
            complaint = Complaint(
                account="acme",
                number="INV-1",
                place=1,
                amount="1 EUR",
                why="Why?",
                evidence=b"",
                holds=True,
                who="anna",
            )
            open_dispute(store, complaint, now_ms=NOW * 1_000)
        self.site = site
        self.pages = create_app(site)
        (folder / "collector.toml").write_text(f'store_path = "{self.path}"\n', encoding="utf-8")
        self.config = folder / "collector.toml"

    def twin(self, path: str) -> Any:
        async def asked() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.pages, client=("127.0.0.1", 1))
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
                return await client.get(f"{path}.json")

        found = asyncio.run(asked())
        assert found.status_code == 200, found.text
        return found.json()

    def run(self, *words: str) -> Result:
        return CliRunner().invoke(app, ["--config", str(self.config), *words], catch_exceptions=False)

    def said(self, *words: str) -> Any:
        done = self.run(*words, "--json")
        assert done.exit_code == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    return House(tmp_path_factory.mktemp("house"))


@pytest.fixture(autouse=True)
def _now(monkeypatch: pytest.MonkeyPatch) -> None:
    def clock() -> Clock:
        return SimpleClock(utc_ms=NOW * 1_000)

    monkeypatch.setattr(detail, "SystemClock", clock)


def test_the_days_of_an_account_are_those_of_its_page(house: House) -> None:
    shown = house.twin(f"/portal/acme/days/{DAY}")
    said = house.said("usage", "days", "--account", "acme", "--from", DAY, "--to", DAY)
    assert [(each["device"], each["meter"], each["quantity"], each["unit"]) for each in shown] == [
        (each["device"], each["meter"], each["quantity"], each["unit"]) for each in said
    ]
    assert {each["day"] for each in said} == {DAY}


def test_the_days_of_a_device_are_those_of_its_page(house: House) -> None:
    shown = house.twin("/portal/acme/devices/roof-1/sdm630-1")["meters"][0]["days"]
    said = house.said("usage", "days", "roof-1/sdm630-1", "--from", shown[0]["day"])
    assert [{name: each[name] for name in shown[0]} for each in said] == shown
    # It is midnight: the last of 31 days has not gone by for a second yet.
    assert len(house.said("usage", "days", "roof-1/sdm630-1")) == 30


def test_the_intervals_of_a_day_are_those_of_its_page_and_each_names_its_line(house: House) -> None:
    shown = house.twin(f"/portal/acme/days/{DAY}/roof-1/sdm630-1/energy")
    said = house.said("usage", "intervals", "roof-1/sdm630-1", "energy", "--day", DAY)
    assert [each["quantity"] for each in said] == [each["quantity"] for each in shown]
    assert [f"roof-1/{'/'.join(map(str, each['line'].values()))}" for each in said] == [each["line"] for each in shown]
    text = house.run("usage", "intervals", "roof-1/sdm630-1", "energy", "--day", DAY).stdout
    assert " ".join(map(str, said[0]["line"].values())) in text


def test_a_line_is_the_one_of_its_page(house: House) -> None:
    assert house.said("gateway", "line", "roof-1", "main", "5f2c91aa", "3") == house.twin(
        "/portal/acme/lines/roof-1/main/5f2c91aa/3"
    )
    text = house.run("gateway", "line", "roof-1", "main", "5f2c91aa", "3").stdout
    assert "signed by the gateway's key" in text
    assert "MS1|" in text


def test_disputes_are_those_of_their_pages(house: House) -> None:
    assert house.said("dispute", "list", "--account", "acme") == house.twin("/portal/acme/disputes")
    shown = house.twin("/portal/acme/disputes/1")
    assert house.said("dispute", "show", "1") == {name: shown[name] for name in shown if name != "again"}
    assert house.said("dispute", "list", "--account", "beta") == []
    assert "anna (customer), opened:\nWhy?" in house.run("dispute", "show", "1").stdout


def test_accounts_contracts_and_invoices_are_those_of_their_pages(house: House) -> None:
    assert house.said("account", "list") == house.twin("/accounts")
    shown = house.twin("/contracts")
    said = house.said("contract", "list")
    assert [(each["contract"], each["plan"]) for each in said] == [(each["contract"], each["plan"]) for each in shown]
    assert [each["contract"] for each in house.said("contract", "list", "--account", "beta")] == ["beta-chargers"]
    numbers = [each["number"] for each in house.said("invoice", "list", "--account", "acme")]
    assert numbers == [each["number"] for each in house.twin("/portal/acme/invoices")] == ["INV-1"]


def test_the_sessions_of_a_person_are_listed(house: House) -> None:
    # The command asks the machine's clock, and a session lives by it.
    now_ms, lasting = SystemClock().utc_ms(), Lasting(idle_ms=10**9, whole_ms=10**9)
    with house.site.writing() as store:
        put_person(
            store, "anna@acme.example", role=Role.CUSTOMER, accounts=["acme"], by="Bert", now_ms=now_ms, new=True
        )
        begin_session(
            store, "anna@acme.example", way="link", agent="Lynx", chance=bytes(32), now_ms=now_ms, lasting=lasting
        )
    (found,) = house.said("person", "sessions", "anna@acme.example")
    assert (found["browser"], found["way"]) == ("Lynx", "link")
    assert house.run("person", "sessions", "bert@acme.example").exit_code == 3


def test_who_looks_at_a_customers_data_by_a_command_stands_in_the_list_of_who_looked(house: House) -> None:
    looks = (
        f"usage days --account acme --from {DAY}",
        f"usage intervals roof-1/sdm630-1 energy --day {DAY}",
        "gateway line roof-1 main 5f2c91aa 3",
        "dispute show 1",
        "dispute list --account acme",
        "contract list --account acme",
        "invoice list --account acme",
    )
    for words in looks:
        assert house.run(*words.split()).exit_code == 0
    seen = {each["what"] for each in house.twin("/portal/acme/data")["seen"] if each["by"] == "command"}
    assert set(looks) <= seen


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        ("usage days", 2, "name a device, or an account"),
        ("usage days --account acne", 3, 'no account acne; did you mean "acme"?'),
        ("usage days roof-1/sdm630-9", 3, "no contract has a device roof-1/sdm630-9"),
        ("usage days roof-1/sdm630-1 --from May", 2, "'May' is no day such as 2026-10-05"),
        ("usage intervals roof-1/sdm630-1 heat", 3, "has no meter heat that was acme's"),
        ("usage intervals roof-1/sdm630-1 energy --account beta", 3, "was beta's"),
        ("gateway line roof-1 main 5f2c91aa 99999", 3, "no line 99999 of roof-1 is held"),
        ("dispute show 99", 3, "there is no dispute 99"),
    ],
)
def test_what_there_is_not_is_said_in_a_sentence(house: House, words: str, code: int, sentence: str) -> None:
    done = house.run(*words.split())
    assert (done.exit_code, done.stdout) == (code, "")
    assert sentence in done.stderr
