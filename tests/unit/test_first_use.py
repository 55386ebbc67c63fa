"""P18: a device's first activity, decided once, by evidence, whatever order reports arrived in."""

from itertools import permutations

import pytest

from cloud_collector.activity.activation import Activation
from cloud_collector.activity.first_use import first_activity
from cloud_collector.contracts.period import iso
from cloud_collector.contracts.read import load_catalog
from cloud_collector.contracts.terms import terms_of
from cloud_collector.rating.csv_facts import read_states, read_usage
from cloud_collector.usage.ledger import Ledger
from tests.quoting import catalog_text, usage_csv

FOREVER = 2_000_000_000


def started(
    rule: str, *rows: str, devices: str = '["gw/a"]', states: str = "", until: int = 1_800_000_000
) -> dict[str, Activation]:
    catalog = load_catalog(
        catalog_text(f'[plans.p.activation]\nrule = "first_use"\n{rule}', devices=devices, zone="UTC")
    )
    spans = read_usage(usage_csv(*rows), "usage.csv", catalog.meters)
    changes = read_states("device,state,at\n" + "\n".join(states.split()), "states.csv")
    return first_activity(terms_of(catalog, "c"), Ledger(spans), changes, until=until)


def at(found: dict[str, Activation], device: str = "gw/a") -> str:
    return iso(found[device].at)


def hour(day: str, quantity: str, *, device: str = "gw/a", meter: str = "energy", clock: str = "10:00") -> str:
    return f"{device} {meter} {day}T{clock}:00Z 1h {quantity}"


def test_without_thresholds_the_first_report_of_use_decides() -> None:
    found = started("", hour("2026-01-03", "0"), hour("2026-01-05", "0.000001"))
    assert at(found) == "2026-01-05T10:00:00Z"
    evidence = found["gw/a"].evidence
    assert evidence is not None
    assert (evidence.rule, evidence.figure, evidence.seq) == ("reports 1", "1", 2)


def test_a_quantity_is_reached_with_the_interval_that_makes_it() -> None:
    found = started(
        'any = [{ meter = "energy", at_least = 0.5 }]',
        hour("2026-01-05", "0.3"),
        hour("2026-01-06", "0.199999"),
        hour("2026-01-07", "0.000001"),
        hour("2026-01-08", "9"),
    )
    assert at(found) == "2026-01-07T10:00:00Z"
    assert found["gw/a"].evidence is not None
    assert found["gw/a"].evidence.figure == "0.5"
    assert "energy at_least 0.5 was met with 0.5" in found["gw/a"].why


def test_the_first_threshold_to_be_met_decides() -> None:
    rule = 'any = [{ meter = "energy", at_least = 5 }, { active_days = 2 }, { reports = 3 }]'
    assert at(started(rule, hour("2026-01-05", "1"), hour("2026-01-06", "1"))) == "2026-01-06T10:00:00Z"
    same_day = [hour("2026-01-05", "1", clock=f"1{each}:00") for each in range(4)]
    assert at(started(rule, *same_day)) == "2026-01-05T12:00:00Z"


def test_all_of_all_and_one_of_any() -> None:
    rule = 'any = [{ reports = 1 }]\nall = [{ meter = "energy", at_least = 2 }, { active_days = 2 }]'
    rows = [hour("2026-01-05", "3"), hour("2026-01-05", "1", clock="11:00"), hour("2026-01-07", "0.1")]
    assert at(started(rule, *rows)) == "2026-01-07T10:00:00Z"
    assert started(rule, *rows[:2]) == {}


def test_within_counts_whole_intervals_of_a_rolling_span() -> None:
    rule = 'any = [{ meter = "energy", at_least = 1, within = "24h" }]'
    # 0.5 on the 5th at 10–11; the span that ends on the 6th at 11 begins on the 5th at 11.
    assert started(rule, hour("2026-01-05", "0.5"), hour("2026-01-06", "0.5")) == {}
    within = started(rule, hour("2026-01-05", "0.5"), hour("2026-01-06", "0.5", clock="09:00"))
    assert at(within) == "2026-01-06T09:00:00Z"


def test_active_days_within_are_local_days() -> None:
    rule = 'any = [{ active_days = 3, within = "7d" }]'
    days = [hour(f"2026-01-{day}", "1") for day in ("05", "06", "13", "18", "19")]
    assert at(started(rule, *days)) == "2026-01-19T10:00:00Z"


def test_a_met_threshold_stays_met() -> None:
    rule = 'all = [{ reports = 2, within = "1d" }, { meter = "energy", at_least = 5 }]'
    rows = [hour("2026-01-05", "1"), hour("2026-01-05", "1", clock="11:00"), hour("2026-02-05", "3")]
    assert at(started(rule, *rows)) == "2026-02-05T10:00:00Z"


def test_installers_tests_do_not_count() -> None:
    # The first report since provisioning begins on the 5th at 10; a day later counting starts.
    rows = [hour("2026-01-05", "0"), hour("2026-01-05", "9", clock="15:00"), hour("2026-01-06", "9", clock="10:00")]
    assert at(started('ignore_first = "24h"', *rows)) == "2026-01-06T10:00:00Z"


def test_an_interval_that_ignoring_cuts_is_estimated_so_its_end_counts() -> None:
    rows = [hour("2026-01-05", "1", clock="10:30"), "gw/a energy 2026-01-06T10:00:00Z 1h 4"]
    found = started('ignore_first = "1d"\nany = [{ meter = "energy", at_least = 2 }]', *rows)
    assert at(found) == "2026-01-06T11:00:00Z"
    assert found["gw/a"].evidence is not None
    assert (found["gw/a"].evidence.estimated, found["gw/a"].evidence.figure) == (True, "2")


def test_use_before_provisioning_does_not_count() -> None:
    devices = '[{ id = "gw/a", from = 2026-02-01 }]'
    rows = [hour("2026-01-05", "9"), "gw/a energy 2026-01-31T23:30:00Z 1h 2", hour("2026-02-03", "1")]
    found = started('any = [{ meter = "energy", at_least = 2 }]', *rows, devices=devices)
    assert at(found) == "2026-02-03T10:00:00Z"  # 1 of the interval that provisioning cuts, and 1
    assert at(started("", *rows, devices=devices)) == "2026-02-01T00:30:00Z"


@pytest.mark.parametrize(
    ("unit", "aggregate", "figure", "start"),
    [
        ("kW", "max", "3", "2026-01-07T10:00:00Z"),  # a level is reached, not added up
        ("1", "count", "2", "2026-01-06T10:00:00Z"),
        ("min", "active_time", "120", "2026-01-06T10:00:00Z"),
    ],
)
def test_a_quantity_counts_as_its_meter_does(unit: str, aggregate: str, figure: str, start: str) -> None:
    rule = f'[plans.p.activation]\nrule = "first_use"\nany = [{{ meter = "energy", at_least = {figure} }}]\n'
    text = catalog_text(rule, zone="UTC").replace(
        'unit = "kWh"\naggregate = "sum"', f'unit = "{unit}"\naggregate = "{aggregate}"'
    )
    catalog = load_catalog(text)
    rows = [hour("2026-01-05", "2"), hour("2026-01-06", "2"), hour("2026-01-07", "3")]
    found = first_activity(
        terms_of(catalog, "c"), Ledger(read_usage(usage_csv(*rows), "u", catalog.meters)), until=1_800_000_000
    )
    assert at(found) == start


def test_grace_starts_a_device_that_is_not_used() -> None:
    found = started('grace = "90d"', until=FOREVER)
    assert (at(found), found["gw/a"].cause.value) == ("2026-04-01T00:00:00Z", "grace")
    assert started('grace = "90d"', until=1_770_000_000) == {}


def test_use_before_grace_ends_decides_and_use_after_it_does_not() -> None:
    assert at(started('grace = "30d"', hour("2026-01-30", "1"))) == "2026-01-30T10:00:00Z"
    assert at(started('grace = "30d"', hour("2026-01-31", "1"))) == "2026-01-31T00:00:00Z"
    # The interval in which grace ends begins before it.
    assert at(started('grace = "30d"', "gw/a energy 2026-01-30T23:30:00Z 1h 1")) == "2026-01-30T23:30:00Z"


def test_devices_of_a_contract_may_count_together() -> None:
    rule = 'combine = "contract"\nany = [{ meter = "energy", at_least = 1 }]'
    devices = '["gw/a", "gw/b", { id = "gw/c", from = 2026-01-20 }, { id = "gw/d", until = 2026-01-03 }]'
    rows = [hour("2026-01-05", "0.6"), hour("2026-01-06", "0.4", device="gw/b")]
    found = started(rule, *rows, devices=devices)
    assert {device: (iso(start.at), start.cause.value) for device, start in found.items()} == {
        "gw/a": ("2026-01-06T10:00:00Z", "first_use"),
        "gw/b": ("2026-01-06T10:00:00Z", "first_use"),
        "gw/c": ("2026-01-20T00:00:00Z", "joined"),
    }


def test_what_ends_first_decides_even_where_a_coarser_report_began_before_grace_ended() -> None:
    """P18: a folded day decides only after every interval that ends before it."""
    day = "gw/a energy 2026-01-30T12:00:00Z 24h 1"
    assert at(started('grace = "30d"', day)) == "2026-01-30T12:00:00Z"
    assert at(started('grace = "30d"', day, "gw/a energy 2026-01-31T10:00:00Z 1h 1")) == "2026-01-31T00:00:00Z"
    assert at(started('grace = "30d"', day, "gw/a energy 2026-01-31T12:00:00Z 1h 1")) == "2026-01-30T12:00:00Z"


def test_combined_grace_runs_from_the_earliest_provisioning() -> None:
    devices = '[{ id = "gw/a", from = 2026-01-10 }, { id = "gw/b", from = 2026-02-20 }]'
    found = started('combine = "contract"\ngrace = "30d"', devices=devices, until=FOREVER)
    assert (at(found), at(found, "gw/b")) == ("2026-02-09T00:00:00Z", "2026-02-20T00:00:00Z")


def test_setting_a_device_active_starts_it() -> None:
    found = started("", hour("2026-01-09", "1"), states="gw/a,active,2026-01-07T00:00:00Z")
    assert (at(found), found["gw/a"].cause.value) == ("2026-01-07T00:00:00Z", "state")


def test_two_meters_in_one_interval_are_one_report() -> None:
    rows = [hour("2026-01-05", "1"), hour("2026-01-05", "1", meter="water"), hour("2026-01-06", "1", meter="water")]
    assert at(started("any = [{ reports = 2 }]", *rows)) == "2026-01-06T10:00:00Z"
    assert started('any = [{ meter = "energy", reports = 2 }]', *rows) == {}


def test_a_device_that_ended_does_not_start() -> None:
    assert started("", hour("2026-01-09", "1"), states="gw/a,ended,2026-01-07T00:00:00Z") == {}
    devices = '[{ id = "gw/a", until = 2026-01-07 }]'
    assert started('grace = "30d"', hour("2026-01-09", "1"), devices=devices, until=FOREVER) == {}


@pytest.mark.parametrize("rule", ["", "any = [{ reports = 3 }]", 'any = [{ meter = "energy", at_least = 2.5 }]'])
def test_order_of_arrival_does_not_matter(rule: str) -> None:
    rows = [hour("2026-01-05", "1"), hour("2026-01-06", "1"), hour("2026-01-07", "1"), hour("2026-01-08", "1")]
    assert len({at(started(rule, *order)) for order in permutations(rows)}) == 1


@pytest.mark.parametrize(("late", "start"), [("adjust", "2026-01-03T10:00:00Z"), ("keep", "2026-01-05T10:00:00Z")])
def test_late_evidence_moves_an_issued_start_or_does_not(late: str, start: str) -> None:
    issued = started("", hour("2026-01-05", "1"))
    rule = f'[plans.p.activation]\nrule = "first_use"\nlate_evidence = "{late}"\n'
    catalog = load_catalog(catalog_text(rule, zone="UTC"))
    spans = read_usage(usage_csv(hour("2026-01-03", "1"), hour("2026-01-05", "1")), "u", catalog.meters)
    found = first_activity(terms_of(catalog, "c"), Ledger(spans), until=1_800_000_000, issued=issued)
    assert at(found) == start


def test_only_the_time_up_to_the_decision_is_read() -> None:
    class Counting(Ledger):
        asked: int = 0

        def spans(self, channel, start, end):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
            self.asked = max(self.asked, end)
            return super().spans(channel, start, end)

    catalog = load_catalog(catalog_text('[plans.p.activation]\nrule = "first_use"', zone="UTC"))
    ledger = Counting(read_usage(usage_csv(hour("2026-01-03", "1"), hour("2026-12-01", "1")), "u", catalog.meters))
    found = first_activity(terms_of(catalog, "c"), ledger, until=1_800_000_000)
    assert at(found) == "2026-01-03T10:00:00Z"
    assert ledger.asked < found["gw/a"].at + 7 * 86_400
