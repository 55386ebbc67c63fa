"""A stranger's gateway against the real `cloud-collector run` over a real Mosquitto: receipts and positions."""

import random
import time
from collections.abc import Iterator
from itertools import pairwise

import pytest

from tests.requirements import require
from tests.system.conformance.gateway import Chain
from tests.system.conformance.lines import hash_of
from tests.system.conformance.site import CollectorSite, Sender, collector_site

pytestmark = pytest.mark.system

NOW = int(time.time())
T0 = NOW - NOW % 86_400 - 86_400
"""Midnight UTC of yesterday."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CollectorSite]:
    require("mosquitto")
    with collector_site(tmp_path_factory.mktemp("conformance")) as site:
        site.enrol("stranger", 7)
        site.start()
        yield site


@pytest.fixture
def gateway(site: CollectorSite) -> Sender:
    return site.sender("stranger")


def chain_of(gateway: Sender, log: str, epoch: str = "0000e001", **more: str) -> Chain:
    return Chain(gateway.owner, log, epoch, **more)


def windows(chain: Chain, device: str, count: int, *, first: int = 0, units: int = 3) -> list[bytes]:
    """So many windows of two minutes, one after the other from yesterday's midnight on."""
    return [chain.usage(T0 + 120 * at, {device: [units, 0]}) for at in range(first, first + count)]


def audit_is_sound(site: CollectorSite) -> None:
    assert site.collector.alive()
    site.ask("audit", as_json=False)


def test_every_line_is_answered_with_what_is_durable(gateway: Sender) -> None:
    """P6: through, head, missing, aside; plain and deflated; also a zero window, and each birth."""
    chain = chain_of(gateway, "first")
    birth = chain.birth(T0, {"a": 1000})
    gateway.send(birth)
    receipt = gateway.through("first", 1, hash_of(birth))
    assert (receipt["missing"], receipt["aside"], receipt["epoch"]) == ([], [], "0000e001")
    assert abs(receipt["at"] - time.time() * 1000) < 30_000, "at is in milliseconds"
    gateway.send(chain.usage(T0, {"a": [0, 0]}))
    gateway.through("first", 2, chain.head)
    gateway.send(*windows(chain, "a", 31, first=1), deflate=True)
    gateway.through("first", 33, chain.head)
    gateway.send(*windows(chain, "a", 32, first=32))
    gateway.through("first", 65, chain.head)
    gateway.send(chain.birth(T0 + 7800, {"a": 1189}))
    gateway.through("first", 66, chain.head)


def test_duplicates_are_answered_at_most_once_a_second(gateway: Sender) -> None:
    chain = chain_of(gateway, "twice")
    lines = [chain.birth(T0, {"twice": 0}), *windows(chain, "twice", 4)]
    gateway.send(*lines)
    gateway.through("twice", 5, chain.head)
    before = len(gateway.receipts("twice"))
    until = time.monotonic() + 2.2
    while time.monotonic() < until:
        gateway.send(lines[3])
        gateway.send(lines[0], lines[4])
        time.sleep(0.02)
    gateway.answer("twice", lambda body: body["through"] == 5, after=before + 1, seconds=3)
    time.sleep(1.2)
    answers = gateway.receipts("twice")
    assert all(later["at"] - earlier["at"] >= 1000 for earlier, later in pairwise(answers)), answers
    assert 2 <= len(answers) - before <= 4
    assert {(each["through"], each["head"]) for each in answers[before:]} == {(5, chain.head)}


@pytest.mark.parametrize("seed", range(3))
def test_holes_are_asked_for_and_filled_in_any_order(gateway: Sender, seed: int) -> None:
    dice, log = random.Random(seed), f"holes{seed}"
    chain = chain_of(gateway, log)
    lines = {at + 1: raw for at, raw in enumerate([chain.birth(T0, {log: 0}), *windows(chain, log, 159)])}
    held = {1, 160, *dice.sample(range(2, 160), 60)} if seed else {1, *range(2, 161, 2)}
    order = sorted(held)
    dice.shuffle(order)
    for at in range(0, len(order), 32):
        gateway.send(*(lines[seq] for seq in order[at : at + 32]))

    def told(held: set[int]) -> tuple[int, str, list[list[int]]]:
        through = next(seq for seq in range(1, 161) if seq + 1 not in held)
        absent = [seq for seq in range(through + 1, max(held)) if seq not in held]
        holes: list[list[int]] = []
        for seq in absent:
            if holes and holes[-1][1] == seq - 1:
                holes[-1][1] = seq
            else:
                holes.append([seq, seq])
        return through, hash_of(lines[through]), holes[:64]

    wanted = told(held)
    gateway.answer(log, lambda body: (body["through"], body["head"], body["missing"]) == wanted)
    rest = sorted(set(lines) - held)
    dice.shuffle(rest)
    for at in range(0, len(rest), 9):
        gateway.send(*(lines[seq] for seq in rest[at : at + 9]), deflate=bool(seed))
    gateway.through(log, 160, chain.head)


def test_a_hole_that_nobody_fills_is_asked_for_again(gateway: Sender) -> None:
    chain = chain_of(gateway, "again")
    lines = [chain.birth(T0, {"again": 0}), *windows(chain, "again", 3)]
    gateway.send(lines[0], lines[1], lines[3])
    gateway.answer("again", lambda body: body["missing"] == [[3, 3]])
    before = len(gateway.receipts("again"))
    gateway.answer("again", lambda body: body["missing"] == [[3, 3]], after=before, seconds=15)


def test_a_second_line_at_a_taken_position_stands_aside(site: CollectorSite, gateway: Sender) -> None:
    """P5: at or below through nothing changes, and what follows the other line stands aside with it."""
    chain = chain_of(gateway, "forked")
    gateway.send(chain.birth(T0, {"forked": 0}), *windows(chain, "forked", 2))
    other = chain.fork()
    good = windows(chain, "forked", 3, first=2)
    gateway.send(*good)
    gateway.through("forked", 6, chain.head)
    others = windows(other, "forked", 40, first=2, units=7)
    for each in others:
        gateway.send(each)
    latest = [hash_of(each) for each in others]
    receipt = gateway.answer("forked", lambda body: set(body["aside"]) == set(latest[-32:]))
    assert (receipt["through"], receipt["head"], receipt["missing"]) == (6, chain.head, [])
    time.sleep(1.1)
    gateway.send(others[0])  # The most recently received are listed: the first one comes back to the list.
    receipt = gateway.answer("forked", lambda body: latest[0] in body["aside"] and latest[-1] in body["aside"])
    gateway.send(*windows(chain, "forked", 1, first=5))
    gateway.through("forked", 7, chain.head)
    assert site.usage("stranger")["forked"]["units"] == 18
    shown = site.ask("gateway", "show", "stranger")
    assert any(alarm["log"] == "forked" for alarm in shown["alarms"])


def test_above_through_an_accepted_successor_decides(site: CollectorSite, gateway: Sender) -> None:
    chain = chain_of(gateway, "decided")
    birth = chain.birth(T0, {"decided": 0})
    second = windows(chain, "decided", 1)
    other = chain.fork()
    mine = windows(chain, "decided", 2, first=1, units=5)
    theirs = windows(other, "decided", 1, first=1, units=9)
    gateway.send(birth, theirs[0])
    gateway.answer("decided", lambda body: body["missing"] == [[2, 2]])
    gateway.send(mine[0])
    gateway.answer("decided", lambda body: body["aside"] == [hash_of(mine[0])])
    gateway.send(mine[1])
    gateway.answer("decided", lambda body: body["aside"] == [hash_of(theirs[0])] and body["through"] == 1)
    gateway.send(*second)
    gateway.answer("decided", lambda body: (body["through"], body["head"]) == (4, chain.head))
    assert site.usage("stranger")["decided"]["units"] == 13


def test_what_contradicts_the_chain_that_grows_towards_it_stands_aside(site: CollectorSite, gateway: Sender) -> None:
    chain = chain_of(gateway, "grown")
    birth = chain.birth(T0, {"grown": 0})
    other = chain.fork()
    other.head = hash_of(b"a line that never was")
    theirs = windows(other, "grown", 4, units=9)
    gateway.send(*theirs[1:])
    gateway.answer("grown", lambda body: body["through"] == 0 and body["missing"] == [[1, 2]])
    mine = windows(chain, "grown", 2)
    gateway.send(birth, *mine)
    wanted = {hash_of(each) for each in theirs[1:]}
    receipt = gateway.answer("grown", lambda body: body["through"] == 3 and wanted == set(body["aside"]))
    assert receipt["head"] == chain.head
    gateway.send(theirs[0])  # Its position is taken; and it goes where its kin are.
    gateway.answer("grown", lambda body: len(body["aside"]) == 4)
    gateway.send(*windows(chain, "grown", 2, first=2))
    gateway.answer("grown", lambda body: (body["through"], body["head"]) == (5, chain.head))
    assert site.usage("stranger")["grown"]["units"] == 12
