"""One sealed line, `TAG|BODY|SIGNATURE`: sealed, parsed, hashed, verified (P10).

Source: docs/reference/wire.md, section 1. The received bytes are what is verified, hashed and
stored; nobody re-serialises a body to verify it.
"""

import hashlib
import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from shared.errors import InvalidRecord, Refused
from shared.grammar import HASH_PATTERN
from shared.key import PublicKey, SigningKey
from shared.limits import INVOICE_BYTES_MAX, INVOICE_JSON_DEPTH_MAX, JSON_DEPTH_MAX, LINE_BYTES_MAX

__all__ = ["HASH_PATTERN", "TAGS", "Body", "Line", "hash_of", "parse", "read_body", "seal", "write_body"]

TAGS: Final = ("MS1", "MR1", "MC1", "MA1", "MI1", "MK1")
SIGNATURE_CHARS: Final = 86
# Every tag but MI1 forbids the backslash; `|` parts the sections, so no body holds it.
_PLAIN: Final = re.compile(rb"(MS1|MR1|MC1|MA1|MK1)\|(\{[ !-\[\]-{}~]*\})\|([A-Za-z0-9_-]{85}[AQgw])")
_INVOICE: Final = re.compile(rb"(MI1)\|(\{[ -{}~]*\})\|([A-Za-z0-9_-]{85}[AQgw])")

Body = dict[str, Any]
"""A parsed body: strings, integers, booleans, nulls, lists and objects, never a float."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line whose shape is sound; nothing in it is trusted until its signature is verified."""

    tag: str
    raw: bytes

    @property
    def signed(self) -> bytes:
        """The bytes that the signature covers."""
        return self.raw[: -(SIGNATURE_CHARS + 1)]

    @property
    def body(self) -> bytes:
        """The body's bytes."""
        return self.raw[4 : -(SIGNATURE_CHARS + 1)]

    @property
    def signature(self) -> bytes:
        """The 64 bytes of the signature."""
        return urlsafe_b64decode(self.raw[-SIGNATURE_CHARS:] + b"==")

    @property
    def hash(self) -> str:
        """The hash that names the whole line."""
        return hash_of(self.raw)

    def verified_by(self, key: PublicKey) -> bool:
        """Whether the signature is this key's."""
        return key.verifies(self.signed, self.signature)


def parse(raw: bytes) -> Line | Refused:
    """Check a line's shape alone: size, tag, alphabet, the one allowed spelling of its signature."""
    if raw.startswith(b"MI1|"):
        if len(raw) > INVOICE_BYTES_MAX:
            return Refused(f"the line has {len(raw)} bytes, more than {INVOICE_BYTES_MAX}")
        match = _INVOICE.fullmatch(raw)
    else:
        if len(raw) > LINE_BYTES_MAX:
            return Refused(f"the line has {len(raw)} bytes, more than {LINE_BYTES_MAX}")
        match = _PLAIN.fullmatch(raw)
    if match is None:
        return Refused(_why(raw))
    return Line(tag=match[1].decode(), raw=raw)


def read_body(line: Line) -> Body | Refused:
    """Parse a verified line's body: one JSON object, no duplicate key, no float, bounded depth, one spelling."""
    depth_max = INVOICE_JSON_DEPTH_MAX if line.tag == "MI1" else JSON_DEPTH_MAX
    raw = line.body
    deep, text = _may_be_deeper(raw, depth_max), raw.decode("ascii")
    try:
        body = _DECODER.decode(text)
    except RecursionError:
        return Refused(f"the body is nested deeper than {depth_max}")
    except json.JSONDecodeError as error:
        return Refused(f"the body is no acceptable JSON: {error}")
    except InvalidRecord as error:
        return Refused(f"the body is no acceptable JSON: {error}")
    except ValueError:
        # Python reads no integer of thousands of digits.
        return Refused("the body is no acceptable JSON: an integer is far too long")
    if not isinstance(body, dict):
        return Refused("the body is no JSON object")
    if deep and _is_deeper(body, depth_max):
        return Refused(f"the body is nested deeper than {depth_max}")
    if line.tag == "MI1" and "\\ud" in text and not _encodes(body):
        return Refused("the body holds half of a character")
    # A blank or a signed zero may be another spelling of the same value: then the writer decides.
    suspicious = line.tag == "MI1" or " " in text or ",-0" in text or "[-0" in text or ":-0" in text
    if suspicious and write_body(line.tag, body) != text:
        return Refused("the body is not in its one spelling: compact separators, plain integers")
    return body


def write_body(tag: str, body: Mapping[str, Any]) -> str:
    """Spell a body: compact separators, ASCII; in MI1 also `|` and the delete character as escapes."""
    text = _ENCODER.encode(body)
    return text.replace("|", "\\u007c").replace("\x7f", "\\u007f") if tag == "MI1" else text


def seal(tag: str, body: Mapping[str, Any], key: SigningKey) -> bytes:
    """Sign a body; raises InvalidRecord where the result would not be a line that can be read."""
    try:
        signed = f"{tag}|{write_body(tag, body)}".encode("ascii")
    except ValueError as error:
        raise InvalidRecord(f"the body cannot be written: {error}") from error
    raw = signed + b"|" + urlsafe_b64encode(key.sign(signed)).rstrip(b"=")
    line = parse(raw)
    verdict = line if isinstance(line, Refused) else _written(line, body)
    if isinstance(verdict, Refused):
        raise InvalidRecord(verdict.reason)
    return raw


def _written(line: Line, body: Mapping[str, Any]) -> Body | Refused:
    """What a line that was just written reads as."""
    text = line.body
    if b"\\ud" in text or _may_be_deeper(text, INVOICE_JSON_DEPTH_MAX if line.tag == "MI1" else JSON_DEPTH_MAX):
        return read_body(line)
    try:
        back: Body = _QUICK.decode(text.decode("ascii"))
    except (ValueError, InvalidRecord):
        return read_body(line)
    # An object that is the same has no key twice, and is written in the same way.
    return back if back == body else read_body(line)


def hash_of(raw: bytes) -> str:
    """SHA-256 of a whole line, base64url without padding, 43 characters."""
    return urlsafe_b64encode(hashlib.sha256(raw).digest()).rstrip(b"=").decode()


def _unique(pairs: list[tuple[str, Any]]) -> Body:
    body = dict(pairs)
    if len(body) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidRecord(f"the key {twice!r} stands twice")
    return body


_BRACKETS: Final = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))


def _may_be_deeper(text: bytes, depth_max: int) -> bool:
    # Brackets alone, and pairs taken off from the inside: all of it in C, for every line of a batch.
    brackets = text.translate(_BRACKETS, _NO_BRACKETS)
    for _ in range(depth_max):
        brackets = brackets.replace(b"[]", b"")
    return bool(brackets)


def _is_deeper(value: object, depth_max: int) -> bool:
    # Only where brackets stand in texts too, or the body is too deep: the parser has bounded the recursion.
    if not isinstance(value, (dict, list)):
        return False
    items = value.values() if isinstance(value, dict) else value
    return depth_max == 0 or any(_is_deeper(item, depth_max - 1) for item in items)


def _encodes(body: Body) -> bool:
    try:
        json.dumps(body, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _no_float(text: str) -> NoReturn:
    raise InvalidRecord(f"{text[:40]} is no integer")


def _no_constant(text: str) -> NoReturn:
    raise InvalidRecord(f"{text} is no integer")


# Made once: a decoder with hooks costs more to build than a usage line to parse.
_ENCODER: Final = json.JSONEncoder(separators=(",", ":"), ensure_ascii=True, allow_nan=False)
_QUICK: Final = json.JSONDecoder(parse_float=_no_float, parse_constant=_no_constant)
"""For what was written here: two keys of one name are not noticed."""
_DECODER: Final = json.JSONDecoder(object_pairs_hook=_unique, parse_float=_no_float, parse_constant=_no_constant)


def _why(raw: bytes) -> str:
    if raw[:3].decode("ascii", "replace") not in TAGS or raw[3:4] != b"|":
        return "the line does not begin with a known tag and |"
    if raw.endswith((b"\n", b"\r")):
        return "the line ends with a line break, which belongs to no line"
    if raw.count(b"|") != 2:
        return f"the line has {raw.count(b'|') + 1} sections, not three"
    signature = raw.rpartition(b"|")[2]
    if not re.fullmatch(rb"[A-Za-z0-9_-]{85}[AQgw]", signature):
        return "the signature is not 86 characters of base64url in their one spelling"
    return "the body is no JSON object of printable ASCII without escapes"
