"""What an issued invoice says: the body of its MI1 line, from a draft and the facts that it rests on.

Pure. Source: docs/reference/wire.md, section 7. The draft stands as `quote` prints it; beside each usage line
stand its counters, and at the end everything with which anyone can rate it again.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final
from zoneinfo import ZoneInfo

from cloud_collector.activity.activation import Activation
from cloud_collector.contracts.catalog import Account, Operator
from cloud_collector.contracts.period import Period, iso
from cloud_collector.rating.draft import BookingKey, Draft, DraftLine
from cloud_collector.usage.derive import SKEW_SECONDS
from cloud_collector.usage.span import NamedGap, Read
from shared.line import Body

ENGINE: Final = "0.1.0"
"""The version of the code that rates; printed on every invoice."""


class InvoiceKind(StrEnum):
    """Which document it is; each is numbered and unique by contract, period and revision (P14)."""

    REGULAR = "regular"
    ADJUSTMENT = "adjustment"
    """After the contract's end."""
    CREDIT_NOTE = "credit_note"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogCutoff:
    """Which lines of a log's epoch had been received: up to `last`, but for the holes."""

    gateway: str
    log: str
    epoch: str
    last: int
    holes: tuple[tuple[int, int], ...] = ()

    def holds(self, seq: int) -> bool:
        """Whether the line of this number had been received."""
        return 1 <= seq <= self.last and not any(first <= seq <= end for first, end in self.holes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cutoff:
    """Until when was measured, and what had been received, as chain positions."""

    measured_until: int
    received_until: int
    """Milliseconds by the collector's clock."""
    received: tuple[LogCutoff, ...]
    moved: tuple[tuple[str, str, str, int, int], ...] = ()
    """(gateway, log, epoch, seq, received at in milliseconds) of lines whose clock ran ahead of their receipt (P13)."""
    boots: tuple[tuple[str, str, str, int], ...] = ()
    """(gateway, log, boot, shift in seconds) of boots that never learned the time and were laid end to end."""
    skew_seconds: int = SKEW_SECONDS
    """How far a line's clock may run ahead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Booked:
    """What an earlier invoice took under a key, as a line printed it."""

    number: str
    line: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class RatedPeriod:
    """A billing period that this invoice rated: its terms, what was booked of it before, its counters."""

    period: Period
    plans: int
    """The number of the revision whose plans priced it."""
    booked: tuple[Booked, ...]
    reads: tuple[Read, ...]
    """Of every channel that the contract's plan looks at, billed or not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RevisionName:
    """A revision of the catalog, by number and SHA-256 of its bytes."""

    number: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything that an invoice says beside its draft."""

    key: str
    """The id of the operator's receipt key."""
    number: str
    kind: InvoiceKind
    revision: int
    issued_at: int
    operator: Operator
    account: Account
    catalog: tuple[RevisionName, ...]
    """The newest first."""
    rated: tuple[RatedPeriod, ...]
    activations: tuple[Activation, ...]
    starts: Mapping[str, tuple[Read, ...]] = field(default_factory=dict)
    """By device: the lines that show that it did not start earlier."""
    channels: tuple[tuple[str, str, str, str, int], ...]
    """(gateway, device, meter, unit, exponent) of every channel in `rated`."""
    gaps: tuple[NamedGap, ...]
    cutoff: Cutoff
    rates_max: Mapping[str, int] = field(default_factory=dict)
    inputs: str
    tzdata: str


def body_of(draft: Draft, facts: Facts) -> Body:
    """The body that is sealed: strings, integers, lists and objects alone."""
    quote = draft.to_json()
    body: Body = {
        "key": facts.key,
        "number": facts.number,
        "kind": facts.kind.value,
        "revision": facts.revision,
        "issued_at": iso(facts.issued_at),
        "due": _due(draft, facts),
        "operator": _operator(facts.operator),
        "account": _account(facts.account),
        **quote,
    }
    body["lines"] = [
        {**printed, "reads": reads_of(line.reads)} for printed, line in zip(quote["lines"], draft.lines, strict=True)
    ]
    body["taxes"] = [
        {**printed, "category": tax.category, "reason": tax.reason}
        for printed, tax in zip(quote["taxes"], draft.taxes, strict=True)
    ]
    return body | {
        "channels": [list(channel) for channel in facts.channels],
        "activations": [_activation(fact, facts.starts.get(fact.device, ())) for fact in facts.activations],
        "gaps": [gap_of(gap) for gap in facts.gaps],
        "rated": [_rated(rated) for rated in facts.rated],
        "catalog": [{"revision": name.number, "sha256": name.sha256} for name in facts.catalog],
        "cutoff": cutoff_of(facts.cutoff),
        "rates_max": dict(sorted(facts.rates_max.items())),
        "inputs": facts.inputs,
        "engine": ENGINE,
        "tzdata": facts.tzdata,
    }


def reads_of(reads: Iterable[Read]) -> list[list[Any]]:
    """Counters as an invoice prints them, each a row of ten."""
    return [
        [
            read.channel.gateway,
            read.log,
            read.channel.device,
            read.channel.meter,
            read.epoch,
            read.seq_start,
            read.register_start,
            read.seq_end,
            read.register_end,
            read.estimated,
        ]
        for read in reads
    ]


def gap_of(gap: NamedGap) -> list[Any]:
    """A gap as an invoice prints it."""
    name = gap.channel
    return [name.gateway, name.device, name.meter, iso(gap.start), iso(gap.end), gap.cause]


def booking_of(key: BookingKey) -> list[Any]:
    """A booking's key as an invoice prints it."""
    return [key.charge, key.kind.value, key.device, key.window, key.segment_start]


def cutoff_of(cutoff: Cutoff) -> Body:
    """The cutoff as an invoice prints it: a log's epoch is received through its last line, but for the holes."""
    received = [
        [row.gateway, row.log, row.epoch, row.last, [list(hole) for hole in row.holes]] for row in cutoff.received
    ]
    return {
        "measured_until": iso(cutoff.measured_until),
        "received_until": iso_ms(cutoff.received_until),
        "received": received,
        "moved": [list(row) for row in cutoff.moved],
        "boots": [list(row) for row in cutoff.boots],
        "skew_seconds": cutoff.skew_seconds,
    }


def iso_ms(instant_ms: int) -> str:
    """RFC 3339 in UTC with milliseconds."""
    seconds, milliseconds = divmod(instant_ms, 1000)
    return f"{iso(seconds)[:-1]}.{milliseconds:03d}Z"


def _due(draft: Draft, facts: Facts) -> str | None:
    if facts.kind is InvoiceKind.CREDIT_NOTE or draft.total <= Decimal(0):
        return None
    issued = datetime.fromtimestamp(facts.issued_at, UTC).astimezone(ZoneInfo(draft.period.timezone)).date()
    return (issued + timedelta(days=facts.operator.payment_terms_days)).isoformat()


def _operator(operator: Operator) -> Body:
    return {
        "name": operator.name,
        "address": list(operator.address),
        "country": operator.country,
        "vat_id": operator.vat_id,
        "iban": operator.iban,
    }


def _account(account: Account) -> Body:
    return {
        "id": account.key,
        "name": account.name,
        "address": list(account.address),
        "country": account.country,
        "vat_id": account.vat_id,
        "locale": account.locale,
    }


def _activation(fact: Activation, starts: Sequence[Read]) -> Body:
    evidence = fact.evidence
    return {
        "device": fact.device,
        "at": iso(fact.at),
        "rule": fact.cause.value,
        "why": fact.why,
        "evidence": None
        if evidence is None
        else {
            "gateway": evidence.gateway,
            "log": evidence.log,
            "device": evidence.device,
            "meter": evidence.meter,
            "epoch": evidence.epoch,
            "seq": evidence.seq,
            "interval": evidence.interval,
            "start": iso(evidence.start),
            "end": iso(evidence.end),
            "estimated": evidence.estimated,
            "rule": evidence.rule,
            "figure": evidence.figure,
        },
        "reads": reads_of(starts),
    }


def _rated(rated: RatedPeriod) -> Body:
    return {
        "period": {"start": iso(rated.period.start), "end": iso(rated.period.end), "number": rated.period.number},
        "plans": rated.plans,
        "booked": [{"number": booked.number, "line": dict(booked.line)} for booked in rated.booked],
        "reads": reads_of(rated.reads),
    }


def booked_json(line: DraftLine) -> Body:
    """What is kept of an invoice line under its key."""
    return line.to_json()
