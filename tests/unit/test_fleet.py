"""Gateways, keys, and up to when an account is provably complete."""

import pytest

from cloud_collector.fleet.gateways import EnrolledKey, add_gateway, keyring, names, nearest
from cloud_collector.fleet.holes import complete_until
from cloud_collector.limits import GATEWAY_KEYS_MAX
from cloud_collector.store.store import Store
from shared.effects.sqlite import SqliteDatabase
from shared.errors import InvalidRecord
from shared.key import SigningKey
from shared.report import Clock
from tests.sealing import NOON, PaperGateway, paper_collector

PUMP = ("pump", "energy")


def test_a_gateway_is_added_once_and_its_keys_are_found_by_its_name() -> None:
    """P10: by the topic's gateway, never by what a body claims."""
    store = Store(SqliteDatabase(":memory:"))
    key = SigningKey(b"k" * 32).public
    assert add_gateway(store, "gw-1", key, 1)
    assert not add_gateway(store, "gw-1", key, 2)
    assert add_gateway(store, "gw-1", SigningKey(b"l" * 32).public, 3)
    assert key in [each.public for each in keyring(store, ["gw-1", "gw-2"])["gw-1"]]
    assert list(keyring(store, ["gw-2"])) == []
    assert names(store) == ["gw-1"]


@pytest.mark.parametrize("name", ["", "_collector", "GW", "a/b", "x" * 33, "-a", "a-"])
def test_what_is_no_gateway_id_is_not_added(name: str) -> None:
    with pytest.raises(InvalidRecord):
        add_gateway(Store(SqliteDatabase(":memory:")), name, SigningKey(b"k" * 32).public, 1)


def test_a_gateways_keys_are_bounded() -> None:
    """P9."""
    store = Store(SqliteDatabase(":memory:"))
    for number in range(GATEWAY_KEYS_MAX):
        add_gateway(store, "gw-1", SigningKey(bytes([number]) * 32).public, 1)
    with pytest.raises(InvalidRecord):
        add_gateway(store, "gw-1", SigningKey(b"z" * 32).public, 1)


def test_a_key_is_valid_at_the_positions_it_was_enrolled_for() -> None:
    key = EnrolledKey(public=SigningKey(b"k" * 32).public, log="main", first=5, last=9)
    assert key.valid_at("main", "aaaaaaaa", 5)
    assert key.valid_at("main", "bbbbbbbb", 9)
    assert not key.valid_at("main", "aaaaaaaa", 10)
    assert not key.valid_at("flat-2", "aaaaaaaa", 5)


def test_the_nearest_name_is_named_or_none() -> None:
    assert nearest("hause-7", ["house-7", "barn"]) == "house-7"
    assert nearest("zzz", ["house-7"]) == ""


def test_an_account_is_complete_up_to_the_last_line_before_the_first_hole() -> None:
    gateway = PaperGateway()
    gateway.birth((*PUMP, 0, 0))
    for number in range(4):
        gateway.usage((*PUMP, number, [1]))
    collector = paper_collector(gateway)
    assert complete_until(collector.store, "gw-1") is None
    collector.take(gateway.topic, [*gateway.lines[:3], gateway.lines[4]])
    assert complete_until(collector.store, "gw-1") == NOON + 120
    collector.take(gateway.topic, gateway.lines)
    assert complete_until(collector.store, "gw-1") == NOON + 240


def test_an_unplaced_line_ends_what_is_complete() -> None:
    """P13."""
    gateway = PaperGateway()
    gateway.birth((*PUMP, 0, 0))
    gateway.usage((*PUMP, 0, [1]))
    gateway.boot, gateway.clock, gateway.now = "d0000001", Clock.RELATIVE, 10
    gateway.usage((*PUMP, 1, [1]))
    collector = paper_collector(gateway)
    collector.take(gateway.topic, gateway.lines)
    assert complete_until(collector.store, "gw-1") == NOON + 60
    collector.take(gateway.topic, [gateway.clock_line(NOON + 1_000)])
    assert complete_until(collector.store, "gw-1") == NOON + 1_070


def test_an_earlier_epoch_that_is_not_whole_ends_what_is_complete() -> None:
    first = PaperGateway()
    first.birth((*PUMP, 0, 0))
    first.usage((*PUMP, 0, [1]))
    first.usage((*PUMP, 1, [1]))
    second = first.next_epoch("bbbbbbbb")
    second.now += 60
    second.birth((*PUMP, 2, 2), previous=first.position)
    second.usage((*PUMP, 2, [1]))
    collector = paper_collector(first)
    collector.take(first.topic, [*first.lines[:2], *second.lines])
    assert complete_until(collector.store, "gw-1") == NOON + 60
    collector.take(first.topic, first.lines)
    assert complete_until(collector.store, "gw-1") == second.now


def test_every_log_must_be_complete() -> None:
    gateway, other = PaperGateway(), PaperGateway(log="flat-2")
    for each in (gateway, other):
        each.birth((*PUMP[:1], each.log, 0, 0))
    gateway.usage((*PUMP[:1], "main", 0, [1]))
    collector = paper_collector(gateway)
    collector.take(gateway.topic, [*gateway.lines, *other.lines])
    assert complete_until(collector.store, "gw-1") is None
    collector.take(gateway.topic, [other.usage((*PUMP[:1], "flat-2", 0, [1, 1]))])
    assert complete_until(collector.store, "gw-1") == NOON + 60
