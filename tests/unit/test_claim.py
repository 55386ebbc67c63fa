"""Claim codes: one spelling, mistakes named, a CA that cannot be exchanged for another (P10)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.claim import LETTERS, SECRET_BYTES, ClaimCode, stored
from shared.enrolment import Claim, Credentials, Renewal, Standing
from shared.errors import InvalidRecord, Refused
from shared.key import SigningKey
from shared.limits import ENROLMENT_TEXT_CHARS_MAX

KEY = SigningKey(bytes(range(32)))
SECRETS = st.binary(min_size=SECRET_BYTES, max_size=SECRET_BYTES)


@given(SECRETS, st.binary(max_size=64))
def test_a_code_is_read_as_it_was_printed_in_any_case_and_spacing(random: bytes, authority: bytes) -> None:
    code = ClaimCode.draw(random, authority)
    assert len(code.text.replace("-", "")) == LETTERS
    assert ClaimCode.read(code.text) == code
    assert ClaimCode.read(code.text.lower().replace("-", " ")) == code
    assert ClaimCode.read(code.text.replace("1", "l").replace("0", "o")) == code
    assert code.names(authority)


@given(SECRETS, st.integers(0, LETTERS - 1), st.sampled_from("0123456789ABCDEFGHJKMNPQRSTVWXYZ"))
def test_one_wrong_letter_is_noticed_or_opens_nothing(random: bytes, place: int, letter: str) -> None:
    code = ClaimCode.draw(random, b"authority")
    typed = list(code.text.replace("-", ""))
    if typed[place] == letter:
        return
    typed[place] = letter
    try:
        other = ClaimCode.read("".join(typed))
    except InvalidRecord as error:
        assert "compare it with the invitation" in str(error)  # noqa: PT017 - one in a thousand is not noticed.
    else:
        assert (other.secret, other.authority) != (code.secret, code.authority)


def test_a_code_names_one_certificate_and_no_other() -> None:
    """P10: whoever answers in the collector's place has another CA."""
    code = ClaimCode.draw(bytes(SECRET_BYTES), b"the collector's CA")
    assert not code.names(b"the collector's Ca")
    assert str(ClaimCode.draw(bytes(SECRET_BYTES), b"x").secret) not in repr(code)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("", "has 35 letters and digits, this has 0"),
        ("ABCDE", "this has 5"),
        ("U" * 35, "has no 'U' in it"),
        ("ABCDÉ" * 7, "has no 'É' in it"),
        ("A" * 35, "a letter of this claim code is wrong"),
    ],
)
def test_what_is_no_code_is_named(typed: str, said: str) -> None:
    with pytest.raises(InvalidRecord, match=said):
        ClaimCode.read(typed)


def test_what_the_collector_keeps_of_a_secret_does_not_say_it() -> None:
    secret = ClaimCode.draw(bytes(SECRET_BYTES), b"").secret
    assert secret not in stored(secret)
    assert stored(secret) != stored("0" * 14 + "1")


def test_a_claim_is_its_keys_own_and_for_one_secret() -> None:
    """P10: who does not hold the private key cannot claim for it."""
    claim = Claim.signed("0123", KEY)
    assert Claim.read(claim.body) == claim
    assert isinstance(Claim.read(claim.body | {"secret": "0124"}), Refused)
    assert isinstance(Claim.read(claim.body | {"public": SigningKey(bytes(32)).public.text}), Refused)
    assert isinstance(Claim.read(claim.body | {"more": ""}), Refused)
    assert isinstance(Claim.read([]), Refused)
    assert "0123" not in repr(claim)


def test_a_renewal_is_its_keys_own_and_for_one_gateway() -> None:
    renewal = Renewal.signed("house-7", KEY)
    assert Renewal.read(renewal.body) == renewal
    for change in (
        {"gateway": "house-8"},
        {"gateway": "House"},
        {"proof": Claim.signed("x", KEY).proof},
        {"proof": ""},
    ):
        assert isinstance(Renewal.read(renewal.body | change), Refused)


def credentials(**changes: object) -> dict[str, object]:
    found = Credentials(
        gateway="house-7",
        standing=Standing.PENDING,
        certificate="-",
        renew_at=1,
        ends_at=2,
        receipt_key=KEY.public.pem,
        recovery_key="",
        broker_host="broker.example",
        broker_port=8883,
        prefix="meterseal/v1",
    )
    return found.body | changes


@pytest.mark.parametrize(
    "changes",
    [
        {"gateway": "../etc"},
        {"standing": "king"},
        {"renew_at": -1},
        {"ends_at": True},
        {"broker_port": "8883"},
        {"receipt_key": "none"},
        {"recovery_key": "none"},
        {"certificate": "x" * (ENROLMENT_TEXT_CHARS_MAX + 1)},
        {"prefix": "métres"},
        {"unknown": 1},
    ],
    ids=str,
)
def test_an_answer_that_breaks_a_rule_is_refused(changes: dict[str, object]) -> None:
    assert isinstance(Credentials.read(credentials()), Credentials)
    assert isinstance(Credentials.read(credentials(**changes)), Refused)
