"""Every form of the wire against its golden line, byte for byte (P10, P23)."""

from itertools import pairwise
from typing import Any

import pytest

from shared.checkpoint import Checkpoint, read_checkpoint, seal_checkpoint
from shared.command import Answer, Command, SetInterval, read_answer, read_command, seal_answer, seal_command
from shared.errors import Refused
from shared.key import PublicKey, SigningKey
from shared.line import Line, hash_of, parse, read_body, seal
from shared.merkle import leaf_hash, root_of, text_of
from shared.receipt import Receipt, read_receipt, seal_receipt
from shared.report import (
    Birth,
    ClockLine,
    Exchange,
    Forgotten,
    Gap,
    Rotate,
    Summary,
    Usage,
    body_of,
    read,
    seal_report,
)
from tests.unit.wire_samples import COLLECTOR_KEY, GATEWAY_KEY, GOLDEN, NEXT_KEY

REPORTS: list[str] = GOLDEN["reports"]
KINDS = [Birth, Usage, Usage, Gap, Exchange, ClockLine, Summary, Forgotten, Rotate, Birth, Usage, Birth, Gap]


def _parsed(text: str) -> Line:
    line = parse(text.encode())
    assert isinstance(line, Line)
    return line


@pytest.mark.parametrize(("name", "key"), [("gateway", GATEWAY_KEY), ("collector", COLLECTOR_KEY)])
def test_a_seed_makes_the_golden_key(name: str, key: SigningKey) -> None:
    assert key.public == PublicKey(bytes.fromhex(GOLDEN[name]["public_hex"]))
    assert key.public.id == GOLDEN[name]["key"]


@pytest.mark.parametrize("at", range(len(REPORTS)))
def test_a_golden_report_is_read_and_sealed_again_to_the_same_bytes(at: int) -> None:
    line = _parsed(REPORTS[at])
    key = GATEWAY_KEY if at < 9 else NEXT_KEY
    assert line.hash == GOLDEN["hashes"][at]
    assert line.verified_by(key.public)
    assert not line.verified_by(COLLECTOR_KEY.public)
    report = read(line)
    assert not isinstance(report, Refused)
    assert type(report) is KINDS[at]
    assert seal_report(report, key) == line.raw


def test_golden_reports_are_chained() -> None:
    for before, after in pairwise(REPORTS):
        body = read_body(_parsed(after))
        assert isinstance(body, dict)
        assert body["prev"] == hash_of(before.encode())


def test_the_golden_receipt_is_read_and_sealed_again_to_the_same_bytes() -> None:
    line = _parsed(GOLDEN["receipt"])
    assert line.verified_by(COLLECTOR_KEY.public)
    receipt = read_receipt(line)
    assert isinstance(receipt, Receipt)
    assert (receipt.through, receipt.head, receipt.missing) == (3, GOLDEN["hashes"][2], ((5, 6),))
    assert seal_receipt(receipt, COLLECTOR_KEY) == line.raw


def test_the_golden_command_is_read_and_sealed_again_to_the_same_bytes() -> None:
    line = _parsed(GOLDEN["command"])
    command = read_command(line)
    assert isinstance(command, Command)
    assert command.do == SetInterval(step=60, count=15)
    assert seal_command(command, COLLECTOR_KEY) == line.raw


def test_the_golden_answer_is_read_and_sealed_again_to_the_same_bytes() -> None:
    line = _parsed(GOLDEN["answer"])
    answer = read_answer(line)
    assert isinstance(answer, Answer)
    assert answer.ok
    assert seal_answer(answer, GATEWAY_KEY) == line.raw


def test_the_golden_checkpoint_is_over_the_first_four_reports() -> None:
    line = _parsed(GOLDEN["checkpoint"])
    checkpoint = read_checkpoint(line)
    assert isinstance(checkpoint, Checkpoint)
    assert checkpoint.root == text_of(root_of(leaf_hash(report.encode()) for report in REPORTS[:4]))
    assert seal_checkpoint(checkpoint, COLLECTOR_KEY) == line.raw


def test_the_golden_invoice_escapes_what_is_not_plain() -> None:
    line = _parsed(GOLDEN["invoice"]["line"])
    body = read_body(line)
    assert isinstance(body, dict)
    assert body["account"]["name"] == "Åke | Co"
    assert seal("MI1", body, COLLECTOR_KEY) == line.raw


@pytest.mark.parametrize("at", range(len(GOLDEN["malleable"]["lines"])))
def test_another_spelling_of_a_golden_line_is_refused(at: int) -> None:
    """P5: a line has one spelling, so that a position has one hash."""
    assert isinstance(parse(GOLDEN["malleable"]["lines"][at].encode()), Refused)


def test_another_spelling_of_a_hash_is_refused() -> None:
    report = read(_parsed(REPORTS[1]))
    assert isinstance(report, Usage)
    body: dict[str, Any] = body_of(report) | {"prev": GOLDEN["malleable"]["hash"]}
    assert isinstance(read(_parsed(seal("MS1", body, GATEWAY_KEY).decode())), Refused)
