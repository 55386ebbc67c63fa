"""What nobody knows: it lands in one list, accept lets it in, block silences it, and nothing of it is lost."""

import json
from datetime import date
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cloud_collector.billing.revisions import revisions
from cloud_collector.cli.main import app
from cloud_collector.contracts.assignment import CannotAssign, assigned
from cloud_collector.contracts.read import load_catalog
from cloud_collector.insight.heard import Heard
from cloud_collector.insight.strangers import (
    Kind,
    NotAccepted,
    TooManyBlocks,
    UnknownStranger,
    accept_device,
    accept_key,
    block,
    blocks,
    strangers,
    unblock,
)
from cloud_collector.intake.replay import rebuild
from cloud_collector.intake.verdict import Accepted, Unmatched
from cloud_collector.limits import BLOCKS_MAX
from cloud_collector.settings import CollectorSettings
from cloud_collector.store.store import Store
from shared.effects.sqlite import SqliteDatabase
from shared.key import SigningKey
from tests.sealing import NOW_MS, PaperGateway, paper_collector
from tests.unit.billing_samples import CATALOG, NOVEMBER, Gateway, new_store, october, receive

PUMP = ("pump", "energy")


def silence(store: Store, name: str) -> None:
    block(store, name, by_whom="ann", reason="", now_ms=NOW_MS)


def knocking() -> PaperGateway:
    gateway = PaperGateway(name="gw-11", key=SigningKey(b"stranger" * 4))
    gateway.birth((*PUMP, 0, 0))
    return gateway


def test_a_gateway_that_nobody_knows_is_accepted_by_its_key_and_its_lines_are_taken() -> None:
    stranger = knocking()
    collector = paper_collector(PaperGateway())
    collector.take(stranger.topic, stranger.lines)
    (found,) = strangers(collector.store)
    assert (found.kind, found.name, found.nearest, found.messages) == (Kind.GATEWAY, "gw-11", "gw-1", 1)
    assert found.next == "cloud-collector gateway invite gw-11"
    assert accept_key(collector.store, "gw-11", stranger.key.public, now_ms=NOW_MS)
    assert strangers(collector.store) == []
    assert [type(each) for each in collector.take(stranger.topic, stranger.lines).verdicts] == [Accepted]


def test_another_key_than_the_one_that_knocks_is_not_accepted() -> None:
    """P10."""
    stranger = PaperGateway(key=SigningKey(b"stranger" * 4))
    stranger.birth((*PUMP, 0, 0))
    collector = paper_collector(PaperGateway())
    collector.take(stranger.topic, stranger.lines)
    (found,) = strangers(collector.store)
    assert (found.kind, found.what) == (Kind.KEY, stranger.key.public.id)
    with pytest.raises(NotAccepted, match="knocks as gw-1 is"):
        accept_key(collector.store, found.name, SigningKey(b"another!" * 4).public, now_ms=NOW_MS)
    assert accept_key(collector.store, found.name, stranger.key.public, now_ms=NOW_MS)


def test_what_is_blocked_is_silent_until_it_is_unblocked_or_accepted() -> None:
    stranger = knocking()
    collector = paper_collector(PaperGateway())
    collector.take(stranger.topic, stranger.lines)
    silence(collector.store, "gw-11")
    assert strangers(collector.store) == []
    (verdict,) = collector.take(stranger.topic, stranger.lines).verdicts
    assert isinstance(verdict, Unmatched), "it is judged as before, and counted in the metrics"
    assert strangers(collector.store) == []
    unblock(collector.store, "gw-11")
    collector.take(stranger.topic, stranger.lines)
    assert [each.name for each in strangers(collector.store)] == ["gw-11"]
    silence(collector.store, "gw-11")
    accept_key(collector.store, "gw-11", stranger.key.public, now_ms=NOW_MS)
    assert blocks(collector.store) == []
    assert [type(each) for each in collector.take(stranger.topic, stranger.lines).verdicts] == [Accepted]


def test_a_blocked_key_leaves_the_gateways_own_key_and_other_strangers_alone() -> None:
    """P21."""
    stranger, own = PaperGateway(key=SigningKey(b"stranger" * 4)), PaperGateway()
    other = PaperGateway(key=SigningKey(b"another!" * 4))
    for each in (stranger, own, other):
        each.birth((*PUMP, 0, 0))
    collector = paper_collector(PaperGateway())
    collector.take(stranger.topic, stranger.lines)
    silence(collector.store, f"gw-1#{stranger.key.public.id}")
    collector.take(stranger.topic, stranger.lines)
    collector.take(other.topic, other.lines)
    assert [each.what for each in strangers(collector.store)] == [other.key.public.id]
    assert [type(each) for each in collector.take(own.topic, own.lines).verdicts] == [Accepted]


def test_a_topic_that_is_no_report_is_blocked_by_its_name() -> None:
    collector = paper_collector(PaperGateway())
    for _ in range(2):
        collector.take("x/y", [b"z"])
        assert len(strangers(collector.store)) <= 1
    assert strangers(collector.store)[0].next.startswith("nothing to accept")
    silence(collector.store, "x/y")
    collector.take("x/y", [b"z"])
    assert strangers(collector.store) == []


def test_blocks_are_bounded() -> None:
    """P9."""
    collector = paper_collector(PaperGateway())
    rows = [("topic", "", f"t{number}", 1, "ann", "") for number in range(BLOCKS_MAX)]
    collector.store.run_many("block_put", rows)
    collector.take("x/y", [b"z"])
    with pytest.raises(TooManyBlocks, match="1,000"):
        silence(collector.store, "x/y")
    with pytest.raises(UnknownStranger, match="did you mean x/y"):
        silence(collector.store, "x/z")


def two_devices() -> Store:
    """A gateway reports two devices, and the catalog has one of them."""
    store = new_store(catalog=CATALOG.replace("roof-1/sdm630-2", "roof-1/sdm630-3"))
    receive(store, october(Gateway()).lines, at=NOVEMBER)
    return store


def test_a_device_in_no_contract_is_listed_with_the_name_it_may_have_been_meant_by() -> None:
    store = two_devices()
    (found,) = strangers(store)
    assert (found.kind, found.name, found.nearest) == (Kind.DEVICE, "roof-1/sdm630-2", "roof-1/sdm630-3")


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("roof-1/meter-0815x", "roof-1/meter-0815"),
        ("roof-1/metre-0815", "roof-1/meter-0815"),
        ("roof-11/meter-0815", "roof-1/meter-0815"),
        ("roof-1/zzz", ""),
    ],
)
def test_the_nearest_is_found_among_thousands_that_never_reported(name: str, nearest: str) -> None:
    devices = ", ".join(f'"roof-1/meter-{number:04}"' for number in range(3_000))
    store = new_store(catalog=CATALOG.replace('"roof-1/sdm630-1", "roof-1/sdm630-2"', devices))
    gateway, device = name.split("/")
    store.run("channel_add", gateway, device, "energy", "Wh", 0, 0)
    (found,) = strangers(store)
    assert (found.name, found.nearest) == (name, nearest)


def test_a_device_is_accepted_into_a_contract_as_the_next_revision() -> None:
    store = two_devices()
    before = revisions(store)[-1].catalog
    contract = next(iter(before.contracts))
    applied = accept_device(store, "roof-1/sdm630-2", contract, date(2026, 10, 1), now_ms=NOVEMBER * 1000)
    after = revisions(store)[-1].catalog
    assert applied.number == 2
    assert strangers(store) == []
    added = set(map(str, after.contracts[contract].devices)) - set(map(str, before.contracts[contract].devices))
    assert len(added) == 1
    with pytest.raises(UnknownStranger):
        accept_device(store, "roof-1/sdm630-2", contract, None, now_ms=NOVEMBER * 1000)


def test_a_blocked_device_is_listed_no_more_and_still_metered() -> None:
    store = two_devices()
    silence(store, "roof-1/sdm630-2")
    assert strangers(store) == []
    assert "roof-1/sdm630-2" in Heard().names(store)


def test_what_is_remembered_of_devices_that_were_heard_is_what_the_store_has() -> None:
    store, heard = new_store(catalog=CATALOG), Heard()
    assert heard.names(store) == frozenset()
    gateway = october(Gateway())
    receive(store, gateway.lines, at=NOVEMBER)
    for _ in range(2):
        assert heard.names(store) == {"roof-1/sdm630-1", "roof-1/sdm630-2"}
    store.run("channel_add", "roof-1", "sdm630-3", "energy", "Wh", 0, 0)
    assert heard.names(store) == {"roof-1/sdm630-1", "roof-1/sdm630-2", "roof-1/sdm630-3"}
    other = new_store(catalog=CATALOG)
    for number in range(3):
        other.run("channel_add", "barn-1", f"pump-{number}", "energy", "Wh", 0, 0)
    assert heard.names(other) == {"barn-1/pump-0", "barn-1/pump-1", "barn-1/pump-2"}, "as many, and others"
    rebuild(store, CollectorSettings())
    assert heard.names(store) == {"roof-1/sdm630-1", "roof-1/sdm630-2"}, "what was made anew is read anew"


ONE_LINE = 'devices = ["gw/a"]'
SHAPES = (
    ONE_LINE,
    'devices = [\n    "gw/a",\n    { id = "gw/c", until = 2027-01-01 },\n]',
    "devices = []",
    "",
    'budget = 12.5  # devices = ["no"]',
)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("start", [None, date(2026, 3, 1)])
def test_a_device_is_written_into_the_text_and_everything_else_stays(shape: str, start: date | None) -> None:
    text = f"""[operator]
name = "X"
currency = "EUR"
timezone = "UTC"
[plans.p]  # kept
cycle = "month"
[accounts.a]
name = "A"
[contracts.one]  # kept as well
account = "a"
plan = "p"
start = 2026-01-01
{shape}
[contracts.two]
account = "a"
plan = "p"
start = 2026-01-01
devices = ["gw/z"]
"""
    old = load_catalog(text)
    new = assigned(old, "one", "gw/b", start)
    assert next(each for each in new.contracts["one"].devices if each.id == "gw/b").start == start
    assert len(new.contracts["one"].devices) == len(old.contracts["one"].devices) + 1
    assert new.contracts["two"] == old.contracts["two"]
    assert new.text.count("# kept") == 2
    with pytest.raises(CannotAssign):
        assigned(new, "one", "gw/b", start)


def test_what_cannot_be_written_into_the_text_is_said_and_not_guessed() -> None:
    """P19."""
    text = """[operator]
name = "X"
currency = "EUR"
timezone = "UTC"
[plans.p]
cycle = "month"
[accounts.a]
name = "A"
[contracts]
one = { account = "a", plan = "p", start = 2026-01-01 }
"""
    with pytest.raises(CannotAssign, match=r"not changed by itself|catalog\.toml"):
        assigned(load_catalog(text), "one", "gw/b", None)
    with pytest.raises(CannotAssign, match='did you mean "one"'):
        assigned(load_catalog(text), "onne", "gw/b", None)


def run(*words: str) -> Result:
    return CliRunner().invoke(app, list(words), catch_exceptions=False)


def test_the_commands_say_what_they_do_and_end_as_the_reference_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("METERSEAL_COLLECTOR__STORE_PATH", str(tmp_path / "collector.db"))
    stranger = knocking()
    collector = paper_collector(PaperGateway(), store=Store(SqliteDatabase(tmp_path / "collector.db")))
    collector.take(stranger.topic, stranger.lines)
    (row,) = json.loads(run("unmatched", "list", "--json").stdout)
    assert (row["name"], row["kind"], row["nearest"]) == ("gw-11", "gateway", "gw-1")
    assert "the gateway is unknown" in run("unmatched", "list").stdout
    assert run("unmatched", "accept", "gw-11").exit_code == 3
    assert run("unmatched", "accept", "gw-12").exit_code == 3
    assert run("unmatched", "accept", "gw-1/pump").exit_code == 2
    assert run("unmatched", "block", "gw-12").exit_code == 3
    assert run("unmatched", "block", "gw-11", "--as", "ann", "--reason", "a test").exit_code == 0
    (held,) = json.loads(run("unmatched", "blocked", "--json").stdout)
    assert (held["name"], held["by_whom"], held["reason"]) == ("gw-11", "ann", "a test")
    assert run("unmatched", "unblock", "gw-11").exit_code == 0
    assert run("unmatched", "unblock", "gw-11").exit_code == 3
    (tmp_path / "key.pub").write_text(stranger.key.public.pem, encoding="ascii")
    done = run("unmatched", "accept", "gw-11", "--key", str(tmp_path / "key.pub"))
    assert (done.exit_code, "enrolled" in done.stdout) == (0, True)


def test_what_runs_on_both_engines_does(engine: str) -> None:
    """Else everything here would say yes twice, and be asked once."""
    assert new_store(catalog=CATALOG).engine == engine
