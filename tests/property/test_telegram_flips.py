"""Whatever the wire does to a telegram that carries a check, no wrong reading comes of it (P19)."""

from collections.abc import Callable
from itertools import product
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.sources.d0_telegram import D0Telegrams
from edge_agent.sources.mbus_frame import answer_in
from edge_agent.sources.newest import Framer
from edge_agent.sources.obis import Telegram, Unreadable
from edge_agent.sources.p1_cipher import SealedTelegrams
from edge_agent.sources.p1_telegram import P1Telegrams
from edge_agent.sources.sml_telegram import SmlTelegrams
from tests import telegrams

BLOCK: Final = telegrams.d0_block(["C.1.0(1234)", "1.8.0(000123.4*kWh)", "2.8.0(000001.0*kWh)", "0.9.1(120000)"])
CHECKED: Final[dict[str, tuple[Callable[[], Framer], bytes]]] = {
    "p1": (P1Telegrams, telegrams.dsmr5()),
    "p1-sealed": (lambda: SealedTelegrams(lambda: telegrams.KEY), telegrams.sealed_p1(telegrams.dsmr5())),
    "sml": (SmlTelegrams, telegrams.sml_meter()),
    "sml-kermit": (lambda: SmlTelegrams("kermit"), telegrams.sml([("1-0:1.8.0*255", 30, 0, (64, 5))], kermit=True)),
    "d0": (lambda: D0Telegrams(asked=True), BLOCK),
    "d0-parity": (D0Telegrams, telegrams.even(b"/TST5X\r\n\r\n" + BLOCK)),
}
MBUS: Final = telegrams.mbus_answer(
    5, telegrams.mbus_id(), b"\x0c\x06" + telegrams.bcd(12_345, 4) + b"\x04\x13" + bytes(4)
)


def telegrams_in(framer: Framer, data: bytes) -> list[Telegram]:
    """What is believed of these bytes, and of the silence after them."""
    found = [*framer.feed(data), *framer.pause()]
    return [each for each in found if not isinstance(each, Unreadable)]


@pytest.mark.parametrize("kind", CHECKED)
def test_a_flipped_byte_leaves_no_reading(kind: str) -> None:
    """Each byte in each way it can be wrong; of long telegrams each bit."""
    framer, sent = CHECKED[kind]
    (good,) = telegrams_in(framer(), sent)
    masks = range(1, 256) if len(sent) < 300 else [1 << bit for bit in range(8)]
    for at, mask in product(range(len(sent)), masks):
        flipped = sent[:at] + bytes([sent[at] ^ mask]) + sent[at + 1 :]
        found = telegrams_in(framer(), flipped)
        assert found == [] or (_outside(kind, at) and found == [good]), (at, mask)


@pytest.mark.parametrize("kind", [kind for kind in CHECKED if not kind.startswith("d0")])
@given(data=st.data())
def test_flipped_bytes_before_a_telegram_leave_only_the_telegram(kind: str, data: st.DataObject) -> None:
    """Where a CRC stands behind it; a block check character alone does not see two wrongs that are alike."""
    framer, sent = CHECKED[kind]
    (good,) = telegrams_in(framer(), sent)
    flipped = bytearray(sent)
    for at, mask in data.draw(st.lists(st.tuples(st.integers(0, len(sent) - 1), st.integers(1, 255)), max_size=3)):
        flipped[at] ^= mask
    one = framer()
    found = [each for piece in (bytes(flipped), sent, sent) for each in telegrams_in(one, piece)]
    assert set(found) == {good}


def _outside(kind: str, at: int) -> bool:
    """A P1 telegram's line end, and a D0 greeting, are no part of what is checked: they say no value."""
    _, sent = CHECKED[kind]
    return (kind == "p1" and at >= len(sent) - 2) or (kind == "d0-parity" and at < len(sent) - len(BLOCK))


@pytest.mark.parametrize("kind", CHECKED)
@given(noise=st.binary(max_size=64), cut=st.integers(0, 2_000), pieces=st.integers(1, 300))
def test_noise_and_half_telegrams_between_cost_no_more_than_the_next_telegram(
    kind: str, noise: bytes, cut: int, pieces: int
) -> None:
    """P8: and never bring a reading that was not sent."""
    make, sent = CHECKED[kind]
    framer = make()
    (good,) = telegrams_in(make(), sent)
    stream = sent[:cut] + noise + sent + sent
    found = [each for at in range(0, len(stream), pieces) for each in framer.feed(stream[at : at + pieces])]
    found += framer.pause()
    believed = [each for each in found if not isinstance(each, Unreadable)]
    assert set(believed) == {good}


@given(data=st.data())
def test_a_flipped_byte_of_an_m_bus_answer_leaves_none(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(MBUS) - 1))
    flipped = MBUS[:at] + bytes([MBUS[at] ^ data.draw(st.integers(1, 255))]) + MBUS[at + 1 :]
    assert answer_in(flipped) is None
    good = answer_in(MBUS)
    assert good is not None
    assert answer_in(data.draw(st.binary(max_size=16)).replace(b"\x68", b"") + MBUS) == good


@given(noise=st.binary(max_size=2_000))
@pytest.mark.parametrize(
    "make", [P1Telegrams, D0Telegrams, SmlTelegrams, lambda: SealedTelegrams(lambda: telegrams.KEY)]
)
def test_noise_alone_is_never_a_telegram(make: Callable[[], Framer], noise: bytes) -> None:
    framer = make()
    assert [each for each in [*framer.feed(noise), *framer.pause()] if not isinstance(each, Unreadable)] == []
