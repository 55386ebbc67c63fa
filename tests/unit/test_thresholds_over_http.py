"""Thresholds over the API: what counts, what was asked for before, set and taken back by the rules of the page."""

import pytest

from cloud_collector.access.viewer import Deed, Means, Role, Viewer
from cloud_collector.web.site import Site
from tests.unit.test_api import ACME, BETA, Program, site, world

__all__ = ["site", "world"]
PATH = "/contracts/acme-chargers/thresholds"


@pytest.fixture
def acme(site: Site) -> Program:
    return Program(site, ACME)


def test_until_somebody_asks_the_catalog_counts(acme: Program) -> None:
    assert acme.get(PATH) == {
        "contract": "acme-chargers",
        "budget": "10.00",
        "over": ["50", "80"],
        "under": [],
        "mail": [],
        "at": None,
        "who": None,
    }
    assert acme.every(f"{PATH}/history") == []


def test_what_is_asked_for_counts_and_what_is_taken_back_stays_in_the_history(acme: Program) -> None:
    asked = {"budget": "120.50", "over": ["87.5", "100"], "under": ["20"], "mail": ["boss@acme.example"]}
    made = acme.ask("POST", PATH, json=asked).json()
    assert {name: made[name] for name in asked} == asked
    assert made["who"] == "anna"
    assert acme.get(PATH) == made
    gone = acme.ask("POST", f"{PATH}/remove").json()
    assert (gone["budget"], gone["over"], gone["under"], gone["mail"]) == (None, [], [], [])
    assert acme.every(f"{PATH}/history", 1) == [gone, made]


@pytest.mark.parametrize(
    ("asked", "status", "why"),
    [
        ({"budget": "0"}, 409, "more than nothing"),
        ({"over": ["0"]}, 409, "above 0"),
        ({"mail": ["boss@acme"]}, 409, "no e-mail address"),
        ({"over": ["1e3"]}, 422, "over"),
        ({"budget": 12.5}, 422, "budget"),
        ({"more": "?"}, 422, "more"),
        ({"over": ["1"] * 11}, 422, "over"),
    ],
)
def test_what_cannot_be_kept_is_said_so_and_changes_nothing(
    acme: Program, asked: dict[str, object], status: int, why: str
) -> None:
    answer = acme.ask("POST", PATH, json=asked)
    assert answer.status_code == status, answer.text
    assert why in answer.json()["detail"]
    assert acme.every(f"{PATH}/history") == []


def test_nobody_else_sees_or_sets_them(site: Site) -> None:
    """P20."""
    beta = Program(site, BETA)
    assert beta.get(PATH, 404)["detail"] == beta.get(f"{PATH}/history", 404)["detail"] == "there is nothing here"
    assert beta.ask("POST", PATH, json={}).status_code == beta.ask("POST", f"{PATH}/remove").status_code == 404
    reader = Viewer(
        name="reads",
        role=Role.CUSTOMER,
        accounts=frozenset({"acme"}),
        scopes=frozenset({Deed.READ}),
        means=Means.TOKEN,
    )
    assert Program(site, reader).ask("POST", PATH, json={}).status_code == 403
