"""From a payload to what may become facts: opened, verified, read, in the wire's order of checks (P10).

Pure. Size, inflation, shape, the enrolled keys of the topic's gateway, signature; only then the body;
body and topic must name the same gateway. Whatever breaks a rule becomes a verdict, never an exception
(P8). Source: docs/reference/wire.md, section 1.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cloud_collector.fleet.gateways import EnrolledKey
from cloud_collector.intake.content import Content, read_content
from cloud_collector.intake.verdict import RefusedLine, Unmatched, unmatched
from cloud_collector.limits import SAMPLE_BYTES_MAX
from shared.errors import Refused
from shared.key import PublicKey
from shared.line import Line, hash_of, parse
from shared.payload import unpack
from shared.report import Rotate
from shared.topic import Leaf, gateway_of

_CLAIMED_KEY: Final = re.compile(rb'"key":"([0-9a-f]{16})"')


@dataclass(frozen=True, slots=True)
class Genuine:
    """A line that its topic's gateway signed with a key valid at its position."""

    content: Content
    raw: bytes
    hash: str


Admitted = Genuine | Unmatched | RefusedLine


def admit(topic: str, payload: bytes, keys: dict[str, Sequence[EnrolledKey]], *, prefix: str) -> list[Admitted]:
    """One outcome for each line of the payload, or one for the whole of it; `keys` learns those that it introduces."""
    gateway = gateway_of(topic, prefix)
    sample = payload[:SAMPLE_BYTES_MAX]
    if gateway is None or not topic.endswith(f"/{Leaf.REPORT}"):
        return [unmatched(topic, "", "the topic names no gateway's report", sample)]
    enrolled = keys.get(gateway)
    if enrolled is None:
        return [unmatched(topic, gateway, "the gateway is unknown", sample)]
    if not enrolled:
        return [unmatched(topic, gateway, "the gateway has no key", sample)]
    lines = unpack(payload)
    if isinstance(lines, Refused):
        return [unmatched(topic, gateway, lines.reason, sample)]
    found = []
    for raw in lines:
        each = _admit(topic, gateway, raw, keys[gateway])
        if isinstance(each, Genuine) and isinstance(each.content.report, Rotate):
            # Whether it is valid, and from where on, is decided by position when the line is committed.
            keys[gateway] = [*keys[gateway], EnrolledKey(public=PublicKey.from_text(each.content.report.next))]
        found.append(each)
    return found


def _admit(topic: str, gateway: str, raw: bytes, enrolled: Sequence[EnrolledKey]) -> Admitted:
    line = parse(raw)
    if isinstance(line, Refused):
        return unmatched(topic, gateway, line.reason, raw)
    if line.tag != "MS1":
        return unmatched(topic, gateway, f"a report begins with MS1, not with {line.tag}", raw)
    signed_with = _verified(line, enrolled)
    if isinstance(signed_with, str):
        return _refusal(topic, gateway, raw, signed_with, enrolled)
    content = read_content(line)
    if isinstance(content, Refused):
        return RefusedLine(gateway=gateway, reason=content.reason, sample=raw[:SAMPLE_BYTES_MAX])
    header = content.header
    if header.gateway != gateway:
        return unmatched(topic, gateway, "the body names another gateway than the topic", raw)
    valid = [key for key in enrolled if key.public.id == header.key == signed_with.public.id]
    if not any(key.valid_at(header.log, header.epoch, header.seq) for key in valid):
        reason = (
            "the key is not valid at this position" if valid else "the body names another key than the one that signed"
        )
        return RefusedLine(gateway=gateway, reason=reason, sample=raw[:SAMPLE_BYTES_MAX])
    return Genuine(content, raw, hash_of(raw))


def _verified(line: Line, enrolled: Sequence[EnrolledKey]) -> EnrolledKey | str:
    """The key whose signature it is, or the id of the key that the line claims."""
    claim = _CLAIMED_KEY.search(line.raw)
    claimed = claim[1].decode() if claim else ""
    # The claim only says which key to try first; it decides nothing.
    for key in sorted(enrolled, key=lambda each: each.public.id != claimed) if len(enrolled) > 1 else enrolled:
        if line.verified_by(key.public):
            return key
    return claimed


def _refusal(topic: str, gateway: str, raw: bytes, claimed: str, enrolled: Sequence[EnrolledKey]) -> Admitted:
    if claimed and all(key.public.id != claimed for key in enrolled):
        return unmatched(topic, gateway, f"the key {claimed} is not enrolled for this gateway", raw)
    return RefusedLine(gateway=gateway, reason="the signature does not verify", sample=raw[:SAMPLE_BYTES_MAX])
