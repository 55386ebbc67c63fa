"""A backup holds the store whole, and a restore uses no number twice (P22)."""

import json
import shutil
import sqlite3
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cloud_collector.billing.archive import FolderArchive
from cloud_collector.billing.issue import BillingRefused
from cloud_collector.billing.run import bill_due
from cloud_collector.cli.main import app
from cloud_collector.store.store import Store, migrations
from shared.effects.sqlite import SqliteDatabase
from shared.errors import DatabaseFailed
from tests.unit.billing_samples import (
    COUNT,
    NOVEMBER,
    RECEIPT_KEY,
    STEP,
    Gateway,
    new_store,
    october,
    receive,
    store_biller,
)

DECEMBER = 1_796_076_000  # 2026-12-01 00:00 in Helsinki
DAY = STEP * COUNT
FACTS = """
select number, series, ordinal, contract, account, period_start, period_end, kind, revision, currency, total,
    issued_at, inputs, hash, line from invoice order by number;
select i.number, b.place, b.contract, b.period_start, b.charge, b.kind, b.device, b.part, b.segment_start, b.line
    from booking b join invoice i on i.id = b.invoice order by 1, 2;
select i.number, a.contract, a.device, a.at, a.rule, a.why
    from activation_used a join invoice i on i.id = a.invoice order by 1, 3;
select p.contract, p.period_start, p.period_end, p.closed_at, i.number, p.plans_revision
    from period_closed p left join invoice i on i.id = p.invoice order by 1, 2;
select series, last from invoice_series order by 1;
select o.number, c.number, v.reason from voided v join invoice o on o.id = v.invoice
    join invoice c on c.id = v.credit_note order by 1;
select r.contract, r.period_start, n.number, o.number, r.plans_revision from rebilled r
    join invoice n on n.id = r.invoice join invoice o on o.id = r.voided order by 3;
select e.account, e.place, e.what, i.number, c.number, e.currency, e.amount, e.at from account_entry e
    left join invoice i on i.id = e.invoice left join invoice c on c.id = e.credit_note order by 1, 2;
select number, sha256, applied_at, effective_at, content from catalog_revision order by 1;
select gateway, device, meter, unit from channel order by 1, 2, 3
""".split(";")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "collector"
    folder.mkdir()
    store = new_store(folder / "collector.db")
    receive(store, october(Gateway()).lines, at=NOVEMBER + 3 * DAY)
    store.close()
    (folder / "key.pem").write_text(RECEIPT_KEY.pem, encoding="ascii")
    for name, value in (
        ("STORE_PATH", "collector.db"),
        ("KEY_FILE", "key.pem"),
        ("ARCHIVE_PATH", "invoices"),
        ("PKI_PATH", "pki"),
    ):
        monkeypatch.setenv(f"METERSEAL_COLLECTOR__{name}", str(folder / value))
    return folder


def run(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)


def backup(*more: str) -> Path:
    done = run("backup", "create", "--json", *more)
    assert done.exit_code == 0, done.stderr
    return Path(json.loads(done.stdout)["file"])


def facts(path: Path) -> list[list[tuple[object, ...]]]:
    held = sqlite3.connect(path)
    try:
        return [held.execute(sql).fetchall() for sql in FACTS]
    finally:
        held.close()


def bill(folder: Path, at: int) -> list[str]:
    """The numbers that a run at this second issues."""
    store = Store(SqliteDatabase(folder / "collector.db"))
    try:
        report = bill_due(store, at * 1000, store_biller(FolderArchive(folder / "invoices")))
        return [outcome.number for outcome in report.outcomes if outcome.number is not None]
    finally:
        store.close()


def further(folder: Path, days: int = 64) -> Gateway:
    """November's lines arrive, and those of October again."""
    gateway = october(Gateway(), days=days)
    store = Store(SqliteDatabase(folder / "collector.db"))
    receive(store, gateway.lines, at=DECEMBER + 3 * DAY)
    store.close()
    return gateway


def lose_store(folder: Path) -> None:
    for path in folder.glob("collector.db*"):
        path.unlink()


def test_a_backup_is_made_listed_verified_and_put_where_no_store_is(here: Path) -> None:
    bill(here, NOVEMBER + 3 * DAY)
    before = facts(here / "collector.db")
    made = run("backup", "create")
    assert "the private keys are not in it" in made.stderr
    file = Path(made.stdout.split()[0])
    assert file.parent == here / "backups"
    assert file.stat().st_mode & 0o777 == 0o600
    assert str(file) in run("backup", "list").stdout
    verified = run("backup", "verify", file, "--audit")
    assert (verified.exit_code, "34 lines, 1 invoices" in verified.stdout) == (0, True)
    lose_store(here)
    done = run("backup", "restore", file)
    assert done.exit_code == 0
    assert "backup confirm INV-1`" in done.stderr
    assert facts(here / "collector.db") == before
    assert run("audit").exit_code == 0


def test_what_a_backup_holds_is_what_was_committed_while_others_write(here: Path) -> None:
    writer = Store(SqliteDatabase(here / "collector.db"))
    with writer.atomic():
        writer.run("series_open", "never")
        file = backup()
    assert "never" not in json.loads(run("backup", "verify", file, "--json").stdout)["series"]
    writer.close()


@pytest.mark.parametrize("at", [60, 4_000, -3_000])
def test_a_damaged_backup_is_told_from_a_whole_one(here: Path, at: int) -> None:
    file = backup()
    raw = bytearray(file.read_bytes())
    raw[at] ^= 0x40
    file.write_bytes(raw)
    done = run("backup", "verify", file)
    assert (done.exit_code, done.stdout) == (6, "")
    assert run("backup", "restore", file, "--replace").exit_code == 6
    assert not list(here.glob("*.replaced-*"))


@pytest.mark.usefixtures("here")
def test_a_store_that_was_exchanged_in_a_backup_is_found() -> None:
    file = backup()
    with zipfile.ZipFile(file) as held:
        parts = {name: held.read(name) for name in held.namelist()}
    parts["store"] = parts["store"].replace(b"Energy", b"Enorgy")
    with zipfile.ZipFile(file, "w") as changed:
        for name, content in parts.items():
            changed.writestr(name, content)
    assert "its hash differs" in run("backup", "verify", file).stderr


def test_what_is_no_backup_is_said_in_a_sentence(here: Path) -> None:
    text = here / "notes.txt"
    text.write_text("no zip")
    done = run("backup", "verify", text)
    assert (done.exit_code, "is no backup, or not a whole one" in done.stderr) == (6, True)
    assert run("backup", "verify", here / "absent").exit_code == 3


def test_a_newer_store_is_not_replaced_unasked_and_is_kept_when_it_is(here: Path) -> None:
    file = backup()
    bill(here, NOVEMBER + 3 * DAY)
    refused = run("backup", "restore", file)
    assert refused.exit_code == 4
    assert "it holds 1 invoices, not 0; 1 periods closed, not 0: add --replace" in refused.stderr
    assert facts(here / "collector.db")[0]
    done = run("backup", "restore", file, "--replace")
    assert done.exit_code == 0
    (kept,) = here.glob("collector.db.replaced-*")
    assert facts(kept)[0]
    assert f"what was there is kept at {kept}" in done.stderr


def test_a_store_that_a_collector_holds_is_not_replaced(here: Path) -> None:
    file = backup()
    holder = SqliteDatabase(here / "collector.db")
    holder.execute("select count(*) from line")
    assert run("backup", "restore", file, "--replace").exit_code == 75
    holder.close()
    assert run("backup", "restore", file).exit_code == 0


def test_a_damaged_store_is_replaced_only_where_that_is_said(here: Path) -> None:
    file = backup()
    (here / "collector.db").write_bytes(b"no database" * 1000)
    refused = run("backup", "restore", file)
    assert (refused.exit_code, "add --replace" in refused.stderr) == (4, True)
    assert run("backup", "restore", file, "--replace").exit_code == 0
    assert run("audit").exit_code == 0


def test_no_number_is_used_twice_and_what_was_issued_after_the_backup_is_known_again(here: Path) -> None:
    """P22: the folder of issued invoices outlives the disk."""
    assert bill(here, NOVEMBER + 3 * DAY) == ["INV-1"]
    file = backup()
    further(here)
    assert bill(here, DECEMBER + 3 * DAY) == ["INV-2"]
    before = facts(here / "collector.db")
    lose_store(here)
    done = run("backup", "restore", file)
    assert "taken back from the folder of issued invoices: INV-2" in done.stderr
    assert "backup confirm INV-2`" in done.stderr
    assert facts(here / "collector.db") == before
    with pytest.raises(BillingRefused, match="nothing is billed until the last numbers are confirmed"):
        bill(here, DECEMBER + 4 * DAY)
    assert run("backup", "confirm", "INV-1").exit_code == 4
    assert run("backup", "confirm", "INV-2").exit_code == 0
    assert run("backup", "confirm", "INV-2").stderr == "nothing waits for a confirmation\n"
    further(here, days=96)
    assert bill(here, DECEMBER + 35 * DAY) == ["INV-3"]
    told = run("invoice", "export", "INV-2", "--bundle", here / "INV-2.zip")
    assert told.exit_code == 0, told.stderr
    sent = run(
        "invoice",
        "send",
        "INV-2",
        "--to",
        "a@example.org",
        "--set",
        "mail.host=localhost",
        "--set",
        "mail.sender=b@example.org",
    )
    assert (sent.exit_code, "nobody knows whether it was sent" in sent.stderr) == (4, True)


def test_a_revision_of_the_catalog_that_was_applied_after_the_backup_comes_back(here: Path) -> None:
    file = backup()
    catalog = here / "catalog.toml"
    store = Store(SqliteDatabase(here / "collector.db"))
    catalog.write_bytes(bytes(store.rows("catalog_content", 1)[0][0]).replace(b"price = 9.90", b"price = 8.80"))
    store.close()
    assert run("catalog", "apply", catalog, "--effective", "2026-10-01").exit_code == 0
    bill(here, NOVEMBER + 3 * DAY)
    before = facts(here / "collector.db")
    lose_store(here)
    assert "revision 2 of the catalog" in run("backup", "restore", file).stderr
    assert facts(here / "collector.db") == before
    assert run("invoice", "export", "INV-1", "--bundle", here / "INV-1.zip").exit_code == 0


def test_what_was_taken_back_and_billed_again_after_the_backup_is_known_again(here: Path) -> None:
    """P22: a credit note and what replaces its invoice are documents like any other."""
    bill(here, NOVEMBER + 3 * DAY)
    file = backup()
    assert run("invoice", "void", "INV-1", "--reason", "the wrong plan", "--as", "Ada").exit_code == 0
    assert run("invoice", "rebill", "INV-1", "--as", "Ada").exit_code == 0
    assert run("invoice", "void", "INV-2", "--reason", "still the wrong plan", "--as", "Ada").exit_code == 0
    assert run("invoice", "rebill", "INV-2", "--as", "Ada").exit_code == 0
    further(here)
    assert bill(here, DECEMBER + 3 * DAY) == ["INV-4"]
    assert run("invoice", "void", "INV-4", "--reason", "again", "--as", "Ada").exit_code == 0
    before = facts(here / "collector.db")
    assert [len(table) for table in before[5:8]] == [3, 2, 3]
    lose_store(here)
    restored = run("backup", "restore", file)
    assert restored.exit_code == 0, restored.stderr
    after = facts(here / "collector.db")
    assert after == before
    assert run("backup", "confirm", "INV-4", "INV-CN-3").exit_code == 0


def test_where_the_folder_is_lost_too_a_person_says_which_numbers_are_gone(here: Path) -> None:
    bill(here, NOVEMBER + 3 * DAY)
    file = backup()
    further(here)
    bill(here, DECEMBER + 3 * DAY)
    evidence = (here / "invoices" / "INV-2.ms").read_bytes()
    lose_store(here)
    shutil.rmtree(here / "invoices")
    assert run("backup", "restore", file).exit_code == 0
    assert (here / "invoices" / "INV-1.ms").exists(), "the folder is whole as far as the store knows"
    refused = run("backup", "confirm", "INV-2")
    assert (refused.exit_code, "INV-2 is not in the folder" in refused.stderr) == (4, True)
    (here / "invoices" / "INV-2.ms").write_bytes(evidence)
    assert "INV-2" in run("backup", "reimport").stderr
    assert run("backup", "confirm", "INV-2").exit_code == 0


def test_a_number_that_is_given_up_is_never_used_again(here: Path) -> None:
    file = backup()
    bill(here, NOVEMBER + 3 * DAY)
    lose_store(here)
    shutil.rmtree(here / "invoices")
    run("backup", "restore", file)
    assert run("backup", "confirm", "INV-1").exit_code == 4, "no series is known yet"
    assert run("backup", "confirm", "--none").exit_code == 0
    shutil.rmtree(here / "backups")
    assert bill(here, NOVEMBER + 3 * DAY) == ["INV-1"]
    file = backup()
    further(here)
    bill(here, DECEMBER + 3 * DAY)
    lose_store(here)
    shutil.rmtree(here / "invoices")
    run("backup", "restore", file)
    assert run("backup", "confirm", "INV-2", "--given-up", "INV-2").exit_code == 0
    further(here)
    assert bill(here, DECEMBER + 3 * DAY) == ["INV-3"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda raw: raw.replace(b'"total":"', b'"total":"1'), "its seal is broken"),
        (lambda _: b"nothing", "is no sealed invoice"),
    ],
)
def test_a_changed_document_in_the_folder_is_not_believed(here: Path, change: object, said: str) -> None:
    """P11: the folder is read after a disaster, when nobody looks closely."""
    file = backup()
    bill(here, NOVEMBER + 3 * DAY)
    document = here / "invoices" / "INV-1.ms"
    document.chmod(0o644)
    document.write_bytes(change(document.read_bytes()))  # type: ignore[operator]
    lose_store(here)
    done = run("backup", "restore", file)
    assert (done.exit_code, said in done.stderr) == (1, True)


def test_keys_go_along_where_that_is_asked_for_and_are_never_replaced(here: Path) -> None:
    (here / "pki").mkdir()
    (here / "pki" / "ca.key").write_text("secret")
    file = backup("--with-keys")
    assert "the private keys are in it" in run("backup", "verify", file).stderr
    lose_store(here)
    (here / "key.pem").unlink()
    (here / "pki" / "ca.key").write_text("another")
    done = run("backup", "restore", file, "--with-keys")
    assert done.exit_code == 0
    assert (here / "key.pem").read_text() == RECEIPT_KEY.pem
    assert (here / "key.pem").stat().st_mode & 0o777 == 0o600
    assert (here / "pki" / "ca.key").read_text() == "another"


def test_the_oldest_backups_go_when_there_are_enough(here: Path) -> None:
    folder = here / "elsewhere"
    folder.mkdir()
    for day in range(1, 4):
        (folder / f"2020-01-0{day}T00-00-00Z.meterseal-backup.zip").touch()
    (folder / "notes.txt").touch()
    done = run("backup", "create", "--to", folder, "--set", "backup.keep=2", "--json")
    assert len(json.loads(done.stdout)["removed"]) == 2
    assert sorted(path.name[:10] for path in folder.iterdir())[:2] == [
        "2020-01-03",
        Path(json.loads(done.stdout)["file"]).name[:10],
    ]


def test_before_the_schema_changes_the_store_is_copied(here: Path) -> None:
    lose_store(here)
    old = sqlite3.connect(here / "collector.db")
    old.execute("create table migration (version integer primary key)")
    for version, statements in migrations("sqlite"):
        if version <= 60:
            for statement in statements:
                old.execute(statement)
            old.execute("insert into migration values (?)", (version,))
    old.execute("insert into gateway values ('roof-1', 0)")
    old.commit()
    old.close()
    done = run("gateway", "list")
    assert done.exit_code == 0, done.stderr
    kept = here / "collector.db.schema-60"
    assert str(kept) in done.stderr
    copied = sqlite3.connect(kept)
    assert copied.execute("select max(version) from migration").fetchone() == (60,)
    assert copied.execute("select name from gateway").fetchone() == ("roof-1",)
    copied.close()
    assert run("gateway", "list").stderr == ""


def test_a_newer_schema_is_refused_with_what_to_do(here: Path) -> None:
    held = sqlite3.connect(here / "collector.db")
    held.execute("insert into migration values (999)")
    held.commit()
    held.close()
    done = run("gateway", "list")
    assert (done.exit_code, "a newer version has written it" in done.stderr) == (4, True)
    with pytest.raises(DatabaseFailed, match="schema 999"):
        Store(SqliteDatabase(here / "collector.db"))


def test_a_store_that_a_server_put_back_is_completed_from_the_folder_and_waits(here: Path) -> None:
    """P22: whoever puts the store back, no number is used twice."""
    shutil.copy(here / "collector.db", here / "dump")
    bill(here, NOVEMBER + 3 * DAY)
    lose_store(here)
    shutil.copy(here / "dump", here / "collector.db")
    done = run("backup", "reimport", "--restored")
    assert "backup confirm INV-1`" in done.stderr
    with pytest.raises(BillingRefused):
        bill(here, NOVEMBER + 4 * DAY)
    on_a_server = run("backup", "create", "--set", "store=postgresql://host/db")
    assert (on_a_server.exit_code, "PostgreSQL's own backups" in on_a_server.stderr) == (1, True)
