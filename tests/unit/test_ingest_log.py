"""Logs for usage over HTTP in a running collector and on the command line, on both engines."""

import asyncio
import json
import random
import stat
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from cloud_collector.access.tokens import make_token
from cloud_collector.access.viewer import Deed
from cloud_collector.cli.ingest import key_findings, log_key
from cloud_collector.cli.main import app
from cloud_collector.cli.opened import opened
from cloud_collector.client.client import Client, Refused
from cloud_collector.collector import Collector
from cloud_collector.settings import CollectorSettings
from cloud_collector.store.store import Store
from cloud_collector.web.app import create_app
from shared.effects.memory import MemoryBroker, MemoryLink
from shared.effects.workers import InlineWorkers
from tests.ingest_world import BATCH, Shop, order
from tests.serving import served
from tests.unit.billing_samples import RECEIPT_KEY


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    Shop.begin(tmp_path / "collector.db")
    return Shop(tmp_path / "collector.db")


def collector(shop: Shop, store: Store) -> Collector:
    return Collector(
        CollectorSettings(),
        key=RECEIPT_KEY,
        store=store,
        clock=shop.clock,
        link=MemoryLink(MemoryBroker(), "_collector"),
        workers=InlineWorkers(),
        random=random.Random(1),
        own=shop.own,
    )


async def started(running: Collector) -> None:
    """It runs for a moment, and is stopped."""
    task = asyncio.ensure_future(running.run())
    for _ in range(50):
        await asyncio.sleep(0)
    running.stop()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def test_a_running_collector_seals_with_its_tick(shop: Shop) -> None:
    shop.send([order(), order("o-2", value="4", subject="shop-1/till-2")], BATCH)
    shop.send(order())
    shop.pass_time(400)
    with shop.site.writing() as store:
        running = collector(shop, store)
        asyncio.run(running.tick(shop.clock.utc_ms()))
        assert running.verdicts["accepted"] == 4
        asyncio.run(running.tick(shop.clock.utc_ms()))
        assert running.verdicts.total() == 4, "nothing is due twice"
    assert shop.registers() == {"shop-1/till-1 orders": 1, "shop-1/till-2 orders": 4}


def test_what_a_killed_collector_had_sealed_is_taken_in_at_the_next_start(shop: Shop) -> None:
    """P2, P5."""
    shop.send(order(value="9"))
    shop.pass_time(400)
    with shop.site.writing() as store:
        assert shop.seal(store), "sealed, and then it is killed"
    with shop.site.writing() as store:
        asyncio.run(started(collector(shop, store)))
    assert shop.count("ingest_outbox", "shop-1") == 0
    assert shop.registers() == {"shop-1/till-1 orders": 9}


def test_long_silence_is_made_up_for_in_bounded_rounds(shop: Shop) -> None:
    """P9."""
    shop.pass_time(86_400)
    with shop.site.writing() as store:
        running = collector(shop, store)
        asyncio.run(running.tick(shop.clock.utc_ms()))
        assert running.verdicts["accepted"] == 64, "32 lines of each log"


def test_a_tick_takes_in_no_more_than_a_batch_and_nobody_is_forgotten(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P9."""
    monkeypatch.setattr("cloud_collector.ingest.sealing.BATCH_MESSAGES_MAX", 20)
    shop.pass_time(36 * 300)
    with shop.site.writing() as store:
        running = collector(shop, store)
        counts = []
        for _ in range(4):
            asyncio.run(running.tick(shop.clock.utc_ms()))
            counts.append(running.verdicts["accepted"])
    assert counts == [32, 68, 72, 72], "the second log's turn comes when the first has caught up"


def test_a_program_sends_with_a_token_over_real_http(shop: Shop) -> None:
    with shop.site.writing() as store:
        given: dict[str, Any] = {
            "scopes": {Deed.INGEST},
            "accounts": {"acme"},
            "days": 9,
            "by": "t",
            "chance": bytes(32),
        }
        secret = make_token(store, "checkout", now_ms=shop.clock.utc_ms(), **given)
    with served(create_app(shop.site)) as url, Client(url, token=secret) as client:
        taken = client.send([order(), order(), order("o-2", value=2.5, type="energy", unit="kWh")])
        assert (taken.accepted, taken.duplicates, taken.events[2].type) == (2, 1, "energy")
        with pytest.raises(Refused, match="there is nothing here"):
            client.send([order(subject="shop-2/till-1")])
        with pytest.raises(Refused, match="it takes the scope read"):
            list(client.accounts())


class Desk:
    """The operator at the command line."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = folder / "collector.db"
        self.config = folder / "collector.toml"
        key = folder / "receipt-key.pem"
        self.config.write_text(f'store_path = "{self.store}"\nkey_file = "{key}"\n')
        self.known = CollectorSettings(store_path=self.store, key_file=key)
        Shop.begin(self.store)

    def run(self, *words: str, code: int = 0) -> Result:
        found = CliRunner().invoke(app, ["--config", str(self.config), *words], catch_exceptions=False)
        assert found.exit_code == code, found.output
        return found

    def open(self, *more: str, name: str = "shop-1", account: str = "acme", code: int = 0) -> Result:
        return self.run("ingest", "open", name, "--account", account, *more, code=code)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_a_log_is_opened_with_a_key_of_its_own_and_gets_further_meters(desk: Desk) -> None:
    first = json.loads(desk.open("--meter", "orders=1", "--json").stdout)
    file = desk.folder / "ingest" / "shop-1.pem"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    key = log_key(desk.known, "shop-1")
    assert key is not None
    assert (key.public.words, key.public.id) == (first["words"], first["key"])
    again = json.loads(desk.open("--meter", "energy=kWh:3", "--meter", "orders=1", "--json").stdout)
    assert again["words"] == first["words"]
    assert again["meters"] == [
        {"meter": "energy", "unit": "kWh", "decimals": 3},
        {"meter": "orders", "unit": "1", "decimals": 0},
    ]
    assert "energy=kWh:3 orders=1" in desk.run("ingest", "list").stdout
    assert json.loads(desk.run("gateway", "show", "shop-1", "--json").stdout)["state"] == "enrolled"
    file.unlink()
    assert "MISSING" in desk.run("ingest", "list").stdout
    assert "the key of shop-1 is not at" in desk.open("--meter", "orders=1", code=3).stderr


def test_the_doctor_looks_after_the_keys_of_logs(desk: Desk) -> None:
    desk.open("--meter", "orders=1")
    file = desk.folder / "ingest" / "shop-1.pem"

    def said() -> tuple[str, str]:
        with opened(desk.known) as store:
            (found,) = key_findings(desk.known, store)
        return found.word.value, found.says

    assert said()[0] == "good"
    file.chmod(0o644)
    assert "others may read" in said()[1]
    file.write_text(RECEIPT_KEY.pem)
    assert "its key is not at" in said()[1], "another key is none"
    file.unlink()
    assert "0 events wait" in said()[1]


def test_a_backup_with_keys_puts_a_logs_key_back(desk: Desk) -> None:
    """P22."""
    desk.run("key", "new")
    desk.open("--meter", "orders=1")
    file = desk.folder / "ingest" / "shop-1.pem"
    before = file.read_text()
    desk.run("backup", "create", "--with-keys", "--to", str(desk.folder / "backups"))
    (made,) = (desk.folder / "backups").iterdir()
    file.unlink()
    desk.store.unlink()
    desk.run("backup", "restore", str(made), "--with-keys")
    assert file.read_text() == before
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--meter", "orders"], 2, "write NAME=UNIT or NAME=UNIT:DECIMALS"),
        (["--meter", "orders=1:x"], 2, "write NAME=UNIT"),
        (["--meter", "Orders=1"], 2, "'Orders' is no meter"),
        (["--meter", "orders=1:13"], 2, "0 to 12 decimal places"),
        (["--meter", "orders=1", "--account", "acm"], 3, 'did you mean "acme"?'),
    ],
)
def test_what_cannot_be_opened_is_said_in_a_sentence(desk: Desk, words: list[str], code: int, said: str) -> None:
    assert said in desk.open(*words, code=code).stderr


def test_what_a_log_is_stays(desk: Desk) -> None:
    desk.open("--meter", "orders=1")
    assert "and that stays" in desk.open("--meter", "orders=kWh", code=4).stderr
    assert "is the log of acme" in desk.open("--meter", "orders=1", account="beta", code=4).stderr
    public = desk.folder / "gate.pub"
    public.write_text(RECEIPT_KEY.public.pem)
    desk.run("gateway", "add", "gate-1", "--key", str(public))
    assert "meters for itself" in desk.open("--meter", "orders=1", name="gate-1", code=4).stderr
    assert not (desk.folder / "ingest" / "gate-1.pem").exists()
    assert "is no log" in desk.open("--meter", "orders=1", name="Shop", code=2).stderr
