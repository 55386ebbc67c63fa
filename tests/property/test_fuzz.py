"""Twenty thousand bad inputs among good ones: a named verdict each, neighbours untouched, memory bounded (P8, P9, P21).

`make fuzz` goes on to a million, on both stores; what it finds is kept in `corpus/intake.jsonl` and replayed here.
"""

import random
import tracemalloc
import zlib
from collections import Counter
from collections.abc import Callable
from typing import Final

import pytest

from cloud_collector.intake.verdict import Accepted, Unmatched
from cloud_collector.limits import ASIDE_LINES_MAX
from cloud_collector.store.account import account
from cloud_collector.store.store import Store
from shared.effects.postgres import PostgresDatabase
from shared.limits import PAYLOAD_BYTES_MAX, PAYLOAD_DEFLATED_BYTES_MAX
from shared.line import hash_of
from tests.fuzz.life import live
from tests.fuzz.poison import ROWS_MAX, Mallory
from tests.fuzz.world import FuzzWorld, kept_verdicts
from tests.postgres import new_schema
from tests.requirements import require
from tests.sealing import NOW_MS, PaperGateway, paper_collector

MEGABYTE: Final = 2**20
PEAK_BYTES_MAX: Final = 24 * MEGABYTE
"""What a batch with poison in it may take: payloads inflated, their lines, and what JSON makes of them."""


FAILED_ONCE: Final = (23, 245)
"""A summary that nobody can read, in a boot whose time a clock line told; boots that lost theirs, as epochs began."""


@pytest.mark.parametrize("seed", [*range(8), *FAILED_ONCE])
def test_twenty_thousand_bad_inputs_harm_nobody(seed: int) -> None:
    """P1, P8, P9, P21: `live` judges; what it did not meet, it could not judge."""
    life = live(seed)
    assert not life.problem, f"python -m tests.fuzz --seed {seed} --messages 1\n{life.problem}"
    kinds = Counter(said.partition(" ")[0] for said in life.reasons)
    assert kinds["Genuine"] >= 25
    assert kinds["Unmatched"] >= 30
    assert kinds["RefusedLine"] >= 20


def test_on_postgresql_bad_input_harms_nobody_either() -> None:
    """What SQLite takes and PostgreSQL does not, such as a NUL in a text, is found here."""
    require("postgres")
    life = live(100, 640, postgres=True)
    assert not life.problem, life.problem


def test_every_kept_message_is_still_said_to_be_what_it_was() -> None:
    world = FuzzWorld(0)
    wrong = [(said, now) for topic, payload, said in kept_verdicts() if (now := world.said(topic, payload)) != said]
    world.close()
    assert wrong == []
    assert len(kept_verdicts()) > 100


MALLORY: Final = Mallory(random.Random(1))
HEADER: Final = (
    '{"kind":"usage","gateway":"mallory","log":"main","key":"%s","epoch":"0000000a","seq":1,"prev":"","boot":"00000001",'
    '"clock":"S","sealed_at":1790000000,"start":1790000000,"step":60,"count":1,"rows":[%s]}'
)


def rows(row: str, count: int) -> bytes:
    """A genuine line of so many rows."""
    return MALLORY._signed(HEADER % (MALLORY.key.public.id, ",".join([row] * count)))


HEAVY: Final[dict[str, Callable[[], bytes]]] = {
    "half a bomb": lambda: zlib.compress(random.Random(1).randbytes(60_000) + b"\0" * 40 * MEGABYTE)[
        :PAYLOAD_DEFLATED_BYTES_MAX
    ],
    "a whole bomb": lambda: zlib.compress(b"\n" * 40 * MEGABYTE),
    "a bomb in a bomb": lambda: zlib.compress(zlib.compress(b"\0" * 40 * MEGABYTE)),
    "a megabyte": lambda: b"a" * MEGABYTE,
    "line feeds": lambda: b"\n" * PAYLOAD_BYTES_MAX,
    "ten thousand rows": lambda: rows('["d","m","Wh",0,0,[1]]', ROWS_MAX),
    "ten thousand empty rows": lambda: rows("[]", ROWS_MAX),
    "a thousand bad rows": lambda: rows("[]", 1_024),
    "brackets": lambda: MALLORY._signed('{"a":' + "[" * 60_000 + "]" * 60_000 + "}"),
    "digits": lambda: MALLORY._signed('{"seq":' + "9" * 120_000 + "}"),
    "keys": lambda: MALLORY._signed("{" + ",".join(f'"{at}":0' for at in range(10_000)) + "}"),
}
"""Payloads that want more memory than they are worth."""


@pytest.mark.parametrize("name", HEAVY)
def test_what_wants_much_memory_gets_a_verdict_and_little_memory(name: str) -> None:
    """P9: and the neighbour's line in the same batch is accepted."""
    world, payload = FuzzWorld(1), HEAVY[name]()
    good = world.good[0]
    line = good.birth(("meter", "energy", 0, 0))
    intake = world.collector.intake
    sent = [(world.mallory.topic, payload), (good.topic, line), (world.mallory.topic, payload)]
    keys = intake.keys_for([topic for topic, _ in sent])
    tracemalloc.start()
    verdicts = intake.commit(intake.open(sent, keys), NOW_MS).verdicts
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < PEAK_BYTES_MAX, f"{name} took {peak / MEGABYTE:.1f} MiB"
    assert [type(verdict) for verdict in verdicts].count(Accepted) == 1
    assert len(verdicts) >= 3
    world.close()


def test_a_gateway_that_forks_without_end_is_kept_aside_up_to_a_bound() -> None:
    """P5, P9, P21: its neighbour's lines in the same batches are all accepted."""
    bad, good = PaperGateway(name="gw-1"), PaperGateway(name="gw-2")
    collector = paper_collector(bad, good)
    bad.birth(("meter", "energy", 0, 0))
    good.birth(("meter", "energy", 0, 0))
    collector.take(good.topic, good.lines)
    collector.take(bad.topic, bad.lines)
    verdicts: Counter[str] = Counter()
    fork = PaperGateway(name="gw-1")
    for round_ in range(6):
        forks = []
        for at in range(200):
            fork.lines = list(bad.lines)
            forks.append((bad.topic, fork.usage(("meter", "energy", 0, (round_ * 200 + at,)), start=bad.now)))
        forks.insert(100, (good.topic, good.usage(("meter", "energy", round_ * 5, (5,)))))
        outcome = collector.intake.commit(
            collector.intake.open(forks, collector.intake.keys_for([bad.topic, good.topic])), NOW_MS + round_
        )
        verdicts += outcome.counts()
    assert verdicts == {"accepted": 7, "aside": ASIDE_LINES_MAX, "refused": 1_200 - 1 - ASIDE_LINES_MAX}
    assert [each.counted for each in account(collector.store, "gw-2")] == [30]


def test_a_forgotten_line_of_another_epoch_is_taken_where_its_own_chain_is_whole() -> None:
    """Its own row was still held back when what it had lost was written: intake died of it, again and again."""
    first = PaperGateway()
    first.birth(("meter", "energy", 0, 0))
    second = first.next_epoch("bbbbbbbb")
    second.birth(("meter", "energy", 0, 0), previous=first.position)
    second.forgotten(1, 1, epoch="aaaaaaaa")
    collector = paper_collector(first)
    assert collector.take(second.topic, second.lines).counts() == {"accepted": 2}


def test_a_topic_of_any_characters_is_kept_in_a_spelling_that_every_store_takes() -> None:
    for store in (None, _postgres()):
        collector = paper_collector(PaperGateway(), store=store)
        topic = "meterseal/v1/a\u0000\u202e\n\ud800/report"
        (verdict,) = collector.take(topic, [hash_of(b"").encode()]).verdicts
        assert isinstance(verdict, Unmatched)
        assert verdict.topic == r"meterseal/v1/a\u0000\u202e\u000a\ud800/report"
        collector.store.close()


def _postgres() -> Store:
    require("postgres")
    return Store(PostgresDatabase(new_schema()))
