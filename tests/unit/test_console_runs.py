"""Billing on its page: a stopped run goes on; what is parked says why, and is billed once that is mended."""

import re
from pathlib import Path

import pytest

from cloud_collector.access.viewer import Deed
from cloud_collector.billing.revisions import apply
from cloud_collector.billing.runs import begin
from cloud_collector.contracts.read import load_catalog
from tests.portal_site import OTHERS
from tests.unit.billing_samples import CATALOG
from tests.unit.test_console_deeds import LATER, Desk, Filled, filled
from tests.visitors import ask, token_of

__all__ = ["filled"]
LAME = (CATALOG + OTHERS).replace('country = "FI"\nlocale', "locale")
"""An account has lost its country, without which nobody may bill it."""


@pytest.fixture
def desk(tmp_path: Path, filled: Filled) -> Desk:
    return Desk(tmp_path, filled)


def agreed(desk: Desk, text: str) -> None:
    with desk.site.writing() as store:
        apply(store, load_catalog(text), now_ms=LATER * 1_000)


def said(desk: Desk, path: str) -> str:
    """What a form's answer says on the page that it leads to."""
    answer = desk.post(path, sure="yes")
    assert answer.status_code == 303
    page = desk.get(answer.headers["Location"], Cookie=answer.headers["Set-Cookie"].partition(";")[0]).text
    found = re.search(r'role="status"><p>(.*?)</p>', page)
    assert found is not None
    return found[1]


def test_a_run_that_was_stopped_is_offered_with_who_began_it_and_goes_on_with_its_own_contracts(desk: Desk) -> None:
    """P16: what it issued stands, and nothing is issued twice."""
    assert "Resume run" not in desk.get("/billing").text
    assert said(desk, "/billing/resume").startswith("Not done: no run was stopped")
    before = desk.numbers()
    with desk.site.writing() as store:
        number = begin(store, by="Anna", at=LATER, as_of=LATER, contracts=["acme-chargers"])
    page = desk.get("/billing").text
    assert f"Resume run {number}" in page
    assert "begun by Anna, was stopped before its end" in page
    assert f"run {number}" in said(desk, "/billing/resume")
    page = desk.get("/billing").text
    assert "Resume run" not in page
    assert re.search(rf"Run {number}</b>\s+has ended", page)
    assert len(desk.numbers()) == len(before) + 1, "of its own contract, and not of the other that is due as well"
    assert said(desk, "/billing/resume").startswith("Not done: no run was stopped")
    assert len(desk.numbers()) == len(before) + 1


def test_what_is_parked_says_why_and_is_billed_again_once_that_is_put_right(desk: Desk) -> None:
    """P19: nobody guesses, and the others are billed."""
    before = desk.numbers()
    assert "no contract is parked" in said(desk, "/billing/retry")
    agreed(desk, LAME)
    said(desk, "/billing/run")
    assert len(desk.numbers()) == len(before) + 1, "the other one"
    page = desk.get("/billing").text
    assert "accounts.acme.country" in page
    assert "Bill the parked ones again" in page
    assert "accounts.acme.country" in desk.get("/contracts/acme-chargers").text
    said(desk, "/billing/retry")
    assert len(desk.numbers()) == len(before) + 1, "it is as it was, and so it stays parked"
    assert "accounts.acme.country" in desk.get("/billing").text
    agreed(desk, CATALOG + OTHERS)
    said(desk, "/billing/retry")
    assert len(desk.numbers()) == len(before) + 2
    page = desk.get("/billing").text
    assert "Every contract can be billed." in page
    assert "Bill the parked ones again" not in page
    assert "1 issued" in re.sub(r"\s+", " ", page)


def test_an_auditor_sees_both_and_can_do_neither(desk: Desk) -> None:
    with desk.site.writing() as store:
        begin(store, by="Anna", at=LATER, as_of=LATER, contracts=["acme-chargers"])
    eye = token_of(desk.site, "eye", scopes=[Deed.READ])
    page = desk.get("/billing", **eye).text
    assert re.search(r"<button[^>]* disabled[^>]*>Resume run", page) is not None
    for path in ("/billing/resume", "/billing/retry"):
        assert ask(desk.app, "POST", path, headers=eye).status_code == 403, path
