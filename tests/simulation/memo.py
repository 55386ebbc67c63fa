"""What many parties of one simulated world ask of the same bytes is computed once; nothing but time is saved by it.

Every function here is pure, and its answers cannot be changed by who gets them: a signature over a message, what a body
says, a payload of lines. In a world of one process the gateway, the collector, the checkers and the auditor all ask.
A signature that was made in this process needs no check: what it covers, under which key, is remembered as it is made.
"""

import contextlib
import typing
from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from unittest.mock import patch

import shared.payload
import shared.report
from shared.errors import InvalidRecord, Refused
from shared.key import PublicKey, SigningKey
from shared.line import Body, Line
from shared.report import Report


@contextlib.contextmanager
def remembered() -> Iterator[None]:
    """Within, what was computed before is not computed again; afterwards nothing of it is kept."""
    with (
        _signatures(),
        _reports(),
        patch("edge_agent.uplink.pack", _packer()),
        # Before Python 3.12 a protocol is taken apart with every `isinstance`.
        patch.dict(vars(typing), {"_get_protocol_attrs": cache(vars(typing)["_get_protocol_attrs"])}),
    ):
        yield


@contextlib.contextmanager
def _signatures() -> Iterator[None]:
    known: dict[tuple[bytes, bytes, bytes], bool] = {}
    verifies, sign = PublicKey.verifies, SigningKey.sign

    def remembering(self: PublicKey, message: bytes, signature: bytes) -> bool:
        asked = (self.raw, message, signature)
        found = known.get(asked)
        if found is None:
            found = known[asked] = verifies(self, message, signature)
        return found

    def noting(self: SigningKey, message: bytes) -> bytes:
        made = sign(self, message)
        known[self.public.raw, message, made] = True
        return made

    with patch.object(PublicKey, "verifies", remembering), patch.object(SigningKey, "sign", noting):
        yield


@contextlib.contextmanager
def _reports() -> Iterator[None]:
    bodies: dict[bytes, Body | Refused] = {}
    read: dict[int, Report | InvalidRecord] = {}
    read_body, make = vars(shared.report)["read_body"], shared.report._read

    def body_of(line: Line) -> Body | Refused:
        found = bodies.get(line.raw)
        if found is None:
            found = bodies[line.raw] = read_body(line)
        return found

    def report_of(body: Body) -> Report:
        # A body that is remembered stays alive, so that no other one has its number.
        found = read.get(id(body))
        if found is None:
            try:
                found = make(body)
            except InvalidRecord as error:
                found = error
            read[id(body)] = found
        if isinstance(found, InvalidRecord):
            raise found
        return found

    with patch.object(shared.report, "read_body", body_of), patch.object(shared.report, "_read", report_of):
        yield


def _packer() -> typing.Callable[..., bytes]:
    @lru_cache(maxsize=4_096)
    def packed(lines: tuple[bytes, ...], deflate: bool) -> bytes:  # noqa: FBT001
        return shared.payload.pack(lines, deflate=deflate)

    def pack(lines: Sequence[bytes], *, deflate: bool = True) -> bytes:
        return packed(tuple(lines), deflate)

    return pack
