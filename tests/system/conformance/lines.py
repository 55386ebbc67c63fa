"""Sealed lines, written and read with json, hashlib, zlib and PyNaCl alone."""

import base64
import hashlib
import json
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

LINE = re.compile(rb"(M[SRCAIK]1)\|(\{[^|\x00-\x1f\x7f-\xff]*\})\|([A-Za-z0-9_-]{85}[AQgw])")
HASH = re.compile(r"[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]")
_SPKI = bytes.fromhex("302a300506032b6570032100")
"""What stands before the 32 bytes of an Ed25519 key in a SubjectPublicKeyInfo (RFC 8410)."""

Body = dict[str, Any]


class NotConforming(AssertionError):
    """Something on the wire is not what docs/reference/wire.md says."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A name and the key that speaks for it."""

    name: str
    key: SigningKey

    @property
    def key_id(self) -> str:
        """The first 16 hex digits of SHA-256 of the raw public key."""
        return key_id(bytes(self.key.verify_key))

    @property
    def pem(self) -> str:
        """The public key as `openssl` reads it."""
        return pem_of(bytes(self.key.verify_key))


def key_id(public: bytes) -> str:
    """The id of a raw public key."""
    return hashlib.sha256(public).hexdigest()[:16]


def pem_of(public: bytes) -> str:
    """A raw public key in PEM."""
    return f"-----BEGIN PUBLIC KEY-----\n{base64.b64encode(_SPKI + public).decode()}\n-----END PUBLIC KEY-----\n"


def raw_of(pem: str) -> bytes:
    """The 32 bytes of a public key in PEM."""
    der = base64.b64decode("".join(row for row in pem.splitlines() if row and not row.startswith("-----")))
    if len(der) != 44 or not der.startswith(_SPKI):
        raise NotConforming("this is no Ed25519 public key")
    return der[12:]


def spelled(body: Mapping[str, Any]) -> str:
    """A body in compact separators and ASCII."""
    return json.dumps(body, separators=(",", ":"), ensure_ascii=True)


def seal(tag: str, body: Mapping[str, Any] | str, key: SigningKey) -> bytes:
    """`TAG|BODY|SIGNATURE`; a body that is text already is signed as it stands, however rotten."""
    signed = f"{tag}|{body if isinstance(body, str) else spelled(body)}".encode()
    return signed + b"|" + base64.urlsafe_b64encode(key.sign(signed).signature).rstrip(b"=")


def hash_of(raw: bytes) -> str:
    """SHA-256 of a whole line in base64url."""
    return base64.urlsafe_b64encode(hashlib.sha256(raw).digest()).rstrip(b"=").decode()


def opened(raw: bytes, public: bytes, tag: str) -> Body:
    """The body of a line that this key has signed; raises NotConforming."""
    match = LINE.fullmatch(raw)
    if match is None or match[1].decode() != tag:
        raise NotConforming(f"this is no {tag} line: {raw[:120]!r}")
    if tag != "MI1" and b"\\" in raw:
        raise NotConforming("a backslash in the body")
    try:
        VerifyKey(public).verify(raw[:-87], base64.urlsafe_b64decode(raw[-86:] + b"=="))
    except BadSignatureError:
        raise NotConforming(f"the signature is not this key's: {raw[:120]!r}") from None
    body = read(match[2].decode())
    if tag != "MI1" and spelled(body) != match[2].decode():
        raise NotConforming("the separators are not compact")
    return body


def read(text: str) -> Body:
    """One JSON object without floats, constants and duplicate keys."""
    body = json.loads(text, object_pairs_hook=_once, parse_float=_refuse, parse_constant=_refuse)
    if not isinstance(body, dict):
        raise NotConforming("the body is no object")
    return body


def pack(*lines: bytes, deflate: bool = False) -> bytes:
    """A payload."""
    plain = b"\n".join(lines)
    return zlib.compress(plain) if deflate else plain


def unpack(payload: bytes) -> Sequence[bytes]:
    """A payload's lines, with the bounds of section 8; raises NotConforming."""
    plain = payload
    if payload[:1] == b"\x78":
        if len(payload) > 65_536:
            raise NotConforming("a deflated payload is too long")
        stream = zlib.decompressobj()
        plain = stream.decompress(payload, 262_145)
        if not stream.eof or stream.unused_data:
            raise NotConforming("the stream does not end where the payload does")
    if len(plain) > 262_144:
        raise NotConforming("a payload is too long")
    lines = plain.split(b"\n")
    if len(lines) > 32 or any(len(line) > 131_072 for line in lines):
        raise NotConforming("too many lines, or too long ones")
    return lines


def _once(pairs: list[tuple[str, Any]]) -> Body:
    if len({name for name, _ in pairs}) < len(pairs):
        raise NotConforming("a key stands twice")
    return dict(pairs)


def _refuse(text: str) -> Any:
    raise NotConforming(f"{text} is no integer")
