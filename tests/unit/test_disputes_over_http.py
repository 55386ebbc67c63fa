"""Disputes over the API: opened with the evidence as it stands, answered by both sides, as on the pages."""

import pytest

from cloud_collector.access import trail
from cloud_collector.access.viewer import LOCAL_OPERATOR, Means, Role, everything
from cloud_collector.web.site import Site
from tests.unit.test_api import ACME, BETA, Program, site, world

__all__ = ["site", "world"]
WHY = {"line": 1, "why": "The charger was off."}


@pytest.fixture
def acme(site: Site) -> Program:
    return Program(site, ACME)


@pytest.fixture
def desk(site: Site) -> Program:
    return Program(site, LOCAL_OPERATOR)


def opened(acme: Program, status: int = 201, **more: object) -> dict[str, object]:
    answer = acme.ask("POST", "/invoices/INV-1/disputes", json={**WHY, **more})
    assert answer.status_code == status, answer.text
    found: dict[str, object] = answer.json()
    return found


def said(who: Program, what: str, status: int = 200) -> dict[str, object]:
    answer = who.ask("POST", "/disputes/1/words", json={"what": what, "said": f"{what}, as I see it"})
    assert answer.status_code == status, answer.text
    found: dict[str, object] = answer.json()
    return found


def test_a_line_is_disputed_with_its_evidence_and_stands_in_the_list(acme: Program, site: Site) -> None:
    made = opened(acme)
    assert (made["id"], made["line"], made["state"], made["evidence_holds"]) == (1, 1, "open", True)
    assert acme.every("/disputes") == [made]
    told = acme.get("/disputes/1")
    assert told["dispute"] == made
    assert told["line"]["amount"] in made["amount"]  # type: ignore[operator]
    again = told["again"]
    assert (again["same"], again["sentences"], again["total_again"]) == (True, [], again["total"])
    assert {each["difference"] for each in again["lines"]} == {"0.00"}
    assert acme.get("/disputes/1/copy")["total"] == again["total"]
    with site.open_store() as store:
        assert "dispute 1 of INV-1" in [each.what for each in trail.entries(store, account="acme", limit=9)]


def test_both_sides_speak_and_each_ends_it_in_his_own_way(acme: Program, desk: Program) -> None:
    opened(acme)
    assert "cannot say" in str(said(acme, "upheld", 409)["detail"])
    assert said(desk, "said")["state"] == "open"
    assert said(desk, "rejected")["state"] == "rejected"
    assert said(desk, "upheld")["state"] == "upheld"
    assert said(acme, "withdrawn")["state"] == "withdrawn"
    assert "nothing is left" in str(said(desk, "upheld", 409)["detail"])
    words = acme.get("/disputes/1")["dispute"]["words"]
    assert [(each["what"], each["side"]) for each in words] == [
        ("opened", "customer"),
        ("said", "operator"),
        ("rejected", "operator"),
        ("upheld", "operator"),
        ("withdrawn", "customer"),
    ]


def test_what_cannot_be_disputed_is_said_so_and_nothing_is_kept(acme: Program) -> None:
    opened(acme)
    assert "disputed already" in str(opened(acme, 409)["detail"])
    assert "no line 999" in str(opened(acme, 409, line=999)["detail"])
    assert opened(acme, 422, why="")["title"] == "unprocessable entity"
    assert opened(acme, line=None)["line"] is None, "all of it may be wrong as well"
    assert len(acme.every("/disputes")) == 2


def test_a_dispute_is_the_accounts_alone(acme: Program, site: Site) -> None:
    """P20: for another customer there is none, neither to read nor to answer."""
    opened(acme)
    beta = Program(site, BETA)
    assert beta.get("/disputes/1", 404) == beta.get("/disputes/99", 404)
    assert beta.every("/disputes") == beta.every("/disputes?account=acme") == []
    assert said(beta, "said", 404)["status"] == 404
    assert beta.ask("POST", "/invoices/INV-1/disputes", json=WHY).status_code == 404
    auditor = Program(site, everything(Role.AUDITOR, "carla", means=Means.TOKEN))
    assert len(auditor.every("/disputes")) == 1
    assert said(auditor, "said", 403)["status"] == 403


def test_pages_of_disputes_go_through_several_accounts_in_one_order(site: Site, acme: Program, desk: Program) -> None:
    opened(acme)
    assert Program(site, BETA).ask("POST", "/invoices/INV-2/disputes", json=WHY).status_code == 201
    opened(acme, line=2)
    both = Program(site, everything(Role.OPERATOR, "dora", accounts=frozenset({"acme", "beta"}), means=Means.TOKEN))
    for who in (desk, both):
        assert [each["id"] for each in who.every("/disputes", 1)] == [3, 2, 1]
        assert [each["id"] for each in who.every("/disputes?account=acme", 1)] == [3, 1]


def test_a_dispute_that_names_itself_is_opened_once(acme: Program) -> None:
    named = {"Idempotency-Key": "one"}
    first, again = (acme.ask("POST", "/invoices/INV-1/disputes", json=WHY, headers=named) for _ in range(2))
    assert first.content == again.content
    assert len(acme.every("/disputes")) == 1
