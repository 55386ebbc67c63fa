"""A message that sets off a fault of the collector ends nobody else's: it is set apart, and its gateway keeps it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest

from cloud_collector.fleet.gateways import add_gateway
from cloud_collector.intake.intake import Intake
from cloud_collector.intake.parting import SUSPECTS_MAX, Parting, is_of_a_message
from cloud_collector.store.account import account
from shared.effects.link import Message
from shared.effects.memory import MemoryLink
from shared.errors import DatabaseBusy, DatabaseCorrupt, DatabaseFailed, DatabaseFull, DatabaseRefused, LinkLost
from shared.line import hash_of
from shared.payload import pack
from tests.sealing import PaperGateway
from tests.unit.test_collector import PUMP, Site, receipt_of


class Poisoned:
    """From the moment on, whoever commits a line of these hashes finds what nobody foresaw."""

    def __init__(self, site: Site, fault: Callable[[], Exception]) -> None:
        self.hashes: set[str] = set()
        self.fault = fault
        self.tried: list[int] = []
        """How many lines each transaction began with."""
        self.store = site.store

    def patch(self, patched: pytest.MonkeyPatch) -> None:
        whole = Intake._take

        def spoilt(intake: Intake, admitted: Sequence[Any], now_ms: int) -> Any:
            self.tried.append(len(admitted))
            # All is done first, so that a fault leaves what must be undone.
            done = whole(intake, admitted, now_ms)
            if self.hashes & {getattr(each, "hash", "") for each in admitted}:
                raise self.fault()
            return done

        patched.setattr(Intake, "_take", spoilt)


@pytest.fixture(name="site")
async def _site() -> AsyncIterator[Site]:
    site = Site()
    site.gateway.birth((*PUMP, 0, 0))
    for number in range(40):
        site.gateway.usage((*PUMP, number, [1]))
    yield site
    if hasattr(site, "ear"):
        site.ear.cancel()


@pytest.fixture(params=[lambda: KeyError("nobody foresaw this"), lambda: DatabaseRefused("integer overflow")])
def poisoned(site: Site, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Poisoned:
    found = Poisoned(site, request.param)
    found.hashes = {hash_of(site.gateway.lines[17])}
    found.patch(monkeypatch)
    return found


@pytest.mark.usefixtures("poisoned")
async def test_a_message_that_cannot_be_taken_in_is_set_apart_and_its_neighbours_are_taken(site: Site) -> None:
    """P5, P6, P8: each neighbour once, receipted after its commit; of the poison there is a sentence and no receipt."""
    heard = await site.listen()
    async with site.running() as collector:
        await site.publish(site.gateway.lines)
        await site.run_on(3)
        assert collector.connected
        assert (collector.verdicts["accepted"], collector.verdicts["unmatched"]) == (40, 1)
    held = site.store.rows("chains_with_holes", 9)
    assert len(held) == 1, "the poison's position is missing, and asked for"
    (channel,) = account(site.store)
    assert channel.counted == 40, "registers bridge it: no unit is lost by it (P1)"
    (row,) = site.store.rows("web_unmatched")
    assert row[1] == "gw-1"
    assert row[2].startswith("it sets off a fault of the collector (")
    receipts = [receipt_of(heard.get_nowait()) for _ in range(heard.qsize())]
    assert receipts[-1].through == 17
    assert receipts[-1].missing == ((18, 18),)
    assert {each.through for each in receipts} <= set(range(18)), "nothing is receipted that was not committed (P6)"


async def test_a_poison_that_comes_again_costs_its_neighbours_nothing_and_is_taken_once_the_fault_is_mended(
    site: Site, poisoned: Poisoned
) -> None:
    """P7: it was never receipted, so its gateway sends it again."""
    async with site.running() as collector:
        await site.publish(site.gateway.lines)
        await site.run_on(3)
        again = PaperGateway(name="gw-2")
        add_gateway(site.store, "gw-2", again.key.public, 0)
        again.birth((*PUMP, 0, 0))
        poisoned.tried.clear()
        await site.publish([site.gateway.lines[17]])
        async with MemoryLink(site.broker, "gw-2").session() as session:
            await session.publish(again.topic, pack(again.lines))
        await site.run_on(2)
        assert collector.verdicts["accepted"] == 41, "the neighbour"
        assert max(poisoned.tried) == 1, "they were not in one transaction"
        poisoned.hashes.clear()
        await site.publish([site.gateway.lines[17]])
        await site.run_on(2)
        assert collector.verdicts["accepted"] == 42
    assert site.store.rows("chains_with_holes", 9) == []


@pytest.mark.parametrize("fault", [DatabaseFull, DatabaseCorrupt, DatabaseFailed, OSError])
async def test_a_machine_that_fails_ends_the_collector_and_nothing_is_set_apart(
    site: Site, fault: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    """P3, P6: what is acknowledged was committed; the rest is the broker's still."""
    broken = Poisoned(site, fault)
    broken.hashes = {hash_of(site.gateway.lines[17])}
    broken.patch(monkeypatch)
    collector = site.collector()
    task = asyncio.ensure_future(collector.run())
    await site.run_on(1)
    await site.publish(site.gateway.lines)
    await site.run_on(2)
    with pytest.raises(fault):
        await task
    assert account(site.store) == []
    assert site.store.rows("web_unmatched") == []
    broken.hashes.clear()
    async with site.running() as after:
        await site.run_on(2)
        assert after.verdicts["accepted"] == 41


async def test_a_fault_that_every_transaction_meets_is_no_messages_and_ends_the_collector(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would acknowledge and set apart whatever comes, and look well."""

    def broken(*_: Any) -> Any:
        raise AssertionError("rows are not what they should be")

    monkeypatch.setattr(Intake, "_take", broken)
    collector = site.collector()
    task = asyncio.ensure_future(collector.run())
    await site.run_on(1)
    await site.publish(site.gateway.lines)
    await site.run_on(2)
    with pytest.raises(AssertionError):
        await task
    assert site.store.rows("web_unmatched") == []


def test_what_is_owed_is_as_it_was_before_a_transaction_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A chain that was rolled back would be looked for, and not found."""
    site = Site()
    intake = Intake(site.store, site.settings, site.collector()._intake._signers.of("gw-1"))
    site.gateway.birth((*PUMP, 0, 0))
    raw = [(site.gateway.topic, pack(site.gateway.lines))]
    admitted = intake.open(raw, intake.keys_for([site.gateway.topic]))
    whole = Intake._take

    def spoilt(held: Intake, *told: Any) -> Any:
        done = whole(held, *told)
        held._owed[99] = "gw-1"
        raise KeyError(done)

    with monkeypatch.context() as patched:
        patched.setattr(Intake, "_take", spoilt)
        with pytest.raises(KeyError):
            intake.commit(admitted, 1_000)
    assert not intake.owes
    assert intake.commit(admitted, 1_000).counts()["accepted"] == 1


@pytest.mark.parametrize(
    ("error", "of"),
    [
        (DatabaseRefused(), True),
        (OverflowError("too large"), True),
        (AssertionError(), True),
        (DatabaseFailed(), False),
        (DatabaseFull(), False),
        (DatabaseBusy(), False),
        (LinkLost(), False),
        (OSError("input/output error"), False),
        (MemoryError(), False),
    ],
)
def test_which_faults_a_message_can_be_blamed_for(error: Exception, *, of: bool) -> None:
    assert is_of_a_message(error) is of


async def test_of_suspects_only_so_many_are_remembered() -> None:
    """P9."""
    parting = Parting()

    async def fail(_: Sequence[Message]) -> None:
        raise KeyError

    apart: list[Message] = []

    async def keep(message: Message, _: Exception) -> None:
        apart.append(message)

    messages = [Message(topic="t", payload=b"%d" % at) for at in range(SUSPECTS_MAX + 10)]
    await parting.take(messages, fail, keep)
    assert len(apart) == len(messages)
    assert len(parting._suspects) == SUSPECTS_MAX
