"""Keys: one spelling each, PEM that openssl reads, words that people compare (P10)."""

import pytest

from shared.errors import InvalidRecord
from shared.key import PublicKey, SigningKey
from shared.words import WORDS
from tests.unit.wire_samples import COLLECTOR_KEY, GATEWAY_KEY, GOLDEN

PUBLIC = GATEWAY_KEY.public


def test_a_key_comes_back_from_its_pem() -> None:
    assert SigningKey.from_pem(GATEWAY_KEY.pem) == GATEWAY_KEY
    assert PublicKey.from_pem(PUBLIC.pem) == PUBLIC
    assert PublicKey.from_pem(GATEWAY_KEY.pem) == PUBLIC
    assert PublicKey.from_text(PUBLIC.text) == PUBLIC


def test_a_private_key_never_shows_itself() -> None:
    assert GOLDEN["gateway"]["seed_hex"] not in repr(GATEWAY_KEY)
    assert repr(GATEWAY_KEY.seed) not in repr(GATEWAY_KEY)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        PUBLIC.pem.replace("PUBLIC", "ROTTEN"),
        PUBLIC.pem.replace("MCow", "MCox"),
        PUBLIC.pem.replace("MCow", "MC!w"),
        PUBLIC.pem.replace("MCow", ""),
        "-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n",
        COLLECTOR_KEY.pem.replace("MC4C", "MC4D"),
    ],
)
def test_a_damaged_pem_is_refused(text: str) -> None:
    with pytest.raises(InvalidRecord):
        PublicKey.from_pem(text)
    with pytest.raises(InvalidRecord):
        SigningKey.from_pem(text)


def test_a_public_key_is_no_private_key() -> None:
    with pytest.raises(InvalidRecord, match="no Ed25519 private key"):
        SigningKey.from_pem(PUBLIC.pem)


@pytest.mark.parametrize(
    "text", [PUBLIC.text + "=", PUBLIC.text[:-1], PUBLIC.text[:-1] + "5", "", "é", " " + PUBLIC.text]
)
def test_another_spelling_of_a_public_key_is_refused(text: str) -> None:
    with pytest.raises(InvalidRecord):
        PublicKey.from_text(text)


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_key_has_32_bytes(length: int) -> None:
    with pytest.raises(InvalidRecord, match="32 bytes"):
        PublicKey(bytes(length))
    with pytest.raises(InvalidRecord, match="32 bytes"):
        SigningKey(bytes(length))


def test_a_signature_is_for_one_message_by_one_key() -> None:
    signature = GATEWAY_KEY.sign(b"message")
    assert GATEWAY_KEY.sign(b"message") == signature
    assert PUBLIC.verifies(b"message", signature)
    assert not PUBLIC.verifies(b"message.", signature)
    assert not PUBLIC.verifies(b"message", signature[:-1] + bytes([signature[-1] ^ 1]))
    assert not COLLECTOR_KEY.public.verifies(b"message", signature)


def test_a_signature_with_another_s_is_refused() -> None:
    """RFC 8032, 5.1.7: s + L would verify too where it is not checked, and give a line two hashes."""
    order = 2**252 + 27742317777372353535851937790883648493
    signature = GATEWAY_KEY.sign(b"message")
    other = int.from_bytes(signature[32:], "little") + order
    assert not PUBLIC.verifies(b"message", signature[:32] + other.to_bytes(32, "little"))


@pytest.mark.parametrize("raw", [bytes(32), b"\x01" + bytes(31)])
def test_a_key_of_small_order_verifies_nothing(raw: bytes) -> None:
    assert not PublicKey(raw).verifies(b"message", b"\x01" + bytes(63))
    assert not PublicKey(raw).verifies(b"message", bytes(64))


def test_words_name_the_fingerprint_bytes() -> None:
    words = PUBLIC.words.split("-")
    assert bytes(WORDS.index(word) for word in words).hex() == PUBLIC.sha256[:16] == PUBLIC.id


def test_the_word_list_has_one_plain_word_for_each_byte() -> None:
    assert len(WORDS) == len(set(WORDS)) == 256
    assert all(word.isascii() and word.isalpha() and word.islower() for word in WORDS)
