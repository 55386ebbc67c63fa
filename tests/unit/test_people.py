"""People at the command line: who is let in, as what, and how the first operator comes in without a mail server."""

import json
from pathlib import Path

import pytest

from cloud_collector.access.pace import Pace, neighbourhood
from cloud_collector.access.people import PersonRefused, email_of
from tests.unit.test_billing_cli import filled, here, run

__all__ = ["filled", "here"]


def listed() -> dict[str, dict[str, object]]:
    return {each["email"]: each for each in json.loads(run("person", "list", "--json").stdout)}


def test_people_are_let_in_changed_and_removed(here: Path) -> None:
    assert here.exists()
    assert run("person", "list").stderr.startswith("nobody: ")
    added = run("person", "add", "Anna@Acme.example", "--account", "acme")
    assert (added.exit_code, added.stderr) == (0, "anna@acme.example is customer and sees acme\n")
    run("person", "add", "bert@utility.example", "--role", "operator")
    assert listed()["anna@acme.example"]["accounts"] == ["acme"]
    assert listed()["bert@utility.example"]["accounts"] is None
    changed = run("person", "role", "bert@utility.example", "auditor")
    assert changed.stderr == "bert@utility.example is auditor and sees every account\n"
    assert run("person", "remove", "bert@utility.example").exit_code == 0
    assert listed()["bert@utility.example"]["state"] == "removed"
    assert "every account" in run("person", "list").stdout
    assert run("person", "add", "bert@utility.example", "--role", "approver").exit_code == 0
    assert (listed()["bert@utility.example"]["state"], listed()["bert@utility.example"]["role"]) == (
        "active",
        "approver",
    )


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("add", "anna@acme.example"), 4, "name them with --account"),
        (("add", "anna@acme.example", "--role", "auditor", "--account", "acme"), 4, "only customers see some"),
        (("add", "anna", "--role", "operator"), 4, "no e-mail address"),
        (("add", "anna@acme.example", "--role", "king"), 2, "no role"),
        (("add", "anna@acme.example", "--account", "acne"), 3, "did you mean"),
        (("role", "anna@acme.example", "operator"), 3, "nobody is known"),
        (("remove", "anna@acme.example"), 3, "nobody is known"),
        (("link", "anna@acme.example"), 3, "nobody is known"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(here: Path, words: tuple[str, ...], code: int, said: str) -> None:
    assert here.exists()
    answer = run("person", *words)
    assert (answer.exit_code, said in answer.stderr) == (code, True), answer.stderr
    assert listed() == {}


def test_nobody_is_added_twice(here: Path) -> None:
    assert here.exists()
    run("person", "add", "anna@acme.example", "--account", "acme")
    again = run("person", "add", "ANNA@acme.example", "--role", "operator")
    assert (again.exit_code, "known already" in again.stderr) == (4, True)
    assert listed()["anna@acme.example"]["role"] == "customer"


def test_the_first_operator_comes_in_by_a_printed_link(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert here.exists()
    run("person", "add", "bert@utility.example", "--role", "operator")
    link = run("person", "link", "bert@utility.example")
    assert link.stdout.startswith("http://127.0.0.1:8080/sign-in/link/")
    assert "once, within 15 minutes" in link.stderr
    monkeypatch.setenv("METERSEAL_COLLECTOR__WEB__URL", "https://meter.example/")
    assert run("person", "link", "bert@utility.example").stdout.startswith("https://meter.example/sign-in/link/")


@pytest.mark.parametrize("text", ["", "a", "a@", "@b", "a@b@c", "a b@c.example", "a@b.example\nBcc: x@y", "a" * 300])
def test_what_is_no_address_is_none(text: str) -> None:
    with pytest.raises(PersonRefused):
        email_of(text)


def test_a_pace_lets_some_through_and_the_rest_wait() -> None:
    pace = Pace(at_once=3, each_ms=10_000, names=2)
    assert [pace.take("a", 0) for _ in range(5)] == [0, 0, 0, 10, 10]
    assert [pace.take("a", 9_999), pace.take("a", 10_000), pace.take("a", 10_001)] == [1, 0, 10]
    assert pace.take("b", 10_001) == 0
    assert pace.take("c", 10_001) == 0
    assert len(pace) == 2, "P9: memory is bounded; the longest silent is forgotten"


def test_an_address_of_ipv6_counts_by_its_network() -> None:
    assert neighbourhood("2001:db8:1:2:3:4:5:6") == neighbourhood("2001:db8:1:2::9") == "2001:db8:1:2::/64"
    assert neighbourhood("192.0.2.7") == neighbourhood("::ffff:192.0.2.7") == "192.0.2.7"
    assert neighbourhood("192.0.2.7") != neighbourhood("192.0.2.8")
    assert len(neighbourhood("x" * 9_999)) == 64
