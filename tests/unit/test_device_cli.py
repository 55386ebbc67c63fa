"""Devices as their operator meets them: a list, a timeline with every cause, four words that do something."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from cloud_collector.billing.device_states import deeds_of
from cloud_collector.billing.revisions import revisions
from cloud_collector.billing.run import bill_due
from cloud_collector.cli.main import app
from cloud_collector.insight.device_deeds import DEEDS_MAX, NotPossible, Word, do
from cloud_collector.insight.timeline import timeline
from cloud_collector.store.store import Store
from cloud_collector.store.view import StoreView
from shared.effects.sqlite import SqliteDatabase
from shared.report import Clock, Exchange, ExchangeRow, Summary, Usage
from shared.rows import Verdict
from tests.unit.billing_samples import CATALOG, NOVEMBER, OCTOBER, Gateway, new_store, october, receive, store_biller

DAY = 86_400
ONE, TWO = "roof-1/sdm630-1", "roof-1/sdm630-2"
TESTED = CATALOG.replace('grace = "20d"', 'grace = "20d"\nignore_first = "48h"')
FEW = 20


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """October, billed while three days of it were missing, which came later."""
    folder = tmp_path_factory.mktemp("devices")
    store, gateway = new_store(folder / "collector.db", TESTED), october(Gateway())
    receive(store, [*gateway.lines[:13], *gateway.lines[16:]], at=NOVEMBER + 3 * DAY)
    bill_due(store, (NOVEMBER + 3 * DAY) * 1000, store_biller())
    receive(store, gateway.lines, at=NOVEMBER + 5 * DAY)
    store.close()
    return folder


@pytest.fixture
def here(filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "collector"
    shutil.copytree(filled, folder)
    monkeypatch.setenv("METERSEAL_COLLECTOR__STORE_PATH", str(folder / "collector.db"))
    return folder


def run(*words: str) -> Result:
    return CliRunner().invoke(app, list(words), catch_exceptions=False)


def told(*words: str) -> Any:
    done = run(*words, "--json")
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.usefixtures("here")
def test_the_list_says_state_rule_and_since_when() -> None:
    rows = {row["device"]: row for row in told("device", "list")}
    assert (rows[ONE]["state"], rows[ONE]["rule"], rows[ONE]["since"]) == (
        "active",
        "first_use",
        "2026-10-02T21:15:00Z",
    )
    early = {row["device"]: row for row in told("device", "list", "--as-of", "2026-10-01T12:00:00Z")}
    assert (early[TWO]["state"], early[TWO]["billed_from"], early[TWO]["starts_by"]) == (
        "testing",
        None,
        "2026-10-20T21:00:00Z",
    )
    later = told("device", "list", "--as-of", "2026-10-05T12:00:00Z", "--state", "provisioned")
    assert [row["device"] for row in later] == [TWO]
    assert "unless used before, starts 20d after" in later[0]["why"]
    assert "sdm630-1" in run("device", "list", "--contract", "acme-chargers").stdout


@pytest.mark.usefixtures("here")
def test_the_timeline_names_the_rule_and_the_report_of_every_transition() -> None:
    """P18."""
    events = told("device", "timeline", TWO)
    assert [event["what"] for event in events] == [
        "meter",
        "provisioned",
        "testing",
        "active",
        "billed",
        "stated",
        "evidence",
    ]
    by = {event["what"]: event for event in events}
    assert by["testing"]["until"] == "2026-10-02T21:00:00Z"
    assert by["testing"]["report"]["seq"] == 2
    active = by["active"]
    assert (active["rule"], active["threshold"], active["figure"]) == ("first_use", "energy at_least 0.5", "0.56")
    assert active["report"] == {
        "gateway": "roof-1",
        "log": "main",
        "epoch": "5f2c91aa",
        "seq": 15,
        "received_at": "2026-11-05T22:00:00Z",
    }
    assert by["billed"]["lines"][0]["charge"] == "Connection"


def test_late_evidence_is_said_with_the_report_and_when_it_came_until_an_invoice_has_taken_it(here: Path) -> None:
    late = next(event for event in told("device", "timeline", TWO) if event["what"] == "evidence")
    assert (late["stated"], late["start"]) == ("2026-10-15T21:00:00Z", "2026-10-13T21:45:00Z")
    assert late["at"] == late["report"]["received_at"] == "2026-11-05T22:00:00Z"
    assert "the next invoice adjusts" in late["told"]
    with_store = Store(SqliteDatabase(here / "collector.db"))
    gateway = october(Gateway(), days=64)
    receive(with_store, gateway.lines, at=NOVEMBER + 33 * DAY)
    bill_due(with_store, (NOVEMBER + 33 * DAY) * 1000, store_biller_of(here))
    with_store.close()
    events = told("device", "timeline", TWO)
    assert not [event for event in events if event["what"] == "evidence"]
    stated = [event["told"] for event in events if event["what"] == "stated"]
    assert stated == [
        "INV-1 says that billing began at 2026-10-15T21:00:00Z",
        "INV-2 says that billing began at 2026-10-13T21:45:00Z, and not at 2026-10-15T21:00:00Z as was said before",
    ]


def store_biller_of(here: Path) -> Any:
    """A biller whose folder holds what the first run issued."""
    biller = store_biller()
    store = Store(SqliteDatabase(here / "collector.db"))
    for (number,) in [row[:1] for row in store.rows("invoices")]:
        row = store.row("invoice_line", number)
        assert row is not None
        biller.archive.put(number, bytes(row[1]))
    store.close()
    return biller


def test_where_the_plan_keeps_a_start_the_timeline_says_so() -> None:
    keeps = TESTED.replace('grace = "20d"', 'grace = "20d"\nlate_evidence = "keep"')
    store, gateway = new_store(catalog=keeps), october(Gateway())
    receive(store, [*gateway.lines[:13], *gateway.lines[16:]], at=NOVEMBER + 3 * DAY)
    bill_due(store, (NOVEMBER + 3 * DAY) * 1000, store_biller())
    receive(store, gateway.lines, at=NOVEMBER + 5 * DAY)
    events = timeline(store, StoreView(store), revisions(store), TWO, NOVEMBER + 6 * DAY)
    late = next(event for event in events if event.what == "evidence")
    assert "the plan keeps what was said" in late.told
    assert next(event.at for event in events if event.what == "active") == OCTOBER + 15 * DAY


def test_a_start_that_an_invoice_has_said_and_the_plan_keeps_is_not_set_earlier() -> None:
    keeps = TESTED.replace('grace = "20d"', 'grace = "20d"\nlate_evidence = "keep"')
    store = new_store(catalog=keeps)
    receive(store, october(Gateway()).lines, at=NOVEMBER + 3 * DAY)
    bill_due(store, (NOVEMBER + 3 * DAY) * 1000, store_biller())
    with pytest.raises(NotPossible, match="INV-1 says that billing of roof-1/sdm630-1 began at 2026-10-02T21:15:00Z"):
        say(store, StoreView(store), revisions(store), Word.ACTIVATE, OCTOBER + DAY)
    assert deeds_of(store, ONE) == []


@pytest.mark.usefixtures("here")
def test_a_device_is_suspended_resumed_and_ended_and_the_timeline_says_by_whom_and_why() -> None:
    done = told("device", "suspend", ONE, "--reason", "winter break", "--at", "2026-10-20", "--as", "Anna")
    assert (done["at"], done["before"], done["new"], done["billed"]) == (
        "2026-10-19T21:00:00Z",
        "active",
        True,
        ["INV-1"],
    )
    again = run("device", "suspend", ONE, "--reason", "again", "--at", "2026-10-20", "--as", "Bo")
    assert "Anna said so on" in again.stdout
    assert "nothing changed" in again.stdout
    run("device", "resume", ONE, "--reason", "open again", "--at", "2026-11-01T10:00:00Z", "--as", "Anna")
    run("device", "end", ONE, "--reason", "burnt down", "--at", "2027-02-01", "--as", "Bo")
    events = told("device", "timeline", ONE, "--as-of", "2026-12-01T00:00:00Z")
    lived = [
        (event["what"], event["at"], event["by"], event["reason"], event["expected"])
        for event in events
        if "by" in event
    ]
    assert lived == [
        ("suspended", "2026-10-19T21:00:00Z", "Anna", "winter break", False),
        ("resumed", "2026-11-01T10:00:00Z", "Anna", "open again", False),
        ("ended", "2027-01-31T22:00:00Z", "Bo", "burnt down", True),
    ]
    text = run("device", "timeline", ONE).stdout
    assert "suspended     suspended from here on\n" in text
    assert "Anna on " in text
    assert "(expected)" in text
    rows = told("device", "list", "--state", "suspended", "--as-of", "2026-10-25T00:00:00Z")
    assert [(row["device"], row["since"]) for row in rows] == [(ONE, "2026-10-19T21:00:00Z")]


@pytest.mark.usefixtures("here")
def test_a_device_that_was_never_used_is_not_started_by_being_resumed() -> None:
    run("device", "suspend", TWO, "--reason", "r", "--at", "2026-10-05")
    assert told("device", "resume", TWO, "--reason", "r", "--at", "2026-10-08")["state"] == "provisioned"
    rows = {row["device"]: row for row in told("device", "list", "--as-of", "2026-10-09T00:00:00Z")}
    assert rows[TWO]["state"] == "provisioned"
    run("device", "activate", TWO, "--reason", "agreed", "--at", "2026-10-10")
    events = told("device", "timeline", TWO)
    active = next(event for event in events if event["what"] == "active")
    assert (active["at"], active["rule"], active["reason"]) == ("2026-10-09T21:00:00Z", "state", "agreed")
    assert [event["what"] for event in events if event["what"] in ("suspended", "resumed")] == ["suspended", "resumed"]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("suspend", "roof-1/sdm630-9", "--reason", "r"), 3, "did you mean"),
        (("resume", ONE, "--reason", "r"), 4, "only what is suspended can be resumed"),
        (("activate", ONE, "--reason", "r"), 4, "is active since 2026-10-02"),
        (("end", ONE, "--reason", "r", "--at", "2020-01-01"), 4, "no contract has"),
        (("end", ONE, "--reason", " "), 2, "write 1 to 256 characters"),
        (("end", ONE, "--reason", "r", "--at", "2026-02-30"), 2, "not an instant such as"),
        (("end", ONE, "--reason", "r", "--at", "yesterday"), 2, "not an instant such as"),
        (("timeline", "roof-1/x"), 3, "no contract of the catalog has the device"),
        (("list", "--state", "aktive"), 2, 'did you mean "active"'),
        (("list", "--contract", "acme-charger"), 3, 'did you mean "acme-chargers"'),
    ],
)
def test_what_cannot_be_done_is_a_sentence_and_a_code(here: Path, words: tuple[str, ...], code: int, said: str) -> None:
    done = run("device", *words)
    assert (done.exit_code, said in done.stderr) == (code, True), done.stderr
    store = Store(SqliteDatabase(here / "collector.db"))
    assert deeds_of(store, ONE) == []
    store.close()


@pytest.mark.usefixtures("here")
def test_a_dry_run_changes_nothing_and_ended_is_final() -> None:
    assert "would be ended" in run("device", "end", ONE, "--reason", "r", "--dry-run").stdout
    assert told("device", "list")[0]["state"] == "active"
    run("device", "end", ONE, "--reason", "r", "--at", "2026-11-10")
    for word in ("suspend", "resume", "activate", "end"):
        done = run("device", word, ONE, "--reason", "r", "--at", "2026-11-12")
        assert done.exit_code == 4
        assert "ended is final" in done.stderr


def test_what_may_be_said_of_one_device_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """P9."""
    assert DEEDS_MAX == 1_000
    monkeypatch.setattr("cloud_collector.insight.device_deeds.DEEDS_MAX", FEW)
    store = new_store()
    view, known = StoreView(store), revisions(store)
    words = (Word.SUSPEND, Word.RESUME)
    for at in range(FEW):
        say(store, view, known, words[at % 2], OCTOBER + at)
    with pytest.raises(NotPossible, match="20 times"):
        say(store, view, known, words[FEW % 2], OCTOBER + FEW)


def say(store: Store, view: StoreView, known: Any, word: Word, at: int) -> None:
    do(store, view, known, word, device=ONE, at=at, now_ms=NOVEMBER * 1000, by_whom="Anna", reason="r")


def test_a_meters_life_is_read_from_sealed_reports() -> None:
    """P4: swaps, resets, gaps with and without registers, holes, lost spools, each with its report."""
    store, gateway = new_store(), Gateway()
    gateway.birth(OCTOBER - 3_600)
    gateway.day(OCTOBER, {"sdm630-1": 330})
    gateway.gap(OCTOBER + DAY, OCTOBER + DAY + 900, "sdm630-1", 250)
    gateway.gap(OCTOBER + DAY + 900, OCTOBER + DAY + 1_800, "sdm630-1", None)
    before = gateway.registers["sdm630-1"]
    row = ExchangeRow("sdm630-1", "energy", "SN-sdm630-1", 12_400, "SN-new", 3, before)
    gateway._seal(Exchange(header=gateway._header(OCTOBER + 2 * DAY - 60), rows=(row,)))
    gateway.day(OCTOBER + 2 * DAY, {"sdm630-1": 10})
    lost = len(gateway.lines)
    gateway.day(OCTOBER + 3 * DAY, {"sdm630-1": 10})
    gateway.day(OCTOBER + 4 * DAY, {"sdm630-1": 10})
    gateway.lose_spool("00000002", OCTOBER + 5 * DAY)
    receive(store, gateway.lines[:lost] + gateway.lines[lost + 1 :], at=OCTOBER + 6 * DAY)
    events = timeline(store, StoreView(store), revisions(store), ONE, OCTOBER + 7 * DAY)
    meters = [(event.what, event.told) for event in events if "meter" in event.data]
    assert [what for what, _ in meters] == ["meter", "gap", "gap", "swap", "hole", "gap", "swap"]
    assert "(source_down); 250 Wh by its registers" in meters[1][1]
    assert "nobody knows how much" in meters[2][1]
    assert "meter SN-sdm630-1 (display 12400 Wh) was swapped for SN-new (display 3 Wh)" in meters[3][1]
    assert "960 Wh by the registers" in meters[4][1]
    assert "another meter is in its place" in meters[5][1]
    assert all(event.data["report"]["epoch"] in ("5f2c91aa", "00000002") for event in events if "meter" in event.data)


def test_a_lost_spool_begins_an_epoch_and_a_mere_restart_stands_on_no_timeline() -> None:
    store, gateway = new_store(), Gateway()
    gateway.birth(OCTOBER - 3_600)
    gateway.day(OCTOBER, {"sdm630-1": 330})
    gateway.birth(OCTOBER + DAY)
    gateway.lose_spool("00000002", OCTOBER + DAY + 60)
    receive(store, gateway.lines, at=OCTOBER + 6 * DAY)
    events = timeline(store, StoreView(store), revisions(store), ONE, OCTOBER + 7 * DAY)
    assert [event.what for event in events if "serial" in event.data] == ["meter", "epoch"]


@pytest.mark.parametrize(
    "verdict", [Verdict.RESET, Verdict.ROLLOVER, Verdict.ROLLBACK, Verdict.GLITCH, Verdict.EXCHANGE]
)
def test_a_verdict_in_a_usage_report_stands_at_its_interval(verdict: Verdict) -> None:
    store, gateway = new_store(), Gateway(clock=Clock.SYNCHRONISED)
    gateway.birth(OCTOBER - 3_600)
    sealing = gateway._seal

    def noted(report: Any) -> None:
        if isinstance(report, Usage):
            rows = tuple(row._replace(notes={7: verdict}) if row.device == "sdm630-1" else row for row in report.rows)
            report = replace(report, rows=rows)
        sealing(report)

    gateway._seal = noted  # type: ignore[method-assign]
    gateway.day(OCTOBER, {"sdm630-1": 330})
    receive(store, gateway.lines, at=OCTOBER + 2 * DAY)
    found = timeline(store, StoreView(store), revisions(store), ONE, OCTOBER + 2 * DAY)
    event = next(event for event in found if event.what == verdict.value)
    assert (event.at, event.data["interval"], event.data["report"]["seq"]) == (OCTOBER + 7 * 900, 7, 2)
    other = timeline(store, StoreView(store), revisions(store), TWO, OCTOBER + 2 * DAY)
    assert not [each for each in other if each.what == verdict.value]


def test_what_a_summary_notes_stands_once_though_a_line_of_it_came_after_all() -> None:
    store, gateway = new_store(), Gateway()
    gateway.birth(OCTOBER - 3_600)
    for day in range(3):
        gateway.day(OCTOBER + day * DAY, {"sdm630-1": 330})
    sealing = gateway._seal

    def noted(report: Any) -> None:
        assert isinstance(report, Summary)
        rows = (report.rows[0]._replace(notes={7: Verdict.RESET, 30: Verdict.ROLLOVER}), *report.rows[1:])
        sealing(replace(report, rows=rows))

    gateway._seal = noted  # type: ignore[method-assign]
    gateway.fold(3)
    birth, _, second, _, summary = gateway.lines
    for lines in ([birth, summary], [second]):
        receive(store, lines, at=OCTOBER + 3 * DAY)
        events = timeline(store, StoreView(store), revisions(store), ONE, OCTOBER + 4 * DAY)
        told = [(each.what, each.at, each.data["report"]["seq"]) for each in events if each.what in set(Verdict)]
        assert told == [("reset", OCTOBER + 7 * 3_600, 5), ("rollover", OCTOBER + 30 * 3_600, 5)]


def test_a_report_that_was_set_apart_stands_with_its_reason() -> None:
    store, gateway = new_store(), Gateway()
    gateway.birth(OCTOBER - 3_600)
    gateway.day(OCTOBER, {"sdm630-1": 330})
    gateway.registers["sdm630-1"] -= 5_000
    gateway.day(OCTOBER + DAY, {"sdm630-1": 330})
    receive(store, gateway.lines, at=OCTOBER + 3 * DAY)
    events = timeline(store, StoreView(store), revisions(store), ONE, OCTOBER + 4 * DAY)
    (apart,) = [each for each in events if each.what == "set apart"]
    assert (apart.at, apart.data["report"]["seq"]) == (OCTOBER + DAY, 3)
    assert apart.data["reason"] in apart.told
