"""Warnings in the store: facts of what fired, in their order, whatever the collector does in between."""

import json
from collections.abc import Iterator
from decimal import Decimal
from unittest.mock import patch

import pytest

from cloud_collector.billing.revisions import apply, revisions
from cloud_collector.billing.run import bill_due
from cloud_collector.contracts.read import load_catalog
from cloud_collector.insight.alerts import alerts
from cloud_collector.insight.look import Look, look
from cloud_collector.insight.normal import Habits, habits, normal
from cloud_collector.insight.warnings import What
from cloud_collector.insight.watch import Watch
from cloud_collector.insight.wishes import WishRefused, keep_wish, read_wish
from cloud_collector.store.store import Store
from cloud_collector.store.view import StoreView
from shared.errors import DatabaseError
from tests.cost_world import CATALOG, DAY, HOUR, NOVEMBER, month
from tests.unit.billing_samples import OCTOBER, Gateway, new_store, receive, store_biller

WARNED = CATALOG + "warn = { over = [50, 100, 120], under = [50] }\n"


def watching(most: int = 200) -> Watch:
    return Watch(StoreView, lambda *_: None, most=most)


def short(store: Store, *, against: str = "budget", way: str = "actual") -> list[str]:
    return [
        f"{'+' if row[10] == 'fired' else '-'}{row[6]} {row[8]}"
        for row in store.rows("warnings")
        if (row[5], row[7]) == (against, way)
    ]


@pytest.fixture
def store() -> Iterator[Store]:
    made = new_store(catalog=WARNED)
    yield made
    made.close()


def live(store: Store, watch: Watch, *, until: int, step: int = 12 * HOUR, begin: int = OCTOBER) -> None:
    arrivals = [each for each in month()[1] if each[0] <= until]
    for at in range(begin, until + 1, step):
        while arrivals and arrivals[0][0] <= at:
            received, line = arrivals.pop(0)
            receive(store, [line], at=received)
        watch.round(store, at * 1000)


def test_a_month_warns_of_its_budget_as_it_is_used_and_as_it_is_foretold(store: Store) -> None:
    live(store, watching(), until=OCTOBER + 30 * DAY)
    assert short(store) == ["+over 50", "+over 100"], "the commitment is not billed before the end"
    assert short(store, way="projected") == ["+over 50", "+over 100", "+over 120"], "the commitment comes to 300"
    first = {row[7]: row[11] for row in reversed(store.rows("warnings")) if (row[5], row[8]) == ("budget", "100")}
    assert first["projected"] < first["actual"], "warned before it hurts"


def test_looking_again_says_nothing_again_also_from_a_new_process(store: Store) -> None:
    live(store, watching(), until=OCTOBER + 10 * DAY)
    before = store.rows("warnings")
    watching().round(store, (OCTOBER + 10 * DAY) * 1000)
    assert store.rows("warnings") == before != []


def test_nothing_new_is_not_looked_at(store: Store) -> None:
    looks = []

    def view(held: Store) -> StoreView:
        looks.append(1)
        return StoreView(held)

    watch = Watch(view, lambda *_: None)
    receive(store, [month()[1][0][1]], at=OCTOBER)
    for second in range(5):
        watch.round(store, (OCTOBER + 60 + second) * 1000)
    once = len(looks)
    watch.round(store, (OCTOBER + 2 * HOUR) * 1000)
    assert len(looks) == 2 * once, "once, and once more in another hour"


def test_many_contracts_take_several_rounds_and_none_is_forgotten() -> None:
    contracts = "".join(
        f'[contracts.c{n}]\naccount = "acme"\nplan = "flat"\nstart = 2026-10-01\nbudget = 1\n'
        f'warn = {{ over = [1] }}\ndevices = ["roof-2/d{n}"]\n'
        for n in range(5)
    )
    text = WARNED + contracts
    text += '[plans.flat]\ncycle = "month"\n[[plans.flat.charges]]\nname = "F"\ntype = "subscription"\nprice = 3\n'
    store, watch = new_store(catalog=text), watching(most=2)
    for _ in range(4):
        watch.round(store, (OCTOBER + HOUR) * 1000)
    assert sorted({row[1] for row in store.rows("warnings")}) == [f"c{n}" for n in range(5)]


def test_intake_has_its_turn_after_each_contract_and_waits_for_no_transaction_that_says_nothing(store: Store) -> None:
    rested: list[tuple[int, int]] = []

    def rest() -> None:
        rested.append((len(store.rows("warnings")), began.call_count))

    watch = Watch(StoreView, lambda *_: None, rest=rest)
    receive(store, [line for at, line in month()[1] if at <= OCTOBER + 10 * DAY], at=OCTOBER + 10 * DAY)
    with patch.object(store, "atomic", wraps=store.atomic) as began:
        watch.round(store, (OCTOBER + 10 * DAY) * 1000)
        watch.round(store, (OCTOBER + 10 * DAY + HOUR) * 1000)
    (warned, first), (again, second) = rested
    assert warned == again > 0
    assert first == second == 1, "what fires is kept in a transaction, and an hour in which nothing does has none"


def test_too_little_is_said_when_the_period_has_ended_and_withdrawn_by_what_comes_late() -> None:
    text = WARNED.replace("budget = 150", "budget = 590").replace("[plans.charger.commitment]", "[plans.charger.x]")
    text = text[: text.index("[plans.charger.x]")] + text[text.index("[[plans.charger.taxes]]") :]
    store, watch = new_store(catalog=text), watching()
    site, arrivals = month()
    early, late = [each for each in arrivals if each[0] <= OCTOBER + 26 * DAY], [line for _, line in arrivals]
    for at, line in early:
        receive(store, [line], at=at)
    watch.round(store, (NOVEMBER + HOUR) * 1000)
    october = [row for row in store.rows("warnings") if row[3] == OCTOBER and row[5:8] == ("budget", "under", "actual")]
    assert [row[10] for row in october] == ["fired"]
    apply(store, load_catalog(text.replace("budget = 590", "budget = 100")), now_ms=(NOVEMBER + HOUR) * 1000)
    for line in late[len(early) :]:
        receive(store, [line], at=NOVEMBER + 2 * HOUR)
    watch.round(store, (NOVEMBER + 3 * HOUR) * 1000)
    october = [row for row in store.rows("warnings") if row[3] == OCTOBER and row[5:8] == ("budget", "under", "actual")]
    assert [row[10] for row in october] == ["fired", "withdrawn"]
    assert site.seq


def test_a_period_that_billing_has_closed_is_judged_no_more(store: Store) -> None:
    for at, line in month()[1]:
        receive(store, [line], at=at)
    bill_due(store, (NOVEMBER + 3 * DAY) * 1000, store_biller())
    watching().round(store, (NOVEMBER + 3 * DAY) * 1000)
    assert {row[3] for row in store.rows("warnings")} <= {NOVEMBER}


def test_a_warning_is_never_changed_or_forgotten(store: Store) -> None:
    live(store, watching(), until=OCTOBER + 9 * DAY, begin=OCTOBER + 8 * DAY)
    for sql in ("delete from warning", "update warning set said = ''"):
        with pytest.raises(DatabaseError):
            store._database.execute(sql)


# --- normal -------------------------------------------------------------------------------------------------


def regular(weeks: int, weekday: int, weekend: int) -> Gateway:
    """Whole days from September on; `day` counts from a Thursday."""
    gateway = Gateway(registers={"sdm630-1": 0})
    gateway.birth(OCTOBER - 3_600)
    for day in range(weeks * 7):
        start = OCTOBER + day * DAY
        gateway.day(start, {"sdm630-1": weekend if (day + 3) % 7 >= 5 else weekday})
    return gateway


WEEKLY = """
[operator]
name = "N"
currency = "EUR"
timezone = "UTC"
[meters.energy]
unit = "kWh"
aggregate = "sum"
[plans.p]
cycle = "week"
[[plans.p.charges]]
name = "Energy"
type = "usage"
meter = "energy"
model = "per_unit"
price = 1
[accounts.acme]
name = "Acme"
[contracts.c]
account = "acme"
plan = "p"
start = 2026-10-05
devices = ["roof-1/sdm630-1"]
warn = { over = [130], under = [70] }
"""


def seen_at(store: Store, at: int) -> tuple[Look, list[Habits]]:
    seen = look(store, revisions(store), "c", at * 1000, StoreView)
    periods = [each for each in seen.agreement.periods(None, at) if each.end <= seen.period.start]
    return seen, [habits(seen.known, each) for each in periods]


def test_normal_is_what_the_last_periods_would_be_by_now_weekday_by_weekday() -> None:
    store = new_store(catalog=WEEKLY)
    receive(store, regular(6, 1_000, 0).lines, at=OCTOBER + 42 * DAY)
    at = OCTOBER + 35 * DAY + 3 * HOUR
    seen, earlier = seen_at(store, at)
    found = normal(seen.known, seen.period, at, earlier)
    assert found is not None
    elapsed = (at - seen.period.start) // DAY
    working = min(elapsed, 5)
    assert abs(found.so_far - 96 * working) < 96
    assert abs(found.whole - 96 * 5) < 5, "five working days, whatever part has passed"
    assert found.periods == 4
    assert normal(seen.known, seen.period, at, earlier[:1]) is None, "one alone makes nothing normal"


def test_a_week_that_is_unlike_the_others_is_told_against_what_is_normal() -> None:
    store, watch = new_store(catalog=WEEKLY), watching()
    gateway = regular(4, 1_000, 100)
    for day in range(28, 35):
        gateway.day(OCTOBER + day * DAY, {"sdm630-1": 2_500})
    receive(store, gateway.lines, at=OCTOBER + 35 * DAY)
    for hour in range(0, 7 * 24, 12):
        watch.round(store, (OCTOBER + 28 * DAY + hour * HOUR + 60) * 1000)
    told = [row for row in store.rows("warnings") if row[5] == "normal"]
    assert ("over", "actual", "130", "fired") in {(row[6], row[7], row[8], row[10]) for row in told}


# --- the site's topic ---------------------------------------------------------------------------------------


def test_a_sites_topic_says_what_stands_and_is_emptied_with_the_period(store: Store) -> None:
    live(store, watching(), until=OCTOBER + 27 * DAY, begin=OCTOBER + 20 * DAY)
    body = json.loads(alerts(store, (OCTOBER + 27 * DAY) * 1000)["roof-1"])
    assert body["sides"] == ["over", "under"], "the budget is overrun, the commitment is not reached"
    assert {(each["against"], each["way"], each["percent"]) for each in body["warnings"]} >= {
        ("budget", "actual", "50")
    }
    assert alerts(store, NOVEMBER * 1000) == {"roof-1": b""}


def test_a_gateway_of_two_accounts_tells_neither_of_the_others_bill() -> None:
    """P20."""
    text = WARNED + '[accounts.bolt]\nname = "Bolt"\n[contracts.b]\naccount = "bolt"\nplan = "charger"\n'
    store = new_store(catalog=text + 'start = 2026-10-01\ndevices = ["roof-1/theirs"]\n')
    live(store, watching(), until=OCTOBER + 20 * DAY, begin=OCTOBER + 19 * DAY)
    assert store.rows("warnings") != []
    assert alerts(store, (OCTOBER + 20 * DAY) * 1000) == {"roof-1": b""}, "and what was retained before is taken back"


def test_what_a_customer_asks_for_reaches_the_site_and_is_taken_back_with_the_wish(store: Store) -> None:
    apply(store, load_catalog(CATALOG), now_ms=OCTOBER * 1000)
    watch, at = watching(), OCTOBER + 10 * DAY
    live(store, watch, until=at)
    assert alerts(store, at * 1000) == {"roof-1": b""}
    for budget, over, percents in (("10", "80", ["80"]), ("10", "", []), ("10", "80", ["80"]), ("", "80", [])):
        keep_wish(store, read_wish("c", budget=budget, over=over, under="", mail=""), who="anna", now_ms=at * 1000)
        watch.round(store, at * 1000)
        told = alerts(store, at * 1000)["roof-1"]
        against = [each for each in json.loads(told or b'{"warnings":[]}')["warnings"] if each["against"] == "budget"]
        assert [each["percent"] for each in against if each["way"] == "actual"] == percents
        assert bool(against) == bool(percents)


@pytest.mark.parametrize("over", ["87,5", "80,100", "50, 87,5"])
def test_a_comma_that_may_mean_two_things_is_asked_back_about(over: str) -> None:
    with pytest.raises(WishRefused, match=r"may be one threshold over or two: write 87.5"):
        read_wish("c", budget="10", over=over, under="", mail="")
    assert read_wish("c", budget="10", over="87.5, 100", under="5", mail="").over == (Decimal("87.5"), Decimal(100))


def test_a_catalog_that_warns_no_more_takes_back_what_stands_and_so_does_one_without_the_gateway(store: Store) -> None:
    """P20: whoever has the gateway next reads nothing of the former one's figures, also from a new process."""
    at = OCTOBER + 20 * DAY
    live(store, watching(), until=at, begin=OCTOBER + 19 * DAY)
    assert json.loads(alerts(store, at * 1000)["roof-1"])["warnings"]
    apply(store, load_catalog(CATALOG), now_ms=at * 1000)
    kept = watching().round(store, at * 1000)
    assert {each.warning.what for each in kept} == {What.WITHDRAWN}
    assert alerts(store, at * 1000) == {"roof-1": b""}
    apply(store, load_catalog(CATALOG.replace('"roof-1/', '"roof-9/')), now_ms=at * 1000)
    assert alerts(store, at * 1000) == {"roof-1": b"", "roof-9": b""}
