"""Intake: what becomes of every line, and what the gateway is told."""

from base64 import urlsafe_b64encode

import pytest

from cloud_collector.fleet.gateways import add_gateway
from cloud_collector.intake.replay import audit
from cloud_collector.intake.verdict import (
    Accepted,
    Aside,
    Duplicate,
    Quarantined,
    RefusedLine,
    Unmatched,
)
from cloud_collector.limits import ASIDE_LINES_MAX, UNMATCHED_ROWS_MAX
from cloud_collector.store.account import account, quarantine
from cloud_collector.store.store import Store
from shared.effects.database import Parameters, Row
from shared.effects.sqlite import SqliteDatabase
from shared.errors import DatabaseFailed, Refused
from shared.key import SigningKey
from shared.limits import (
    GATEWAY_LOGS_MAX,
    RECEIPT_ASIDE_MAX,
    RECEIPT_MISSING_MAX,
    RECEIPT_REPEAT_SECONDS,
    REFUSED_SAMPLES_MAX,
)
from shared.line import Line, hash_of, parse, seal, write_body
from shared.payload import pack
from shared.report import Report, body_of, read
from tests.sealing import NOW_MS, OPERATOR, PaperCollector, PaperGateway, paper_collector

PUMP = ("pump", "energy")


def sealed(windows: int, *, units: int = 5) -> PaperGateway:
    """A gateway with a birth and so many windows of so many units."""
    gateway = PaperGateway()
    gateway.birth((*PUMP, 0, 100))
    for number in range(windows):
        gateway.usage((*PUMP, number * units, [units]))
    return gateway


def counted(collector: PaperCollector) -> int:
    return sum(each.counted for each in account(collector.store))


def test_a_line_of_a_known_gateway_is_accepted_and_receipted() -> None:
    """P6, P10."""
    gateway = sealed(2)
    collector = paper_collector(gateway)
    outcome = collector.take(gateway.topic, gateway.lines)
    assert [type(verdict) for verdict in outcome.verdicts] == [Accepted] * 3
    (receipt,) = collector.receipts(outcome)
    assert (receipt.through, receipt.head, receipt.missing) == (3, hash_of(gateway.lines[-1]), ())
    assert counted(collector) == 10


def test_the_same_line_again_is_a_duplicate_and_counts_once() -> None:
    """P5."""
    gateway = sealed(1)
    collector = paper_collector(gateway)
    collector.take(gateway.topic, gateway.lines)
    outcome = collector.take(gateway.topic, [gateway.lines[1], gateway.lines[1]], NOW_MS + 5_000)
    assert [type(verdict) for verdict in outcome.verdicts] == [Duplicate, Duplicate]
    assert len(outcome.receipts) == 1
    assert counted(collector) == 5


def test_duplicates_are_answered_at_most_once_a_second_and_none_is_forgotten() -> None:
    """P8: a gateway that asks is answered, a gateway that floods is not echoed."""
    gateway = sealed(1)
    collector = paper_collector(gateway)
    collector.take(gateway.topic, gateway.lines)
    assert collector.take(gateway.topic, [gateway.lines[0]], NOW_MS + 400).receipts == ()
    assert collector.intake.owes
    assert collector.intake.answer_owed(NOW_MS + 900) == ()
    assert len(collector.intake.answer_owed(NOW_MS + RECEIPT_REPEAT_SECONDS * 1_000 + 1)) == 1
    assert not collector.intake.owes


def test_receipts_of_a_log_rise_strictly_even_when_the_clock_does_not() -> None:
    gateway = sealed(4)
    collector = paper_collector(gateway)
    times = [
        collector.receipts(collector.take(gateway.topic, [line], NOW_MS - at))[0].at
        for at, line in enumerate(gateway.lines)
    ]
    assert times == sorted(set(times))


def test_holes_are_asked_for_and_named_from_the_lowest() -> None:
    gateway = sealed(RECEIPT_MISSING_MAX * 2 + 8)
    collector = paper_collector(gateway)
    outcome = collector.take(gateway.topic, gateway.lines[::2])
    (receipt,) = collector.receipts(outcome)
    assert receipt.through == 1
    assert receipt.missing[0] == (2, 2)
    assert len(receipt.missing) == RECEIPT_MISSING_MAX
    (again,) = collector.intake.answer_holes(NOW_MS + 60_000)
    assert again[0] == "gw-1"


def test_lines_missing_in_the_middle_are_bridged_by_registers() -> None:
    """P1: the total is known before the lines are."""
    gateway = sealed(6)
    collector = paper_collector(gateway)
    collector.take(gateway.topic, [gateway.lines[0], gateway.lines[1], gateway.lines[5]])
    (before,) = account(collector.store)
    assert (before.counted, before.estimated) == (25, 15)
    collector.take(gateway.topic, gateway.lines[2:5])
    (after,) = account(collector.store)
    assert (after.counted, after.estimated) == (25, 0)


def test_a_second_line_at_a_taken_position_is_kept_aside_alarmed_and_listed() -> None:
    """P5: equivocation is seen, and changes nothing."""
    gateway, other = sealed(2), sealed(2, units=9)
    collector = paper_collector(gateway)
    collector.take(gateway.topic, gateway.lines)
    outcome = collector.take(gateway.topic, [other.lines[1]], NOW_MS + 5_000)
    assert [type(verdict) for verdict in outcome.verdicts] == [Aside]
    (receipt,) = collector.receipts(outcome)
    assert receipt.aside == (hash_of(other.lines[1]),)
    assert receipt.through == 3
    assert counted(collector) == 10
    assert [row[0] for row in collector.store.rows("alarms_of_gateway", "gw-1")] == ["aside"]


def test_what_follows_a_line_set_aside_is_set_aside_too() -> None:
    gateway, other = sealed(1), sealed(3, units=9)
    collector = paper_collector(gateway)
    collector.take(gateway.topic, gateway.lines)
    outcome = collector.take(gateway.topic, [*other.lines[3:0:-1]], NOW_MS + 5_000)
    # Line 4 comes first and takes its free position; once its ancestors are known, it loses it.
    (receipt,) = collector.receipts(outcome)
    assert set(receipt.aside) >= {hash_of(other.lines[1])}
    collector.take(gateway.topic, sealed(3).lines[2:], NOW_MS + 9_000)
    assert counted(collector) == 15
    assert quarantine(collector.store) == []


def test_above_the_whole_run_the_line_that_a_successor_follows_wins() -> None:
    gateway, other = sealed(4), sealed(4, units=9)
    collector = paper_collector(gateway)
    collector.take(gateway.topic, [gateway.lines[0], other.lines[3], gateway.lines[4]])
    outcome = collector.take(gateway.topic, [gateway.lines[3]], NOW_MS + 5_000)
    assert [type(verdict) for verdict in outcome.verdicts] == [Accepted]
    (receipt,) = collector.receipts(outcome)
    assert receipt.aside == (hash_of(other.lines[3]),)
    collector.take(gateway.topic, gateway.lines[1:3], NOW_MS + 9_000)
    assert counted(collector) == 20


def test_a_loser_takes_its_position_when_a_successor_arrives_that_follows_it() -> None:
    gateway, other = sealed(4), sealed(4, units=9)
    collector = paper_collector(gateway)
    collector.take(gateway.topic, [gateway.lines[0], other.lines[3]])
    outcome = collector.take(gateway.topic, [gateway.lines[3]], NOW_MS + 5_000)
    assert [type(verdict) for verdict in outcome.verdicts] == [Aside]
    collector.take(gateway.topic, [gateway.lines[4]], NOW_MS + 6_000)
    outcome = collector.take(gateway.topic, gateway.lines[1:3], NOW_MS + 9_000)
    assert collector.receipts(outcome)[0].through == 5
    assert counted(collector) == 20
    assert audit(collector.store, Store(SqliteDatabase(":memory:")), collector.settings) is None


def test_the_growing_chain_buries_what_does_not_follow_it_and_raises_what_does() -> None:
    gateway, other = sealed(3), sealed(3, units=9)
    collector = paper_collector(gateway)
    # Position 3 is first taken by a stranger to this chain; the line that follows position 2 comes second.
    collector.take(gateway.topic, [gateway.lines[0], other.lines[2], gateway.lines[2]])
    outcome = collector.take(gateway.topic, [gateway.lines[1]], NOW_MS + 5_000)
    assert collector.receipts(outcome)[0].through == 3
    assert counted(collector) == 10


def test_the_aside_list_holds_the_most_recently_received() -> None:
    gateway = sealed(1)
    collector = paper_collector(gateway)
    collector.take(gateway.topic, gateway.lines)
    others = [sealed(1, units=6 + number).lines[1] for number in range(RECEIPT_ASIDE_MAX + 3)]
    collector.take(gateway.topic, others, NOW_MS + 5_000)
    outcome = collector.take(gateway.topic, [others[0]], NOW_MS + 9_000)
    (receipt,) = collector.receipts(outcome)
    assert receipt.aside[0] == hash_of(others[0])
    assert len(receipt.aside) == RECEIPT_ASIDE_MAX


def test_a_gateway_that_equivocates_without_end_is_bounded() -> None:
    """P9, P21."""
    gateway = sealed(1)
    collector = paper_collector(gateway)
    collector.take(gateway.topic, gateway.lines)
    collector.store.run("chain_update", 2, hash_of(gateway.lines[1]), 2, ASIDE_LINES_MAX, 0, 1)
    outcome = collector.take(gateway.topic, [sealed(1, units=9).lines[1]], NOW_MS + 5_000)
    assert [type(verdict) for verdict in outcome.verdicts] == [RefusedLine]


def test_a_gateway_that_invents_logs_without_end_is_bounded() -> None:
    """P9, P21."""
    gateway = sealed(1)
    collector = paper_collector(gateway)
    collector.take(gateway.topic, gateway.lines)
    first = body_of(read_report(gateway.lines[0]))
    others = [seal("MS1", first | {"log": f"log-{number}"}, gateway.key) for number in range(GATEWAY_LOGS_MAX)]
    verdicts = collector.take(gateway.topic, others).verdicts
    assert [type(verdict) for verdict in verdicts] == [Accepted] * (GATEWAY_LOGS_MAX - 1) + [RefusedLine]
    next_epoch = seal("MS1", first | {"log": "log-0", "epoch": "0000e0e0"}, gateway.key)
    assert [type(each) for each in collector.take(gateway.topic, [next_epoch]).verdicts] == [Accepted]
    assert audit(collector.store, Store(SqliteDatabase(":memory:")), collector.settings) is None


def test_an_unknown_gateway_is_unmatched_with_the_nearest_name() -> None:
    gateway = sealed(1)
    collector = paper_collector(gateway)
    (verdict,) = collector.take("meterseal/v1/gw-11/report", [gateway.lines[0]]).verdicts
    assert isinstance(verdict, Unmatched)
    assert (verdict.reason, verdict.nearest) == ("the gateway is unknown", "gw-1")


@pytest.mark.parametrize(
    "topic", ["meterseal/v1/gw-1/health", "meterseal/v2/gw-1/report", "x", "meterseal/v1/GW/report"]
)
def test_a_topic_that_is_no_report_is_unmatched(topic: str) -> None:
    gateway = sealed(1)
    collector = paper_collector(gateway)
    (verdict,) = collector.take(topic, [gateway.lines[0]]).verdicts
    assert isinstance(verdict, Unmatched)


def test_a_key_that_is_not_enrolled_is_unmatched_and_named() -> None:
    stranger = PaperGateway(key=SigningKey(b"stranger" * 4))
    stranger.birth((*PUMP, 0, 0))
    collector = paper_collector(PaperGateway())
    (verdict,) = collector.take(stranger.topic, stranger.lines).verdicts
    assert isinstance(verdict, Unmatched)
    assert stranger.key.public.id in verdict.reason


def test_a_gateway_that_speaks_for_another_is_unmatched() -> None:
    """P10: topic, body and key must agree."""
    second = PaperGateway(name="gw-2", key=SigningKey(b"gateway2" * 4))
    posing = PaperGateway(name="gw-1", key=second.key)
    posing.birth((*PUMP, 0, 0))
    collector = paper_collector(PaperGateway(), second)
    (verdict,) = collector.take(second.topic, posing.lines).verdicts
    assert isinstance(verdict, Unmatched)
    assert verdict.reason == "the body names another gateway than the topic"


def test_a_flipped_byte_is_refused_and_takes_no_position() -> None:
    gateway = sealed(1)
    collector = paper_collector(gateway)
    bent = gateway.lines[1].replace(b"[5]", b"[6]")
    (verdict,) = collector.take(gateway.topic, [bent]).verdicts
    assert verdict == RefusedLine(gateway="gw-1", reason="the signature does not verify", sample=bent)
    outcome = collector.take(gateway.topic, gateway.lines, NOW_MS + 5_000)
    assert [type(each) for each in outcome.verdicts] == [Accepted, Accepted]


def test_refused_lines_are_all_counted_and_some_are_kept() -> None:
    """P9."""
    gateway = sealed(1)
    collector = paper_collector(gateway)
    bent = gateway.lines[1].replace(b"[5]", b"[6]")
    for _ in range(3):
        collector.take(gateway.topic, [bent] * (REFUSED_SAMPLES_MAX // 2))
    assert collector.store.row("refusals_of", "gw-1") == (REFUSED_SAMPLES_MAX // 2 * 3,)
    assert len(collector.store.rows("refused_of", "gw-1")) == REFUSED_SAMPLES_MAX


def test_unmatched_kinds_are_bounded_and_repetitions_counted() -> None:
    """P9."""
    collector = paper_collector(PaperGateway())
    messages = [(f"meterseal/v1/x{number}/report", b"") for number in range(UNMATCHED_ROWS_MAX + 5)]
    for start in range(0, len(messages), 200):
        part = messages[start : start + 200]
        collector.intake.commit(collector.intake.open(part, {}), NOW_MS + start)
    collector.intake.commit(collector.intake.open([messages[-1]] * 3, {}), NOW_MS + 9_000)
    rows = collector.store.rows("strangers")
    assert len(rows) == UNMATCHED_ROWS_MAX
    assert rows[0][4] == 4


@pytest.mark.parametrize("payload", [b"", b"\x78\x9c", b"MS1|{}|x", b"\n" * 40, b"\xff" * 300, b"x" * 300_000])
def test_a_poison_payload_becomes_a_verdict(payload: bytes) -> None:
    """P8: it never blocks what comes after it."""
    gateway = sealed(1)
    collector = paper_collector(gateway)
    messages = [(gateway.topic, payload), (gateway.topic, pack(gateway.lines))]
    outcome = collector.intake.commit(
        collector.intake.open(messages, collector.intake.keys_for([gateway.topic])), NOW_MS
    )
    assert [type(verdict) for verdict in outcome.verdicts[-2:]] == [Accepted, Accepted]
    assert all(isinstance(verdict, Unmatched) for verdict in outcome.verdicts[:-2])


def test_a_bad_row_is_quarantined_and_the_good_ones_count() -> None:
    """P3: the line takes its position whatever its content."""
    gateway = PaperGateway()
    gateway.birth((*PUMP, 0, 0), ("lamp", "energy", 0, 0))
    report = read_report(gateway.usage((*PUMP, 0, [4]), ("lamp", "energy", 0, [7])))
    body = body_of(report)
    body["rows"][1][5] = [-7]
    gateway.lines[-1] = seal("MS1", body, gateway.key)
    gateway.usage((*PUMP, 4, [1]), ("lamp", "energy", 7, [2]))
    collector = paper_collector(gateway)
    outcome = collector.take(gateway.topic, gateway.lines)
    assert [type(verdict) for verdict in outcome.verdicts] == [Accepted, Quarantined, Accepted]
    assert collector.receipts(outcome)[0].through == 3
    lamp, pump = account(collector.store)
    assert (pump.counted, pump.quarantined) == (5, 0)
    # What the unreadable row spans is neither bridged nor billed.
    assert (lamp.counted, lamp.quarantined, lamp.unreadable) == (2, 7, 1)


def test_an_unknown_kind_takes_its_position_and_says_so() -> None:
    gateway = sealed(1)
    body = body_of(read_report(gateway.lines[1])) | {"kind": "novel"}
    gateway.lines[1] = seal("MS1", body, gateway.key)
    collector = paper_collector(gateway)
    outcome = collector.take(gateway.topic, gateway.lines)
    assert [type(verdict) for verdict in outcome.verdicts] == [Accepted, Quarantined]
    assert collector.receipts(outcome)[0].through == 2
    assert quarantine(collector.store)[0].reason == "the kind 'novel' is unknown"


def test_a_genuine_line_without_a_readable_header_is_refused() -> None:
    gateway = sealed(1)
    body = body_of(read_report(gateway.lines[1])) | {"seq": 0}
    collector = paper_collector(gateway)
    (verdict,) = collector.take(gateway.topic, [seal("MS1", body, gateway.key)]).verdicts
    assert isinstance(verdict, RefusedLine)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("[5]", "[5.0]"),
        ("[5]", "[5e0]"),
        ("[5]", "[NaN]"),
        ("[5]", f"[{'9' * 5_000}]"),
        ("[5]", "[[[[[5]]]]]"),
        ("[5]", "[ 5]"),
        ('"count":1', '"count":1,"count":1'),
    ],
)
def test_a_genuine_line_that_breaks_the_grammar_takes_its_position_and_counts_nothing(old: str, new: str) -> None:
    """P8: otherwise the chain would stop there for ever."""
    gateway = sealed(1)
    body = write_body("MS1", body_of(read_report(gateway.lines[1])))
    gateway.lines[1] = signed(body.replace(old, new), gateway.key)
    collector = paper_collector(gateway)
    outcome = collector.take(gateway.topic, gateway.lines)
    assert [type(verdict) for verdict in outcome.verdicts] == [Accepted, Quarantined]
    assert (collector.receipts(outcome)[0].through, counted(collector)) == (2, 0)
    assert audit(collector.store, Store(SqliteDatabase(":memory:")), collector.settings) is None


@pytest.mark.parametrize(
    ("old", "new"), [('"seq":2', '"seq":2,"seq":3'), ('"seq":2', '"seq":2.0'), ('"seq":2', '"sec":0.5')]
)
def test_a_header_that_can_be_read_in_two_ways_names_no_position(old: str, new: str) -> None:
    gateway = sealed(1)
    body = write_body("MS1", body_of(read_report(gateway.lines[1])))
    gateway.lines[1] = signed(body.replace(old, new), gateway.key)
    verdicts = paper_collector(gateway).take(gateway.topic, gateway.lines).verdicts
    assert [type(verdict) for verdict in verdicts] == [Accepted, RefusedLine]


def signed(body: str, key: SigningKey) -> bytes:
    """A line that nobody who keeps to the wire would seal."""
    text = f"MS1|{body}".encode()
    return text + b"|" + urlsafe_b64encode(key.sign(text)).rstrip(b"=")


def test_another_unit_of_a_known_channel_is_quarantined() -> None:
    gateway = sealed(1)
    gateway.usage((*PUMP, 5, [3]), unit="By")
    gateway.usage((*PUMP, 8, [2]))
    collector = paper_collector(gateway)
    collector.take(gateway.topic, gateway.lines)
    (pump,) = account(collector.store)
    # The register's step over the row is set apart: only the row could explain it.
    assert (pump.counted, pump.quarantined, pump.unreadable) == (7, 3, 1)


def test_a_register_that_jumps_between_two_lines_is_quarantined() -> None:
    """P4: never billed by a guess; what follows counts again."""
    gateway = sealed(1)
    gateway.usage((*PUMP, 1_000, [3]))
    gateway.usage((*PUMP, 1_003, [2]))
    collector = paper_collector(gateway)
    collector.take(gateway.topic, gateway.lines)
    (pump,) = account(collector.store)
    assert (pump.counted, pump.quarantined) == (7, 998)
    assert "jumps by 995" in quarantine(collector.store)[0].reason


def test_a_register_that_overlaps_is_quarantined() -> None:
    """P4."""
    gateway = sealed(2)
    gateway.usage((*PUMP, 7, [3]))
    gateway.usage((*PUMP, 10, [2]))
    collector = paper_collector(gateway)
    collector.take(gateway.topic, gateway.lines)
    (pump,) = account(collector.store)
    assert (pump.counted, pump.quarantined) == (12, 3)


def test_forgotten_positions_are_no_longer_missing_once_their_successor_is_held() -> None:
    """The registers bridge them."""
    gateway = sealed(5)
    gateway.forgotten(3, 4)
    collector = paper_collector(gateway)
    collector.take(gateway.topic, [*gateway.lines[:2], *gateway.lines[4:6]])
    outcome = collector.take(gateway.topic, [gateway.lines[6]], NOW_MS + 5_000)
    (receipt,) = collector.receipts(outcome)
    assert (receipt.through, receipt.missing) == (7, ())
    assert counted(collector) == 25
    assert audit(collector.store, Store(SqliteDatabase(":memory:")), collector.settings) is None


def test_a_transaction_that_fails_leaves_nothing_and_is_done_again_whole() -> None:
    """P2, P6."""
    database = FailingDatabase()
    gateway = sealed(3)
    collector = paper_collector(gateway, store=Store(database))
    collector.take(gateway.topic, gateway.lines[:2])
    database.fails = True
    with pytest.raises(DatabaseFailed):
        collector.take(gateway.topic, gateway.lines[2:])
    database.fails = False
    assert counted(collector) == 5
    outcome = collector.take(gateway.topic, gateway.lines[2:])
    assert collector.receipts(outcome)[0].through == 4
    assert counted(collector) == 15
    assert audit(collector.store, Store(SqliteDatabase(":memory:")), collector.settings) is None


def test_a_position_is_unique_in_the_schema_itself() -> None:
    """P5, whatever the program does."""
    gateway = sealed(1)
    collector = paper_collector(gateway)
    collector.take(gateway.topic, gateway.lines)
    with pytest.raises(DatabaseFailed):
        collector.store.run("line_put", 99, 1, 2, "h", "p", "k", "usage", "b", "S", 1, 1, b"", 0)


def test_a_line_is_never_changed_nor_deleted() -> None:
    """P11."""
    gateway = sealed(1)
    database = SqliteDatabase(":memory:")
    collector = paper_collector(gateway, store=Store(database))
    collector.take(gateway.topic, gateway.lines)
    for sql in ("delete from line", "update line set raw = x'00'", "update line set received_at = 0"):
        with pytest.raises(DatabaseFailed):
            database.execute(sql)


def test_receipts_are_signed_by_the_operator() -> None:
    gateway = sealed(0)
    collector = paper_collector(gateway)
    (receipt,) = collector.receipts(collector.take(gateway.topic, gateway.lines))
    assert receipt.key == OPERATOR.public.id


def test_a_key_is_enrolled_while_the_collector_runs() -> None:
    gateway = sealed(1)
    collector = paper_collector()
    assert isinstance(collector.take(gateway.topic, gateway.lines).verdicts[0], Unmatched)
    add_gateway(collector.store, "gw-1", gateway.key.public, 0)
    assert isinstance(collector.take(gateway.topic, gateway.lines).verdicts[0], Accepted)


class FailingDatabase(SqliteDatabase):
    """Refuses to write receipts' times while it is told to: the last statement of a batch."""

    def __init__(self) -> None:
        super().__init__(":memory:")
        self.fails = False

    def execute(self, sql: str, parameters: Parameters = ()) -> list[Row]:
        if self.fails and "into receipt_clock" in sql:
            raise DatabaseFailed
        return super().execute(sql, parameters)


def read_report(raw: bytes) -> Report:
    line = parse(raw)
    assert isinstance(line, Line)
    report = read(line)
    assert not isinstance(report, Refused)
    return report
