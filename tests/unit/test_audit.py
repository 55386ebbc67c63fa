"""P11, P15, P16, P17: an audit finds nothing on a good store, and names whatever bit was changed since."""

import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from cloud_collector.billing.archive import FolderArchive
from cloud_collector.billing.run import bill_due
from cloud_collector.cli.main import app
from shared.line import hash_of, parse, read_body, seal
from tests.unit.billing_samples import (
    NOVEMBER,
    RECEIPT_KEY,
    Gateway,
    new_store,
    october,
    receive,
    store_biller,
)

AT = NOVEMBER + 3 * 86_400


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[bytes]]:
    """A store in which October is billed, and its lines."""
    folder = tmp_path_factory.mktemp("audit")
    lines = october(Gateway()).lines
    store = new_store(folder / "collector.db")
    receive(store, lines, at=AT)
    bill_due(store, AT * 1000, store_biller(FolderArchive(folder / "invoices")))
    store.close()
    return folder, lines


@pytest.fixture
def site(good: tuple[Path, list[bytes]], tmp_path: Path) -> Path:
    """A copy of it for one test."""
    source = sqlite3.connect(good[0] / "collector.db")
    with sqlite3.connect(tmp_path / "collector.db") as copy:
        source.backup(copy)
    source.close()
    copy.close()
    shutil.copytree(good[0] / "invoices", tmp_path / "invoices")
    (tmp_path / "receipt.key").write_text(RECEIPT_KEY.pem, encoding="ascii")
    (tmp_path / "collector.toml").write_text(
        'store_path = "collector.db"\nkey_file = "receipt.key"\n[broker]\nhost = "127.0.0.1"\n', encoding="utf-8"
    )
    return tmp_path


def run(site: Path, *words: str) -> Result:
    return CliRunner().invoke(app, ["--config", str(site / "collector.toml"), "audit", *words], catch_exceptions=False)


def found(site: Path) -> dict[str, Any]:
    done = run(site, "--json")
    assert done.exit_code == 6, done.output
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def change(site: Path, table: str, sql: str, *parameters: object) -> None:
    """As somebody with the file in their hands would: the triggers are taken off first."""
    with sqlite3.connect(site / "collector.db") as database:
        for (name,) in database.execute(
            "select name from sqlite_master where type = 'trigger' and tbl_name = ?", (table,)
        ):
            database.execute(f"drop trigger {name}")
        database.execute(sql, parameters)
    database.close()


def flip(site: Path, seq: int, old: bytes, bit: int, at: int = 0) -> None:
    """One bit of one stored line, `at` bytes into what is named."""
    with sqlite3.connect(site / "collector.db") as database:
        (raw,) = database.execute("select raw from line where seq = ?", (seq,)).fetchone()
    database.close()
    place = bytes(raw).index(old) + at
    changed = bytearray(raw)
    changed[place] ^= 1 << bit
    change(site, "line", "update line set raw = ? where seq = ?", bytes(changed), seq)


def test_a_good_store_has_nothing_to_find(site: Path) -> None:
    done = run(site)
    assert (done.exit_code, done.stdout) == (
        0,
        "34 lines, 1 invoices: everything in the store follows from the lines\n",
    )
    assert json.loads(run(site, "--json").stdout)["damaged"] == []


def test_a_changed_reading_is_named_with_its_day_and_its_money(site: Path) -> None:
    # Line 8 is the 7th of October; of its first quarter of an hour 330 Wh become 338.
    flip(site, 8, b"330,", 3, at=2)
    (damage,) = found(site)["damaged"]
    name = [damage[key] for key in ("gateway", "log", "epoch", "seq")]
    assert name == ["roof-1", "main", "5f2c91aa", 8]
    assert damage["reason"] == "it was changed after its gateway signed it"
    assert damage["days"] == ["2026-10-07"]
    (interval,) = damage["intervals"]
    assert (interval["device"], interval["start"]) == ("sdm630-1", "2026-10-06T21:00:00Z")
    assert (interval["received"], interval["stored"]) == (330, 338)
    (invoice,) = damage["invoices"]
    assert (invoice["number"], invoice["currency"]) == ("INV-1", "EUR")
    assert invoice["difference"] != "0.00"


def test_the_words_for_people_name_the_same(site: Path) -> None:
    flip(site, 8, b"330,", 1, at=0)
    done = run(site)
    assert done.exit_code == 6
    line, interval, invoice = done.stdout.splitlines()
    assert line == "roof-1 main 5f2c91aa 8: it was changed after its gateway signed it (2026-10-07)"
    told = "    sdm630-1 energy at 2026-10-06T21:00:00Z: 330 had been received, 130 stand there now"
    assert interval == told
    assert invoice.startswith("    INV-1 would change by ")


@pytest.mark.parametrize("bit", range(8))
def test_whatever_bit_of_a_line_is_changed_the_line_is_named(site: Path, bit: int) -> None:
    with sqlite3.connect(site / "collector.db") as database:
        (raw,) = database.execute("select raw from line where seq = 12").fetchone()
    database.close()
    for place in range(bit * 7, len(raw), 211):
        changed = bytearray(raw)
        changed[place] ^= 1 << bit
        change(site, "line", "update line set raw = ? where seq = 12", bytes(changed))
        (damage,) = found(site)["damaged"]
        assert (damage["seq"], damage["days"]) == (12, ["2026-10-11"]), place
        assert [each["number"] for each in damage["invoices"]] == ["INV-1"], place


def test_a_line_that_cannot_be_read_any_more_is_named_all_the_same(site: Path) -> None:
    flip(site, 8, b"MS1", 7)
    (damage,) = found(site)["damaged"]
    assert (damage["seq"], damage["days"]) == (8, ["2026-10-07"])
    assert damage["reason"].startswith("it is no sealed line any more")


def test_a_changed_invoice_is_named(site: Path) -> None:
    with sqlite3.connect(site / "collector.db") as database:
        (line,) = database.execute("select line from invoice").fetchone()
    database.close()
    change(site, "invoice", "update invoice set line = ?", bytes(line).replace(b'"total":"', b'"total":"1', 1))
    (fault,) = found(site)["faults"]
    assert fault["number"] == "INV-1"
    assert fault["sentences"] == [
        "the folder of issued invoices does not hold the same bytes",
        "it is another line than the one that was issued",
    ]


def test_an_invoice_sealed_over_a_wrong_amount_is_named_with_it(site: Path, good: tuple[Path, list[bytes]]) -> None:
    """Whoever has the operator's key cannot seal what the reports do not say."""
    raw = FolderArchive(good[0] / "invoices").get("INV-1")
    body = read_body(parse(raw or b""))  # type: ignore[arg-type]
    assert isinstance(body, dict)
    body["total"] = "999.99"
    line = seal("MI1", body, RECEIPT_KEY)
    change(site, "invoice", "update invoice set line = ?, hash = ?, total = '999.99'", line, hash_of(line))
    change(site, "invoice_archived", "delete from invoice_archived")
    (fault,) = found(site)["faults"]
    assert any("it says 999.99 EUR, the evidence gives" in sentence for sentence in fault["sentences"])


@pytest.mark.parametrize(
    ("table", "sql", "sentence"),
    [
        ("invoice", "update invoice set total = '1.00'", "the store lists its total as 1.00"),
        ("booking", "delete from booking where place = 1", "what is booked by it is not what its lines say"),
        (
            "catalog_revision",
            "update catalog_revision set content = cast(content || x'0a' as blob)",
            "not those that were applied",
        ),
        ("invoice_series", "update invoice_series set last = 2", "has given out 2 numbers, and its last invoice is 1"),
    ],
)
def test_whatever_else_stands_beside_an_invoice_must_be_what_it_says(
    site: Path, table: str, sql: str, sentence: str
) -> None:
    change(site, table, sql)
    assert any(sentence in each for fault in found(site)["faults"] for each in fault["sentences"])


def test_a_changed_sum_beside_sound_lines_is_still_found(site: Path) -> None:
    change(site, "span", "update span set register_end = register_end + 1 where seq = 9 and kind = 4")
    assert found(site)["difference"]["table"] == "span"


def test_an_audit_without_the_receipt_key_says_what_it_could_not_check(site: Path) -> None:
    (site / "receipt.key").unlink()
    done = run(site)
    assert done.exit_code == 0
    assert "1 invoices were sealed with a key that is not here" in done.stderr
