"""Ed25519 keys: made, kept as PEM so that `openssl` reads them, named by id and by words."""

import hashlib
from base64 import b64decode, b64encode, urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import nacl.bindings
from nacl.exceptions import BadSignatureError

from shared.errors import InvalidRecord
from shared.words import WORDS

# RFC 8410: the fixed DER heads of an Ed25519 private (PKCS #8) and public (SubjectPublicKeyInfo) key.
_PRIVATE_DER: Final = bytes.fromhex("302e020100300506032b657004220420")
_PUBLIC_DER: Final = bytes.fromhex("302a300506032b6570032100")
FINGERPRINT_WORDS: Final = 8


@dataclass(frozen=True)
class PublicKey:
    """A raw Ed25519 public key of 32 bytes."""

    raw: bytes

    def __post_init__(self) -> None:
        if len(self.raw) != 32:
            raise InvalidRecord(f"a public key has 32 bytes, this has {len(self.raw)}")

    @cached_property
    def sha256(self) -> str:
        """The full fingerprint, 64 hex digits: what `--trust` takes."""
        return hashlib.sha256(self.raw).hexdigest()

    @property
    def id(self) -> str:
        """The first 16 hex digits of the fingerprint; unique per gateway."""
        return self.sha256[:16]

    @property
    def words(self) -> str:
        """The fingerprint's first 8 bytes as words, for people to compare."""
        return "-".join(WORDS[byte] for byte in bytes.fromhex(self.sha256)[:FINGERPRINT_WORDS])

    @property
    def text(self) -> str:
        """Base64url without padding, as a `rotate` line carries it."""
        return urlsafe_b64encode(self.raw).rstrip(b"=").decode()

    @property
    def pem(self) -> str:
        """SubjectPublicKeyInfo as PEM."""
        return _pem("PUBLIC KEY", _PUBLIC_DER + self.raw)

    @classmethod
    def from_pem(cls, text: str) -> "PublicKey":
        """Read a public key, or the public half of a private one; raises InvalidRecord."""
        label, der = _unpem(text)
        if label == "PRIVATE KEY":
            return SigningKey.from_pem(text).public
        if label != "PUBLIC KEY" or len(der) != 44 or not der.startswith(_PUBLIC_DER):
            raise InvalidRecord("this PEM file holds no Ed25519 public key")
        return cls(der[len(_PUBLIC_DER) :])

    @classmethod
    def from_text(cls, text: str) -> "PublicKey":
        """Read the base64url spelling; raises InvalidRecord for any other spelling of the same bytes."""
        try:
            key = cls(urlsafe_b64decode(text + "="))
        except ValueError as error:
            raise InvalidRecord("a public key is 43 characters of base64url") from error
        if key.text != text:
            raise InvalidRecord("a public key has one spelling in base64url, and this is another")
        return key

    def verifies(self, message: bytes, signature: bytes) -> bool:
        """Whether `signature` (64 bytes) is this key's over exactly `message`."""
        try:
            nacl.bindings.crypto_sign_open(signature + message, self.raw)
        except BadSignatureError:
            return False
        return True


@dataclass(frozen=True)
class SigningKey:
    """A private Ed25519 key, made from 32 random bytes that the caller hands in."""

    seed: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.seed) != 32:
            raise InvalidRecord(f"a private key has 32 bytes, this has {len(self.seed)}")

    @cached_property
    def _pair(self) -> tuple[bytes, bytes]:
        return nacl.bindings.crypto_sign_seed_keypair(self.seed)

    @cached_property
    def public(self) -> PublicKey:
        """The public half."""
        return PublicKey(self._pair[0])

    @property
    def pem(self) -> str:
        """PKCS #8 as PEM, unencrypted: the file's mode protects it."""
        return _pem("PRIVATE KEY", _PRIVATE_DER + self.seed)

    @classmethod
    def from_pem(cls, text: str) -> "SigningKey":
        """Read a private key; raises InvalidRecord."""
        label, der = _unpem(text)
        if label != "PRIVATE KEY" or len(der) != 48 or not der.startswith(_PRIVATE_DER):
            raise InvalidRecord("this PEM file holds no Ed25519 private key")
        return cls(der[len(_PRIVATE_DER) :])

    def sign(self, message: bytes) -> bytes:
        """The 64 bytes of the signature over exactly `message`; the same for the same message."""
        return nacl.bindings.crypto_sign(message, self._pair[1])[:64]


def _pem(label: str, der: bytes) -> str:
    return f"-----BEGIN {label}-----\n{b64encode(der).decode()}\n-----END {label}-----\n"


def _unpem(text: str) -> tuple[str, bytes]:
    rows = [row.strip() for row in text.strip().splitlines()]
    if len(rows) < 3 or not rows[0].startswith("-----BEGIN ") or not rows[-1].startswith("-----END "):
        raise InvalidRecord("this is no PEM file")
    try:
        der = b64decode("".join(rows[1:-1]), validate=True)
    except ValueError as error:
        raise InvalidRecord("this PEM file is damaged") from error
    return rows[0].removeprefix("-----BEGIN ").removesuffix("-----"), der
