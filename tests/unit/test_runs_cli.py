"""Billing runs and corrections as people meet them: their words, their tables, their exit codes."""

import json
from pathlib import Path

import pytest

from cloud_collector.billing.runs import begin
from cloud_collector.store.store import Store
from shared.effects.sqlite import SqliteDatabase
from tests.unit.billing_samples import CATALOG, NOVEMBER, OCTOBER, Gateway, new_store, october, receive
from tests.unit.test_billing_cli import filled, here, run

__all__ = ["filled", "here"]
AS_OF = ("--as-of", "2026-11-03T00:00:00Z")


def approving(monkeypatch: pytest.MonkeyPatch, rule: str = "two") -> None:
    monkeypatch.setenv("METERSEAL_COLLECTOR__BILLING__APPROVAL", rule)


def test_a_run_is_prepared_approved_by_another_person_and_issued(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert here.exists()
    approving(monkeypatch)
    refused = run("billing", "run")
    assert (refused.exit_code, refused.stdout) == (5, "0 issued, 0 nothing, 0 waiting, 0 parked, 1 unapproved\n")
    assert "waits for approval" in refused.stderr
    assert run("billing", "prepare", "--as", "Anna").stdout == "run 2 holds 1 draft\n"
    told = run("billing", "drafts").stdout.splitlines()
    assert told[1].split()[:4] == ["2", "draft", "period", "acme-chargers"]
    same = run("billing", "approve", "2", "--as", "Anna")
    assert (same.exit_code, same.stderr) == (
        4,
        "Anna drafted run 2: another person must approve it (billing.approval is two)\n",
    )
    assert run("billing", "approve", "2", "--as", "Bert").stdout == "1 draft of run 2 approved\n"
    assert run("billing", "run").stdout.startswith("1 issued")
    (row,) = json.loads(run("billing", "drafts", "--all", "--json").stdout)
    assert (row["state"], row["number"], row["approved_by"]) == ("issued", "INV-1", "Bert")
    assert run("billing", "drafts").stderr == "nothing waits for approval\n"


def test_corrections_are_drafted_where_they_must_be_approved(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert here.exists()
    run("billing", "run")
    approving(monkeypatch, "one")
    done = run("invoice", "void", "INV-1", "--reason", "Wrong tariff", "--as", "Anna")
    assert done.stdout == "run 2 drafts it; it is issued once it is approved\n"
    assert [row["number"] for row in json.loads(run("invoice", "list", "--json").stdout)] == ["INV-1"]
    run("billing", "approve", "2", "--as", "Anna")
    assert "INV-CN-1" in run("billing", "run").stderr
    assert json.loads(run("invoice", "rebill", "INV-1", "--as", "Anna", "--json").stdout) == {"of": "INV-1", "run": 4}


def test_nothing_is_prepared_where_nothing_waits_for_approval(here: Path) -> None:
    assert here.exists()
    refused = run("billing", "prepare", "--as", "Anna")
    assert (refused.exit_code, refused.stderr.partition(":")[0]) == (2, "nothing waits for approval here")


def test_a_correction_goes_from_the_invoice_to_its_payment(here: Path) -> None:
    run("billing", "run")
    assert run("invoice", "paid", "INV-1", "--amount", "100", "--on", "2026-11-20", "--as", "Anna").stdout == (
        "INV-1 is issued, 294.61 open\n"
    )
    assert run("invoice", "void", "INV-1", "--reason", "Wrong tariff", "--as", "Anna").stdout == (
        "INV-CN-1 takes back INV-1 in full\n"
    )
    assert "100.00 EUR of 394.61" in run("credit", "list").stdout
    assert "total 394.61 EUR" in run("invoice", "rebill", "INV-1", "--dry-run", "--as", "Anna").stdout
    assert run("invoice", "rebill", "INV-1", "--as", "Anna").stdout == "INV-2 replaces INV-1\n"
    rows = {row["number"]: (row["state"], row["open"]) for row in json.loads(run("invoice", "list", "--json").stdout)}
    assert rows == {"INV-1": ("credited", "0.00"), "INV-CN-1": ("paid", "0.00"), "INV-2": ("issued", "294.61")}
    assert run("credit", "list").stderr == "no account has credit\n"
    paid_out = run("credit", "pay-out", "INV-CN-1", "--as", "Anna")
    assert (paid_out.exit_code, paid_out.stderr) == (4, "INV-CN-1 has no credit left: it was set off or paid out\n")
    for form in ("pdf", "ubl", "factur-x", "html", "bundle"):
        for number in ("INV-CN-1", "INV-2"):
            assert run("invoice", "export", number, "--as", form, "--to", str(here)).exit_code == 0, (form, number)
    assert b"Wrong tariff" in (here / "INV-CN-1.html").read_bytes()
    assert b">381<" in (here / "INV-CN-1.ubl.xml").read_bytes()


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("invoice", "void", "INV-9", "--reason", "r", "--as", "A"), 3, "there is no invoice INV-9"),
        (("invoice", "paid", "INV-9", "--as", "A"), 3, "there is no invoice INV-9"),
        (("invoice", "paid", "INV-1", "--amount", "much", "--as", "A"), 2, "--amount much: write a decimal"),
        (("invoice", "paid", "INV-1", "--amount", "NaN", "--as", "A"), 2, "--amount NaN: write a decimal"),
        (("invoice", "paid", "INV-1", "--on", "yesterday", "--as", "A"), 2, "--on yesterday: write a day"),
        (("invoice", "paid", "INV-1", "--amount", "400", "--as", "A"), 4, "INV-1 has 394.61 EUR open"),
        (("invoice", "rebill", "INV-1", "--as", "A"), 4, "INV-1 stands: take it back first"),
        (("invoice", "void", "INV-1", "--reason", "", "--as", "A"), 4, "say why"),
        (("credit", "pay-out", "INV-1", "--as", "A"), 4, "INV-1 is no credit note"),
        (("billing", "approve", "9", "--as", "A"), 4, "there is no run 9 with drafts"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(
    here: Path, words: tuple[str, ...], code: int, sentence: str
) -> None:
    assert here.exists()
    run("billing", "run")
    done = run(*words)
    assert (done.exit_code, done.stdout) == (code, "")
    assert done.stderr.startswith(sentence), done.stderr


def test_a_stopped_run_is_resumed_with_what_was_due_then(here: Path) -> None:
    assert run("billing", "resume").stderr == "no run was stopped: there is nothing to resume\n"
    store = Store(SqliteDatabase(here / "collector.db"))
    begin(store, by="Anna", at=NOVEMBER, as_of=OCTOBER, contracts=["acme-chargers"])
    store.close()
    early = run("billing", "resume")
    assert early.stdout == "0 issued, 0 nothing, 0 waiting, 0 parked\n", "nothing was due when it began"
    assert early.stderr == "run 1 of Anna, as of 2026-09-30T21:00:00Z, of acme-chargers, goes on\n"
    assert run("billing", "resume").stderr == "no run was stopped: there is nothing to resume\n"
    (row,) = json.loads(run("billing", "runs", "--json").stdout)
    assert (row["by"], row["issued"], row["ended"] is not None) == ("Anna", 0, True)


def test_who_is_parked_is_listed_and_retried_alone(here: Path) -> None:
    broken = CATALOG.replace('country = "FI"\nlocale', "locale")
    (here / "broken.toml").write_text(broken, encoding="utf-8")
    (here / "whole.toml").write_text(CATALOG, encoding="utf-8")
    run("catalog", "apply", str(here / "broken.toml"))
    assert run("billing", "run", *AS_OF).exit_code == 5
    assert "an invoice needs accounts.acme.country" in run("billing", "parked").stdout
    assert run("billing", "retry").exit_code == 5
    run("catalog", "apply", str(here / "whole.toml"))
    assert run("billing", "retry").stdout.startswith("1 issued")
    assert run("billing", "parked").stderr == "no contract is parked\n"
    assert run("billing", "retry").stderr == "no contract is parked\n"


def test_a_preview_shows_outliers_first_and_every_period(tmp_path: Path) -> None:
    gateway = october(Gateway(), days=66)
    store = new_store(tmp_path / "more.db")
    receive(store, gateway.lines, at=NOVEMBER + 66 * 86_400)
    store.close()
    named = ("--store", str(tmp_path / "more.db"), "--as-of", "2026-12-03T00:00:00Z")
    shown = run("billing", "preview", *named).stdout.splitlines()
    assert shown[:2] == ["2 due", "834.74 EUR; 1 of them came to 394.61 before (+45.52)"]
    assert [line for line in shown if line and not line.startswith(" ")][2:] == ["new", "as before"]
    assert "2026-11-01 to 2026-11-30  440.13 EUR  +45.52  +11.5 %" in shown[-1]
    low = run("--set", "billing.outlier_percent=10", "billing", "preview", *named).stdout.splitlines()
    assert low[3] == "needs a look (10 % and 10 or more)"
    assert "due: Energy +32.12, Connection +4.15" in low[4]
    lines = run("billing", "preview", "--lines", *named).stdout
    assert "total 394.61 EUR" in lines
    told = json.loads(run("billing", "preview", "--json", *named).stdout)
    assert [each["comparison"]["change"] for each in told] == [None, "45.52"]
    assert told[1]["comparison"]["share_percent"] == "11.5"


def test_what_came_too_late_is_a_table(here: Path) -> None:
    assert here.exists()
    assert run("billing", "too-late").stderr == "nothing came too late\n"
    assert json.loads(run("billing", "too-late", "--json").stdout) == []
