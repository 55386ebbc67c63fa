"""Every bound of the wire: what stands at it is taken, what lies one beyond is refused (P9)."""

from collections.abc import Callable
from typing import Any

import pytest

from shared import limits
from shared.checkpoint import Checkpoint
from shared.command import Answer, SetInterval
from shared.errors import InvalidRecord, Refused
from shared.key import SigningKey
from shared.limits import (
    AGENT_CHARS_MAX,
    EXPONENT_MAX,
    GATEWAY_CHARS_MAX,
    INTEGER_MAX,
    INVOICE_BYTES_MAX,
    INVOICE_JSON_DEPTH_MAX,
    JSON_DEPTH_MAX,
    LINE_BYTES_MAX,
    LINE_INTERVALS_MAX,
    LINE_ROWS_MAX,
    NAME_CHARS_MAX,
    ORIGIN_CHARS_MAX,
    RECEIPT_ASIDE_MAX,
    RECEIPT_MISSING_MAX,
    SERIAL_CHARS_MAX,
    SOURCE_CHARS_MAX,
    STEP_SECONDS_MAX,
    SUMMARY_COVERS_MAX,
    TIME_SECONDS_MAX,
    UNIT_CHARS_MAX,
    WHY_CHARS_MAX,
)
from shared.line import Line, parse, read_body
from shared.receipt import Receipt
from shared.report import (
    Birth,
    Cause,
    Channel,
    ClockLine,
    Cover,
    Forgotten,
    Gap,
    GapCause,
    GapRow,
    Lost,
    Summary,
    Verdict,
    body_of,
    read,
)
from tests.unit.wire_samples import COLLECTOR_KEY, GATEWAY_KEY, HASH, START, header, line_of, signed, usage, usage_row

Make = Callable[[int], object]


def _name(length: int) -> str:
    return "n" * length


def _channel(**changes: Any) -> Birth:
    channel = Channel("m", "e", "Wh", 0, "modbus", "", 0, 0)._replace(**changes)
    return Birth(header=header(), agent="a", config=HASH, cause=Cause.START, previous=None, channels=(channel,))


def _summary(**changes: Any) -> Summary:
    fields: dict[str, Any] = {
        "header": header(seq=1_000, prev=HASH),
        "covers": (Cover(2, 3, HASH, HASH),),
        "start": 0,
        "step": 3_600,
        "count": 1,
        "rows": (),
    }
    return Summary(**(fields | changes))


def _receipt(**changes: Any) -> Receipt:
    fields: dict[str, Any] = {
        "gateway": "gw",
        "log": "main",
        "key": COLLECTOR_KEY.public.id,
        "epoch": "5f2c91aa",
        "through": 0,
        "head": "",
        "missing": (),
        "aside": (),
        "at": 0,
    }
    return Receipt(**(fields | changes))


def _answer(**changes: Any) -> Answer:
    fields: dict[str, Any] = {
        "gateway": "gw",
        "key": GATEWAY_KEY.public.id,
        "counter": 1,
        "at": 0,
        "ok": True,
        "why": "",
    }
    return Answer(**(fields | changes))


def _checkpoint(**changes: Any) -> Checkpoint:
    fields: dict[str, Any] = {
        "key": COLLECTOR_KEY.public.id,
        "origin": "o",
        "size": 1,
        "root": HASH,
        "at": 0,
        "previous": "",
    }
    return Checkpoint(**(fields | changes))


AT_MOST: list[tuple[str, int, Make]] = [
    ("gateway ids", GATEWAY_CHARS_MAX, lambda n: header(gateway=_name(n))),
    ("log names", NAME_CHARS_MAX, lambda n: header(log=_name(n))),
    ("device names", NAME_CHARS_MAX, lambda n: usage(usage_row(device=_name(n)))),
    ("meter names", NAME_CHARS_MAX, lambda n: usage(usage_row(meter=_name(n)))),
    ("source names", SOURCE_CHARS_MAX, lambda n: _channel(source=_name(n))),
    ("serials", SERIAL_CHARS_MAX, lambda n: _channel(serial=_name(n))),
    ("units", UNIT_CHARS_MAX, lambda n: usage(usage_row(unit=_name(n)))),
    ("units of a birth", UNIT_CHARS_MAX, lambda n: _channel(unit=_name(n))),
    (
        "agents",
        AGENT_CHARS_MAX,
        lambda n: Birth(header=header(), agent=_name(n), config=HASH, cause=Cause.START, previous=None, channels=()),
    ),
    ("whys", WHY_CHARS_MAX, lambda n: _answer(why=_name(n))),
    ("origins", ORIGIN_CHARS_MAX, lambda n: _checkpoint(origin=_name(n))),
    ("exponents", EXPONENT_MAX, lambda n: usage(usage_row(exponent=n))),
    ("negative exponents", EXPONENT_MAX, lambda n: usage(usage_row(exponent=-n))),
    ("seconds of sealing", TIME_SECONDS_MAX, lambda n: header(sealed_at=n)),
    ("seconds of a start", TIME_SECONDS_MAX, lambda n: usage(start=n)),
    ("seconds of a gap's end", TIME_SECONDS_MAX, lambda n: _gap(end=n)),
    ("seconds of an offset", TIME_SECONDS_MAX, lambda n: ClockLine(header=header(), offset=n)),
    ("seconds of an answer", TIME_SECONDS_MAX, lambda n: _answer(at=n)),
    ("seconds of a checkpoint", TIME_SECONDS_MAX, lambda n: _checkpoint(at=n)),
    ("seconds of a step", STEP_SECONDS_MAX, lambda n: usage(step=n)),
    ("seconds of an ordered step", STEP_SECONDS_MAX, lambda n: SetInterval(step=n, count=1)),
    ("intervals", LINE_INTERVALS_MAX, lambda n: usage(usage_row(deltas=(0,) * n), count=n)),
    ("ordered intervals", LINE_INTERVALS_MAX, lambda n: SetInterval(step=1, count=n)),
    ("rows", LINE_ROWS_MAX, lambda n: usage(*(usage_row(device=f"m{at}") for at in range(n)))),
    (
        "gap rows",
        LINE_ROWS_MAX,
        lambda n: Gap(header=header(), rows=tuple(_gap_row(device=f"m{at}") for at in range(n))),
    ),
    ("sequence numbers", INTEGER_MAX, lambda n: header(seq=n, prev=HASH)),
    ("registers", INTEGER_MAX, lambda n: usage(usage_row(register=n, deltas=(0, 0, 0)))),
    ("registers after their deltas", INTEGER_MAX, lambda n: usage(usage_row(register=n - 3, deltas=(1, 1, 1)))),
    ("deltas", INTEGER_MAX, lambda n: usage(usage_row(register=0, deltas=(n, 0, 0)))),
    ("deltas upon a negative register", INTEGER_MAX, lambda n: usage(usage_row(register=-9, deltas=(n, 0, 0)))),
    ("raw readings", INTEGER_MAX, lambda n: _channel(raw=n)),
    ("registers of a gap", INTEGER_MAX, lambda n: _gap(before=0, after=n)),
    ("receipts' sequence numbers", INTEGER_MAX, lambda n: _receipt(through=n, head=HASH)),
    ("receipts' times", INTEGER_MAX, lambda n: _receipt(at=n)),
    (
        "forgotten positions",
        INTEGER_MAX,
        lambda n: Forgotten(header=header(), lost=Lost("5f2c91aa", 1, n), receipted_at=0),
    ),
    (
        "covers",
        SUMMARY_COVERS_MAX,
        lambda n: _summary(covers=tuple(Cover(2 * at, 2 * at, HASH, HASH) for at in range(1, n + 1))),
    ),
    (
        "missing ranges",
        RECEIPT_MISSING_MAX,
        lambda n: _receipt(missing=tuple((2 * at, 2 * at) for at in range(1, n + 1))),
    ),
    ("hashes aside", RECEIPT_ASIDE_MAX, lambda n: _receipt(aside=(HASH,) * n)),
]


def _gap_row(**changes: Any) -> GapRow:
    return GapRow("m", "e", 0, 60, GapCause.CLOCK, None, None)._replace(**changes)


def _gap(**changes: Any) -> Gap:
    return Gap(header=header(), rows=(_gap_row(**changes),))


@pytest.mark.parametrize(("what", "most", "make"), AT_MOST, ids=[what for what, _, _ in AT_MOST])
def test_what_stands_at_a_bound_is_taken_and_one_beyond_refused(what: str, most: int, make: Make) -> None:
    assert make(most), what
    with pytest.raises(InvalidRecord):
        make(most + 1)


@pytest.mark.parametrize(
    ("least", "make"),
    [
        (1, lambda n: header(seq=n, prev="" if n == 1 else HASH)),
        (1, lambda n: usage(step=n)),
        (1, lambda n: usage(count=n)),
        (1, lambda n: SetInterval(step=n, count=1)),
        (1, lambda n: SetInterval(step=1, count=n)),
        (0, lambda n: usage(start=n)),
        (0, lambda n: usage(usage_row(deltas=(n, 0, 0)))),
        (-INTEGER_MAX, lambda n: usage(usage_row(register=n))),
        (-INTEGER_MAX, lambda n: _channel(raw=n)),
        (-TIME_SECONDS_MAX, lambda n: ClockLine(header=header(), offset=n)),
    ],
)
def test_what_stands_at_a_least_bound_is_taken_and_one_below_refused(least: int, make: Make) -> None:
    assert make(least)
    with pytest.raises(InvalidRecord):
        make(least - 1)


def test_the_last_interval_of_the_longest_line_takes_a_note() -> None:
    zeros = (0,) * LINE_INTERVALS_MAX
    row = usage_row(deltas=zeros, notes={LINE_INTERVALS_MAX - 1: Verdict.RESET})
    assert not isinstance(read(line_of("MS1", body_of(usage(row, count=LINE_INTERVALS_MAX)))), Refused)
    with pytest.raises(InvalidRecord, match="note's interval"):
        usage(row._replace(notes={LINE_INTERVALS_MAX: Verdict.RESET}), count=LINE_INTERVALS_MAX)


@pytest.mark.parametrize("extra", [0, 1])
def test_a_reader_takes_as_many_rows_as_a_line_may_have(extra: int) -> None:
    rows = [[f"m{at}", "e", "Wh", 0, 0, [0]] for at in range(LINE_ROWS_MAX + extra)]
    body = body_of(usage()) | {"count": 1, "rows": rows}
    assert isinstance(read(line_of("MS1", body)), Refused) is bool(extra)


@pytest.mark.parametrize(
    ("tag", "most"), [("MS1", LINE_BYTES_MAX), ("MA1", LINE_BYTES_MAX), ("MI1", INVOICE_BYTES_MAX)]
)
def test_a_line_is_taken_at_its_size_and_refused_one_byte_beyond(tag: str, most: int) -> None:
    key: SigningKey = GATEWAY_KEY
    empty = len(signed(tag, '{"a":""}', key))
    assert isinstance(parse(signed(tag, '{"a":"' + "x" * (most - empty) + '"}', key)), Line)
    verdict = parse(signed(tag, '{"a":"' + "x" * (most - empty + 1) + '"}', key))
    assert isinstance(verdict, Refused)
    assert "more than" in verdict.reason


@pytest.mark.parametrize(("tag", "most"), [("MS1", JSON_DEPTH_MAX), ("MI1", INVOICE_JSON_DEPTH_MAX)])
def test_a_body_is_taken_at_its_depth_and_refused_one_deeper(tag: str, most: int) -> None:
    lists = most - 1
    assert isinstance(read_body(line_of(tag, '{"a":' + "[" * lists + "]" * lists + "}")), dict)
    assert isinstance(read_body(line_of(tag, '{"a":' + '{"b":' * lists + "1" + "}" * lists + "}")), dict)
    verdict = read_body(line_of(tag, '{"a":' + "[" * most + "]" * most + "}"))
    assert isinstance(verdict, Refused)
    assert "deeper" in verdict.reason


def test_bounds_fit_into_each_other() -> None:
    """A whole line fits a payload; a time fits an integer; a line's every note has an index."""
    assert limits.LINE_BYTES_MAX <= limits.PAYLOAD_BYTES_MAX
    assert limits.PAYLOAD_DEFLATED_BYTES_MAX <= limits.PAYLOAD_BYTES_MAX
    assert limits.UPLINK_WINDOW_LINES <= limits.PAYLOAD_LINES_MAX
    assert START < limits.TIME_SECONDS_MAX < limits.INTEGER_MAX
    assert limits.LINE_INTERVALS_MAX < 10_000
