"""What one MS1 line alone can break is refused with its place and a plain reason (P4, P9)."""

from typing import Any

import pytest

from shared.errors import InvalidRecord, Refused
from shared.report import (
    Birth,
    Channel,
    Clock,
    Exchange,
    Gap,
    GapCause,
    GapRow,
    Report,
    Rotate,
    Usage,
    Verdict,
    body_of,
    read,
    seal_report,
)
from tests.unit.wire_samples import (
    COLLECTOR_KEY,
    GATEWAY_KEY,
    GOLDEN,
    HASH,
    START,
    each_kind,
    header,
    line_of,
    usage,
    usage_row,
)

KINDS = {body_of(report)["kind"]: report for report in each_kind()}


def _reason(verdict: object) -> str:
    assert isinstance(verdict, Refused), verdict
    return verdict.reason


@pytest.mark.parametrize("kind", KINDS)
def test_a_record_is_read_back_as_it_was_sealed(kind: str) -> None:
    report = KINDS[kind]
    assert read(line_of("MS1", body_of(report))) == report
    assert seal_report(report, GATEWAY_KEY).startswith(b'MS1|{"kind":"' + kind.encode())


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_that_is_absent_or_unknown_is_named(kind: str) -> None:
    body = body_of(KINDS[kind])
    for name in body:
        reason = _reason(read(line_of("MS1", {key: value for key, value in body.items() if key != name})))
        assert name in reason or name == "kind"
    assert "unknown colour" in _reason(read(line_of("MS1", body | {"colour": 1})))


STRANGE: tuple[Any, ...] = (None, True, -1, 0, 2**53, "", "x" * 200, "a b", [], {}, [[]], [None], {"a": 1}, [1, 2, 3])


@pytest.mark.parametrize("kind", KINDS)
def test_a_strange_value_in_any_place_is_a_record_or_a_reason(kind: str) -> None:
    """P8: a poison message is answered, never raised."""
    for body in _with_strange_values(body_of(KINDS[kind])):
        verdict = read(line_of("MS1", body))
        assert isinstance(verdict, (Refused, *_TYPES)), body


_TYPES = tuple(type(report) for report in KINDS.values())


def _with_strange_values(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [value | {name: other} for name, item in value.items() for other in _with_strange_values(item)]
    if isinstance(value, list):
        inside = [[*value[:at], other, *value[at + 1 :]] for at in range(len(value)) for other in _places(value[at])]
        return [*STRANGE, *inside, value[:-1], [*value, *value]]
    return list(STRANGE)


def _places(value: Any) -> list[Any]:
    return _with_strange_values(value) if isinstance(value, (dict, list)) else list(STRANGE)


@pytest.mark.parametrize(
    ("kind", "change", "reason"),
    [
        ("usage", {"kind": "use"}, "kind 'use' is unknown"),
        ("usage", {"kind": 5}, "kind 5 is unknown"),
        ("usage", {"gateway": "Gw-1"}, "gateway is 'Gw-1'"),
        ("usage", {"gateway": "-gw"}, "gateway"),
        ("usage", {"gateway": "_collector"}, "gateway"),
        ("usage", {"key": "56475AA75463474C"}, "key"),
        ("usage", {"epoch": "5f2c91a"}, "epoch"),
        ("usage", {"seq": 0}, "seq is 0"),
        ("usage", {"seq": True}, "seq is True"),
        ("usage", {"prev": HASH}, "prev must be empty"),
        ("gap", {"prev": ""}, "prev"),
        ("gap", {"prev": HASH[:-1] + "B"}, "prev"),
        ("usage", {"clock": "X"}, "clock is 'X', not one of S, I, R, U"),
        ("usage", {"sealed_at": -1}, "sealed_at"),
        ("usage", {"step": 0}, "step is 0"),
        ("usage", {"count": 0}, "count is 0"),
        ("usage", {"count": 2}, "3 deltas for 2 intervals"),
        ("usage", {"rows": [["m", "e", "Wh", 0, 1, [1, 2, 3], {}]]}, "not empty"),
        ("usage", {"rows": [["m", "e", "Wh", 0, 1, [1, 2, 3], {"3": "reset"}]]}, "not an integer from 0 to 2"),
        ("usage", {"rows": [["m", "e", "Wh", 0, 1, [1, 2, 3], {"01": "reset"}]]}, "notes index"),
        ("usage", {"rows": [["m", "e", "Wh", 0, 1, [1, 2, 3], {"-1": "reset"}]]}, "notes index"),
        ("usage", {"rows": [["m", "e", "Wh", 0, 1, [1, 2, 3], {"0": "lost"}]]}, "not one of estimated"),
        ("usage", {"rows": [["m", "e", "Wh", 0, 1, [1, -2, 3]]]}, "a delta is -2"),
        ("usage", {"rows": [["m", "e", "Wh", 0, 1, [1, False, 3]]]}, "a delta is False"),
        ("usage", {"rows": [["m", "e", "Wh", 0, 1, [1, "2", 3]]]}, "a delta is '2'"),
        ("usage", {"rows": [["m", "e", "", 0, 1, [1, 2, 3]]]}, "unit must not be empty"),
        ("usage", {"rows": [["m", "e", "Wh", False, 1, [1, 2, 3]]]}, "exponent is False"),
        ("usage", {"rows": [["m", "e", "Wh", 0, 1, [1, 2, 3]]] * 2}, "may stand once"),
        ("usage", {"rows": [["M", "e", "Wh", 0, 1, [1, 2, 3]]]}, "rows[0] device is 'M'"),
        ("usage", {"rows": [["m\n", "e", "Wh", 0, 1, [1, 2, 3]]]}, None),
        ("gap", {"rows": []}, "1 to 1024 rows"),
        ("gap", {"rows": [["m", "e", 60, 60, "clock", None, None]]}, "from must be before to"),
        ("gap", {"rows": [["m", "e", 0, 60, "clock", 1, None]]}, "one register without the other"),
        ("gap", {"rows": [["m", "e", 0, 60, "clock", 2, 1]]}, "must not fall"),
        ("gap", {"rows": [["m", "e", 0, 60, "weather", None, None]]}, "cause is 'weather'"),
        ("birth", {"cause": "boredom"}, "cause is 'boredom'"),
        ("birth", {"previous": ["5f2c91aa", 0, HASH]}, "previous[1]"),
        ("birth", {"previous": []}, "list of 3"),
        ("birth", {"agent": 'say "hi"'}, None),
        ("summary", {"step": 60}, "cut at hours or days"),
        ("summary", {"start": 60}, "whole hour or day"),
        ("summary", {"covers": []}, "1 to 64 ranges"),
        ("summary", {"covers": [[2, 3, HASH, HASH], [3, 4, HASH, HASH]]}, "rise and not overlap"),
        ("summary", {"covers": [[2, 9, HASH, HASH]]}, "only what stands before it"),
        ("summary", {"covers": [[1, 2, HASH, HASH]]}, "nothing stands before seq 1"),
        ("summary", {"covers": [[2, 3, "", HASH]]}, "hash before"),
        ("forgotten", {"lost": ["5f2c91aa", 3, 2]}, "lost[2]"),
        ("rotate", {"next": 5}, "next is no text"),
        ("rotate", {"next": "AAAA"}, "32 bytes"),
        ("rotate", {"next": "é" * 43}, None),
        ("rotate", {"proof": "A" * 86}, "not the next key's signature"),
        ("clock", {"offset": 2**33}, "offset"),
    ],
)
def test_a_rule_that_is_broken_is_named_with_its_place(kind: str, change: dict[str, Any], reason: str | None) -> None:
    body = body_of(KINDS[kind]) | change
    if reason is None:
        with pytest.raises(AssertionError, match="printable ASCII"):
            line_of("MS1", body)
    else:
        assert reason in _reason(read(line_of("MS1", body)))


@pytest.mark.parametrize("tag", ["MR1", "MC1", "MA1", "MK1", "MI1"])
def test_another_tag_is_no_report(tag: str) -> None:
    assert "begins with MS1" in _reason(read(line_of(tag, body_of(usage(usage_row())))))


def test_a_rotation_proof_for_another_position_is_refused() -> None:
    """P10: a proof seen once cannot be used for another log, epoch or place."""
    rotate = KINDS["rotate"]
    assert isinstance(rotate, Rotate)
    for change in ({"seq": 10}, {"log": "flat-2"}, {"epoch": "00000000"}, {"gateway": "gw-2"}):
        assert "not the next key's" in _reason(read(line_of("MS1", body_of(rotate) | change)))


def test_a_report_is_sealed_only_with_the_key_that_its_header_names() -> None:
    with pytest.raises(InvalidRecord, match="another key"):
        seal_report(usage(usage_row()), COLLECTOR_KEY)


def test_a_window_of_nothing_is_a_line_too() -> None:
    """P3: zero and no data are different things."""
    empty = usage()
    assert read(line_of("MS1", body_of(empty))) == empty
    assert empty.end == START + 180


def test_a_constructor_refuses_what_a_reader_would() -> None:
    with pytest.raises(InvalidRecord, match="clock"):
        header(clock="S")
    with pytest.raises(InvalidRecord, match="no verdict"):
        usage(usage_row(notes={0: "reset"}))
    with pytest.raises(InvalidRecord, match="note's interval"):
        usage(usage_row(notes={3: Verdict.RESET}))
    with pytest.raises(InvalidRecord, match="cause"):
        Gap(header=header(), rows=(GapRow("m", "e", 0, 1, "clock", None, None),))  # type: ignore[arg-type]
    with pytest.raises(InvalidRecord, match="may stand once"):
        Gap(header=header(), rows=(GapRow("m", "e", 0, 1, GapCause.CLOCK, None, None),) * 2)
    with pytest.raises(InvalidRecord, match="1 to 1024 rows"):
        Exchange(header=header(), rows=())


def test_a_birth_without_channels_is_a_birth() -> None:
    birth = KINDS["birth"]
    assert isinstance(birth, Birth)
    body: dict[str, Any] = body_of(birth) | {"channels": [], "previous": None}
    verdict = read(line_of("MS1", body))
    assert isinstance(verdict, Birth)
    assert verdict.channels == ()
    assert verdict.previous is None


def test_registers_below_zero_are_read() -> None:
    row = usage_row(register=-5, deltas=(10, 0, 0))
    verdict = read(line_of("MS1", body_of(usage(row))))
    assert isinstance(verdict, Usage)
    assert verdict.rows == (row,)


def test_a_clock_says_whether_its_times_are_placed() -> None:
    """P13: only S and I are Unix time."""
    assert [clock.value for clock in Clock if clock.placed] == ["S", "I"]


def test_golden_reports_are_all_readable() -> None:
    for raw in GOLDEN["reports"]:
        body = raw.split("|")[1]
        assert not isinstance(read(line_of("MS1", body)), Refused)


def test_a_channel_states_its_raw_reading_or_none() -> None:
    channel = Channel("m", "e", "Wh", 0, "modbus", "", 0, 2**53)
    birth = KINDS["birth"]
    assert isinstance(birth, Birth)
    body: dict[str, Any] = body_of(birth) | {"channels": [list(channel)]}
    assert "channels[0] raw" in _reason(read(line_of("MS1", body)))


def test_every_kind_has_its_sample() -> None:
    assert {type(report) for report in KINDS.values()} == set(Report.__args__)
