"""What a catalog changes is said before it is applied: each key, from which date on, and who is concerned."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from cloud_collector.billing.revisions import apply
from cloud_collector.billing.run import bill_due
from cloud_collector.cli.main import app
from cloud_collector.contracts.difference import Difference, differences
from cloud_collector.contracts.period import boundary
from cloud_collector.contracts.read import load_catalog
from cloud_collector.store.store import Store
from shared.effects.sqlite import SqliteDatabase
from tests.unit.billing_samples import CATALOG, NOVEMBER, Gateway, new_store, october, receive, store_biller

EFFECTIVE = boundary("Europe/Helsinki", date(2026, 11, 20))
HEAD = "[contracts.acme-chargers]\n"


def found(*changes: tuple[str, str], old: str = CATALOG) -> list[Difference]:
    new = old
    for was, becomes in changes:
        assert new.count(was) == 1, was
        new = new.replace(was, becomes)
    return list(differences(load_catalog(old), load_catalog(new), effective_at=EFFECTIVE))


@pytest.mark.parametrize(
    ("was", "becomes", "key", "what", "effect", "since"),
    [
        (
            "price = 9.90",
            "price = 12.90",
            "plans.charger.charges.Connection.price",
            "changed",
            "next_period",
            "2026-12-01",
        ),
        ("included = 50", "", "plans.charger.charges.Energy.included", "removed", "next_period", "2026-12-01"),
        ("percent = 25.5", "percent = 26", "plans.charger.taxes.VAT.percent", "changed", "next_period", "2026-12-01"),
        ('unit = "kWh"', 'unit = "MJ"', "meters.energy.unit", "changed", "next_period", "2026-12-01"),
        ('grace = "20d"', 'grace = "30d"', "plans.charger.activation.grace", "changed", "frozen", None),
        ('cycle = "month"', 'cycle = "month"\nanchor = 7', "plans.charger.anchor", "added", "frozen", None),
        ('locale = "fi_FI"', 'locale = "de_DE"', "accounts.acme.locale", "changed", "next_invoice", None),
        (HEAD, f"{HEAD}end = 2026-11-11\n", "contracts.acme-chargers.end", "added", "own_date", "2026-11-11"),
        (HEAD, f"{HEAD}budget = 120\n", "contracts.acme-chargers.budget", "added", "at_once", None),
        (
            '"roof-1/sdm630-2"]',
            '{ id = "roof-1/sdm630-2", until = 2026-10-22 }]',
            'contracts.acme-chargers.devices."roof-1/sdm630-2".until',
            "added",
            "own_date",
            "2026-10-22",
        ),
        (
            '"roof-1/sdm630-2"]',
            '"roof-1/sdm630-2", { id = "roof-1/x", from = 2026-11-25 }]',
            'contracts.acme-chargers.devices."roof-1/x"',
            "added",
            "own_date",
            "2026-11-25",
        ),
        (
            ', "roof-1/sdm630-2"]',
            "]",
            'contracts.acme-chargers.devices."roof-1/sdm630-2"',
            "removed",
            "own_date",
            "2026-10-01",
        ),
        (
            HEAD,
            f"{HEAD}overrides.charges.Energy.discount_percent = 5\n",
            "contracts.acme-chargers.overrides",
            "added",
            "next_period",
            "2026-12-01",
        ),
        (
            HEAD,
            f'{HEAD}amendments = [{{ from = 2026-11-11, plan = "charger" }}]\n',
            "contracts.acme-chargers.amendments.2026-11-11",
            "added",
            "own_date",
            "2026-11-11",
        ),
    ],
)
def test_a_change_is_named_by_its_key_with_the_date_from_which_it_is_billed(
    was: str, becomes: str, key: str, what: str, effect: str, since: str | None
) -> None:
    (change,) = found((was, becomes))
    told = change.to_json()
    assert (told["key"], told["what"], told["effect"]) == (key, what, effect)
    assert told["since"] == ({} if since is None else {"acme-chargers": since})


def test_other_words_for_the_same_are_no_change() -> None:
    assert found(('unit = "kWh"', 'unit = "kWh" # as printed on the meter')) == []
    assert found(("price = 9.90", "price = 9.9")) == []
    assert found(('type = "subscription"', 'type = "subscription"\nper = "device"')) == []


def test_a_device_that_moves_is_said_once_with_where_it_goes() -> None:
    other = '\n[contracts.other]\naccount = "acme"\nplan = "charger"\nstart = 2026-11-01\ndevices = ["roof-1/{}"]\n'
    (move,) = [
        each
        for each in found(
            ('"roof-1/sdm630-2"]\n', '{ id = "roof-1/sdm630-2", until = 2026-11-25 }]\n' + other.format("y")),
            ('devices = ["roof-1/y"]', 'devices = [{ id = "roof-1/sdm630-2", from = 2026-11-25 }]'),
        )
        if each.path[1] == "acme-chargers"
    ]
    assert (move.what, move.moved_to, move.since) == ("moved", "other", {"acme-chargers": date(2026, 11, 25)})
    both = CATALOG + other.format("y")
    (told,) = found(
        ('"roof-1/sdm630-2"]', '{ id = "roof-1/sdm630-2", until = 2026-11-25 }]'),
        ('["roof-1/y"]', '["roof-1/y", { id = "roof-1/sdm630-2", from = 2026-11-25 }]'),
        old=both,
    )
    assert (told.what, told.moved_to) == ("moved", "other")


def test_what_nobody_has_agreed_to_is_billed_to_nobody() -> None:
    (change,) = found(("[accounts.acme]", '[plans.spare]\ncycle = "month"\n[accounts.acme]'))
    assert (change.key, change.what, change.effect.value) == ("plans.spare", "added", "none")


def test_every_key_that_can_change_has_an_effect_that_is_said() -> None:
    for change in found(("price = 9.90", "price = 1"), (HEAD, f"{HEAD}end = 2027-01-01\n")):
        assert change.effect.words


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    store = new_store(tmp_path / "collector.db")
    receive(store, october(Gateway()).lines, at=NOVEMBER + 3 * 86_400)
    bill_due(store, (NOVEMBER + 3 * 86_400) * 1000, store_biller())
    apply(store, load_catalog(CATALOG.replace("price = 9.90", "price = 12.90")), now_ms=(NOVEMBER + 4 * 86_400) * 1000)
    store.close()
    (tmp_path / "catalog.toml").write_text(CATALOG, encoding="utf-8")
    monkeypatch.setenv("METERSEAL_COLLECTOR__STORE_PATH", str(tmp_path / "collector.db"))
    return tmp_path


def run(*words: str) -> Result:
    return CliRunner().invoke(app, ["catalog", *words], catch_exceptions=False)


def told(*words: str) -> Any:
    done = run(*words, "--json")
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


def test_a_file_is_held_against_what_is_applied_and_revisions_against_each_other(here: Path) -> None:
    file = str(here / "catalog.toml")
    back = told("diff", file, "--effective", "2026-12-15")
    assert (back["from"]["revision"], back["to"]["revision"]) == (2, None)
    assert [(each["key"], each["before"], each["after"], each["since"]) for each in back["changes"]] == [
        ("plans.charger.charges.Connection.price", "12.90", "9.90", {"acme-chargers": "2027-01-01"})
    ]
    forth = told("diff", "2")
    assert [(each["before"], each["after"], each["since"]) for each in forth["changes"]] == [
        ("9.90", "12.90", {"acme-chargers": "2026-12-01"})
    ]
    assert told("diff", "2", "--against", "1") == forth
    assert told("diff", file, "--against", "1")["changes"] == []
    (here / "other.toml").write_text(CATALOG.replace("price = 9.90", "price = 1"), encoding="utf-8")
    assert len(told("diff", file, "--against", str(here / "other.toml"))["changes"]) == 1
    text = run("diff", "2").stdout
    assert "~ plans.charger.charges.Connection.price  9.90 → 12.90\n" in text
    assert "from the next billing period on: acme-chargers 2026-12-01" in text


def test_an_applied_revision_is_written_back_byte_for_byte_and_applied_again_changes_nothing(here: Path) -> None:
    folder = here / "folder"
    folder.mkdir()
    cut = CATALOG.index("[accounts.acme]")
    (folder / "a.toml").write_text(CATALOG[:cut], encoding="utf-8", newline="")
    (folder / "b.toml").write_text(
        CATALOG[cut:].replace('devices = ["roof-1/sdm630-1", "roof-1/sdm630-2"]', 'devices_from = "c.csv"'),
        encoding="utf-8",
        newline="",
    )
    (folder / "c.csv").write_bytes(b"id,from\r\nroof-1/sdm630-1,\r\nroof-1/sdm630-2,\r\n".replace(b"\r", b""))
    assert run("export", "1").stdout.encode() == CATALOG.encode()
    assert run("apply", str(folder)).exit_code == 0
    assert run("export", "--out", str(here / "one.toml")).exit_code == 0
    listed = told("list")
    assert [row["revision"] for row in listed] == [1, 2, 3]
    assert (here / "one.toml").stat().st_size == listed[2]["bytes"]
    assert "says the same already" in run("apply", str(here / "one.toml")).stdout


def test_applying_says_what_changes_and_shows_what_is_there(here: Path) -> None:
    file = str(here / "catalog.toml")
    dry = run("apply", file, "--dry-run").stdout
    assert "~ plans.charger.charges.Connection.price  12.90 → 9.90\n" in dry
    assert len(told("list")) == 2
    applied = told("apply", file, "--effective", "2027-01-01")
    assert [each["since"] for each in applied["changes"]] == [{"acme-chargers": "2027-01-01"}]
    shown = told("show")
    assert (shown["revision"], shown["effective_at"], shown["hash"]) == (
        3,
        "2026-12-31T22:00:00Z",
        applied["sha256"],
    )
    assert shown["contracts"][0] | {"amendments": ""} == {
        "contract": "acme-chargers",
        "account": "acme",
        "plan": "charger",
        "start": "2026-10-01",
        "end": None,
        "devices": 2,
        "amendments": "",
        "budget": None,
        "warn": None,
        "data": None,
    }
    assert "acme-chargers  acme" in run("show", "1").stdout


@pytest.mark.parametrize(
    ("was", "becomes", "line", "said"),
    [
        ('grace = "20d"', 'grace = "30d"', "[plans.charger.activation]", "has been billed by another rule"),
        ("[contracts.acme-chargers]", "[contracts.other]", "", "give it an `end` instead of taking it out"),
        ('"roof-1/sdm630-2"]', '"sdm630-2"]', "devices = [", "can never be measured"),
        ('cycle = "month"', 'cycel = "month"', "cycel", 'did you mean "cycle"?'),
    ],
)
def test_what_cannot_be_applied_is_refused_with_its_line_and_nothing_is_applied(
    here: Path, was: str, becomes: str, line: str, said: str
) -> None:
    text = CATALOG.replace(was, becomes)
    file = here / "bad.toml"
    file.write_text(text, encoding="utf-8")
    place = f"{file}:{text[: text.index(line)].count(chr(10)) + 1}: " if line else "contracts.acme-chargers"
    for words in (("apply", str(file)), ("apply", str(file), "--dry-run")):
        done = run(*words)
        assert (done.exit_code, said in done.stderr, done.stderr.startswith(place)) == (2, True, True), done.stderr
    assert len(told("list")) == 2
    assert said in run("diff", str(file)).stderr


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("diff", "9"), 3, "there is no revision 9; the newest is 2"),
        (("diff", "1"), 2, "is the first one"),
        (("diff", "nowhere.toml"), 2, "No such file"),
        (("export", "7"), 3, "there is no revision 7"),
        (("show", "7"), 3, "there is no revision 7"),
    ],
)
@pytest.mark.usefixtures("here")
def test_what_is_not_there_is_a_sentence_and_a_code(words: tuple[str, ...], code: int, said: str) -> None:
    done = run(*words)
    assert (done.exit_code, said in done.stderr) == (code, True), done.stderr


def test_before_anything_was_applied_there_is_nothing_to_hold_against(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Store(SqliteDatabase(tmp_path / "c.db")).close()
    monkeypatch.setenv("METERSEAL_COLLECTOR__STORE_PATH", str(tmp_path / "c.db"))
    (tmp_path / "catalog.toml").write_text(CATALOG, encoding="utf-8")
    assert run("diff", str(tmp_path / "catalog.toml")).exit_code == 3
    assert told("apply", str(tmp_path / "catalog.toml"))["changes"] == []
