"""Several collectors on one PostgreSQL: a log's receipts are exact whichever of them got its lines (P1, P5, P6)."""

import random
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest

from cloud_collector.fleet.decisions import revoke_key
from cloud_collector.fleet.gateways import add_gateway
from cloud_collector.intake.intake import Intake, Outcome
from cloud_collector.intake.replay import audit, rebuild
from cloud_collector.settings import CollectorSettings
from cloud_collector.store.account import account
from cloud_collector.store.months import keep_months
from cloud_collector.store.store import Store
from cloud_collector.store.view import StoreView
from shared.effects.postgres import PostgresDatabase
from shared.effects.sqlite import SqliteDatabase
from shared.errors import DatabaseBusy
from shared.key import SigningKey
from shared.receipt import Receipt
from tests.postgres import new_schema
from tests.sealing import NOON, NOW_MS, OPERATOR, PaperCollector, PaperGateway

SETTINGS = CollectorSettings()


class Site:
    """One PostgreSQL, and collectors that come and go."""

    def __init__(self) -> None:
        self.url = new_schema()
        self.collectors: list[PaperCollector] = []

    def collector(self) -> PaperCollector:
        """One more process with its own connection and its own memory."""
        store = Store(PostgresDatabase(self.url))
        intake = Intake(store, SETTINGS, OPERATOR, holder=len(self.collectors) + 1)
        self.collectors.append(PaperCollector(store=store, intake=intake, settings=SETTINGS))
        return self.collectors[-1]

    @property
    def store(self) -> Store:
        """As the first of them sees it."""
        return self.collectors[0].store


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site()
    yield made
    for each in made.collectors:
        each.store.close()


def gateway(number: int, lines: int) -> PaperGateway:
    paper = PaperGateway(name=f"gw-{number}", key=SigningKey(bytes([number]) * 32))
    paper.birth(("pump", "energy", 0, 0), ("fan", "energy", 0, 0))
    for at in range(lines):
        paper.usage(("pump", "energy", at * 6, (1, 2, 3)), ("fan", "energy", at * 3, (1, 1, 1)))
    return paper


def alone(papers: list[PaperGateway]) -> list[object]:
    """What one collector makes of the same lines on SQLite."""
    store = Store(SqliteDatabase(":memory:"))
    known = PaperCollector(store=store, intake=Intake(store, SETTINGS, OPERATOR), settings=SETTINGS)
    for paper in papers:
        add_gateway(store, paper.name, paper.key.public, 0)
        known.take(paper.topic, paper.lines)
    return list(account(store))


def holds(site: Site) -> None:
    """Everything in the store follows from its lines."""
    scratch = Store(SqliteDatabase(":memory:"))
    assert audit(site.store, scratch, SETTINGS) is None
    scratch.close()


def exact(receipts: list[Receipt]) -> None:
    """P6: of each log, later receipts are of later times and never take anything back."""
    logs: dict[tuple[str, str], list[Receipt]] = defaultdict(list)
    for receipt in receipts:
        logs[receipt.gateway, receipt.log].append(receipt)
    for told in logs.values():
        told.sort(key=lambda receipt: receipt.at)
        assert all(left.at < right.at for left, right in pairwise(told)), "no two receipts of a log have one time"
        assert all(left.through <= right.through for left, right in pairwise(told)), "a receipt takes nothing back"


def test_a_chain_whose_lines_reach_different_collectors_is_whole(site: Site) -> None:
    paper = gateway(1, 40)
    collectors = [site.collector(), site.collector(), site.collector()]
    add_gateway(site.store, paper.name, paper.key.public, 0)
    receipts = []
    for at, line in enumerate(paper.lines):
        known = collectors[at % 3]
        receipts += known.receipts(known.take(paper.topic, [line], NOW_MS + at))
        assert receipts[-1].through == at + 1
        assert receipts[-1].missing == ()
    exact(receipts)
    assert list(account(site.store)) == alone([paper])
    holds(site)


@pytest.mark.parametrize("seed", range(6))
def test_whatever_order_and_collector_lines_meet_the_account_is_the_same(site: Site, seed: int) -> None:
    draw = random.Random(seed)
    papers = [gateway(number, 12) for number in (1, 2)]
    collectors = [site.collector(), site.collector()]
    for paper in papers:
        add_gateway(site.store, paper.name, paper.key.public, 0)
    sent = [(paper.topic, line) for paper in papers for line in paper.lines]
    sent += draw.sample(sent, 5)
    draw.shuffle(sent)
    verdicts: Counter[str] = Counter()
    for at, (topic, line) in enumerate(sent):
        verdicts += draw.choice(collectors).take(topic, [line], NOW_MS + at).counts()
    assert verdicts == {"accepted": 26, "duplicate": 5}
    assert list(account(site.store)) == alone(papers)
    holds(site)


def test_two_collectors_at_once_take_every_line_once(site: Site) -> None:
    """P1, P5, P6: batches of both hold lines of the same logs at the same time."""
    papers = [gateway(number, 60) for number in range(1, 6)]
    collectors = [site.collector(), site.collector()]
    for paper in papers:
        add_gateway(site.store, paper.name, paper.key.public, 0)
    draw = random.Random(11)
    shares: tuple[list[tuple[str, bytes]], ...] = ([], [])
    for paper in papers:
        for line in paper.lines:
            # A broker may hand a line to both, one after the other's end.
            for share in draw.sample(shares, draw.choice((1, 1, 1, 2))):
                share.append((paper.topic, line))
    found: list[list[Receipt]] = [[], []]
    failed: list[BaseException] = []

    def work(at: int) -> None:
        known, share = collectors[at], shares[at]
        try:
            for first in range(0, len(share), 17):
                batch = share[first : first + 17]
                outcome = _patiently(lambda batch=batch: _commit(known, batch))  # type: ignore[misc]
                found[at] += known.receipts(outcome)
        except BaseException as error:  # noqa: BLE001 (a thread's error is the test's)
            failed.append(error)

    _together(work, 2)
    assert failed == []
    exact([receipt for each in found for receipt in each])
    tops = site.store.rows("chains_of_gateway", "gw-3")
    assert [(row[4], row[5]) for row in tops] == [(61, 61)]
    assert list(account(site.store)) == alone(papers)
    holds(site)
    before = [site.store.rows(f"audit_{table}", 10_000, 0) for table in ("chain", "line")]
    rebuild(site.store, SETTINGS)
    assert [site.store.rows(f"audit_{table}", 10_000, 0) for table in ("chain", "line")] == before
    assert list(account(site.store)) == alone(papers)
    holds(site)


def test_a_decision_is_followed_by_every_collector(site: Site) -> None:
    paper = gateway(1, 4)
    first, second = site.collector(), site.collector()
    add_gateway(site.store, paper.name, paper.key.public, 0)
    for known, line in zip((first, second, first), paper.lines[:3], strict=False):
        known.take(paper.topic, [line])
    revoke_key(first.store, paper.name, paper.key.public.id, {}, NOW_MS)
    second.intake.follow_decisions()
    first.intake.follow_decisions()
    for known, line in zip((first, second), paper.lines[3:], strict=True):
        assert known.take(paper.topic, [line]).counts() == {"refused": 1}
    holds(site)


def test_the_database_elects_one_scheduler_and_another_when_it_is_gone(site: Site) -> None:
    first, second = site.collector(), site.collector()
    assert first.store.rows("scheduler_take") == [(1,)]
    assert second.store.rows("scheduler_take") == [(0,)]
    assert first.store.rows("scheduler_take") == [(1,)], "it stays elected"
    first.store.close()
    assert _soon(lambda: second.store.rows("scheduler_take") == [(1,)])


def test_a_collector_that_dies_inside_a_transaction_holds_nobody_up(site: Site) -> None:
    paper = gateway(1, 3)
    first, second = site.collector(), site.collector()
    add_gateway(site.store, paper.name, paper.key.public, 0)
    first.take(paper.topic, paper.lines[:1])
    database = first.store._database
    assert isinstance(database, PostgresDatabase)
    with pytest.raises(DatabaseBusy), first.store.atomic():  # noqa: PT012 (a transaction is more than a statement)
        first.intake._notice_others([paper.name])
        second.store._database.execute("select pg_terminate_backend(?::int)", (database._connection.info.backend_pid,))
        assert second.take(paper.topic, paper.lines[1:]).counts() == {"accepted": 3}
        first.store.rows("gateway_names")
    assert _patiently(lambda: first.take(paper.topic, paper.lines)).counts() == {"duplicate": 4}
    holds(site)


def test_a_month_gets_its_partition_and_the_rows_that_came_before(site: Site) -> None:
    paper = gateway(1, 30)
    known = site.collector()
    add_gateway(site.store, paper.name, paper.key.public, 0)
    known.take(paper.topic, paper.lines[:20])
    (channel, *_) = account(site.store)
    measured = StoreView(site.store).measure(channel.channel, NOON, NOON + 86_400)
    assert keep_months(site.store, 2026, 8, 10) == ["span_2026_08", "span_2026_09", "span_2026_10"]
    assert keep_months(site.store, 2026, 8, 10) == []
    database = site.store._database
    assert database.execute("select count(*) from span_other_months where kind = 4") == [(0,)]
    assert database.execute("select count(*) from span_2026_09 where kind = 4") == [(38,)]
    assert StoreView(site.store).measure(channel.channel, NOON, NOON + 86_400) == measured
    known.take(paper.topic, paper.lines[20:])
    assert database.execute("select count(*) from span_2026_09 where kind = 4") == [(60,)]
    assert list(account(site.store)) == alone([paper])
    holds(site)


def test_months_go_on_into_the_next_year(site: Site) -> None:
    site.collector()
    assert keep_months(site.store, 2026, 12, 14) == ["span_2026_12", "span_2027_01", "span_2027_02"]


def _commit(known: PaperCollector, batch: list[tuple[str, bytes]]) -> Outcome:
    topics = sorted({topic for topic, _ in batch})
    return known.intake.commit(known.intake.open(batch, known.intake.keys_for(topics)), NOW_MS)


def _patiently(work: Callable[[], Outcome]) -> Outcome:
    """As the collector does it: a deadlock or a lock that is not let go is tried again."""
    for _ in range(20):
        try:
            return work()
        except DatabaseBusy:
            continue
    return work()


def _together(work: Callable[[int], None], count: int) -> None:
    threads = [threading.Thread(target=work, args=(at,)) for at in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()


def _soon(check: Callable[[], bool]) -> bool:
    """A backend whose client is gone ends within a moment."""
    for _ in range(100):
        if check():
            return True
        time.sleep(0.02)
    return False
