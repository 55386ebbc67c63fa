"""P10, P2: keys follow one another through `rotate` lines, wherever the backlog stands and the power fails."""

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from cloud_collector.fleet.decisions import revoke_key
from cloud_collector.fleet.gateways import add_gateway
from cloud_collector.intake.verdict import RefusedLine, Unmatched
from cloud_collector.store.account import account
from edge_agent.identity import KeyUnusable
from edge_agent.keyring import FORMER_MAX, FileKeyring, Keys
from shared.command import RotateKey
from shared.key import SigningKey
from tests.pair import Pair
from tests.spools import KEY
from tests.wire import run

OTHER = SigningKey(b"o" * 32)


def counted(pair: Pair) -> dict[str, tuple[int, int]]:
    return {found.channel.device: (found.counted, found.quarantined) for found in account(pair.store)}


def whole(pair: Pair) -> bool:
    """Every chain of the collector is whole."""
    return pair.store.rows("chains_with_holes", 9) == []


def test_a_backlog_of_two_keys_and_two_logs_is_taken_whole(tmp_path: Path) -> None:
    async def story() -> None:
        pair = Pair(tmp_path, "main", "flat-2")
        async with pair.running() as agent:
            await pair.exchange(700)
            pair.wire.cut()
            await pair.exchange(6_000)
            second = await agent.rotate_key()
            await pair.exchange(6_000)
            third = await agent.rotate_key()
            await pair.exchange(3_000)
            pair.wire.up = True
            await pair.exchange(1_800)
            assert whole(pair)
            assert set(pair.keys_used()) == {KEY.public.id, second, third}
            assert agent.status()["backlog_lines"] <= 1
            assert not agent.status()["rotating"]
            assert all(quarantined == 0 for _, quarantined in counted(pair).values())
            assert all(units > 170_000 for units, _ in counted(pair).values())
        assert FileKeyring(pair.key_file, pair.settings.spool_path).load().old is None
        assert key_files(tmp_path) == [f"spool.db.key-{third}"], "the key in between is gone"

    run(story())


def key_files(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.glob("spool.db.key-*"))


def lose_spool(folder: Path) -> None:
    for file in ("spool.db", "spool.db-wal"):
        (folder / file).unlink(missing_ok=True)


class Cut(Exception):
    """The power is gone."""


@pytest.mark.parametrize("lost", [False, True], ids=["spool kept", "spool lost"])
@pytest.mark.parametrize("step", ["before next", "after next", "before ring", "after ring"])
def test_a_power_cut_at_any_step_of_a_rotation_loses_no_line_and_no_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, *, lost: bool
) -> None:
    """Also where the spool is lost with it."""
    keeps = {"before next": (1, False), "after next": (1, True), "before ring": (2, False), "after ring": (2, True)}

    async def story() -> None:
        pair = Pair(tmp_path)
        async with pair.running() as agent:
            await pair.exchange(700)
            pair.wire.cut()
            await pair.exchange(600)
            number, through = keeps[step]
            with monkeypatch.context() as patch:
                patch.setattr(FileKeyring, "keep", _cut_at(number, through=through))
                with pytest.raises(Cut):
                    agent._sealing.rotate_key()
        if lost:
            lose_spool(tmp_path)
        pair.wire.up = True
        async with pair.running() as agent:
            await pair.exchange(1_200)
            key = await agent.rotate_key()
            await pair.exchange(1_200)
            assert agent.status()["backlog_lines"] <= 1
            assert pair.keys_used()[-1] == key
            assert counted(pair)["tap-main"][1] == 0
            assert whole(pair) or lost

    run(story())


def _cut_at(number: int, *, through: bool) -> Callable[[FileKeyring, Keys], None]:
    keep = FileKeyring.keep
    calls = [0]

    def cut(self: FileKeyring, keys: Keys) -> None:
        calls[0] += 1
        if calls[0] == number and not through:
            raise Cut
        keep(self, keys)
        if calls[0] == number:
            raise Cut

    return cut


def test_a_spool_that_is_lost_after_two_rotations_of_which_nobody_heard_leaves_the_way_to_the_last_key(
    tmp_path: Path,
) -> None:
    """P10: the collector knows the last key by the one in between, and that one by the first."""

    async def story() -> None:
        pair = Pair(tmp_path)
        async with pair.running() as agent:
            await pair.exchange(700)
            pair.wire.cut()
            await agent.rotate_key()
            await pair.exchange(600)
            key = await agent.rotate_key()
            await pair.exchange(600)
        lose_spool(tmp_path)
        pair.wire.up = True
        async with pair.running() as agent:
            await pair.exchange(1_200)
            assert agent.status()["key"] == key
            assert pair.keys_used()[-1] == key
            assert agent.status()["backlog_lines"] <= 1
            assert not agent.status()["rotating"], "the collector has taken lines of the last key"
            before = len(pair.wire.reports())
            await pair.exchange(7_200)
            assert len(pair.wire.reports()) - before < 40, "what nobody can confirm any more is no storm (P8)"

    run(story())


def test_a_spool_that_is_lost_before_the_rotation_was_heard_of_does_not_stop_the_next_epoch(tmp_path: Path) -> None:
    """The lines that announce the key lie beside it, too."""

    async def story() -> None:
        pair = Pair(tmp_path)
        async with pair.running() as agent:
            await pair.exchange(700)
            pair.wire.cut()
            key = await agent.rotate_key()
            await pair.exchange(600)
        lose_spool(tmp_path)
        pair.wire.up = True
        async with pair.running() as agent:
            await pair.exchange(1_200)
            assert agent.status()["key"] == key
            assert agent.status()["backlog_lines"] <= 1
            assert counted(pair)["tap-main"][1] == 0
            assert {row[2] for row in pair.store.rows("chains_of_gateway", "gw-1")} == {"linked"}

    run(story())


def test_an_image_from_before_a_rotation_goes_on_in_a_new_epoch(tmp_path: Path) -> None:
    async def story() -> None:
        pair = Pair(tmp_path)
        async with pair.running() as agent:
            await pair.exchange(700)
        shutil.copy(tmp_path / "spool.db", tmp_path / "image")
        async with pair.running() as agent:
            await pair.exchange(600)
            epoch = agent.status()["epoch"]
            pair.give(RotateKey())
            await pair.exchange(1_200)
            assert pair.states() == ["done"]
        (tmp_path / "image").replace(tmp_path / "spool.db")
        async with pair.running() as agent:
            assert agent.status()["epoch"] != epoch
            await pair.exchange(1_200)
            assert agent.status()["backlog_lines"] <= 1
            assert counted(pair)["tap-main"][1] == 0
            assert pair.store.rows("gateways_parked") == []

    run(story())


def test_a_rotation_whose_positions_another_life_has_taken_is_announced_again(tmp_path: Path) -> None:
    """P8: the lines that announce the key are set aside, so the old key announces it once more in a new epoch."""

    async def story() -> None:
        pair = Pair(tmp_path, "main", "flat-2")
        async with pair.running() as agent:
            await pair.exchange(700)
        shutil.copy(tmp_path / "spool.db", tmp_path / "image")
        async with pair.running() as agent:
            await pair.exchange(3_000)
            epoch = agent.status()["epoch"]
        (tmp_path / "image").replace(tmp_path / "spool.db")
        async with pair.running() as agent:
            # Before any receipt tells it that its positions are taken.
            key = await agent.rotate_key()
            await pair.exchange(3_000)
            assert agent.status()["epoch"] != epoch
            assert agent.status()["key"] == key
            assert not agent.status()["rotating"]
            assert agent.status()["backlog_lines"] <= 1
            assert set(pair.keys_used()) == {KEY.public.id, key}
        assert FileKeyring(pair.key_file, pair.settings.spool_path).load().old is None
        async with pair.running() as agent:
            await pair.exchange(700)
            assert (agent.status()["key"], agent.status()["backlog_lines"] <= 1) == (key, True)

    run(story())


def test_a_revoked_gateway_that_is_given_a_new_key_goes_on_in_a_new_epoch_past_its_old_backlog(tmp_path: Path) -> None:
    """P8: lines that nobody will ever take stand in nobody's way."""

    async def story() -> None:
        pair = Pair(tmp_path)
        async with pair.running() as agent:
            await pair.exchange(700)
            epoch = agent.status()["epoch"]
            pair.wire.cut()
            await pair.exchange(15_000)
        revoke_key(pair.store, "gw-1", KEY.public.id, {}, pair.now_ms())
        add_gateway(pair.store, "gw-1", OTHER.public, pair.now_ms())
        pair.key_file.write_text(OTHER.pem, encoding="ascii")
        pair.wire.up = True
        async with pair.running() as agent:
            assert agent.status()["epoch"] != epoch
            await pair.exchange(2_000)
            assert pair.keys_used() == [KEY.public.id, OTHER.public.id]
            assert agent.status()["backlog_lines"] <= 1
            assert any(isinstance(verdict, RefusedLine) for verdict in pair.verdicts)
            assert not any(isinstance(verdict, Unmatched) for verdict in pair.verdicts)
            assert counted(pair)["tap-main"][0] > 170_000, "of a counter the two births tell the amount"

    run(story())


def test_a_keyring_remembers_what_it_was_told_and_says_where_it_is_damaged(tmp_path: Path) -> None:
    file = tmp_path / "gateway.key"
    file.write_text(KEY.pem, encoding="ascii")
    ring = FileKeyring(file, tmp_path / "spool.db")
    assert ring.load() == Keys(current=KEY)
    keys = Keys(current=KEY, next=OTHER)
    ring.keep(keys)
    assert ring.load() == keys
    promoted = keys.promoted([b"MS1|one", b"MS1|two"])
    ring.keep(promoted)
    assert ring.load() == promoted
    assert (tmp_path / f"spool.db.key-{OTHER.public.id}").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "spool.db.keys").stat().st_mode & 0o777 == 0o600
    many = [SigningKey(bytes([number]) * 32).public for number in range(FORMER_MAX + 1)]
    assert len(Keys(current=KEY, next=OTHER, former=tuple(many)).promoted([]).former) == FORMER_MAX
    file.write_text(SigningKey(b"x" * 32).pem, encoding="ascii")
    assert ring.load().former == (OTHER.public, KEY.public)
    for text in ("", "{}", '{"form": 2}', '{"form": 1}'):
        (tmp_path / "spool.db.keys").write_text(text, encoding="ascii")
        with pytest.raises(KeyUnusable, match=r"spool\.db\.keys"):
            ring.load()


def test_a_spool_of_the_version_before_is_opened_and_its_lines_are_sealed_on(tmp_path: Path) -> None:
    """P23."""

    async def story() -> None:
        pair = Pair(tmp_path)
        async with pair.running() as agent:
            await pair.exchange(400)
            epoch = agent.status()["epoch"]
        connection = sqlite3.connect(tmp_path / "spool.db")
        connection.execute("drop table kept")
        connection.commit()
        connection.close()
        async with pair.running() as agent:
            await pair.exchange(700)
            assert agent.status()["epoch"] == epoch
            assert whole(pair)

    run(story())
