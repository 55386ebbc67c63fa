"""Issuing: an invoice, its bookings, its starts and its number become facts in one transaction (P14, P16)."""

import json
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from importlib import metadata
from typing import Final, NamedTuple

from cloud_collector.billing.accounts import offsets, set_off
from cloud_collector.billing.archive import Archive
from cloud_collector.contracts.catalog import Account, Operator
from cloud_collector.invoice.basis import Cutoff
from cloud_collector.invoice.compose import Composition
from cloud_collector.invoice.document import ENGINE, InvoiceKind, Issue, body_of
from cloud_collector.store.store import Store
from shared.errors import MetersealError
from shared.key import SigningKey
from shared.line import Body, hash_of, seal

_ENCODER: Final = json.JSONEncoder(separators=(",", ":"))


class NotIssuable(MetersealError):
    """Something that an invoice must say is not in the catalog."""


class BillingRefused(MetersealError):
    """Billing is refused until someone has looked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """An invoice as it was sealed."""

    id: int
    number: str
    kind: InvoiceKind
    line: bytes


def issue(
    store: Store,
    composition: Composition,
    *,
    operator: Operator,
    account: Account,
    cutoff: Cutoff,
    adjusts: bool,
    now_ms: int,
    key: SigningKey,
    archive: Archive,
) -> Issued:
    """Number, seal and keep the invoice; call it inside a transaction. Raises NotIssuable and BillingRefused.

    The number is taken from the series' row, which this transaction holds, so numbers have no gaps.
    """
    require_issuable(composition, operator, account)
    draft = composition.draft
    kind = InvoiceKind.ADJUSTMENT if adjusts else InvoiceKind.REGULAR
    if draft.total < Decimal(0):
        kind = InvoiceKind.CREDIT_NOTE
    number = take_number(store, operator, kind, archive)
    used = offsets(store, account.key, draft.currency, draft.total)
    start = draft.period.start
    revision = 1 + store.rows("invoice_revisions", draft.contract, start, kind.value)[0][0]
    facts = Issue(
        key=key.public.id,
        number=number.text,
        kind=kind,
        revision=revision,
        issued_at=now_ms // 1000,
        operator=operator,
        account=account,
        cutoff=cutoff,
        engine=ENGINE,
        tzdata=tzdata_version(),
        offsets=tuple((each.number, each.amount) for each in used),
        sent=_sent(store, composition, cutoff),
    )
    body = body_of(composition, facts)
    line = seal("MI1", body, key)
    found = store.rows(
        "invoice_add",
        *number,
        draft.contract,
        account.key,
        start,
        draft.period.end,
        kind.value,
        revision,
        draft.currency,
        format(draft.total, "f"),
        facts.issued_at,
        body["inputs"],
        hash_of(line),
        line,
    )
    _book(store, found[0][0], composition, body)
    set_off(store, account.key, draft.currency, found[0][0], used, at=facts.issued_at)
    return Issued(id=found[0][0], number=facts.number, kind=kind, line=line)


def _sent(store: Store, composition: Composition, cutoff: Cutoff) -> tuple[str, ...]:
    """Which of the logs that it rests on are the collector's own."""
    reads = [
        *composition.beside,
        *(read for rated in composition.rated for read in rated.reads),
        *(read for line in composition.draft.lines for read in line.reads),
        *(read for starts in composition.starts.values() for read in starts),
    ]
    rests_on = {read.channel.gateway for read in reads} | {row[0] for row in cutoff.also}
    return tuple(name for (name,) in store.rows("ingest_gateways") if name in rests_on)


class Number(NamedTuple):
    """A number of a document, and its place in its series."""

    text: str
    series: str
    ordinal: int


def take_number(store: Store, operator: Operator, kind: InvoiceKind, archive: Archive) -> Number:
    """The series' next number; its row is held until the transaction ends, so numbers have no gaps (P14).

    Raises BillingRefused where the folder knows the number already.
    """
    series = f"{operator.invoice_prefix}CN-" if kind is InvoiceKind.CREDIT_NOTE else operator.invoice_prefix
    store.run("series_open", series)
    ordinal = store.rows("series_next", series)[0][0]
    if archive.get(f"{series}{ordinal}") is not None:
        # P22: the store is older than the folder; no number is used twice.
        raise BillingRefused(
            f"the folder of issued invoices holds {series}{ordinal} already, and the store does not know it: "
            "it was restored from an older backup. Nothing is billed until the missing invoices are back in it"
        )
    return Number(f"{series}{ordinal}", series, ordinal)


def require_issuable(composition: Composition, operator: Operator, account: Account) -> None:
    """Refuse, with the key to set, what a quote may lack and an invoice may not."""
    taxed = any(tax.percent > 0 for tax in composition.draft.taxes)
    needs = [
        ("operator.address", operator.address),
        ("operator.country", operator.country),
        (f"accounts.{account.key}.country", account.country),
        ("operator.vat_id", operator.vat_id or not taxed),
    ]
    lacking = [name for name, value in needs if not value]
    if lacking:
        raise NotIssuable(f"an invoice needs {' and '.join(lacking)}: set it in the catalog and apply it")


@cache
def tzdata_version() -> str:
    """The version of the time zones that periods are cut with."""
    try:
        return metadata.version("tzdata")
    except metadata.PackageNotFoundError:
        return "system"


def _book(store: Store, invoice: int, composition: Composition, body: Body) -> None:
    rows = []
    lines = zip(composition.origins, composition.draft.lines, body["lines"], strict=True)
    for place, (origin, line, sealed) in enumerate(lines, start=1):
        key = line.key
        # As `to_json` says it; its counters stand on the invoice alone.
        printed = _ENCODER.encode({name: value for name, value in sealed.items() if name != "reads"})
        rows.append(
            (
                invoice,
                place,
                key.contract,
                origin,
                key.charge,
                key.kind.value,
                key.device,
                key.window,
                key.segment_start,
                printed,
            )
        )
    store.run_many("booking_add", rows)
    starts = [
        (invoice, composition.draft.contract, fact.device, fact.at, fact.cause.value, fact.why)
        for fact in composition.activations
    ]
    store.run_many("activation_add", starts)
