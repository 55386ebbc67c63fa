"""No bytes at all raise out of the wire's room: each becomes a record or a Refused (P8, P9)."""

import json
import zlib
from base64 import urlsafe_b64encode
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.checkpoint import read_checkpoint
from shared.command import read_answer, read_command
from shared.errors import InvalidRecord, Refused
from shared.limits import INTEGER_MAX, PAYLOAD_LINES_MAX
from shared.line import Line, parse, read_body, seal, write_body
from shared.merkle import consistent, includes, leaf_hash, prove_consistency, prove_inclusion, root_of
from shared.payload import pack, unpack
from shared.receipt import Receipt, read_receipt, seal_receipt
from shared.report import (
    Birth,
    Cause,
    Channel,
    Clock,
    ClockLine,
    Cover,
    Exchange,
    ExchangeRow,
    Forgotten,
    Gap,
    GapCause,
    GapRow,
    Header,
    Lost,
    Position,
    Report,
    Summary,
    Usage,
    UsageRow,
    Verdict,
    body_of,
    read,
    seal_report,
)
from tests.unit.wire_samples import COLLECTOR_KEY, GATEWAY_KEY, GOLDEN, each_kind, rotation, signed

CORPUS = Path(__file__).parents[1] / "golden" / "corpus"
READERS = (read, read_receipt, read_command, read_answer, read_checkpoint, read_body)

hashes = st.binary(min_size=32, max_size=32).map(lambda raw: urlsafe_b64encode(raw).rstrip(b"=").decode())
hex8 = st.text("0123456789abcdef", min_size=8, max_size=8)
names = st.text("abcxyz0189_.-", min_size=1, max_size=32)
plain = st.text([chr(at) for at in range(32, 127) if chr(at) not in '"\\|'], max_size=32)
integers = st.integers(-INTEGER_MAX, INTEGER_MAX)
seconds = st.integers(0, 2**33 - 1)
exponents = st.integers(-12, 12)
channels = st.tuples(names, names)


@st.composite
def headers(draw: st.DrawFn) -> Header:
    seq = draw(st.integers(1, INTEGER_MAX))
    return Header(
        gateway=draw(st.from_regex(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?", fullmatch=True)),
        log=draw(names),
        key=GATEWAY_KEY.public.id,
        epoch=draw(hex8),
        seq=seq,
        prev="" if seq == 1 else draw(hashes),
        boot=draw(hex8),
        clock=draw(st.sampled_from(Clock)),
        sealed_at=draw(seconds),
    )


@st.composite
def usage_rows(draw: st.DrawFn, count: int) -> tuple[UsageRow, ...]:
    rows = []
    for device, meter in draw(st.lists(channels, unique=True, max_size=4)):
        deltas = tuple(draw(st.lists(st.integers(0, 2**40), min_size=count, max_size=count)))
        notes = draw(st.dictionaries(st.integers(0, count - 1), st.sampled_from(Verdict), max_size=3))
        unit = draw(plain.filter(bool))
        register = draw(st.integers(-INTEGER_MAX, INTEGER_MAX - sum(deltas)))
        rows.append(UsageRow(device, meter, unit, draw(exponents), register, deltas, notes))
    return tuple(rows)


@st.composite
def births(draw: st.DrawFn) -> Birth:
    rows = tuple(
        Channel(
            device,
            meter,
            draw(plain.filter(bool)),
            draw(exponents),
            draw(names),
            draw(plain),
            draw(integers),
            draw(st.none() | integers),
        )
        for device, meter in draw(st.lists(channels, unique=True, max_size=3))
    )
    return Birth(
        header=draw(headers()),
        agent=draw(plain),
        config=draw(hashes),
        cause=draw(st.sampled_from(Cause)),
        previous=draw(st.none() | st.builds(Position, hex8, st.integers(1, INTEGER_MAX), hashes)),
        channels=rows,
    )


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    count = draw(st.integers(1, 20))
    return Usage(
        header=draw(headers()),
        start=draw(seconds),
        step=draw(st.integers(1, 86_400)),
        count=count,
        rows=draw(usage_rows(count)),
    )


@st.composite
def gaps(draw: st.DrawFn) -> Gap:
    rows = []
    for device, meter in draw(st.lists(channels, unique=True, min_size=1, max_size=3)):
        start, end = draw(st.lists(seconds, min_size=2, max_size=2, unique=True).map(sorted))
        before, after = draw(
            st.just((None, None)) | st.lists(integers, min_size=2, max_size=2).map(lambda two: (min(two), max(two)))
        )
        rows.append(GapRow(device, meter, start, end, draw(st.sampled_from(GapCause)), before, after))
    return Gap(header=draw(headers()), rows=tuple(rows))


@st.composite
def exchanges(draw: st.DrawFn) -> Exchange:
    rows = tuple(
        ExchangeRow(device, meter, draw(plain), draw(st.none() | integers), draw(plain), draw(integers), draw(integers))
        for device, meter in draw(st.lists(channels, unique=True, min_size=1, max_size=3))
    )
    return Exchange(header=draw(headers()), rows=rows)


@st.composite
def summaries(draw: st.DrawFn) -> Summary:
    header = draw(headers().filter(lambda header: header.seq > 10))
    edges = sorted(draw(st.sets(st.integers(2, 10), min_size=2, max_size=8)))
    pairs = list(zip(edges[::2], edges[1::2], strict=False))
    step, count = draw(st.sampled_from((3_600, 86_400))), draw(st.integers(1, 5))
    return Summary(
        header=header,
        covers=tuple(Cover(first, last, draw(hashes), draw(hashes)) for first, last in pairs),
        start=draw(st.integers(0, 90_000)) * step,
        step=step,
        count=count,
        rows=draw(usage_rows(count)),
    )


lost = st.tuples(hex8, st.integers(1, 2**40), st.integers(0, 2**20)).map(lambda at: Lost(at[0], at[1], at[1] + at[2]))
reports: st.SearchStrategy[Report] = st.one_of(
    births(),
    usages(),
    gaps(),
    exchanges(),
    summaries(),
    st.builds(ClockLine, header=headers(), offset=st.integers(1 - 2**33, 2**33 - 1)),
    st.builds(Forgotten, header=headers(), lost=lost, receipted_at=st.integers(0, INTEGER_MAX)),
    headers().map(rotation),
)


def judge(payload: bytes) -> list[str]:
    """What the room says to a payload: one word or reason for it, or one for each of its lines."""
    lines = unpack(payload)
    if isinstance(lines, Refused):
        return [lines.reason]
    return [_judge_line(raw) for raw in lines]


def _judge_line(raw: bytes) -> str:
    line = parse(raw)
    if isinstance(line, Refused):
        return line.reason
    verdicts = [reader(line) for reader in READERS]
    assert all(isinstance(verdict.reason, str) for verdict in verdicts if isinstance(verdict, Refused))
    verdict = verdicts[0]
    return verdict.reason if isinstance(verdict, Refused) else type(verdict).__name__


@given(reports)
def test_a_report_is_read_back_as_it_was_sealed(report: Report) -> None:
    line = parse(seal_report(report, GATEWAY_KEY))
    assert isinstance(line, Line)
    assert line.verified_by(GATEWAY_KEY.public)
    assert read(line) == report
    assert read_body(line) == json.loads(write_body("MS1", body_of(report)))


@given(st.lists(reports, min_size=1, max_size=PAYLOAD_LINES_MAX), st.booleans())
@settings(max_examples=20)
def test_a_payload_comes_back_as_it_was_packed(records: list[Report], deflate: bool) -> None:  # noqa: FBT001
    lines = [seal_report(report, GATEWAY_KEY) for report in records]
    assert unpack(pack(lines, deflate=deflate)) == lines


@given(st.binary(max_size=300) | st.binary(max_size=300).map(zlib.compress) | st.binary().map(lambda raw: b"x" + raw))
def test_no_payload_raises(payload: bytes) -> None:
    assert judge(payload)


@given(st.sampled_from(GOLDEN["reports"]), st.data())
def test_no_damaged_golden_line_raises(text: str, data: st.DataObject) -> None:
    raw = bytearray(text.encode())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at : at + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
    assert judge(bytes(raw))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(st.sampled_from(("MS1", "MR1", "MC1", "MA1", "MK1", "MI1")), json_values)
def test_no_json_in_a_genuine_line_raises(tag: str, value: Any) -> None:
    assert judge(signed(tag, json.dumps(value, separators=(",", ":"))))


@given(st.sampled_from(each_kind()), json_values, st.data())
def test_no_json_in_any_place_of_a_genuine_report_raises(report: Report, value: Any, data: st.DataObject) -> None:
    body = json.loads(write_body("MS1", body_of(report)))
    place: Any = body
    while True:
        key = data.draw(st.sampled_from(sorted(place)) if isinstance(place, dict) else st.integers(0, len(place) - 1))
        if not isinstance(place[key], (dict, list)) or not place[key] or data.draw(st.booleans()):
            break
        place = place[key]
    place[key] = value
    assert judge(signed("MS1", json.dumps(body, separators=(",", ":"))))


@given(st.text("{}[]:,\"'0123456789-.eE tfn\\|/u", max_size=60))
def test_no_text_in_a_genuine_line_raises(text: str) -> None:
    assert judge(signed("MS1", "{" + text + "}"))
    assert judge(signed("MI1", "{" + text + "}"))


@given(st.dictionaries(st.text(max_size=20), st.text(max_size=40) | integers | st.booleans(), max_size=5))
def test_an_invoice_keeps_every_text_or_refuses_to_be_written(body: dict[str, Any]) -> None:
    try:
        raw = seal("MI1", body, COLLECTOR_KEY)
    except InvalidRecord as error:
        assert "half of a character" in str(error)  # noqa: PT017 - the other outcome is checked below.
        return
    line = parse(raw)
    assert isinstance(line, Line)
    assert read_body(line) == body


@given(st.lists(st.integers(1, 5), max_size=10), st.lists(hashes, max_size=4), st.integers(0, INTEGER_MAX), hashes)
def test_a_receipt_is_read_back_as_it_was_sealed(steps: list[int], aside: list[str], at: int, head: str) -> None:
    missing, last = [], 7
    for step in steps:
        missing.append((last + step, last + 2 * step))
        last += 2 * step
    receipt = Receipt(
        gateway="gw-1",
        log="main",
        key=COLLECTOR_KEY.public.id,
        epoch="5f2c91aa",
        through=7,
        head=head,
        missing=tuple(missing),
        aside=tuple(aside),
        at=at,
    )
    line = parse(seal_receipt(receipt, COLLECTOR_KEY))
    assert isinstance(line, Line)
    assert read_receipt(line) == receipt


@given(st.lists(st.binary(max_size=8), min_size=1, max_size=40), st.data())
def test_a_proof_proves_and_a_damaged_one_does_not(leaves: list[bytes], data: st.DataObject) -> None:
    nodes = [leaf_hash(leaf) for leaf in leaves]
    root, size = root_of(nodes), len(nodes)
    index = data.draw(st.integers(0, size - 1))
    path = prove_inclusion(nodes, index)
    assert includes(root, size, index, nodes[index], path)
    old = data.draw(st.integers(1, size))
    trail = prove_consistency(nodes, old)
    assert consistent(root_of(nodes[:old]), old, root, size, trail)
    if trail:
        at = data.draw(st.integers(0, len(trail) - 1))
        trail[at] = bytes(32)
        assert not consistent(root_of(nodes[:old]), old, root, size, trail)
    if path:
        path[data.draw(st.integers(0, len(path) - 1))] = bytes(32)
        assert not includes(root, size, index, nodes[index], path)


VERDICTS: dict[str, list[str]] = json.loads((CORPUS / "verdicts.json").read_text(encoding="utf-8"))


def test_every_kept_payload_has_its_verdict() -> None:
    assert {path.stem for path in CORPUS.glob("*.payload")} == set(VERDICTS)


@pytest.mark.parametrize("name", VERDICTS)
def test_a_kept_payload_gets_the_verdict_that_was_kept_with_it(name: str) -> None:
    """A reason is read by people: it changes only on purpose."""
    assert judge((CORPUS / f"{name}.payload").read_bytes()) == VERDICTS[name]
