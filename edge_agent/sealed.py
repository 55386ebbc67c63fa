"""Sealed lines at their places, and how what metering hands over becomes the record that is sealed."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from edge_agent.reading import ChannelSpec
from edge_agent.sealable import (
    BirthContent,
    ClockContent,
    ExchangeContent,
    ForgottenContent,
    GapContent,
    RotateContent,
    Sealable,
    UsageContent,
)
from shared.line import hash_of
from shared.report import (
    Birth,
    ClockLine,
    Exchange,
    Forgotten,
    Gap,
    Header,
    Position,
    Report,
    Rotate,
    Summary,
    Usage,
    rotate,
)

_KIND_OF: Final[dict[type, str]] = {
    Birth: "birth",
    Usage: "usage",
    Gap: "gap",
    Exchange: "exchange",
    ClockLine: "clock",
    Summary: "summary",
    Forgotten: "forgotten",
    Rotate: "rotate",
}


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A position within this gateway."""

    log: str
    epoch: str
    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedLine:
    """A sealed line at its place; `raw` is what is sent."""

    place: Place
    hash: str
    kind: str
    sealed_at: int
    raw: bytes

    @classmethod
    def of(cls, report: Report, raw: bytes) -> "SealedLine":
        """The line that `raw` is, as the report in it tells."""
        header = report.header
        return cls(
            place=Place(header.log, header.epoch, header.seq),
            hash=hash_of(raw),
            kind=_KIND_OF[type(report)],
            sealed_at=header.sealed_at,
            raw=raw,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Author:
    """Who seals, as births state it: the program's name and version, the configuration's hash."""

    agent: str
    config: str


def report_of(sealable: Sealable, header: Header, *, author: Author, previous: Position | None) -> Report:
    """The record of what is to be sealed at the header's position; `previous` is for births."""
    match sealable.content:
        case BirthContent(cause=cause, channels=channels):
            return Birth(
                header=header,
                agent=author.agent,
                config=author.config,
                cause=cause,
                previous=previous,
                channels=channels,
            )
        case UsageContent(start=start, step=step, count=count, rows=rows):
            return Usage(header=header, start=start, step=step, count=count, rows=rows)
        case GapContent(rows=gaps):
            return Gap(header=header, rows=gaps)
        case ForgottenContent(lost=lost, receipted_at=receipted_at):
            return Forgotten(header=header, lost=lost, receipted_at=receipted_at)
        case ClockContent(offset=offset):
            return ClockLine(header=header, offset=offset)
        case ExchangeContent(rows=exchanged):
            return Exchange(header=header, rows=exchanged)
        case RotateContent(next=key):
            return rotate(header, key)


def config_hash(step: int, count: int, specs: Sequence[ChannelSpec]) -> str:
    """The hash of what decides how an agent meters."""
    channels = [
        [spec.device, spec.meter, spec.unit, spec.exponent, spec.kind.value, spec.source, spec.log, spec.rate_max]
        for spec in specs
    ]
    return hash_of(json.dumps([step, count, channels], separators=(",", ":")).encode())
