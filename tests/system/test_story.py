"""The demo's story: what is told of four customers is what the store holds, and the same seed tells the same."""

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from cloud_collector.billing.archive import FolderArchive
from cloud_collector.billing.audit import Books, audit_invoices, damages
from cloud_collector.billing.case import Sight
from cloud_collector.billing.preview import preview
from cloud_collector.billing.revisions import revisions
from cloud_collector.contracts.period import boundary
from cloud_collector.insight.cost import Cost
from cloud_collector.insight.detail import intervals
from cloud_collector.insight.look import look
from cloud_collector.insight.meter_history import meter_history
from cloud_collector.intake.sound import unsound_lines
from cloud_collector.store.store import Store
from cloud_collector.store.view import StoreView
from demo.people import HOUSE, Calendar
from demo.site import Site
from demo.story import Story, tell
from demo.tampering import tamper
from shared.effects.sqlite import SqliteDatabase
from tests.demo_story import NOW, SEED, story_in

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    """Told once, for all of them."""
    return story_in(tmp_path_factory.mktemp("story") / "site", tmp_path_factory)


@pytest.fixture
def store(story: Story) -> Iterator[Store]:
    """What the collector holds at its end."""
    held = Store(SqliteDatabase(story.site.store), migrated=True)
    yield held
    held.close()


def issued(site: Site, contract: str, month: str) -> dict[str, Any]:
    """The body of a contract's invoice over the month that begins on this local date."""
    for file in sorted(site.issued.glob("DEMO-*")):
        text = file.read_text(encoding="ascii")
        body: dict[str, Any] = json.loads(text[4 : text.rindex("|")])
        if body["contract"] == contract and body["period"]["start"].startswith(month):
            return body
    raise AssertionError(f"{contract} has no invoice of {month}")


def cost(store: Store, contract: str) -> Cost:
    return look(store, revisions(store), contract, NOW * 1_000, StoreView).cost()


def test_two_months_of_six_contracts_are_issued_and_the_third_runs(story: Story, store: Store) -> None:
    assert story.invoices == tuple(f"DEMO-{number}" for number in range(1, 13))
    assert len(store.rows("invoices")) == 12
    assert store.rows("parked") == []
    assert cost(store, "harbour-garage").draft.net > 0


def test_sim_cards_begin_by_first_use_and_by_grace_and_some_still_wait(story: Story, store: Store) -> None:
    """P18."""
    causes = {
        row["device"]: (row["rule"], row["at"])
        for row in issued(story.site, "kallio-sims", "2026-09-30")["activations"]
    }
    assert causes["kallio-office/sim-06"] == ("first_use", "2026-10-14T06:00:00Z")
    assert causes["kallio-office/sim-07"] == ("grace", "2026-10-15T21:00:00Z"), "45 days after the first of September"
    running = cost(store, "kallio-sims")
    assert [each.device for each in running.waiting] == ["kallio-office/sim-08", "kallio-office/sim-09"]
    assert "kallio-office/sim-05" in [each.device for each in running.unused]


def test_the_garage_is_warned_of_its_budget_before_it_is_spent(store: Store) -> None:
    told = [(row[5], row[6], row[7]) for row in store.rows("warnings") if row[1] == "harbour-garage"]
    assert ("budget", "over", "projected") in told
    running = cost(store, "harbour-garage")
    assert running.forecast is not None
    assert running.budget is not None
    assert running.forecast.net.likely > running.budget
    assert {line.window for line in running.draft.lines if line.charge == "Charging"} == {"peak", "off-peak"}


def test_no_tenants_evidence_shows_anybody_elses_rows(story: Story, store: Store) -> None:
    """P20: one gateway, a log for each."""
    logs = {
        contract: {
            (row[0], row[1]) for line in issued(story.site, contract, "2026-09-30")["lines"] for row in line["reads"]
        }
        for contract in ("flat-1", "flat-2", "elm-house")
    }
    assert logs == {
        "flat-1": {("elm-street-5", "flat-1")},
        "flat-2": {("elm-street-5", "flat-2")},
        "elm-house": {("elm-street-5", "house")},
    }
    assert store.rows("invoices"), "they were issued"


def test_a_machine_that_hardly_runs_costs_its_minimum_and_what_is_missing_to_the_ramps_step_is_billed(
    story: Story, store: Store
) -> None:
    """P17: a line of its own for either, to the cent; September's step was reached, October's was not."""
    september = issued(story.site, "ridge-machines", "2026-08-31")
    assert {line["kind"] for line in september["lines"]} == {"usage", "minimum"}
    assert september["net"] == "5700.00", "more than the 1500 of the first step"
    october = issued(story.site, "ridge-machines", "2026-09-30")
    said = [(line["kind"], line["device"], line["amount"]) for line in october["lines"]]
    assert ("usage", "ridge-site/compressor-1", "24.00") in said
    assert ("minimum", "ridge-site/compressor-1", "216.00") in said, "to the 240 of the plan"
    assert ("true_up", None, "1330.40") in said, "to the 6500 of the second step"
    assert (october["net"], october["total"]) == ("6500.00", "8157.50")
    (standing,) = cost(store, "ridge-machines").commitments
    assert standing.step == 3
    assert standing.committed == 8_000
    assert standing.missing == 8_000 - cost(store, "ridge-machines").draft.net


def test_an_exchanged_meter_goes_on_in_its_register(story: Story, store: Store) -> None:
    """P4."""
    told = {event.what: event.told for event in meter_history(store, f"{HOUSE}/water-flat-2", until=NOW)}
    assert {"swap", "exchange"} <= set(told)
    assert "WM-7735 in place of WM-2201" in told["swap"]
    (water,) = [line for line in issued(story.site, "flat-2", "2026-09-30")["lines"] if line["charge"] == "Water"]
    assert 0 < float(water["quantity"]) < 20, "neither the old display nor the new one was taken for usage"


def test_an_outage_over_the_months_end_is_named_and_its_readings_are_billed_with_the_next(
    story: Story, store: Store
) -> None:
    """P3: October's invoice says what it lacks; what came after it is there to be billed."""
    october = issued(story.site, "ridge-machines", "2026-09-30")
    assert {cause for *_, cause in october["gaps"]} == {"not_received"}
    assert october["issued_at"].startswith("2026-11-03"), "after the settling time"
    silent = datetime(2026, 10, 29, 10, tzinfo=UTC)
    (channel,) = StoreView(store).channels("ridge-site", "excavator-1")
    late = StoreView(store).measure(channel, int(silent.timestamp()), int(silent.timestamp()) + 86_400 * 2)
    assert late is not None
    assert late.units > 0
    assert not late.gaps
    at = int(datetime(2026, 12, 3, 1, tzinfo=UTC).timestamp()) * 1_000
    (next_,) = preview(store, at, Sight(view=StoreView), contracts=["ridge-machines"])
    assert next_.draft is not None
    beyond = {
        (line.kind.value, line.device): line.amount
        for line in next_.draft.lines
        if line.service_end <= int(datetime.fromisoformat(october["period"]["end"]).timestamp())
    }
    assert beyond["usage", "ridge-site/excavator-1"] == Decimal("244.80")
    assert sum(beyond.values()) == 0, "October's commitment had been billed whole: what was late counts towards it"
    alarms = [row for row in store.rows("incidents_newest", 100) if row[2] == "ridge-site"]
    assert [(row[1], row[6] is not None) for row in alarms] == [("silent", True)], "begun, and ended"


def test_the_day_of_the_clock_change_has_its_25_hours(story: Story, store: Store) -> None:
    assert story.site.calendar.clock_change == date(2026, 10, 25)
    october = issued(story.site, "elm-house", "2026-09-30")["period"]
    start, end = (datetime.fromisoformat(october[name]) for name in ("start", "end"))
    assert (end - start).total_seconds() == (31 * 24 + 1) * 3_600
    view, day = StoreView(store), date(2026, 10, 25)
    (channel,) = view.channels(HOUSE, "heat-house")
    time = (boundary("Europe/Helsinki", day), boundary("Europe/Helsinki", date(2026, 10, 26)))
    hours = intervals(view, channel, "kWh", time, NOW)
    assert len(hours) == 25
    measured = view.measure(channel, *time)
    assert measured is not None
    assert sum(each.quantity or 0 for each in hours) * 1_000 == measured.units, "each of them once"


@pytest.mark.parametrize(
    ("now", "oldest"),
    [("2026-10-20", date(2026, 3, 1)), ("2026-12-05", date(2026, 10, 1)), ("2027-01-01", date(2026, 10, 1))],
)
def test_the_story_reaches_back_to_a_change_of_the_clocks_whenever_it_is_told(now: str, oldest: date) -> None:
    calendar = Calendar.of(int(datetime.fromisoformat(f"{now}T12:00:00+00:00").timestamp()))
    assert calendar.oldest == oldest
    assert calendar.oldest <= calendar.clock_change < calendar.this


def test_a_lie_in_one_line_is_found_and_named(story: Story, tmp_path: Path) -> None:
    """P11: the line, the day, the interval, the invoice and its money."""
    copy = tmp_path / "collector.db"
    copy.write_bytes(story.site.store.read_bytes())
    lie = tamper(copy, story.site.calendar)
    with closing(Store(SqliteDatabase(copy), migrated=True)) as held:
        unsound, books = list(unsound_lines(held)), Books()
        keys = [story.site.key("receipt").public]
        faults = list(audit_invoices(held, FolderArchive(story.site.issued), keys, unsound, books))
        (damage,) = damages(held, unsound, faults, books)
    assert (damage.line.gateway, damage.line.log, damage.line.seq) == (lie.gateway, lie.log, lie.seq)
    assert [day.isoformat() for day in damage.days] == [lie.day]
    (interval,) = damage.intervals
    assert (interval.received, interval.stored) == (lie.was, lie.now)
    (fault,) = damage.invoices
    assert fault.number == issued(story.site, "ridge-machines", "2026-08-31")["number"]
    assert fault.said is not None
    assert fault.now is not None
    assert Decimal(fault.said) - Decimal(fault.now) == 12, "half an hour at 24.00"


@pytest.mark.deep
def test_the_same_seed_and_moment_tell_the_same_to_the_byte(story: Story, store: Store, tmp_path: Path) -> None:
    """P15."""
    again = tell(tmp_path / "again", now=NOW, seed=SEED, interfaces=["eth0"])
    assert again.invoices == story.invoices
    for file in story.site.issued.glob("DEMO-*"):
        assert (again.site.issued / file.name).read_bytes() == file.read_bytes(), file.name
    with closing(Store(SqliteDatabase(again.site.store), migrated=True)) as other:
        assert [row[1:] for row in other.rows("warnings")] == [row[1:] for row in store.rows("warnings")]
