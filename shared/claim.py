"""Claim codes: what an installer types on a new gateway, once.

A code is 35 letters of an alphabet without I, L, O and U, in seven groups of five: 60 bits of a secret that
only the collector's invitation matches, 105 bits of the SHA-256 of the collector's CA certificate, so that
the gateway knows whom it talks to before it has a clock (P10, P13), and 10 bits that catch a typing error.
"""

import hashlib
from dataclasses import dataclass, field
from typing import Final

from shared.errors import InvalidRecord

SECRET_BITS: Final = 60
AUTHORITY_BITS: Final = 105
CHECK_BITS: Final = 10
LETTERS: Final = (SECRET_BITS + AUTHORITY_BITS + CHECK_BITS) // 5
GROUP_LETTERS: Final = 5
SECRET_BYTES: Final = 8
_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_READ_AS: Final = str.maketrans("ILOilo", "110110")
"""What people type for a letter that the alphabet does not have. Source: Crockford's base 32."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimCode:
    """A secret and the beginning of a CA's fingerprint."""

    secret_number: int = field(repr=False)
    authority: int

    def __post_init__(self) -> None:
        if not 0 <= self.secret_number < 1 << SECRET_BITS or not 0 <= self.authority < 1 << AUTHORITY_BITS:
            raise InvalidRecord("a claim code has 60 bits of secret and 105 of fingerprint")

    @classmethod
    def draw(cls, random: bytes, authority_der: bytes) -> "ClaimCode":
        """A code of 8 random bytes, for the CA with this certificate."""
        if len(random) != SECRET_BYTES:
            raise InvalidRecord(f"a claim code is drawn from {SECRET_BYTES} random bytes")
        return cls(
            secret_number=int.from_bytes(random) >> (SECRET_BYTES * 8 - SECRET_BITS),
            authority=_shortened(authority_der),
        )

    @classmethod
    def read(cls, text: str) -> "ClaimCode":
        """The code that somebody typed, in any case, with hyphens and blanks as they come; raises InvalidRecord."""
        typed = "".join(text.translate(_READ_AS).upper().replace("-", "").split())
        strange = next((letter for letter in typed if letter not in _ALPHABET), None)
        if strange is not None:
            raise InvalidRecord(f"a claim code has no {strange!r} in it: compare it with the invitation")
        if len(typed) != LETTERS:
            raise InvalidRecord(f"a claim code has {LETTERS} letters and digits, this has {len(typed)}: type all of it")
        number = 0
        for letter in typed:
            number = number << 5 | _ALPHABET.index(letter)
        code = cls(
            secret_number=number >> (AUTHORITY_BITS + CHECK_BITS),
            authority=number >> CHECK_BITS & (1 << AUTHORITY_BITS) - 1,
        )
        if code.text.replace("-", "") != typed:
            raise InvalidRecord("a letter of this claim code is wrong: compare it with the invitation")
        return code

    @property
    def text(self) -> str:
        """Seven groups of five letters, as it is printed."""
        payload = self.secret_number << AUTHORITY_BITS | self.authority
        number = payload << CHECK_BITS | _check(payload)
        letters = "".join(_ALPHABET[number >> 5 * place & 31] for place in reversed(range(LETTERS)))
        return "-".join(letters[at : at + GROUP_LETTERS] for at in range(0, LETTERS, GROUP_LETTERS))

    @property
    def secret(self) -> str:
        """The half that is sent to the collector, once its certificate has matched the other half."""
        return f"{self.secret_number:015x}"

    def names(self, authority_der: bytes) -> bool:
        """Whether this is the CA certificate that the code was made for."""
        return _shortened(authority_der) == self.authority


def stored(secret: str) -> str:
    """What the collector keeps of a secret: hex of SHA-256, of which nobody makes a code again."""
    return hashlib.sha256(f"meterseal-claim|{secret}".encode()).hexdigest()


def _shortened(authority_der: bytes) -> int:
    return int.from_bytes(hashlib.sha256(authority_der).digest()) >> (256 - AUTHORITY_BITS)


def _check(payload: int) -> int:
    digest = hashlib.sha256(b"meterseal-code|" + payload.to_bytes(21)).digest()
    return int.from_bytes(digest[:2]) >> (16 - CHECK_BITS)
