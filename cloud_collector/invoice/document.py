"""What an issued invoice says: the body of its MI1 line.

Pure. Source: docs/reference/wire.md, section 7. The draft stands as `quote` prints it; beside each usage line
stand its counters, and at the end everything with which anyone can rate it again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final
from zoneinfo import ZoneInfo

from cloud_collector.activity.activation import Activation
from cloud_collector.contracts.catalog import Account, Operator
from cloud_collector.contracts.period import iso
from cloud_collector.invoice.basis import Cutoff, RatedPeriod, reads_of
from cloud_collector.invoice.compose import Composition, Stated
from cloud_collector.rating.draft import Draft
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
class Issue:
    """What is settled in the moment of issuing."""

    key: str
    """The id of the operator's receipt key."""
    number: str
    kind: InvoiceKind
    revision: int
    issued_at: int
    operator: Operator
    account: Account
    cutoff: Cutoff
    engine: str
    tzdata: str
    offsets: tuple[tuple[str, Decimal], ...] = ()
    """Credit that the account had and this invoice uses: of which notes, how much of each."""
    sent: tuple[str, ...] = ()
    """Logs among those it rests on whose usage was sent over HTTP and sealed with a key of the operator's."""


def body_of(composition: Composition, issue: Issue) -> Body:
    """The body that is sealed: strings, integers, booleans, lists and objects alone."""
    draft = composition.draft
    quote = draft.to_json()
    quote["lines"] = [
        {**printed, "reads": reads_of(line.reads)} for printed, line in zip(quote["lines"], draft.lines, strict=True)
    ]
    quote["taxes"] = [
        {**printed, "category": tax.category, "reason": tax.reason, "lines": [place + 1 for place in tax.lines]}
        for printed, tax in zip(quote["taxes"], draft.taxes, strict=True)
    ]
    return {
        "key": issue.key,
        "number": issue.number,
        "kind": issue.kind.value,
        "revision": issue.revision,
        "issued_at": iso(issue.issued_at),
        "due": _due(draft, issue),
        "operator": _operator(issue.operator),
        "account": _account(issue.account),
        **quote,
        "channels": [list(channel) for channel in composition.channels],
        "activations": [_activation(fact, composition.starts[fact.device]) for fact in composition.activations],
        "beside": reads_of(composition.beside),
        "stated": [_stated(each) for each in composition.stated],
        **_states(composition),
        "gaps": [_gap(gap) for gap in composition.gaps],
        "rated": [_rated(rated) for rated in composition.rated],
        "catalog": [{"revision": name.number, "sha256": name.sha256} for name in composition.catalog],
        "cadence": composition.cadence,
        "anchored": None if composition.anchored is None else composition.anchored.isoformat(),
        "cutoff": _cutoff(issue.cutoff),
        "inputs": composition.inputs,
        "engine": issue.engine,
        "tzdata": issue.tzdata,
        **({} if composition.seen_until is None else {"seen_until": iso(composition.seen_until)}),
        **({"sent": list(issue.sent)} if issue.sent else {}),
        **_offsets(draft, issue),
    }


def iso_ms(instant_ms: int) -> str:
    """RFC 3339 in UTC with milliseconds."""
    seconds, milliseconds = divmod(instant_ms, 1000)
    return f"{iso(seconds)[:-1]}.{milliseconds:03d}Z"


def _offsets(draft: Draft, issue: Issue) -> Body:
    """What is left to pay, where the account's credit pays a part."""
    if not issue.offsets:
        return {}
    rows = [[number, format(amount, "f")] for number, amount in issue.offsets]
    return {"offsets": rows, "payable": format(_payable(draft, issue), "f")}


def _payable(draft: Draft, issue: Issue) -> Decimal:
    return draft.total - sum((amount for _, amount in issue.offsets), Decimal(0))


def _due(draft: Draft, issue: Issue) -> str | None:
    if issue.kind is InvoiceKind.CREDIT_NOTE or _payable(draft, issue) <= Decimal(0):
        return None
    issued = datetime.fromtimestamp(issue.issued_at, UTC).astimezone(ZoneInfo(draft.period.timezone)).date()
    return (issued + timedelta(days=issue.operator.payment_terms_days)).isoformat()


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
    return {
        "device": fact.device,
        "at": iso(fact.at),
        "rule": fact.cause.value,
        "why": fact.why,
        "evidence": _evidence(fact),
        "reads": reads_of(starts),
    }


def _stated(stated: Stated) -> list[str]:
    fact = stated.activation
    return [stated.number, stated.contract, fact.device, iso(fact.at), fact.cause.value, fact.why]


def _states(composition: Composition) -> Body:
    """What operators did to devices; an invoice of which nothing was done does not speak of it."""
    rows = [[change.device, change.state.value, iso(change.at)] for change in composition.states]
    return {"states": rows} if rows else {}


def _evidence(fact: Activation) -> Body | None:
    evidence = fact.evidence
    if evidence is None:
        return None
    return {
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
    }


def _gap(gap: NamedGap) -> list[Any]:
    name = gap.channel
    return [name.gateway, name.device, name.meter, iso(gap.start), iso(gap.end), gap.cause]


def _rated(rated: RatedPeriod) -> Body:
    return {
        "period": {"start": iso(rated.period.start), "end": iso(rated.period.end), "number": rated.period.number},
        "plans": rated.plans,
        "after": rated.after,
        "booked": [{"number": booked.number, "line": dict(booked.line)} for booked in rated.booked],
        "reads": reads_of(rated.reads),
    }


def _cutoff(cutoff: Cutoff) -> Body:
    received = [
        [row.gateway, row.log, row.epoch, row.last, [list(hole) for hole in row.holes]] for row in cutoff.received
    ]
    return {
        "measured_until": iso(cutoff.measured_until),
        "received_until": iso_ms(cutoff.received_until),
        "received": received,
        "also": [list(row) for row in cutoff.also],
        "carried": [list(row) for row in cutoff.carried],
        "silent": [
            [gateway, None if until is None else iso(until)] for gateway, until in sorted(cutoff.silent.items())
        ],
        "moved": [list(row) for row in cutoff.moved],
        "boots": [list(row) for row in cutoff.boots],
        **({"strangers": [list(row) for row in cutoff.strangers]} if cutoff.strangers else {}),
        "skew_seconds": cutoff.skew_seconds,
        "rates_max": dict(sorted(cutoff.rates_max.items())),
    }
