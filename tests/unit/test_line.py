"""A sealed line's shape and body: what is no line is refused with a plain reason (P10)."""

import pytest

from shared.errors import InvalidRecord, Refused
from shared.line import Line, hash_of, parse, read_body, seal, write_body
from tests.unit.wire_samples import COLLECTOR_KEY, GATEWAY_KEY, GOLDEN, line_of, signed

SIGNATURE = "A" * 86


def _reason(verdict: object) -> str:
    assert isinstance(verdict, Refused), verdict
    return verdict.reason


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("", "known tag"),
        ("MS2|{}|" + SIGNATURE, "known tag"),
        ("ms1|{}|" + SIGNATURE, "known tag"),
        ("MS1{}|" + SIGNATURE, "known tag"),
        ("MS1|{}|" + SIGNATURE + "\n", "line break"),
        ("MS1|{}", "2 sections"),
        ("MS1|{}|" + SIGNATURE + "|", "4 sections"),
        ('MS1|{"a":"|"}|' + SIGNATURE, "4 sections"),
        ("MS1|{}|" + SIGNATURE[:-1], "signature"),
        ("MS1|{}|" + SIGNATURE[:-1] + "B", "signature"),
        ("MS1|{}|" + SIGNATURE[:-1] + "+", "signature"),
        ("MS1|{}|" + SIGNATURE + "==", "signature"),
        ('MS1|{"a":"\\u0041"}|' + SIGNATURE, "printable ASCII"),
        ('MS1|{"a":"\t"}|' + SIGNATURE, "printable ASCII"),
        ('MS1|{"a":"é"}|' + SIGNATURE, "printable ASCII"),
        ("MS1|[]|" + SIGNATURE, "JSON object"),
    ],
)
def test_what_has_not_the_shape_of_a_line_is_refused_with_its_reason(raw: str, reason: str) -> None:
    assert reason in _reason(parse(raw.encode()))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"a":1,"a":1}', "'a' stands twice"),
        ('{"a":{"b":1,"b":2}}', "'b' stands twice"),
        ('{"a":1.0}', "no integer"),
        ('{"a":1e3}', "no integer"),
        ('{"a":NaN}', "no integer"),
        ('{"a":-Infinity}', "no integer"),
        ('{"a":-0}', "one spelling"),
        ('{"a":[-0]}', "one spelling"),
        ('{"a":[1,-0]}', "one spelling"),
        ('{"a": 1}', "one spelling"),
        ('{"a":1} ', "JSON object of printable"),
        ('{"a":01}', "no acceptable JSON"),
        ('{"a":+1}', "no acceptable JSON"),
        ("{'a':1}", "no acceptable JSON"),
        ('{"a":1}{"a":1}', "no acceptable JSON"),
        ('{"a":' + "1" * 5000 + "}", "no acceptable JSON"),
    ],
)
def test_a_body_that_is_no_strict_json_is_refused_with_its_reason(text: str, reason: str) -> None:
    line = parse(signed("MS1", text))
    verdict = line if isinstance(line, Refused) else read_body(line)
    assert reason in _reason(verdict)


@pytest.mark.parametrize("text", ['{"a":"x -0 y"}', '{"a":"-0"}', '{"a-0":",-0"}', '{"a":"]]]] [[[[ {}"}'])
def test_a_text_may_hold_what_would_be_strange_outside_of_it(text: str) -> None:
    assert isinstance(read_body(line_of("MS1", text)), dict)


@pytest.mark.parametrize("depth", [5, 6, 2_000, 50_000])
def test_a_deep_body_is_refused_without_exhausting_the_stack(depth: int) -> None:
    """P9: nesting has a bound, whatever the parser would bear."""
    assert _reason(read_body(line_of("MS1", '{"a":' + "[" * depth + "]" * depth + "}")))


def test_half_a_character_is_refused_in_an_invoice() -> None:
    assert "half of a character" in _reason(read_body(line_of("MI1", '{"a":"\\ud83d"}')))
    assert read_body(line_of("MI1", '{"a":"\\ud83d\\ude00"}')) == {"a": "😀"}


@pytest.mark.parametrize("text", ['{"a":"\\u0041"}', '{"a":"\\u00E9"}', '{"a":"\\/"}', '{"a":1, "b":2}'])
def test_an_invoice_has_one_spelling(text: str) -> None:
    assert "one spelling" in _reason(read_body(line_of("MI1", text)))


@pytest.mark.parametrize("name", ["Åke | Co", "a\x7fb", "line\nbreak", 'quo"te', "back\\slash", "😀", "\x00"])
def test_an_invoice_keeps_every_name(name: str) -> None:
    line = parse(seal("MI1", {"name": name}, COLLECTOR_KEY))
    assert isinstance(line, Line)
    assert read_body(line) == {"name": name}
    assert line.verified_by(COLLECTOR_KEY.public)


@pytest.mark.parametrize("value", ["a|b", 'a"b', "a\\b", "é", "a\nb", 1.5, float("nan"), [[[[1]]]]])
def test_what_could_not_be_read_is_never_sealed(value: object) -> None:
    with pytest.raises(InvalidRecord):
        seal("MS1", {"a": value}, GATEWAY_KEY)


def test_an_unknown_tag_is_never_sealed() -> None:
    with pytest.raises(InvalidRecord, match="known tag"):
        seal("MX1", {}, GATEWAY_KEY)


def test_a_flipped_bit_anywhere_leaves_no_line_that_verifies() -> None:
    """P11: every byte of a line is under its signature, or is the signature in its one spelling."""
    raw = GOLDEN["reports"][4].encode()
    for at in range(len(raw)):
        for bit in range(8):
            changed = raw[:at] + bytes([raw[at] ^ 1 << bit]) + raw[at + 1 :]
            verdict = parse(changed)
            assert isinstance(verdict, Refused) or not verdict.verified_by(GATEWAY_KEY.public), (at, bit)


def test_the_parts_of_a_line_are_its_own_bytes() -> None:
    raw = seal("MA1", {"a": 1}, GATEWAY_KEY)
    line = parse(raw)
    assert isinstance(line, Line)
    assert line.signed == b'MA1|{"a":1}'
    assert line.body == b'{"a":1}'
    assert len(line.signature) == 64
    assert line.hash == hash_of(raw)
    assert write_body("MA1", {"a": 1}) == '{"a":1}'
