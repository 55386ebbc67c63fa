"""P11: what a checkpoint has signed cannot be changed, taken out or put in without being found."""

import json
import random
import shutil
import sqlite3
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cloud_collector.billing.archive import CHECKPOINTS, FolderArchive, MemoryArchive
from cloud_collector.billing.run import bill_due
from cloud_collector.cli.main import app
from cloud_collector.store.store import Store
from cloud_collector.upkeep import checkpoints
from cloud_collector.upkeep.checkpoints import Checkpointer, all_checkpoints, faults, make, newest_of, origin_of
from cloud_collector.upkeep.tree import Tree
from shared.effects.sqlite import SqliteDatabase
from shared.merkle import consistent, includes, leaf_hash, prove_consistency, prove_inclusion, root_of
from tests.unit.billing_samples import NOVEMBER, RECEIPT_KEY, Gateway, new_store, october, receive, store_biller

DAY = 86_400


@pytest.mark.parametrize("batch", [1, 100, 70_000])
def test_roots_and_proofs_are_those_of_the_whole_tree_however_it_grew(batch: int) -> None:
    size = 600 if batch == 1 else 66_000
    leaves = [f"leaf {at}".encode() for at in range(size)]
    store = Store(SqliteDatabase(":memory:"))
    tree = Tree(store, "t")
    with store.atomic():
        for first in range(0, size, batch):
            tree.append((at, None, None, leaves[at]) for at in range(first, min(first + batch, size)))
    hashes = [leaf_hash(leaf) for leaf in leaves]
    rng = random.Random(7)
    for at in {1, 2, 3, 255, 256, 257, 511, size, *(rng.randrange(1, size) for _ in range(8))}:
        root = tree.root(at)
        assert root == root_of(hashes[:at])
        index = rng.randrange(at)
        path = tree.prove_inclusion(at, index)
        assert path == prove_inclusion(hashes[:at], index)
        assert includes(root, at, index, hashes[index], path)
        old = rng.randrange(1, at + 1)
        grown = tree.prove_consistency(old, at)
        assert grown == prove_consistency(hashes[:at], old)
        assert consistent(tree.root(old), old, root, at, grown)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "collector"
    folder.mkdir()
    store = new_store(folder / "collector.db")
    receive(store, october(Gateway()).lines, at=NOVEMBER + 3 * DAY)
    bill_due(store, (NOVEMBER + 3 * DAY) * 1000, store_biller(FolderArchive(folder / "invoices")))
    store.close()
    (folder / "key.pem").write_text(RECEIPT_KEY.pem, encoding="ascii")
    for name, value in (("STORE_PATH", "collector.db"), ("KEY_FILE", "key.pem"), ("ARCHIVE_PATH", "invoices")):
        monkeypatch.setenv(f"METERSEAL_COLLECTOR__{name}", str(folder / value))
    return folder


def run(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)


def test_a_day_has_one_checkpoint_and_it_names_the_one_before(tmp_path: Path) -> None:
    store, archive = new_store(tmp_path / "collector.db"), MemoryArchive()
    lines = october(Gateway()).lines
    chore = Checkpointer(RECEIPT_KEY, archive)
    chore(store, 0)
    assert all_checkpoints(store) == []
    for day, some in enumerate((lines[:10], lines[10:20], lines[20:])):
        receive(store, some, at=NOVEMBER + day * DAY)
        for hour in (1, 2, 23):
            chore(store, (NOVEMBER + day * DAY + hour * 3600) * 1000)
    told = [each.checkpoint for each in all_checkpoints(store)]
    assert [each.size for each in told] == [10, 20, 34]
    assert [each.previous for each in told] == ["", *(each.hash for each in all_checkpoints(store)[:-1])]
    assert list(faults(store, RECEIPT_KEY.public)) == []
    assert len(archive.beside(CHECKPOINTS).numbers()) == 3
    store.close()


def test_many_leaves_are_added_in_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "LEAVES_AT_ONCE", 7)
    store, archive = new_store(tmp_path / "collector.db"), MemoryArchive()
    receive(store, october(Gateway()).lines, at=NOVEMBER)
    made = [make(store, RECEIPT_KEY, archive, NOVEMBER) for _ in range(6)]
    assert [each is not None for each in made] == [False, False, False, False, True, False]
    assert made[4] is not None
    assert made[4].checkpoint.size == 34
    store.close()


def test_an_invoice_and_a_line_are_proved_and_the_proof_stands_alone(here: Path) -> None:
    assert run("checkpoint", "prove", "INV-1").exit_code == 3
    made = run("checkpoint", "make")
    assert " at 35: " in made.stdout
    assert run("checkpoint", "make").stderr == "nothing is new since the last checkpoint\n"
    assert len(json.loads(run("checkpoint", "list", "--json").stdout)) == 1
    (here / "proof.json").write_text(run("checkpoint", "prove", "INV-1").stdout)
    (here / "operator.pub").write_text(RECEIPT_KEY.public.pem)
    invoice = here / "invoices" / "INV-1.ms"
    words = ("checkpoint", "verify", here / "proof.json", "--key", here / "operator.pub")
    assert run(*words, "--line", invoice).exit_code == 0
    other = here / "other.ms"
    other.write_bytes(invoice.read_bytes().replace(b"INV-1", b"INV-2"))
    assert run(*words, "--line", other).exit_code == 6
    assert run(*words).exit_code == 6
    assert run("checkpoint", "prove", "INV-9").exit_code == 3
    proof = json.loads((here / "proof.json").read_text())
    proof["checkpoint"] = proof["checkpoint"].replace('"size":35', '"size":36')
    (here / "proof.json").write_text(json.dumps(proof))
    refused = run(*words, "--line", invoice)
    assert (refused.exit_code, "has not signed the checkpoint" in refused.stderr) == (6, True)


def test_that_a_log_grew_is_proved(here: Path) -> None:
    run("checkpoint", "make")
    store = Store(SqliteDatabase(here / "collector.db"))
    more = october(Gateway(), days=40).lines
    receive(store, more, at=NOVEMBER + 9 * DAY)
    store.close()
    assert " at 42: " in run("checkpoint", "make").stdout
    proof = here / "grown.json"
    proof.write_text(run("checkpoint", "prove", "--from", "35").stdout)
    assert run("checkpoint", "verify", proof).exit_code == 0
    told = json.loads(proof.read_text())
    told["consistency"][0] = told["consistency"][1]
    proof.write_text(json.dumps(told))
    assert run("checkpoint", "verify", proof).exit_code == 6
    assert run("checkpoint", "prove", "--from", "36").exit_code == 3
    assert run("checkpoint", "verify").stdout == "2 checkpoints hold, and every leaf is what it was\n"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("update invoice set line = cast(replace(cast(line as text), 'INV-1', 'INV-2') as blob)", "leaf 34 of"),
        ("update line set raw = x'00' where id = 5", "leaf 4 of"),
        ("delete from line where id = 34", "leaf 33 of"),
        ("update leaf set hash = zeroblob(32) where place = 3", "the leaves give another root"),
        ("delete from leaf where place = 34", "the log has 34 leaves only"),
        (
            "update checkpoint set line = replace(cast(line as text), '\"size\":35', '\"size\":34')",
            "its seal is broken",
        ),
    ],
)
def test_whatever_is_changed_behind_the_collectors_back_is_named(here: Path, change: str, said: str) -> None:
    run("checkpoint", "make")
    held = sqlite3.connect(here / "collector.db")
    for (name,) in held.execute("select name from sqlite_master where type = 'trigger'").fetchall():
        held.execute(f"drop trigger {name}")
    held.execute(change)
    if change.startswith("update checkpoint"):
        held.execute("update checkpoint set line = cast(line as blob)")
    held.commit()
    held.close()
    found = run("checkpoint", "verify")
    assert (found.exit_code, said in found.stdout) == (6, True)


def test_a_restored_store_begins_a_log_whose_first_leaf_is_the_last_known_checkpoint(here: Path) -> None:
    """P22, P11: what was signed before the disk was lost binds what comes after."""
    file = json.loads(run("backup", "create", "--json").stdout)["file"]
    run("checkpoint", "make")
    held = Store(SqliteDatabase(here / "collector.db"))
    before = all_checkpoints(held)[-1]
    held.close()
    for path in here.glob("collector.db*"):
        path.unlink()
    assert run("backup", "restore", file).exit_code == 0
    assert " at 36: " in run("checkpoint", "make").stdout
    store = Store(SqliteDatabase(here / "collector.db"))
    origin = origin_of(store, RECEIPT_KEY.public)
    assert origin.endswith("/2")
    assert origin != before.checkpoint.origin
    assert store.rows("leaf_hashes", origin, 0, 1) == [(leaf_hash(before.line),)]
    newest = newest_of(store, origin)
    assert newest is not None
    assert newest.checkpoint.previous == ""
    store.close()
    assert run("checkpoint", "verify").exit_code == 0
    shutil.rmtree(here / "invoices")
    assert run("checkpoint", "verify").exit_code == 0
