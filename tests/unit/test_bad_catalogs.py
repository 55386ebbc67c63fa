"""Bad input is refused with a sentence and the place, before anything is applied."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from cloud_collector.cli.main import app
from cloud_collector.store.store import Store
from shared.effects.sqlite import SqliteDatabase
from tests.unit.billing_samples import CATALOG, new_store

HEAD = "[contracts.acme-chargers]"
OTHER = """
[contracts.other]
account = "{account}"
plan = "charger"
start = {start}
devices = [{device}]
[accounts.bolt]
name = "Bolt"
"""


def other(device: str, *, account: str = "acme", start: str = "2026-10-01") -> str:
    return CATALOG + OTHER.format(account=account, start=start, device=device)


def changed(old: str, new: str) -> str:
    assert CATALOG.count(old) == 1, old
    return CATALOG.replace(old, new)


FROM_MARCH = '{ id = "roof-1/sdm630-2", from = 2027-03-01 }'
UNTIL_MARCH = changed('"roof-1/sdm630-2"]', '{ id = "roof-1/sdm630-2", until = 2027-03-02 }]')
ONE_DAY = UNTIL_MARCH + OTHER.format(account="acme", start="2026-10-01", device=FROM_MARCH)
ENDED = changed("start = 2026-10-01", "start = 2026-10-01\nend = 2027-01-01")
CASES = {
    "two contracts of an account overlap": (other('"roof-1/sdm630-1"'), '["roof-1/sdm630-1"]', "at the same time"),
    "a device in contracts of two accounts at once": (
        other('"roof-1/sdm630-2"', account="bolt"),
        '["roof-1/sdm630-2"]',
        'belongs to the contract "acme-chargers" at the same time',
    ),
    "they overlap by a day": (ONE_DAY, FROM_MARCH, "at the same time"),
    "a contract begins before the other has ended": (
        ENDED + OTHER.format(account="acme", start="2026-12-31", device='"roof-1/sdm630-1"'),
        '["roof-1/sdm630-1"]',
        "at the same time",
    ),
    "a device twice in a contract": (
        changed('"roof-1/sdm630-2"]', '"roof-1/sdm630-1"]'),
        '"roof-1/sdm630-1"]',
        "stands twice",
    ),
    "a contract twice": (CATALOG + "\n" + HEAD + '\naccount = "acme"\n', HEAD + '\naccount = "acme"\n', "twice"),
    "tiers out of order": (
        changed("{ price = 0.25 }]", "{ up_to = 80, price = 0.25 }]"),
        "tiers =",
        "tiers are out of order: up_to 80 is not above 100",
    ),
    "a tier after the last one": (
        changed("{ up_to = 100, price = 0.30 }, ", "{ price = 0.30 }, "),
        "tiers =",
        "stands after a tier without up_to",
    ),
    "an unknown zone": (
        changed('timezone = "Europe/Helsinki"', 'timezone = "Europe/Helsinky"'),
        "timezone =",
        'no IANA time zone; did you mean "Europe/Helsinki"?',
    ),
    "a negative price": (changed("price = 9.90", "price = -9.90"), "price = -9.90", "may not be negative"),
    "a price that is no number": (changed("price = 9.90", "price = inf"), "price = inf", "must be a number"),
    "a plan in another currency": (
        changed('cycle = "month"', 'cycle = "month"\ncurrency = "SEK"').replace(HEAD, HEAD + '\ncurrency = "EUR"'),
        'plan = "charger"',
        'the plan "charger" is in SEK, and the contract is in EUR',
    ),
    "an amendment in another currency": (
        changed(HEAD, '[plans.kronor]\ncycle = "month"\ncurrency = "SEK"\n' + HEAD)
        + '\n[[contracts.acme-chargers.amendments]]\nfrom = 2026-11-01\nplan = "kronor"\n',
        'plan = "',
        "in SEK, and the contract is in EUR",
    ),
    "an impossible date": (
        changed("start = 2026-10-01", "start = 2026-02-30"),
        "start =",
        "start: 2026-02-30 is a date that no calendar has",
    ),
    "a month that is none": (
        changed("start = 2026-10-01", "start = 2026-13-01"),
        "start =",
        "2026-13-01 is a date that no calendar has",
    ),
    "a date in quotes": (changed("start = 2026-10-01", 'start = "2026-10-01"'), "start =", "must be a local date"),
    "a date before there was time": (
        changed("start = 2026-10-01", "start = 0001-01-01"),
        "start =",
        "nothing is billed before 1970-01-01",
    ),
    "a start that never comes": (
        changed("start = 2026-10-01", "start = 9999-12-31"),
        "start =",
        "nothing begins after 2999-12-31",
    ),
    "an end before the start": (
        changed("start = 2026-10-01", "start = 2026-10-01\nend = 2026-10-01"),
        "end =",
        "not after the start",
    ),
    "a time that is too long": (changed('grace = "20d"', 'grace = "99999d"'), "grace =", "longer than 36600d"),
    "a name that is nearly right": (changed("price = 9.90", "prise = 9.90"), "prise =", 'did you mean "price"?'),
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    new_store(tmp_path / "collector.db").close()
    monkeypatch.setenv("METERSEAL_COLLECTOR__STORE_PATH", str(tmp_path / "collector.db"))
    return tmp_path


def refused(file: Path) -> str:
    """What `apply` says of it; the store has the revision that it had, and no other."""
    done = CliRunner().invoke(app, ["catalog", "apply", str(file)], catch_exceptions=False)
    assert (done.exit_code, done.stdout) == (2, ""), done.stdout
    store = Store(SqliteDatabase(file.parent / "collector.db"))
    assert [row[0] for row in store.rows("catalog_revisions")] == [1]
    store.close()
    assert done.stderr.count("\n") == 1, "one sentence"
    return done.stderr


@pytest.mark.parametrize("what", CASES)
def test_it_is_refused_with_the_place_and_nothing_is_applied(here: Path, what: str) -> None:
    text, part, sentence = CASES[what]
    file = here / "catalog.toml"
    file.write_text(text, encoding="utf-8")
    said = refused(file)
    lines = [at for at, line in enumerate(text.splitlines(), start=1) if part.splitlines()[0] in line]
    assert any(said.startswith(f"{file}:{line}: ") for line in lines), (said, lines)
    assert sentence in said


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ("roof-1/sdm630-9,2026-02-30,", '"2026-02-30" is no local date'),
        ("roof-1/sdm630-9,1969-01-01,", '"1969-01-01" is no local date'),
        ("roof-1/sdm630-9,3000-01-01,", "nothing begins after"),
        ("roof-1/sdm630-9,2027-01-01,2027-01-01", "not after"),
        ("roof-1/sdm630-1,,", '"roof-1/sdm630-1" stands twice'),
    ],
)
def test_a_row_of_devices_is_refused_with_its_line(here: Path, row: str, sentence: str) -> None:
    (here / "catalog.toml").write_text(
        changed('devices = ["roof-1/sdm630-1", "roof-1/sdm630-2"]', 'devices_from = "devices.csv"'), encoding="utf-8"
    )
    (here / "devices.csv").write_text(f"id,from,until\nroof-1/sdm630-1,,\n{row}\n", encoding="utf-8")
    said = refused(here / "catalog.toml")
    assert "devices.csv:3: " in said
    assert sentence in said


def test_devices_that_follow_one_another_to_the_day_are_no_overlap(here: Path) -> None:
    text = ONE_DAY.replace("until = 2027-03-02", "until = 2027-03-01")
    (here / "catalog.toml").write_text(text, encoding="utf-8")
    done = CliRunner().invoke(app, ["catalog", "apply", str(here / "catalog.toml")], catch_exceptions=False)
    assert done.exit_code == 0, done.stderr
