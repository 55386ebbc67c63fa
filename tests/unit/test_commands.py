"""P10: a gateway does what a pinned key asks, once, and answers it as often as it is asked."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from cloud_collector.fleet.orders import current_epoch, give_sealed
from cloud_collector.limits import COMMAND_BACKOFF_SECONDS_MIN
from edge_agent.limits import COMMAND_ANSWERS_MAX
from shared.command import (
    Answer,
    Command,
    Order,
    ReadNow,
    Resend,
    RotateKey,
    SetInterval,
    read_answer,
    seal_command,
    trust_order,
)
from shared.key import SigningKey
from shared.line import Line, parse
from shared.payload import unpack
from shared.report import Usage, read
from shared.topic import Leaf
from tests.pair import RECOVERY_KEY, Pair
from tests.spools import COLLECTOR_KEY, GATEWAY
from tests.wire import run

NEXT = SigningKey(b"n" * 32)


def answers(pair: Pair) -> list[Answer]:
    found = []
    for raw in pair.answers:
        line = parse(raw)
        assert isinstance(line, Line)
        answer = read_answer(line)
        assert isinstance(answer, Answer)
        found.append(answer)
    return found


def command(pair: Pair, order: Order, counter: int = 1, *, key: SigningKey = COLLECTOR_KEY, **changes: Any) -> bytes:
    fields: dict[str, Any] = {
        "gateway": GATEWAY,
        "key": key.public.id,
        "epoch": current_epoch(pair.store, GATEWAY),
        "counter": counter,
        "at": 1_800_000_000,
    }
    return seal_command(Command(**(fields | changes), do=order), key)


def tell(pair: Pair, raw: bytes, *, retained: bool = False) -> None:
    pair.wire.deliver(raw, leaf=Leaf.COMMAND, retained=retained)


def windows(pair: Pair) -> list[tuple[int, int]]:
    """Step and count of every usage line that was published, in order."""
    found = []
    for _, topic, payload, _ in pair.wire.published:
        raws = unpack(payload) if topic.endswith("/report") else []
        for raw in raws if isinstance(raws, list | tuple) else ():
            report = read(Line("MS1", raw))
            if isinstance(report, Usage):
                found.append((report.step, report.count))
    return list(dict.fromkeys(found))


def test_every_order_is_done_and_its_answer_stored(tmp_path: Path) -> None:
    async def story() -> None:
        pair = Pair(tmp_path)
        async with pair.running() as agent:
            await pair.exchange(700)
            before = pair.taps[0].reads
            pair.give(ReadNow())
            await pair.exchange(8)
            assert pair.states() == ["done"]
            assert pair.taps[0].reads >= before + 1
            pair.give(SetInterval(step=30, count=4))
            pair.give(RotateKey())
            pair.give(Resend(log="main", epoch=agent.status()["epoch"], first=1, last=2))
            pair.give(Resend(log="main", epoch="0" * 8, first=1, last=2))
            await pair.exchange(900)
            assert pair.states()[:4] == ["done"] * 4
            assert pair.states()[4].startswith("refused: this gateway holds none of these lines")
            assert (30, 4) in windows(pair)
            assert pair.present_key.id == agent.status()["key"] != pair.keys_used()[0]
            assert agent.status()["backlog_lines"] <= 1

    run(story())


def test_a_command_is_done_once_however_often_it_is_heard(tmp_path: Path) -> None:
    """A lost answer is given again, also after a restart."""

    async def story() -> None:
        pair = Pair(tmp_path)
        async with pair.running() as agent:
            await pair.exchange(400)
            pair.give(RotateKey())
            await pair.exchange(30, answers=False)
            first = agent.status()["key"]
            assert pair.states() == ["sent"]
        async with pair.running() as agent:
            await pair.exchange(3 * COMMAND_BACKOFF_SECONDS_MIN)
            assert agent.status()["key"] == first
            assert pair.states() == ["done"]
            assert {answer.ok for answer in answers(pair)} == {True}

    run(story())


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"epoch": "0badf00d"}, "it is for the epoch 0badf00d"),
        ({"counter": 3}, "its counter is 3, and 7 was heard before"),
        ({"key": RECOVERY_KEY}, "the recovery key signs trust_key alone"),
    ],
)
def test_a_command_that_is_stale_or_not_its_signers_is_answered_and_not_done(
    tmp_path: Path, changes: dict[str, Any], why: str
) -> None:
    async def story() -> None:
        pair = Pair(tmp_path)
        async with pair.running() as agent:
            await pair.exchange(400)
            tell(pair, command(pair, ReadNow(), 7))
            await pair.exchange(10)
            tell(pair, command(pair, RotateKey(), **({"counter": 8} | changes)))
            await pair.exchange(10)
            assert [answer.ok for answer in answers(pair)] == [True, False]
            assert answers(pair)[1].why.startswith(why)
            assert agent.status()["key"] == pair.keys_used()[0]

    run(story())


@pytest.mark.parametrize("how", ["stranger", "gateway", "retained", "nonsense", "changed"])
def test_what_no_pinned_key_has_said_to_this_gateway_now_is_not_answered(tmp_path: Path, how: str) -> None:
    async def story() -> None:
        pair = Pair(tmp_path)
        async with pair.running() as agent:
            await pair.exchange(400)
            raw = command(pair, RotateKey())
            if how == "stranger":
                raw = command(pair, RotateKey(), key=NEXT)
            elif how == "gateway":
                raw = command(pair, RotateKey(), gateway="gw-2")
            elif how == "nonsense":
                raw = b"MC1|{}|" + b"A" * 86
            elif how == "changed":
                raw = raw.replace(b'"counter":1', b'"counter":2')
            tell(pair, raw, retained=how == "retained")
            await pair.exchange(30)
            assert pair.answers == []
            assert agent.status()["key"] == pair.keys_used()[0]

    run(story())


def test_an_interval_is_kept_across_restarts_within_the_gateways_own_bounds(tmp_path: Path) -> None:
    async def story() -> None:
        pair = Pair(tmp_path)
        async with pair.running() as agent:
            await pair.exchange(400)
            for order in (SetInterval(step=5, count=4), SetInterval(step=60, count=120), SetInterval(step=20, count=3)):
                pair.give(order)
            await pair.exchange(200)
            assert pair.states() == [
                "refused: step is bounded to 10-3600 s by this gateway's configuration",
                "refused: the window is bounded to 3600 s by this gateway's configuration",
                "done",
            ]
            assert agent.status()["interval"] == [20, 3]
        async with pair.running() as agent:
            assert agent.status()["interval"] == [20, 3]
        pair.bounded(step_seconds_min=30)
        async with pair.running() as agent:
            assert agent.status()["interval"] == [60, 5], "people have bounded it otherwise since"
        pair.bounded(step_seconds_min=10)
        pair.pinned = True
        async with pair.running() as agent:
            await pair.exchange(100)
            assert agent.status()["interval"] == [60, 5], "a flag or the environment ranks above a command"
            pair.give(SetInterval(step=30, count=3))
            await pair.exchange(100)
            assert pair.states()[-1] == "refused: the interval is set by a flag or the environment of this gateway"

    run(story())


@pytest.mark.parametrize("by", [COLLECTOR_KEY, RECOVERY_KEY])
def test_the_receipt_key_is_replaced_for_good_by_what_it_or_the_recovery_key_has_signed(
    tmp_path: Path, by: SigningKey
) -> None:
    """An answer that is lost leaves the gateway with the new key and the collector with the old: it heals."""

    async def story() -> None:
        pair = Pair(tmp_path)
        pair.found[NEXT.public.id] = NEXT
        async with pair.running() as agent:
            await pair.exchange(400)
            give_sealed(pair.store, GATEWAY, lambda e, n: trust_order(GATEWAY, e, n, NEXT), by, pair.now_ms())
            await pair.exchange(10, answers=False)
            assert pair.states() == ["sent"]
            await pair.exchange(900)
            assert pair.states() == ["done"]
            assert agent.status()["backlog_lines"] <= 1, "receipts of the new key are heard"
        async with pair.running() as agent:
            await pair.exchange(900)
            assert agent.status()["backlog_lines"] <= 1, "and after a restart"
            tell(pair, command(pair, RotateKey(), 9, key=COLLECTOR_KEY))
            await pair.exchange(10)
            assert agent.status()["key"] == pair.keys_used()[0], "the old key asks in vain"

    run(story())


def test_a_replaced_receipt_key_stays_replaced_though_the_spool_forgets_the_command(tmp_path: Path) -> None:
    """P22: an old image of the spool knows nothing of the command, and its signer is trusted no more."""

    async def story() -> None:
        pair = Pair(tmp_path)
        pair.found[NEXT.public.id] = NEXT
        async with pair.running() as agent:
            await pair.exchange(400)
        shutil.copy(tmp_path / "spool.db", tmp_path / "image")
        async with pair.running() as agent:
            await pair.exchange(10)
            by = COLLECTOR_KEY
            give_sealed(pair.store, GATEWAY, lambda e, n: trust_order(GATEWAY, e, n, NEXT), by, pair.now_ms())
            await pair.exchange(10, answers=False)
        (tmp_path / "image").replace(tmp_path / "spool.db")
        async with pair.running() as agent:
            await pair.exchange(900)
            assert pair.states() == ["done"]
            assert agent.status()["backlog_lines"] <= 1, "receipts of the new key are heard"

    run(story())


def test_answers_that_are_kept_are_bounded(tmp_path: Path) -> None:
    """P9."""

    async def story() -> None:
        pair = Pair(tmp_path)
        async with pair.running() as agent:
            await pair.exchange(400)
            for counter in range(1, COMMAND_ANSWERS_MAX + 3):
                tell(pair, command(pair, ReadNow(), counter))
                await pair.exchange(10)
            assert len(agent._spool.kept("answers")) == COMMAND_ANSWERS_MAX
            tell(pair, command(pair, ReadNow(), 1))
            await pair.exchange(10)
            assert "was heard before" in answers(pair)[-1].why

    run(story())
