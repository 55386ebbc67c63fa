"""P10: accepted means signed by a key that was enrolled, introduced or not yet revoked at that very position."""

import itertools
from base64 import urlsafe_b64encode
from random import Random

import pytest

from cloud_collector.fleet.decisions import adopt_epoch, revoke_key
from cloud_collector.fleet.epochs import Adopted, Epoch, Standing, order
from cloud_collector.fleet.gateways import add_gateway
from cloud_collector.intake.replay import audit, rebuild, rejudge
from cloud_collector.intake.verdict import Accepted, Duplicate, RefusedLine, Unmatched, Verdict
from cloud_collector.store.account import account
from cloud_collector.store.store import Store
from shared.effects.sqlite import SqliteDatabase
from shared.errors import InvalidRecord
from shared.key import SigningKey
from shared.kinds import rotation_statement
from shared.report import Rotate
from shared.validity import Rotation, Validity
from tests.sealing import NOW_MS, PaperCollector, PaperGateway, paper_collector

PUMP = ("pump", "energy")
NEXT = SigningKey(b"gateway2" * 4)
THIEF = SigningKey(b"thief..." * 4)


def rotate(gateway: PaperGateway, key: SigningKey = NEXT) -> bytes:
    """The old key signs the new one in, and the gateway goes on with that."""
    header = gateway.header()
    proof = urlsafe_b64encode(key.sign(rotation_statement(header, key.public.text))).rstrip(b"=").decode()
    line = gateway.seal(Rotate(header=header, next=key.public.text, proof=proof))
    gateway.key = key
    return line


def rotated(usages: int = 3) -> PaperGateway:
    """A birth, usage, a rotation at 2 + usages, usage under the new key."""
    gateway = PaperGateway()
    gateway.birth((*PUMP, 0, 0))
    for number in range(usages):
        gateway.usage((*PUMP, number, [1]))
    rotate(gateway)
    for number in range(usages, 2 * usages):
        gateway.usage((*PUMP, number, [1]))
    return gateway


def knows_first_key(gateway: PaperGateway) -> PaperCollector:
    """A collector that has enrolled the first key alone."""
    current, gateway.key = gateway.key, PaperGateway().key
    collector = paper_collector(gateway)
    gateway.key = current
    return collector


def taken(collector: PaperCollector, gateway: PaperGateway, lines: list[bytes]) -> list[type[Verdict]]:
    return [type(verdict) for verdict in collector.take(gateway.topic, lines).verdicts]


def counted(collector: PaperCollector) -> tuple[int, int]:
    (found,) = account(collector.store)
    return found.counted, found.quarantined


def same_as_facts(collector: PaperCollector) -> None:
    """P15: what is held is what a rebuild makes of the facts, to the byte."""
    scratch = Store(SqliteDatabase(":memory:"))
    assert audit(collector.store, scratch, collector.settings) is None
    rebuild(collector.store, collector.settings)
    assert audit(collector.store, Store(SqliteDatabase(":memory:")), collector.settings) is None


def test_lines_after_a_rotate_line_are_signed_by_the_new_key() -> None:
    gateway = rotated()
    collector = knows_first_key(gateway)
    assert taken(collector, gateway, gateway.lines) == [Accepted] * 8
    assert counted(collector) == (6, 0)
    same_as_facts(collector)


def test_the_rotate_line_may_come_first_and_the_backlog_after_it() -> None:
    gateway = rotated()
    collector = knows_first_key(gateway)
    assert taken(collector, gateway, gateway.lines[6:7]) == [Unmatched], "the new key is nobody's yet"
    assert taken(collector, gateway, [gateway.lines[4], *gateway.lines[6:]]) == [Accepted] * 3
    assert taken(collector, gateway, gateway.lines) == [*[Accepted] * 4, Duplicate, Accepted, Duplicate, Duplicate]
    assert counted(collector) == (6, 0)
    same_as_facts(collector)


@pytest.mark.parametrize("seed", range(12))
def test_any_order_of_arrival_ends_the_same(seed: int) -> None:
    """Mid-backlog, with retries of what was refused, across two logs and a second epoch."""
    gateway = rotated()
    other = PaperGateway(log="flat-2")
    other.birth(("pump", "water", 0, 0))
    rotate(other)
    other.usage(("pump", "water", 0, [5]))
    later = gateway.next_epoch("bbbbbbbb")
    later.now = gateway.now + 60
    later.birth((*PUMP, 6, 6), previous=gateway.position)
    later.usage((*PUMP, 6, [1]))
    collector = knows_first_key(gateway)
    draw = Random(seed)
    lines = [*gateway.lines, *other.lines, *later.lines]
    for _ in range(4):
        draw.shuffle(lines)
        for raw in lines:
            collector.take(gateway.topic, [raw])
    assert {(found.channel.meter, found.counted, found.quarantined) for found in account(collector.store)} == {
        ("energy", 7, 0),
        ("water", 5, 0),
    }
    same_as_facts(collector)


def test_a_key_signs_nothing_after_it_was_replaced_and_the_next_nothing_before() -> None:
    gateway = rotated()
    collector = knows_first_key(gateway)
    collector.take(gateway.topic, gateway.lines[:5])
    stolen = PaperGateway(lines=gateway.lines[:5])
    stolen.now = gateway.now
    before = PaperGateway(lines=gateway.lines[:2], key=NEXT)
    assert taken(collector, gateway, [stolen.usage((*PUMP, 3, [9]))]) == [RefusedLine]
    assert taken(collector, gateway, [before.usage((*PUMP, 1, [9]))]) == [RefusedLine]
    assert taken(collector, gateway, gateway.lines[5:]) == [Accepted] * 3


def test_what_a_replaced_key_signed_is_set_apart_when_the_rotate_line_comes_late() -> None:
    gateway = PaperGateway()
    gateway.birth((*PUMP, 0, 0))
    gateway.usage((*PUMP, 0, [1]))
    forked = PaperGateway(lines=list(gateway.lines), now=gateway.now)
    line = rotate(gateway)
    forked.lines.append(line)
    bad = forked.usage((*PUMP, 1, [7]))
    collector = paper_collector(forked)
    assert taken(collector, gateway, [*gateway.lines[:2], bad]) == [Accepted] * 3
    assert taken(collector, gateway, [line]) == [Accepted]
    assert counted(collector) == (1, 7)
    same_as_facts(collector)


def test_a_replaced_key_opens_no_epoch() -> None:
    gateway = rotated()
    thief = PaperGateway(epoch="cccccccc", now=gateway.now + 600)
    collector = knows_first_key(gateway)
    collector.take(gateway.topic, gateway.lines)
    named = PaperGateway(epoch="dddddddd", now=gateway.now + 600)
    assert taken(collector, gateway, [named.birth((*PUMP, 0, 0), previous=gateway.position)]) == [RefusedLine]
    thief.birth((*PUMP, 0, 0))
    thief.usage((*PUMP, 0, [50]))
    collector.take(gateway.topic, thief.lines)
    follower = gateway.next_epoch("bbbbbbbb")
    follower.now += 1_200
    follower.birth((*PUMP, 6, 6), previous=gateway.position)
    follower.usage((*PUMP, 6, [2]))
    assert taken(collector, gateway, follower.lines) == [Accepted] * 2
    assert counted(collector) == (8, 50), "the thief's stands beside, in nobody's way"
    assert collector.store.rows("gateways_parked") == []
    same_as_facts(collector)


def test_a_revoked_key_is_refused_beyond_its_position_and_in_every_new_epoch() -> None:
    gateway = rotated()
    collector = knows_first_key(gateway)
    collector.take(gateway.topic, gateway.lines[:6])
    revoke_key(collector.store, "gw-1", NEXT.public.id, {"main": ("aaaaaaaa", 7)}, NOW_MS)
    assert taken(collector, gateway, gateway.lines[6:]) == [Accepted, RefusedLine]
    reason = collector.store.rows("refused_of", "gw-1")[0][0]
    assert reason == f"the key {NEXT.public.id} was revoked beyond aaaaaaaa:7 of main"
    new = gateway.next_epoch("bbbbbbbb")
    assert taken(collector, gateway, [new.birth((*PUMP, 6, 6))]) == [RefusedLine]
    assert taken(collector, gateway, gateway.lines[6:7]) == [Duplicate], "what is held is answered all the same"
    same_as_facts(collector)


def test_what_was_accepted_beyond_a_revoked_position_is_set_apart_and_its_lines_are_kept() -> None:
    gateway = rotated()
    collector = knows_first_key(gateway)
    collector.take(gateway.topic, gateway.lines)
    revoke_key(collector.store, "gw-1", NEXT.public.id, {"main": ("aaaaaaaa", 6)}, NOW_MS)
    rejudge(collector.store, collector.settings)
    assert counted(collector) == (4, 2)
    assert collector.store.rows("facts_count") == [(8,)]
    same_as_facts(collector)


def test_a_rotation_by_a_revoked_key_introduces_nobody() -> None:
    gateway = rotated()
    collector = knows_first_key(gateway)
    collector.take(gateway.topic, gateway.lines)
    revoke_key(collector.store, "gw-1", PaperGateway().key.public.id, {"main": ("aaaaaaaa", 3)}, NOW_MS)
    assert taken(collector, gateway, [gateway.usage((*PUMP, 6, [1]))]) == [RefusedLine]
    assert counted(collector) == (2, 4)
    same_as_facts(collector)


def test_what_a_revoked_key_has_said_is_bridged_by_what_valid_keys_say_beside_it() -> None:
    """P10, P1: as if nobody held it; its own figures count nothing."""
    gateway = PaperGateway()
    gateway.birth((*PUMP, 0, 0))
    gateway.usage((*PUMP, 0, [4]))
    gateway.usage((*PUMP, 4, [9]))
    gateway.usage((*PUMP, 13, [9]))
    other = gateway.key = SigningKey(b"n" * 32)
    gateway.usage((*PUMP, 22, [1]))
    collector = knows_first_key(gateway)
    add_gateway(collector.store, "gw-1", other.public, NOW_MS)
    collector.take(gateway.topic, gateway.lines)
    revoke_key(collector.store, "gw-1", PaperGateway().key.public.id, {"main": ("aaaaaaaa", 2)}, NOW_MS)
    rejudge(collector.store, collector.settings)
    assert counted(collector) == (4 + 18 + 1, 18)
    same_as_facts(collector)


def test_without_positions_all_that_was_accepted_stays() -> None:
    gateway = rotated()
    collector = knows_first_key(gateway)
    collector.take(gateway.topic, gateway.lines[:7])
    revoke_key(collector.store, "gw-1", NEXT.public.id, {}, NOW_MS)
    assert taken(collector, gateway, gateway.lines[7:]) == [RefusedLine]
    assert counted(collector) == (5, 0)


def test_earlier_epochs_keep_what_their_successor_names() -> None:
    """Mid-backlog: lines of the epoch before are still on their way when the key is revoked."""
    gateway = PaperGateway()
    gateway.birth((*PUMP, 0, 0))
    gateway.usage((*PUMP, 0, [1]))
    gateway.usage((*PUMP, 1, [1]))
    later = gateway.next_epoch("bbbbbbbb")
    later.now += 60
    later.birth((*PUMP, 2, 2), previous=gateway.position)
    collector = paper_collector(gateway)
    collector.take(gateway.topic, [gateway.lines[0], *later.lines])
    revoke_key(collector.store, "gw-1", gateway.key.public.id, {"main": ("bbbbbbbb", 1)}, NOW_MS)
    assert taken(collector, gateway, gateway.lines[1:]) == [Accepted] * 2
    forged = gateway.usage((*PUMP, 2, [40]))
    assert taken(collector, gateway, [forged]) == [RefusedLine]


@pytest.mark.parametrize(
    ("key", "positions", "why"),
    [
        ("0" * 16, {}, "no key"),
        (None, {"main": ("ffffffff", 1)}, "no epoch ffffffff"),
        (None, {"flat": ("aaaaaaaa", 1)}, "no epoch"),
        (None, {"main": ("aaaaaaaa", -1)}, "from 0 to"),
    ],
)
def test_a_revocation_of_nothing_is_refused(key: str | None, positions: dict[str, tuple[str, int]], why: str) -> None:
    gateway = rotated()
    collector = knows_first_key(gateway)
    collector.take(gateway.topic, gateway.lines)
    with pytest.raises(InvalidRecord, match=why):
        revoke_key(collector.store, "gw-1", key or NEXT.public.id, positions, NOW_MS)


def test_validity_depends_on_the_set_alone() -> None:
    rotations = [
        Rotation(log="main", epoch="e", seq=5, old="a", new="b"),
        Rotation(log="main", epoch="e", seq=9, old="b", new="c"),
        Rotation(log="other", epoch="e", seq=2, old="a", new="b"),
        Rotation(log="main", epoch="e", seq=7, old="a", new="x"),
        Rotation(log="main", epoch="f", seq=3, old="y", new="z"),
    ]
    places = [(log, "e", seq, key) for log in ("main", "other") for seq in (1, 5, 6, 9, 10) for key in "abcxyz"]
    found = [
        [Validity(roots="a", rotations=each).fault(*place) is None for place in places]
        for each in itertools.permutations(rotations)
    ]
    assert all(each == found[0] for each in found)
    valid = {place[0] + str(place[2]) + place[3] for place, fine in zip(places, found[0], strict=True) if fine}
    assert valid == {
        *("main1a", "main5a", "main6b", "main9b", "main10c"),
        *("other1a", "other5b", "other6b", "other9b", "other10b"),
        *("other1c", "other5c", "other6c", "other9c", "other10c"),
    }, "x was named by a key already replaced, y by nobody"


def test_an_adopted_epoch_has_its_place_and_parks_nobody() -> None:
    gateway = PaperGateway()
    gateway.birth((*PUMP, 0, 0))
    gateway.usage((*PUMP, 0, [1]))
    first, second = gateway.next_epoch("bbbbbbbb"), gateway.next_epoch("cccccccc")
    first.now, second.now = gateway.now + 60, gateway.now + 600
    first.birth((*PUMP, 1, 1), previous=gateway.position)
    first.usage((*PUMP, 1, [2]))
    second.birth((*PUMP, 3, 3), previous=gateway.position)
    second.usage((*PUMP, 3, [4]))
    collector = paper_collector(gateway)
    collector.take(gateway.topic, [*gateway.lines, *first.lines, *second.lines])
    assert counted(collector) == (3, 4)
    assert collector.store.rows("gateways_parked") == [("gw-1",)]
    adopt_epoch(collector.store, "gw-1", "cccccccc", NOW_MS)
    rejudge(collector.store, collector.settings)
    assert counted(collector) == (7, 0)
    assert collector.store.rows("gateways_parked") == []
    same_as_facts(collector)
    third = gateway.next_epoch("dddddddd")
    third.now = second.now + 600
    collector.take(gateway.topic, [third.birth((*PUMP, 3, 3), previous=gateway.position)])
    assert collector.store.rows("gateways_parked") == [("gw-1",)], "what comes later is another decision"
    with pytest.raises(InvalidRecord, match="no epoch"):
        adopt_epoch(collector.store, "gw-1", "eeeeeeee", NOW_MS)


def test_adopting_the_old_epoch_cuts_off_what_followed_it() -> None:
    epochs = [
        Epoch(epoch="a", previous=None, at=1),
        Epoch(epoch="b", previous="a", at=2),
        Epoch(epoch="c", previous="b", at=3),
        Epoch(epoch="d", previous="a", at=9),
    ]
    decided = Adopted(epoch="a", over=frozenset("abc"))
    found = order(epochs, [decided])
    assert {name: each.standing for name, each in found.items()} == {
        "a": Standing.LINKED,
        "b": Standing.CLONED,
        "c": Standing.CLONED,
        "d": Standing.LINKED,
    }
    again = order(epochs, [decided, Adopted(epoch="b", over=frozenset("abcd"))])
    assert [name for name, each in again.items() if each.standing is Standing.LINKED] == ["a", "b"]


def test_a_thief_with_a_key_of_his_own_is_nobody() -> None:
    gateway = rotated()
    collector = knows_first_key(gateway)
    collector.take(gateway.topic, gateway.lines)
    gateway.key = THIEF
    assert taken(collector, gateway, [gateway.usage((*PUMP, 6, [1]))]) == [Unmatched]
