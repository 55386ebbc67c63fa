"""Payloads are bounded before they are inflated and after (P9)."""

import zlib

import pytest

from shared.errors import InvalidRecord, Refused
from shared.limits import PAYLOAD_BYTES_MAX, PAYLOAD_DEFLATED_BYTES_MAX, PAYLOAD_LINES_MAX
from shared.payload import pack, unpack


def _reason(verdict: object) -> str:
    assert isinstance(verdict, Refused), verdict
    return verdict.reason


@pytest.mark.parametrize("deflate", [True, False])
@pytest.mark.parametrize("count", [1, 2, PAYLOAD_LINES_MAX])
def test_lines_come_back_as_they_were_packed(count: int, *, deflate: bool) -> None:
    lines = [b"MS1|" + bytes([48 + at % 10]) * 100 for at in range(count)]
    payload = pack(lines, deflate=deflate)
    assert (payload[0] == 0x78) is deflate
    assert unpack(payload) == lines


def test_what_does_not_shrink_goes_plain() -> None:
    assert pack([b"MS1|x"]) == b"MS1|x"


def test_more_lines_than_a_payload_holds_are_refused_on_both_sides() -> None:
    lines = [b"MS1"] * (PAYLOAD_LINES_MAX + 1)
    with pytest.raises(InvalidRecord, match="1 to 32 lines"):
        pack(lines)
    assert "more than 32 lines" in _reason(unpack(b"\n".join(lines)))
    with pytest.raises(InvalidRecord, match="1 to 32 lines"):
        pack([])


def test_a_plain_payload_is_refused_one_byte_beyond_its_bound() -> None:
    assert unpack(b"M" * PAYLOAD_BYTES_MAX) == [b"M" * PAYLOAD_BYTES_MAX]
    assert "more than" in _reason(unpack(b"M" * (PAYLOAD_BYTES_MAX + 1)))
    assert pack([b"M" * PAYLOAD_BYTES_MAX], deflate=False)
    with pytest.raises(InvalidRecord, match="at most"):
        pack([b"M" * (PAYLOAD_BYTES_MAX + 1)])


def test_a_deflated_payload_is_refused_where_it_inflates_beyond_its_bound() -> None:
    assert unpack(zlib.compress(b"M" * PAYLOAD_BYTES_MAX)) == [b"M" * PAYLOAD_BYTES_MAX]
    assert "inflates to more than" in _reason(unpack(zlib.compress(b"M" * (PAYLOAD_BYTES_MAX + 1))))
    bomb = zlib.compress(bytes(60_000_000))
    assert len(bomb) < PAYLOAD_DEFLATED_BYTES_MAX
    assert "inflates to more than" in _reason(unpack(bomb))


def test_a_deflated_payload_is_refused_one_byte_beyond_its_own_bound() -> None:
    stored = zlib.compress(b"M" * (PAYLOAD_DEFLATED_BYTES_MAX - 11), 0)
    while len(stored) > PAYLOAD_DEFLATED_BYTES_MAX:
        stored = zlib.compress(b"M" * (len(zlib.decompress(stored)) - 1), 0)
    assert len(stored) == PAYLOAD_DEFLATED_BYTES_MAX
    assert isinstance(unpack(stored), list)
    longer = zlib.compress(zlib.decompress(stored) + b"M", 0)
    assert len(longer) == PAYLOAD_DEFLATED_BYTES_MAX + 1
    assert "more than" in _reason(unpack(longer))


def test_a_deflated_payload_ends_exactly_where_its_stream_ends() -> None:
    sound = zlib.compress(b"MS1|{}|x")
    assert "too early" in _reason(unpack(sound[:-1]))
    assert "follow the end" in _reason(unpack(sound + b"\x00"))
    assert "follow the end" in _reason(unpack(sound + sound))
    assert "does not inflate" in _reason(unpack(sound[:-1] + bytes([sound[-1] ^ 1])))
    assert "does not inflate" in _reason(unpack(b"\x78\x9cnot deflated"))


def test_a_dictionary_is_refused() -> None:
    packer = zlib.compressobj(zdict=b"gateway")
    assert "does not inflate" in _reason(unpack(packer.compress(b"gateway") + packer.flush()))


@pytest.mark.parametrize("payload", [b"", zlib.compress(b"")])
def test_an_empty_payload_is_refused(payload: bytes) -> None:
    assert "empty" in _reason(unpack(payload))
