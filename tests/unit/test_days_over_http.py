"""From an account's day to the signed line, over the API: the pages' figures, each the sum of what is under it."""

from decimal import Decimal

import pytest

from cloud_collector.insight.sealed_line import sealed_line
from cloud_collector.web.site import Site
from shared.line import hash_of
from tests.api_world import DAY, NOW
from tests.unit.billing_samples import Gateway, receive
from tests.unit.test_api import ACME, BETA, Program, site, world

__all__ = ["site", "world"]
DAY_PATH = "/accounts/acme/days/2026-10-05"
METER = f"{DAY_PATH}/roof-1/sdm630-1/energy"


@pytest.fixture
def acme(site: Site) -> Program:
    return Program(site, ACME)


def test_a_day_is_the_sum_of_its_intervals_and_each_has_its_line(acme: Program) -> None:
    (day, *others) = acme.every(DAY_PATH, 1)
    assert (day["device"], day["meter"], day["day"]["day"]) == ("roof-1/sdm630-1", "energy", "2026-10-05")
    assert [each["device"] for each in others] == ["roof-1/sdm630-2"]
    whole = acme.every(METER, 200)
    assert acme.every(METER, 7) == whole
    assert sum(Decimal(each["quantity"]) for each in whole) == Decimal(day["day"]["quantity"])
    assert (whole[0]["start"], whole[-1]["end"]) == (day["day"]["start"], day["day"]["end"])
    assert all(each["line"]["gateway"] == "roof-1" and each["why"] is None for each in whole)


def test_the_line_is_handed_out_byte_for_byte_with_the_verdict_on_it(acme: Program) -> None:
    """P11: what is shown is what was signed."""
    place = acme.every(METER)[0]["line"]
    told = acme.get("/accounts/acme/lines/{gateway}/{log}/{epoch}/{seq}".format(**place))
    assert told["raw"].startswith("MS1|")
    assert hash_of(told["raw"].encode()) == told["hash"]
    assert (told["genuine"], told["kind"], told["received_at"]) == (True, "usage", "2026-11-05T22:00:00Z")
    assert told["words"]


def test_what_is_not_known_is_said_and_is_not_zero(acme: Program) -> None:
    items = acme.every("/accounts/acme/days/2026-09-30", 200)
    assert items == [], "it was nobody's then"
    (beyond, *_) = acme.every("/accounts/acme/days/2026-11-05", 200)
    assert (beyond["day"]["quantity"], beyond["day"]["deleted"]) == (None, False)
    (gap, *_) = acme.every("/accounts/acme/days/2026-11-05/roof-1/sdm630-1/energy", 200)
    assert (gap["quantity"], gap["line"], gap["why"]) == (None, None, "not received")


def test_what_another_account_has_is_not_there(acme: Program, site: Site) -> None:
    """P20: neither the day, nor the meter, nor a line that tells of both."""
    beta = Program(site, BETA)
    for path in (
        DAY_PATH,
        METER,
        "/accounts/acme/lines/roof-1/main/5f2c91aa/2",
        "/accounts/acme/devices/roof-1/sdm630-1",
    ):
        assert beta.get(path, 404)["detail"] == "there is nothing here"
        acme.get(path)
        assert beta.get(path.replace("acme", "beta"), 404 if "roof-1" in path else 200)
    assert beta.get("/contracts/acme-chargers/days", 404)["status"] == 404
    shared = Gateway(name="roof-1", epoch="77777777", registers={"sdm630-1": 10, "meter-9": 10})
    shared.birth(NOW - 3 * DAY)
    with site.writing() as store:
        receive(store, shared.lines, at=NOW)
        assert sealed_line(store, "roof-1", "main", "77777777", 1) is not None
    acme.get("/accounts/acme/lines/roof-1/main/77777777/1", 404)


@pytest.mark.parametrize("day", ["2026-02-30", "1999-12-31", "2201-01-01"])
def test_a_day_that_there_is_not_is_not_there(acme: Program, day: str) -> None:
    assert acme.get(f"/accounts/acme/days/{day}", 404)["status"] == 404


def test_a_device_is_told_as_its_page_tells_it(acme: Program) -> None:
    told = acme.get("/accounts/acme/devices/roof-1/sdm630-1")
    (cost,) = acme.every("/accounts/acme/cost", 1)
    (mine,) = [each for each in cost["devices"] if each["device"] == "roof-1/sdm630-1"]
    assert {name: told[name] for name in mine} == mine
    assert (told["contract"], told["currency"]) == ("acme-chargers", "EUR")
    (meter,) = told["meters"]
    together = acme.get("/contracts/acme-chargers/days")
    assert [each["meter"] for each in together] == [meter["meter"]] == ["energy"]
    for one, both in zip(meter["days"], together[0]["days"], strict=True):
        assert one["day"] == both["day"]
        assert (one["quantity"] is None) or Decimal(both["quantity"]) > Decimal(one["quantity"])
