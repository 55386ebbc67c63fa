"""Lines opened over the API, down to the reports, and evidence handed out and checked as the store holds it."""

from decimal import Decimal

import pytest

from cloud_collector.proof.bundle import Bundle, from_zip
from cloud_collector.web.site import Site
from tests.unit.test_api import ACME, BETA, Program, site, world

__all__ = ["site", "world"]
COST = "/contracts/acme-chargers/cost"


@pytest.fixture
def acme(site: Site) -> Program:
    return Program(site, ACME)


def test_the_lines_so_far_are_those_of_the_cost_and_each_opens(acme: Program) -> None:
    cost, lines = acme.get(COST), acme.every(f"{COST}/lines", 1)
    assert [each["line"] for each in lines] == cost["draft"]["lines"]
    for each in lines:
        opened = acme.get(f"{COST}/lines/{each['id']}")
        assert (opened["line"], opened["currency"]) == (each["line"], cost["currency"])
        assert bool(opened["devices"]) != bool(opened["states"])
        if opened["devices"]:
            used = [Decimal(one["quantity"]) for one in opened["devices"]]
            assert sum(used) == Decimal(each["line"]["quantity"])
            assert opened["counters"]


def test_lines_are_chosen_by_charge_and_by_device(acme: Program) -> None:
    every = acme.every(f"{COST}/lines", 200)
    charge = every[0]["line"]["charge"]
    assert acme.every(f"{COST}/lines?charge={charge}", 200) == [one for one in every if one["line"]["charge"] == charge]
    mine = acme.every(f"{COST}/lines?device=roof-1/sdm630-1", 200)
    assert {each["line"]["device"] for each in mine} <= {None, "roof-1/sdm630-1"}
    assert acme.every(f"{COST}/lines?tax=none") == []


def test_a_billed_line_opens_onto_the_counters_that_are_sealed(acme: Program) -> None:
    for listed in acme.every("/invoices/INV-1/lines", 200):
        opened = acme.get(f"/invoices/INV-1/lines/{listed['place']}")
        assert (opened["number"], opened["place"], opened["line"]) == ("INV-1", listed["place"], listed["line"])
        assert [each["register_end"] for each in opened["counters"]] == [read[8] for read in listed["reads"]]
        if opened["devices"]:
            used = [Decimal(one["quantity"]) for one in opened["devices"]]
            assert sum(used) == Decimal(listed["line"]["quantity"])
    assert acme.get("/invoices/INV-1/lines/999", 404)["detail"] == "there is nothing here"


def test_the_evidence_is_handed_out_as_it_stands_and_checked(acme: Program) -> None:
    """P12."""
    told = acme.get("/invoices/INV-1/check")
    assert (told["verified"], told["number"], told["findings"]) == (True, "INV-1", [])
    answer = acme.ask("GET", "/invoices/INV-1/evidence")
    assert answer.headers["content-disposition"] == 'attachment; filename="INV-1-evidence.zip"'
    assert isinstance(from_zip(answer.content), Bundle)


def test_a_meters_days_come_to_what_its_line_says(acme: Program) -> None:
    (used, *_) = [
        one
        for listed in acme.every("/invoices/INV-1/lines", 200)
        for one in acme.get(f"/invoices/INV-1/lines/{listed['place']}")["devices"]
        if one["device"] == "roof-1/sdm630-1"
    ]
    time = f"start={used['start']}&end={used['end']}"
    told = acme.get(f"/accounts/acme/usage/roof-1/sdm630-1/energy?{time}")
    assert len(told["days"]) == 31
    assert Decimal(told["total"]) == sum(Decimal(each["quantity"]) for each in told["days"])
    assert (told["total"], told["unit"]) == (used["quantity"], used["unit"])
    assert acme.get(f"/accounts/acme/usage/roof-1/sdm630-1/energy?{time}&window=night", 404)["status"] == 404
    swapped = "start=2026-10-31T22:00:00Z&end=2026-09-30T21:00:00Z"
    assert acme.get(f"/accounts/acme/usage/roof-1/sdm630-1/energy?{swapped}", 409)["status"] == 409


def test_none_of_it_opens_for_another_account(site: Site, acme: Program) -> None:
    """P20."""
    beta, (line, *_) = Program(site, BETA), acme.every(f"{COST}/lines", 200)
    for path in (
        f"{COST}/lines",
        f"{COST}/lines/{line['id']}",
        "/invoices/INV-1/lines/1",
        "/invoices/INV-1/check",
        "/invoices/INV-1/evidence",
        "/accounts/beta/usage/roof-1/sdm630-1/energy",
    ):
        assert beta.get(path, 404)["detail"] == "there is nothing here"
