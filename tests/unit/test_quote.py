"""`cloud-collector quote` as people and scripts meet it."""

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from cloud_collector.cli.quote import quote
from tests.quoting import CONNECTION, ENERGY, catalog_text, quoted

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden" / "quote"
ROW = "gw/a,energy,2026-10-05T10:00:00+03:00,2026-10-05T11:00:00+03:00,12.5"
HEADER = "device,meter,start,end,quantity"

app = typer.Typer()
app.command()(quote)


class Quoted:
    """The files of a quote in a folder, and the command over them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.write("catalog.toml", catalog_text(charges=ENERGY + CONNECTION))
        self.write("usage.csv", f"{HEADER}\n{ROW}\n")

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text, encoding="utf-8")

    def run(self, *more: str, period: str = "2026-10", contract: str = "c") -> Any:
        paths = ["--catalog", str(self.folder / "catalog.toml"), "--usage", str(self.folder / "usage.csv")]
        return CliRunner().invoke(app, [*paths, "--contract", contract, "--period", period, *more])

    def json(self, *more: str, period: str = "2026-10") -> Any:
        result = self.run("--json", *more, period=period)
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)


@pytest.fixture
def place(tmp_path: Path) -> Quoted:
    return Quoted(tmp_path)


def test_the_answer_has_exactly_the_contracts_keys(place: Quoted) -> None:
    answer = place.json()
    assert list(answer) == ["contract", "currency", "period", "lines", "net", "taxes", "total"]
    assert answer["period"] == {
        "start": "2026-09-30T21:00:00Z",
        "end": "2026-10-31T22:00:00Z",
        "timezone": "Europe/Helsinki",
    }
    keys = (
        "charge kind device window quantity unit unit_price exact amount service_start service_end estimated why steps"
    )
    assert list(answer["lines"][0]) == keys.split()
    assert [line["amount"] for line in answer["lines"]] == ["3.75", "9.90"]


def test_the_command_and_the_room_say_the_same(place: Quoted) -> None:
    row = "gw/a energy 2026-10-05T10:00:00+03:00 1h 12.5"
    assert place.json() == quoted(catalog_text(charges=ENERGY + CONNECTION), row).to_json()


def test_what_was_booked_earlier_is_subtracted(place: Quoted) -> None:
    place.write("first.json", json.dumps(place.json()))
    place.write("usage.csv", f"{HEADER}\n{ROW}\n{ROW.replace('12.5', '10').replace('-05T', '-06T')}\n")
    second = place.json("--booked", str(place.folder / "first.json"))
    assert [(line["quantity"], line["amount"]) for line in second["lines"]] == [("10", "3.00")]
    place.write("second.json", json.dumps(second))
    both = ["--booked", str(place.folder / "first.json"), "--booked", str(place.folder / "second.json")]
    assert place.json(*both)["lines"] == []


def test_as_of_ignores_what_was_received_later(place: Quoted) -> None:
    late = f"{ROW.replace('12.5', '100').replace('-05T', '-06T')},2026-10-20T00:00:00Z"
    place.write("usage.csv", f"{HEADER},received_at\n{ROW},\n{late}\n")
    assert place.json("--as-of", "2026-10-19T00:00:00Z")["lines"][0]["quantity"] == "12.5"
    assert place.json("--as-of", "2026-10-20T00:00:00Z")["lines"][0]["quantity"] == "112.5"
    assert place.json("--as-of", "2026-10-05T07:59:59Z")["lines"][0]["quantity"] == "0"


def test_states_come_from_a_file(place: Quoted) -> None:
    place.write("states.csv", "device,state,at\ngw/a,ended,2026-10-11T00:00:00+03:00\n")
    assert place.json("--states", str(place.folder / "states.csv"))["lines"][1]["amount"] == "3.19"


@pytest.mark.parametrize("period", ["2026-10", "2026-10-05", "2026-W41", "2026-10-01/2026-11-01"])
def test_a_period_is_named_by_what_begins_in_it_or_contains_it(place: Quoted, period: str) -> None:
    assert place.json(period=period)["period"]["start"] == "2026-09-30T21:00:00Z"


@pytest.mark.parametrize(("period", "code"), [("2026-13", 2), ("october", 2), ("2025-10", 3)])
def test_a_period_that_is_not_there_is_said(place: Quoted, period: str, code: int) -> None:
    result = place.run(period=period)
    assert result.exit_code == code
    assert period in result.stderr


def test_an_unknown_contract_ends_with_3(place: Quoted) -> None:
    result = place.run(contract="cc")
    assert (result.exit_code, result.stderr) == (3, "the catalog has no contract 'cc'; it has c; did you mean \"c\"?\n")


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        (ROW.replace("energy", "enrgy"), '"enrgy" is no meter of the catalog; did you mean "energy"?'),
        (ROW.replace("12.5", "-1"), "not a decimal number that is zero or more"),
        (ROW.replace("12.5", "0.0000001"), "at most 6 decimals"),
        (ROW.replace("+03:00,", ","), "not an instant such as"),
        (ROW.replace("T10:00:00", "T10:00:00.5"), "begin and end at whole seconds"),
        (ROW.replace("T11:00", "T10:00"), "is not after start"),
        (ROW.replace("10-05T10", "02-30T10"), "which no calendar has"),
        (ROW + ",x", "has 6 cells, and the header names 5"),
        (ROW.replace("gw/a", ""), "device is empty"),
        ('"unfinished', "this is no CSV"),
    ],
)
def test_a_bad_row_is_named_with_file_and_line(place: Quoted, row: str, sentence: str) -> None:
    place.write("usage.csv", f"{HEADER}\n{ROW}\n{row}\n")
    result = place.run()
    assert result.exit_code == 2
    assert f"usage.csv:3: {sentence}" in result.stderr or (
        "usage.csv:3: " in result.stderr and sentence in result.stderr
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("device,meter,start,end\n", 'lacks "quantity"'), (f"{HEADER},recieved_at\n", 'did you mean "received_at"?')],
)
def test_a_bad_header_is_named(place: Quoted, text: str, sentence: str) -> None:
    place.write("usage.csv", text)
    result = place.run()
    assert (result.exit_code, sentence in result.stderr) == (2, True)


def test_a_file_without_rows_is_a_period_without_use(place: Quoted) -> None:
    for text in ("", f"{HEADER}\n"):
        place.write("usage.csv", text)
        assert place.json()["net"] == "9.90"


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("catalog.toml", "[operator]\nnmae = 1\n", 'unknown key "nmae"'),
        ("usage.csv", None, "No such file"),
        ("states.csv", "device,state,at\ngw/a,asleep,2026-10-01T00:00:00Z\n", "is no state"),
        ("booked.json", "{", "no earlier answer"),
        ("booked.json", '{"contract": "d", "lines": []}', "an answer for the contract 'd'"),
    ],
)
def test_trouble_with_a_file_is_one_sentence_and_exit_2(
    place: Quoted, name: str, text: str | None, sentence: str
) -> None:
    if text is None:
        (place.folder / name).unlink()
    else:
        place.write(name, text)
    option = {"states.csv": "--states", "booked.json": "--booked"}.get(name)
    result = place.run(*([] if option is None else [option, str(place.folder / name)]))
    assert (result.exit_code, sentence in result.stderr) == (2, True), result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""


def test_a_device_of_no_contract_is_not_billed_and_that_is_said(place: Quoted) -> None:
    place.write("usage.csv", f"{HEADER}\n{ROW.replace('gw/a', 'gw/aa')}\n")
    result = place.run("--json")
    assert 'gw/aa is a device of no contract, and is not billed; did you mean "gw/a"?' in result.stderr
    assert json.loads(result.stdout)["lines"][0]["quantity"] == "0"


@pytest.mark.parametrize("form", ["json", "txt"])
def test_the_example_prints_what_it_always_printed(form: str) -> None:
    """P15. Change the golden file only on purpose."""
    more = ["--json"] if form == "json" else []
    result = CliRunner().invoke(
        app,
        [
            *("--catalog", str(ROOT / "config" / "catalog.toml"), "--contract", "acme-chargers"),
            *("--usage", str(GOLDEN / "usage.csv"), "--states", str(GOLDEN / "states.csv"), "--period", "2026-03"),
            *more,
        ],
    )
    assert result.exit_code == 0
    assert result.stdout == (GOLDEN / f"answer.{form}").read_text(encoding="utf-8")
