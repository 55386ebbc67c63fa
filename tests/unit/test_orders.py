"""P10: what is asked of a gateway is kept, sent until it is answered, and its answer is the gateway's own."""

import pytest

from cloud_collector.fleet.decisions import revoke_key
from cloud_collector.fleet.orders import Due, give_order, give_sealed, told
from cloud_collector.intake.verdict import Unmatched
from cloud_collector.limits import (
    COMMAND_BACKOFF_SECONDS_MAX,
    COMMAND_BACKOFF_SECONDS_MIN,
    COMMAND_SENDINGS_MAX,
    COMMANDS_OPEN_MAX,
)
from shared.command import Answer, Command, ReadNow, RotateKey, SetInterval, read_command, seal_answer, trust_order
from shared.errors import InvalidRecord
from shared.key import SigningKey
from shared.line import Line, parse
from tests.sealing import NOW_MS, OPERATOR, PaperCollector, PaperGateway, paper_collector

PUMP = ("pump", "energy")
NEXT = SigningKey(b"operator2" * 3 + b"12345")
RESPONSE = "meterseal/v1/gw-1/response"


def known() -> tuple[PaperGateway, PaperCollector]:
    """A gateway that has spoken once."""
    gateway = PaperGateway()
    gateway.birth((*PUMP, 0, 0))
    collector = paper_collector(gateway)
    collector.take(gateway.topic, gateway.lines)
    return gateway, collector


def read(due: Due, key: SigningKey = OPERATOR) -> Command:
    line = parse(due.sealed)
    assert isinstance(line, Line)
    assert line.verified_by(key.public)
    command = read_command(line)
    assert isinstance(command, Command)
    return command


def answer(collector: PaperCollector, counter: int, *, ok: bool = True, key: SigningKey | None = None) -> list[object]:
    signer = key or PaperGateway().key
    sealed = seal_answer(
        Answer(gateway="gw-1", key=signer.public.id, counter=counter, at=NOW_MS // 1000, ok=ok, why="" if ok else "no"),
        signer,
    )
    opened = collector.intake.open([(RESPONSE, sealed)], collector.intake.keys_for([RESPONSE]))
    return list(collector.intake.commit(opened, NOW_MS).verdicts)


def states(collector: PaperCollector) -> list[str]:
    return [each["state"] for each in told(collector.store, "gw-1", 9)]


def test_an_order_is_sealed_for_the_current_epoch_and_sent_until_it_is_answered() -> None:
    """P8: with growing pauses, the same bytes each time."""
    _, collector = known()
    assert give_order(collector.store, "gw-1", SetInterval(step=60, count=15), NOW_MS) == 1
    assert states(collector) == ["waits"]
    first = collector.intake.take_commands(NOW_MS)
    command = read(first[0])
    assert (command.epoch, command.counter, command.do) == ("aaaaaaaa", 1, SetInterval(step=60, count=15))
    pause = COMMAND_BACKOFF_SECONDS_MIN * 1000
    assert collector.intake.take_commands(NOW_MS + pause - 1) == []
    assert collector.intake.take_commands(NOW_MS + pause) == first
    assert collector.intake.take_commands(NOW_MS + 2 * pause) == []
    assert answer(collector, 1) == []
    assert states(collector) == ["done"]
    assert collector.intake.take_commands(NOW_MS + 10**10) == []


def test_orders_of_a_gateway_go_out_one_at_a_time() -> None:
    """Counters rise: a later one that arrived first would make the earlier one stale."""
    _, collector = known()
    give_order(collector.store, "gw-1", ReadNow(), NOW_MS)
    give_order(collector.store, "gw-1", RotateKey(), NOW_MS)
    assert [read(due).counter for due in collector.intake.take_commands(NOW_MS)] == [1]
    answer(collector, 1, ok=False)
    assert states(collector) == ["waits", "refused"]
    assert [read(due).counter for due in collector.intake.take_commands(NOW_MS)] == [2]


def test_an_order_without_an_answer_is_given_up_after_a_bounded_number_of_sendings() -> None:
    """P9."""
    _, collector = known()
    give_order(collector.store, "gw-1", ReadNow(), NOW_MS)
    give_order(collector.store, "gw-1", RotateKey(), NOW_MS)
    now = NOW_MS
    for _ in range(COMMAND_SENDINGS_MAX):
        assert len(collector.intake.take_commands(now)) == 1
        now += COMMAND_BACKOFF_SECONDS_MAX * 1000
    assert states(collector) == ["waits", "given up"]
    assert [read(due).counter for due in collector.intake.take_commands(now)] == [2], "and the next has its turn"
    answer(collector, 1)
    assert states(collector) == ["sent", "done"], "a late answer is still an answer"


def test_orders_without_answers_are_bounded() -> None:
    """P9."""
    _, collector = known()
    for _ in range(COMMANDS_OPEN_MAX):
        give_order(collector.store, "gw-1", ReadNow(), NOW_MS)
    with pytest.raises(InvalidRecord, match="without an answer"):
        give_order(collector.store, "gw-1", ReadNow(), NOW_MS)
    with pytest.raises(InvalidRecord, match="no gateway gw-2"):
        give_order(collector.store, "gw-2", ReadNow(), NOW_MS)


def test_an_order_waits_for_a_gateway_that_has_not_spoken() -> None:
    gateway = PaperGateway()
    collector = paper_collector(gateway)
    give_order(collector.store, "gw-1", ReadNow(), NOW_MS)
    assert collector.intake.take_commands(NOW_MS) == []
    gateway.birth((*PUMP, 0, 0))
    collector.take(gateway.topic, gateway.lines)
    assert len(collector.intake.take_commands(NOW_MS + 10**6)) == 1


def test_an_order_is_sealed_anew_for_a_new_epoch() -> None:
    gateway, collector = known()
    give_order(collector.store, "gw-1", ReadNow(), NOW_MS)
    collector.intake.take_commands(NOW_MS)
    later = gateway.next_epoch("bbbbbbbb")
    later.now += 60
    later.birth((*PUMP, 0, 0), previous=gateway.position)
    collector.take(gateway.topic, later.lines)
    (due,) = collector.intake.take_commands(NOW_MS + 10**6)
    assert (read(due).epoch, read(due).counter) == ("bbbbbbbb", 1)


@pytest.mark.parametrize("key", [SigningKey(b"s" * 32), OPERATOR])
def test_an_answer_by_another_key_is_nobodys(key: SigningKey) -> None:
    _, collector = known()
    give_order(collector.store, "gw-1", ReadNow(), NOW_MS)
    collector.intake.take_commands(NOW_MS)
    (verdict,) = answer(collector, 1, key=key)
    assert isinstance(verdict, Unmatched)
    assert states(collector) == ["sent"]


def test_an_answer_by_a_revoked_key_says_nothing() -> None:
    _, collector = known()
    give_order(collector.store, "gw-1", ReadNow(), NOW_MS)
    collector.intake.take_commands(NOW_MS)
    revoke_key(collector.store, "gw-1", PaperGateway().key.public.id, {}, NOW_MS)
    assert answer(collector, 1) == []
    assert states(collector) == ["sent"]


@pytest.mark.parametrize("payload", [b"", b"MA1|{}|x", b"\xff" * 40])
def test_what_is_no_answer_is_unmatched(payload: bytes) -> None:
    """P8: poison blocks nothing."""
    _, collector = known()
    opened = collector.intake.open([(RESPONSE, payload)], collector.intake.keys_for([RESPONSE]))
    assert isinstance(collector.intake.commit(opened, NOW_MS).verdicts[0], Unmatched)


def test_a_gateway_is_signed_for_with_the_key_that_it_has_confirmed() -> None:
    """P10: the new receipt key signs for those alone that trust it."""
    gateway, collector = known()
    found = {NEXT.public.id: NEXT}
    collector.intake._signers._find = found.get
    give_sealed(collector.store, "gw-1", lambda epoch, n: trust_order("gw-1", epoch, n, NEXT), OPERATOR, NOW_MS)
    (due,) = collector.intake.take_commands(NOW_MS)
    assert read(due).do == trust_order("gw-1", "aaaaaaaa", 1, NEXT)
    before = collector.take(gateway.topic, [gateway.usage((*PUMP, 0, [1]))]).receipts[0][1]
    answer(collector, 1)
    after = collector.take(gateway.topic, [gateway.usage((*PUMP, 1, [1]))]).receipts[0][1]
    for sealed, key in ((before, OPERATOR), (after, NEXT)):
        line = parse(sealed)
        assert isinstance(line, Line)
        assert line.verified_by(key.public)
    give_order(collector.store, "gw-1", ReadNow(), NOW_MS)
    assert read(collector.intake.take_commands(NOW_MS)[0], NEXT).key == NEXT.public.id


def test_what_its_giver_sealed_goes_out_unchanged_even_after_its_epoch() -> None:
    """The gateway may have done it already, and its answer be lost."""
    gateway, collector = known()
    give_sealed(collector.store, "gw-1", lambda epoch, n: trust_order("gw-1", epoch, n, NEXT), OPERATOR, NOW_MS)
    first = collector.intake.take_commands(NOW_MS)
    later = gateway.next_epoch("bbbbbbbb")
    later.now += 60
    collector.take(gateway.topic, [later.birth((*PUMP, 0, 0), previous=gateway.position)])
    assert collector.intake.take_commands(NOW_MS + 10**6) == first
    answer(collector, 1, ok=False)
    assert collector.store.rows("receipt_trust_all") == []
