"""Handing out an issued invoice: its line, its page, its evidence bundle, all from facts (P12, P20)."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from cloud_collector.billing.absent import absence
from cloud_collector.billing.archive import Archive
from cloud_collector.billing.revisions import revisions
from cloud_collector.contracts.catalog import Catalog
from cloud_collector.contracts.period import boundary
from cloud_collector.contracts.terms import terms_of
from cloud_collector.invoice.html import page
from cloud_collector.proof.bundle import Bundle, GatewayKey, LogName, to_zip, write_keys, write_readme
from cloud_collector.proof.evidence import Needed, needed
from cloud_collector.proof.trust import Trust
from cloud_collector.proof.verify import verify
from cloud_collector.store.store import Store
from shared.errors import MetersealError, Refused
from shared.key import PublicKey
from shared.line import Body, parse, read_body
from shared.report import Birth, Exchange, Gap, Header, Report, Summary, Usage, read

FOREVER = 2**40


class NoSuchInvoice(MetersealError):
    """There is no invoice of that number."""


class NotHandedOut(MetersealError):
    """The evidence cannot be handed out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Invoice:
    """An issued invoice as it is kept."""

    number: str
    line: bytes
    body: Body


def invoice(store: Store, archive: Archive, number: str) -> Invoice:
    """The invoice, which is in the archive before anyone sees it; raises NoSuchInvoice."""
    row = store.row("invoice_line", number)
    if row is None:
        raise NoSuchInvoice(f"there is no invoice {number}: `cloud-collector invoice list` names them all")
    id_, line = row[0], bytes(row[1])
    archive.put(number, line)
    store.run("invoice_is_archived", id_)
    parsed = parse(line)
    assert not isinstance(parsed, Refused), "an issued invoice is a sealed line"
    body = read_body(parsed)
    assert not isinstance(body, Refused), "an issued invoice has a body"
    return Invoice(number=number, line=line, body=body)


def as_html(found: Invoice, operator: PublicKey) -> str:
    """The invoice's page."""
    return page(found.body, key_words=operator.words)


def as_bundle(
    store: Store, found: Invoice, operator: PublicKey, *, paper: bytes | None = None, page: bytes | None = None
) -> bytes:
    """The evidence bundle, verified by its own command before it is handed out; raises NotHandedOut.

    `paper` is the printed invoice and `page` the one that checks in a browser, where they go along.
    """
    bundle, keys = _bundle(store, found, operator, paper, page)
    return _verified(found, operator, bundle, keys)


def as_it_stands(store: Store, found: Invoice, operator: PublicKey) -> bytes:
    """The evidence as the store holds it now, whatever is wrong with it: for whoever checks it; raises NotHandedOut."""
    return to_zip(_bundle(store, found, operator, None, None)[0])


def _bundle(
    store: Store, found: Invoice, operator: PublicKey, paper: bytes | None, page: bytes | None
) -> tuple[Bundle, list[GatewayKey]]:
    body, known = found.body, revisions(store)
    if body["key"] != operator.id:
        raise NotHandedOut(f"{found.number} was sealed with the key {body['key']}, and this is {operator.id}")
    if "voids" in body:
        return _void_bundle(store, found, operator, paper, page), []
    wanted = needed(body)
    gone = absence(store, body, wanted)
    if gone is not None:
        raise NotHandedOut(f"the evidence for {found.number} is not handed out any more: {gone.told}")
    _refuse_others(body, known[-1].catalog, store, wanted)
    lines = {name: tuple(_lines(store, name, wanted)) for name in wanted.logs()}
    headers = [report.header for log in lines.values() for line in log if (report := _report(line)) is not None]
    keys = _keys(store, headers)
    newest, *older = (row["revision"] for row in body["catalog"])
    named = {newest, *older}
    contents = {each.number: each.catalog.text.encode() for each in known if each.number in named}
    bundle = Bundle(
        invoice=found.line,
        catalog=contents[newest],
        older={number: contents[number] for number in older},
        lines=lines,
        keys=write_keys(operator, keys, headers),
        readme=write_readme(body, paper=paper is not None, page=page is not None),
        paper=paper,
        page=page,
    )
    return bundle, keys


def _void_bundle(store: Store, found: Invoice, operator: PublicKey, paper: bytes | None, page: bytes | None) -> Bundle:
    """Of a credit note that takes an invoice back: with that invoice, and nothing that it rests on in turn."""
    taken = store.rows("invoice_line", found.body["voids"]["number"])[0]
    return Bundle(
        invoice=found.line,
        voided=bytes(taken[1]),
        keys=write_keys(operator, (), ()),
        readme=write_readme(found.body, paper=paper is not None, page=page is not None),
        paper=paper,
        page=page,
    )


def _verified(found: Invoice, operator: PublicKey, bundle: Bundle, keys: Sequence[GatewayKey] = ()) -> bytes:
    made = to_zip(bundle)
    trusted = frozenset({operator.sha256, *(row.key.sha256 for row in keys)})
    outcome = verify(made, Trust(fingerprints=trusted, words=frozenset()))
    if not outcome.ok:
        first = outcome.findings[0]
        raise NotHandedOut(
            f"the evidence for {found.number} does not verify, so it is not handed out: {first.place}: {first.sentence}"
        )
    return made


def _lines(store: Store, name: LogName, wanted: Needed) -> Iterator[bytes]:
    """A log's lines in order of position: those that are needed, and those that say how they are to be read."""
    found: dict[tuple[str, int], bytes] = {}
    for gateway, log, epoch in sorted(wanted.stretches):
        cutoff = wanted.received.get((gateway, log, epoch))
        if (gateway, log) != name or cutoff is None:
            continue
        spans = wanted.stretches[gateway, log, epoch]
        rows: dict[int, bytes] = dict(store.rows("evidence_marks", gateway, log, epoch, cutoff.last, spans[-1][1]))
        for first, last in spans:
            rows |= dict(store.rows("evidence_lines", gateway, log, epoch, first, last))
        found |= {(epoch, seq): bytes(raw) for seq, raw in rows.items() if cutoff.holds(seq)}
    reports = [_report(raw) for raw in found.values()]
    found |= _introductions(store, name, {report.header.key for report in reports if report is not None})
    yield from (found[position] for position in sorted(found))


def _introductions(store: Store, name: LogName, keys: set[str]) -> dict[tuple[str, int], bytes]:
    """The lines of the log that lead to these keys, in whatever epoch: with them, trust in the first key is enough."""
    rows = store.rows("evidence_rotations", *name)
    found: dict[tuple[str, int], bytes] = {}
    reached = set(keys)
    while news := [row for row in rows if row[3] in reached and (row[0], row[1]) not in found]:
        found |= {(epoch, seq): bytes(raw) for epoch, seq, _, _, raw in news}
        reached |= {row[2] for row in news}
    return found


def _keys(store: Store, headers: Iterable[Header]) -> list[GatewayKey]:
    used = {(header.gateway, header.key) for header in headers}
    return [
        GatewayKey(gateway=gateway, key=PublicKey(bytes(public)))
        for gateway in sorted({gateway for gateway, _ in used})
        for key, public in sorted(set(store.rows("evidence_keys", gateway)))
        if (gateway, key) in used
    ]


def _report(line: bytes) -> Report | None:
    """The report of a kept line; None where it cannot be read any more, which whoever checks it will say."""
    parsed = parse(line)
    report = parsed if isinstance(parsed, Refused) else read(parsed)
    return None if isinstance(report, Refused) else report


def _refuse_others(body: Body, catalog: Catalog, store: Store, wanted: Needed) -> None:
    """P20: whole lines are disclosed, so none may show a device in another account's time."""
    mine, others = body["account"]["id"], owners(catalog)
    for name in wanted.logs():
        for line in _lines(store, name, wanted):
            report = _report(line)
            for device, start, end in () if report is None else shown(report):
                for account, since, until in others.get(device, ()):
                    if account != mine and start < until and end > since:
                        raise NotHandedOut(
                            f"the log {name[0]} {name[1]} also holds readings of {device}, which is another account's: "
                            "its evidence is not handed out. Give each customer's devices a log of their own"
                        )


def owners(catalog: Catalog) -> dict[str, list[tuple[str, int, int]]]:
    """By device: whose it is, from and until when."""
    owners: dict[str, list[tuple[str, int, int]]] = {}
    for name in catalog.contracts:
        terms = terms_of(catalog, name)
        for device in terms.devices:
            ends = [day for day in (device.until, terms.end) if day is not None]
            since = boundary(terms.timezone, device.start or terms.start)
            until = boundary(terms.timezone, min(ends)) if ends else FOREVER
            owners.setdefault(device.id, []).append((terms.account, since, until))
    return owners


def shown(report: Report) -> Iterator[tuple[str, int, int]]:
    """Every device that a report tells something of, and of which time."""
    head = report.header
    always = not head.clock.placed
    match report:
        case Summary(start=start, step=step, count=count, rows=rows):
            stretch = (0, FOREVER) if always else (start, start + step * count)
            yield from ((f"{head.gateway}/{row.device}", *stretch) for row in rows)
        case Usage(start=start, end=end, rows=rows):
            stretch = (0, FOREVER) if always else (start, end)
            yield from ((f"{head.gateway}/{row.device}", *stretch) for row in rows)
        case Gap(rows=gaps):
            for gap in gaps:
                stretch = (0, FOREVER) if always else (gap.start, gap.end)
                yield (f"{head.gateway}/{gap.device}", *stretch)
        case Birth(channels=told) | Exchange(rows=told):
            stretch = (0, FOREVER) if always else (head.sealed_at, head.sealed_at + 1)
            yield from ((f"{head.gateway}/{row[0]}", *stretch) for row in told)
        case _:
            return
