"""The log of deeds at the command line: who did what to whose things, however it ended, and who looked."""

import json
from pathlib import Path
from typing import Any

import pytest
import typer

from cloud_collector.cli.deeds import DEEDS, UNLOGGED, names
from cloud_collector.cli.main import app
from tests.unit.test_billing_cli import filled, here, run

__all__ = ["filled", "here"]


def commands() -> set[str]:
    found = set()

    def walk(command: Any, words: tuple[str, ...]) -> None:
        for verb, below in getattr(command, "commands", {}).items():
            walk(below, (*words, verb))
        if not hasattr(command, "commands"):
            found.add(" ".join(words))

    walk(typer.main.get_command(app), ())
    return found


def log(*words: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(run("audit-log", "list", "--json", *words).stdout)
    return found


def test_of_every_command_it_is_said_whether_it_is_logged() -> None:
    """A command that nobody has thought about fails here: put it into DEEDS or, where it only looks, into UNLOGGED."""
    said = [name for text in (*DEEDS.values(), UNLOGGED) for name in names(text)]
    assert sorted(said) == sorted(set(said)), "each stands once"
    assert set(said) == commands()


def test_what_was_done_is_logged_with_who_when_and_of_whom(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert here.exists()
    monkeypatch.setenv("SUDO_USER", "anna")
    run("billing", "run")
    run("invoice", "paid", "INV-1", "--amount", "100", "--as", "Bert Böll")
    run("invoice", "void", "INV-404", "--reason", "no such", "--as", "Bert")
    run("token", "create", "shop", "--account", "acme", "--scope", "read", "--days", "7")
    newest, refused, paid, billed = log()
    assert newest["what"] == "token create shop --scope read --account acme --days 7"
    assert (newest["deed"], newest["account"], newest["who"], newest["by"]) == ("admit", "acme", "anna", "command")
    assert refused["what"] == "invoice void INV-404 --reason 'no such' --as Bert (ended with 3)"
    assert (paid["what"], paid["account"]) == ("invoice paid INV-1 --as 'Bert Böll' --amount 100", "acme")
    assert (billed["what"], billed["deed"], billed["account"]) == ("billing run", "bill", None)


def test_whoever_looks_at_a_customers_data_is_logged_and_who_looks_at_a_list_is_not(here: Path) -> None:
    assert here.exists()
    run("billing", "run")
    before = len(log())
    for words in (("invoice", "list"), ("gateway", "list"), ("cost", "nobody"), ("person", "list")):
        run(*words)
    assert len(log()) == before
    run("invoice", "show", "INV-1")
    run("cost", "acme-chargers")
    run("usage", "show", "roof-1")
    run("invoice", "export", "INV-1", "--as", "html", "--to", str(here))
    told = log("--account", "acme")
    assert [each["deed"] for each in told] == ["export", "read", "read", "read"]
    assert [each["what"].split()[0] for each in told] == ["invoice", "usage", "cost", "invoice"]


def test_the_log_is_read_by_person_and_time_and_is_not_endless(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert here.exists()
    for who in ("anna", "bert"):
        monkeypatch.setenv("SUDO_USER", who)
        for number in range(3):
            run("token", "create", f"{who}{number}")
    assert {each["who"] for each in log("--who", "bert")} == {"bert"}
    assert len(log("--who", "bert")) == 3
    assert len(log("--limit", "4")) == 4
    assert log("--since", "2999-01-01T00:00:00Z") == []
    assert run("audit-log", "list", "--since", "yesterday").exit_code == 2
    assert "bert2" in run("audit-log", "list").stdout


def test_a_log_of_nothing_says_so(here: Path) -> None:
    assert here.exists()
    assert run("audit-log", "list").stderr == "nothing was done\n"
