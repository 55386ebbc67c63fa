"""The commands about keys and orders as people meet them."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cloud_collector.cli.main import app
from cloud_collector.cli.replace import Finder
from cloud_collector.intake.intake import Intake
from cloud_collector.settings import CollectorSettings
from cloud_collector.store.store import Store
from shared.command import Answer, Command, TrustKey, read_command, seal_answer
from shared.effects.sqlite import SqliteDatabase
from shared.key import PublicKey, SigningKey
from shared.line import Line, parse
from shared.payload import pack
from tests.sealing import NOW_MS, PaperGateway

RECOVERY = SigningKey(b"recovery" * 4)


class Desk:
    """A collector's configuration with one gateway that has spoken, and a shell in front of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key_file = folder / "receipt.key"
        self.config = folder / "collector.toml"
        self.config.write_text('store_path = "collector.db"\nkey_file = "receipt.key"\n', encoding="utf-8")
        self.key_file.write_text(SigningKey(bytes(32)).pem, encoding="ascii")
        (folder / "recovery.pem").write_text(RECOVERY.pem, encoding="ascii")
        self.gateway = PaperGateway()
        (folder / "gw.pub").write_text(self.gateway.key.public.pem, encoding="ascii")
        assert self.run("gateway", "add", "gw-1", "--key", folder / "gw.pub").exit_code == 0
        self.gateway.birth(("pump", "energy", 0, 0))
        self.store = Store(SqliteDatabase(folder / "collector.db"))
        self.intake = Intake(self.store, CollectorSettings(), self.key, Finder(self.key_file))
        messages = [(self.gateway.topic, pack([line])) for line in self.gateway.lines]
        self.intake.commit(self.intake.open(messages, self.intake.keys_for([self.gateway.topic])), NOW_MS)

    @property
    def key(self) -> SigningKey:
        return SigningKey.from_pem(self.key_file.read_text(encoding="ascii"))

    def run(self, *words: str | Path) -> Result:
        return CliRunner().invoke(app, ["--config", str(self.config), *map(str, words)], catch_exceptions=False)

    def sent(self, by: PublicKey) -> Command:
        """The command that is due, as the gateway reads it."""
        (due,) = self.intake.take_commands(2**43)
        line = parse(due.sealed)
        assert isinstance(line, Line)
        assert line.verified_by(by)
        command = read_command(line)
        assert isinstance(command, Command)
        return command

    def answer(self, counter: int, *, ok: bool = True) -> None:
        key = self.gateway.key
        said = Answer(gateway="gw-1", key=key.public.id, counter=counter, at=1, ok=ok, why="" if ok else "not now")
        topic = "meterseal/v1/gw-1/response"
        self.intake.commit(self.intake.open([(topic, seal_answer(said, key))], self.intake.keys_for([topic])), NOW_MS)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("gw-1", "reboot"), 2, "'reboot' is no order: resend, read_now"),
        (("gw-1", "set_interval", "step=60"), 2, "set_interval is given as: cloud-collector gateway command NAME"),
        (("gw-1", "set_interval", "step=x", "count=3"), 2, "step is a number, not 'x'"),
        (("gw-1", "set_interval", "step=0", "count=3"), 2, "step is 0"),
        (("gw-1", "read_now", "all=1"), 2, "read_now is given as"),
        (("gw-1", "resend", "log=main", "epoch=aaaaaaaa", "seq=7"), 2, "seq is a range such as 5-9, not '7'"),
        (("gw-1", "resend", "log=main", "epoch=zz", "seq=5-9"), 2, "epoch"),
        (("gw-2", "read_now"), 3, "there is no gateway gw-2, did you mean gw-1?"),
    ],
)
def test_what_is_no_order_is_refused_with_a_sentence(desk: Desk, words: tuple[str, ...], code: int, said: str) -> None:
    done = desk.run("gateway", "command", *words)
    assert (done.exit_code, done.stdout) == (code, "")
    assert said in done.stderr


def test_an_order_is_kept_and_its_answer_shown(desk: Desk) -> None:
    done = desk.run("gateway", "command", "gw-1", "set_interval", "step=60", "count=15", "--json")
    assert json.loads(done.stdout) == {"gateway": "gw-1", "counter": 1, "do": "set_interval"}
    desk.sent(desk.key.public)
    desk.answer(1, ok=False)
    found = json.loads(desk.run("gateway", "show", "gw-1", "--json").stdout)["commands"][0]
    assert (found["do"], found["with"], found["state"], found["why"]) == (
        "set_interval",
        "step=60 count=15",
        "refused",
        "not now",
    )
    assert "not now" in desk.run("gateway", "show", "gw-1").stdout


def test_the_receipt_key_is_replaced_when_every_gateway_has_confirmed_the_next(desk: Desk) -> None:
    old = desk.key
    first = desk.run("key", "rotate-receipt", "--json")
    assert first.exit_code == 5
    assert json.loads(first.stdout) == [{"gateway": "gw-1", "state": "asked"}]
    command = desk.sent(old.public)
    assert isinstance(command.do, TrustKey)
    again = desk.run("key", "rotate-receipt", "--json")
    assert json.loads(again.stdout) == [{"gateway": "gw-1", "state": "sent"}]
    desk.answer(command.counter, ok=False)
    assert json.loads(desk.run("key", "rotate-receipt", "--json").stdout) == [{"gateway": "gw-1", "state": "asked"}]
    desk.answer(desk.sent(old.public).counter)
    assert desk.key == old
    last = desk.run("key", "rotate-receipt")
    assert last.exit_code == 0
    assert desk.key.public == command.do.public
    assert (desk.folder / "receipt.key.old").read_text(encoding="ascii") == old.pem
    assert not (desk.folder / "receipt.key.next").exists()
    assert "restart `cloud-collector run`" in last.stderr


def test_a_lost_receipt_key_is_replaced_by_what_the_recovery_key_signs(desk: Desk) -> None:
    desk.key_file.rename(desk.folder / "stolen.key")
    done = desk.run("key", "recover", "--recovery-key", desk.folder / "recovery.pem", "--json")
    assert done.exit_code == 5
    assert desk.key_file.stat().st_mode & 0o777 == 0o600
    command = desk.sent(RECOVERY.public)
    assert isinstance(command.do, TrustKey)
    assert command.do.public == desk.key.public
    desk.answer(command.counter)
    done = desk.run("key", "recover", "--recovery-key", desk.folder / "recovery.pem", "--json")
    assert (done.exit_code, json.loads(done.stdout)) == (0, [{"gateway": "gw-1", "state": "confirmed"}])


def test_an_epoch_is_adopted_by_its_name_and_an_unknown_one_is_not(desk: Desk) -> None:
    done = desk.run("gateway", "adopt", "gw-1", "aaaaaaaa", "--json")
    assert json.loads(done.stdout) == {"gateway": "gw-1", "epoch": "aaaaaaaa", "set_apart": []}
    done = desk.run("gateway", "adopt", "gw-1", "bbbbbbbb")
    assert done.exit_code == 3
    assert "gw-1 has no epoch bbbbbbbb" in done.stderr
