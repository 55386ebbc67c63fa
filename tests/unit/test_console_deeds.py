"""What operators do on pages that cannot be undone is asked for once more; whom they look at learns of it."""

import csv
import io
import re
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from fastapi import FastAPI, Request

from cloud_collector.access.trail import entries
from cloud_collector.access.viewer import Means, Role, Viewer, everything
from cloud_collector.billing.approval import Approval
from cloud_collector.billing.archive import MemoryArchive
from cloud_collector.billing.disputes import Complaint, Side, What, dispute, open_dispute, say
from cloud_collector.billing.issued import issued_rows
from cloud_collector.web import gate
from cloud_collector.web.app import create_app
from cloud_collector.web.office import Office
from cloud_collector.web.site import Site
from shared.effects.memory import SimpleClock
from tests.portal_site import DAY, MARKUP, NOW, fill, site_of
from tests.unit.billing_samples import RECEIPT_KEY, store_biller
from tests.visitors import HERE, ask

LATER: Final = NOW + 25 * DAY
"""November is over: it is due."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """A store that is copied for whoever changes it."""

    path: Path
    tokens: dict[str, str]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Filled:
    path = tmp_path_factory.mktemp("filled") / "collector.db"
    return Filled(path=path, tokens=fill(path))


class Desk:
    """The operator's own browser, without scripts."""

    def __init__(self, folder: Path, filled: Filled, approval: Approval = Approval.NONE) -> None:
        shutil.copyfile(filled.path, folder / "collector.db")
        self.tokens = filled.tokens
        archive = MemoryArchive()
        bare = site_of(folder / "collector.db", SimpleClock(utc_ms=LATER * 1_000))
        biller = replace(store_biller(archive), approval=approval)
        office = Office(archive=archive, key=RECEIPT_KEY.public, biller=biller, approval=approval)
        self.site: Site = replace(bare, office=office)
        self.app: FastAPI = create_app(self.site)

    def post(self, path: str, **form: str) -> httpx.Response:
        return ask(self.app, "POST", path, data=form, headers={"Origin": HERE, "Accept": "text/html"})

    def get(self, path: str, **headers: str) -> httpx.Response:
        return ask(self.app, "GET", path, headers={"Accept": "text/html", **headers})

    def numbers(self) -> list[str]:
        with self.site.open_store() as store:
            return [each.number for each in issued_rows(store, rows=50)]

    def state(self, id_: int) -> Any:
        with self.site.open_store() as store:
            return dispute(store, id_)

    def seen(self, account: str) -> list[tuple[str, str]]:
        with self.site.open_store() as store:
            return [(each.who, each.what) for each in entries(store, account=account, limit=50)]


@pytest.fixture
def desk(tmp_path: Path, filled: Filled) -> Desk:
    return Desk(tmp_path, filled)


def disputed(desk: Desk, *, upheld: bool = True) -> int:
    """A dispute of acme's invoice, which the operator has found right."""
    complaint = Complaint(
        account="acme", number="INV-1", place=1, amount="1 EUR", why="Why?", evidence=b"", holds=True, who="somebody"
    )
    with desk.site.writing() as store, store.atomic():
        id_ = open_dispute(store, complaint, now_ms=LATER * 1_000)
        if upheld:
            words = f"The tariff was wrong. {MARKUP}"
            say(store, id_, What.UPHELD, words, who="anna", side=Side.OPERATOR, now_ms=LATER * 1_000)
    return id_


def test_issuing_is_asked_for_once_more_and_says_what_it_would_issue(desk: Desk) -> None:
    """P16: what is issued never changes, so that one click by mistake is none."""
    before = desk.numbers()
    asked = desk.post("/billing/run")
    assert asked.status_code == 200
    assert "Issue documents?" in asked.text
    assert re.search(r"2 documents over [\d,.]+ EUR together", asked.text)
    assert desk.numbers() == before, "nothing is issued by asking"
    done = desk.post("/billing/run", sure="yes")
    assert done.status_code == 303
    assert len(desk.numbers()) == len(before) + 2


def test_a_dispute_that_is_upheld_becomes_a_credit_note_with_its_reason_and_is_billed_again(desk: Desk) -> None:
    id_ = disputed(desk)
    path = f"/portal/acme/disputes/{id_}"
    page = desk.get(path)
    assert "Make the credit note" in page.text
    asked = desk.post(f"{path}/credit", reason="Dispute 1: wrong tariff")
    assert asked.status_code == 200
    assert re.search(r"INV-1 over 394,61\s\S+ is taken back in full", asked.text)
    assert "Dispute 1: wrong tariff" in asked.text
    assert desk.state(id_).credit is None, "asking takes nothing back"
    assert desk.post(f"{path}/credit", reason="Dispute 1: wrong tariff", sure="yes").status_code == 303
    found = desk.state(id_)
    assert (found.state, found.credit) == ("credited", ("INV-CN-1", "Dispute 1: wrong tariff", None))
    assert "Bill its period again" in desk.get(path).text
    assert desk.post(f"{path}/rebill").status_code == 303
    again = desk.state(id_).credit[2]
    assert again in desk.numbers()
    assert f'href="/portal/acme/invoices/{again}"' in desk.get(path).text, "both sides find what replaces it"
    told = [what for _, what in desk.seen("acme")]
    assert {f"dispute {id_}: credit note for INV-1", f"dispute {id_}: bill again the period of INV-1"} <= set(told)


def test_a_dispute_without_words_of_ones_own_takes_those_by_which_it_was_upheld(desk: Desk) -> None:
    id_ = disputed(desk)
    asked = desk.post(f"/portal/acme/disputes/{id_}/credit")
    assert f"Dispute {id_}: The tariff was wrong. &lt;img" in asked.text, "and markup stays text"


def test_a_dispute_that_nobody_upheld_makes_no_credit_note_and_a_customer_makes_none(desk: Desk) -> None:
    id_ = disputed(desk, upheld=False)
    path = f"/portal/acme/disputes/{id_}/credit"
    refused = desk.post(path, sure="yes")
    assert refused.status_code == 409
    assert f"dispute {id_} is open" in refused.text
    assert "Make the credit note" not in desk.get(f"/portal/acme/disputes/{id_}").text
    with desk.site.writing() as store, store.atomic():
        say(store, id_, What.UPHELD, "Right.", who="anna", side=Side.OPERATOR, now_ms=LATER * 1_000)
    customer = {"Authorization": f"Bearer {desk.tokens['acme']}"}
    assert ask(desk.app, "POST", path, data={"sure": "yes"}, headers=customer).status_code == 403
    assert "Make the credit note" not in desk.get(f"/portal/acme/disputes/{id_}", **customer).text
    assert desk.numbers() == ["INV-2", "INV-1"]


def test_where_documents_are_approved_a_disputes_credit_note_is_drafted(tmp_path: Path, filled: Filled) -> None:
    """P16, P19: the rules are those of `invoice void`."""
    desk = Desk(tmp_path, filled, Approval.TWO)
    id_ = disputed(desk)
    path = f"/portal/acme/disputes/{id_}"
    assert "issued once it is approved" in desk.post(f"{path}/credit").text
    assert desk.post(f"{path}/credit", sure="yes").status_code == 303
    assert desk.numbers() == ["INV-2", "INV-1"]
    found = desk.state(id_)
    assert found.words[-1].said == "The credit note is drafted (run 1): it is issued once it is approved."
    asked = desk.post("/billing/run")
    assert "nothing is ready to be issued now" in asked.text, "a draft is not approved"


@pytest.mark.parametrize(
    ("path", "what"),
    [
        ("/accounts/acme", "console: Åke & Söner | Acme Oy"),
        ("/accounts/acme.json", "console: Åke & Söner | Acme Oy"),
        ("/contracts/acme-chargers", "console: acme-chargers"),
        ("/contracts/acme-chargers.csv", "console: acme-chargers"),
        ("/invoices/INV-1", "console: INV-1"),
        ("/invoices/INV-1/paper", "console: INV-1"),
        ("/invoices/INV-1/body.json", "console: INV-1"),
        ("/invoices/INV-1/documents/json", "console: INV-1 as json"),
        ("/devices/roof-1/sdm630-1", "console: roof-1/sdm630-1"),
        ("/devices/roof-1/sdm630-1/usage", "console: Usage of roof-1/sdm630-1"),
    ],
)
def test_an_operator_who_looks_at_a_customers_pages_stands_in_that_customers_list_once(
    world: Desk, path: str, what: str
) -> None:
    for _ in range(2):
        assert world.get(path).status_code == 200
    told = [each for each in world.seen("acme") if each[1] == what]
    files = "/documents/" in path
    assert told == [("local", what)] * (2 if files else 1), "what leaves the house is kept each time"
    assert what not in [each[1] for each in world.seen("bolt")]
    customer = {"Authorization": f"Bearer {world.tokens['acme']}"}
    sheet = world.get("/portal/acme/data.csv", **customer).text
    assert what in [each["what"] for each in csv.DictReader(io.StringIO(sheet))]


@pytest.mark.parametrize(
    ("path", "what"),
    [
        ("", "this month as"),
        ("/devices", "devices as"),
        ("/invoices", "invoices as"),
        ("/invoices/INV-1", "invoices/INV-1 as"),
        ("/warnings", "warnings as"),
        ("/disputes", "disputes as"),
        ("/days/2026-11-12", "days/2026-11-12 as"),
        ("/data", "data as"),
    ],
)
@pytest.mark.parametrize("form", ["json", "csv"])
def test_who_takes_a_page_of_the_portal_as_data_stands_in_the_list_once(
    world: Desk, path: str, what: str, form: str
) -> None:
    customer = {"Authorization": f"Bearer {world.tokens['acme']}"}
    for _ in range(2):
        assert world.get(f"/portal/acme{path}.{form}", **customer).status_code == 200
    assert [each[1] for each in world.seen("acme")].count(f"{what} {form.upper()}") == 1
    assert world.get("/portal/acme/invoices/INV-99.json", **customer).status_code == 404
    assert not any("INV-99" in each[1] for each in world.seen("acme")), "what is not there was not looked at"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, filled: Filled) -> Desk:
    return Desk(tmp_path_factory.mktemp("world"), filled)


def test_lists_over_all_accounts_are_in_nobodys_list(world: Desk) -> None:
    before = len(world.seen("bolt"))
    for path in ("/accounts", "/contracts", "/invoices", "/devices", "/"):
        assert world.get(path).status_code == 200
    assert len(world.seen("bolt")) == before


def test_people_who_have_signed_in_approve_on_the_page_what_another_has_drafted(tmp_path: Path, filled: Filled) -> None:
    desk = Desk(tmp_path, filled, Approval.PEOPLE)

    def signed_in(name: str, means: Means = Means.SESSION) -> None:
        def known(request: Request) -> Viewer:
            viewer = request.state.viewer = everything(Role.OPERATOR, name, means=means)
            return viewer

        desk.app.dependency_overrides[gate.viewer] = known

    def approved() -> int:
        desk.post("/billing/approve", run="1", **{"contract.acme-chargers": "on"})
        return sum(each["state"] == "approved" for each in desk.get("/billing.json").json()["drafts"])

    signed_in("anna")
    desk.post("/billing/prepare")
    assert approved() == 0, "nobody approves what he drafted"
    signed_in("bert", Means.LOCAL)
    assert approved() == 0, "nobody has signed in"
    signed_in("bert")
    assert approved() == 1
