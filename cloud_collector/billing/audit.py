"""Every issued invoice made once more from facts: the stored lines, the catalogs, the earlier bookings (P11, P15–P17).

What a changed line does to which invoice is told with its money; an invoice that does not follow from what is stored
is named with the line of it that differs. Nothing is changed, and nothing that a run keeps beside facts is believed.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final, TypeAlias

from cloud_collector.billing.absent import Absence, absence, standing
from cloud_collector.billing.archive import Archive
from cloud_collector.billing.device_states import misstated
from cloud_collector.billing.revisions import revisions
from cloud_collector.contracts.catalog import Catalog
from cloud_collector.contracts.period import iso, local_date
from cloud_collector.intake.fact import report_of
from cloud_collector.intake.sound import Unsound
from cloud_collector.proof.compare import compare
from cloud_collector.proof.evidence import Needed, missing_from, needed
from cloud_collector.proof.verify import recomposed
from cloud_collector.proof.void import written_again
from cloud_collector.store.store import Store
from cloud_collector.usage.packing import unpack_deltas
from shared.errors import Refused
from shared.key import PublicKey
from shared.line import Body, hash_of, parse, read_body
from shared.report import Report, Usage

INVOICES_AT_ONCE: Final = 64
Position: TypeAlias = tuple[str, str, str, int]
"""gateway, log, epoch, seq."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """An invoice that does not follow from the facts, or rests on an unsound line."""

    number: str
    sentences: tuple[str, ...]
    """Why it does not follow; none where it comes to the same all the same."""
    said: str | None = None
    """Its net amount."""
    now: str | None = None
    """What the facts give."""
    currency: str = ""
    rests_on: frozenset[Position] = frozenset()
    """Unsound lines among those that it rests on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """An interval of which an unsound line says another amount than it said when it was received."""

    device: str
    meter: str
    start: int
    received: int
    """Integers of the meter's unit."""
    stored: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """An unsound line, the local days that it tells of, and the invoices that it changes."""

    line: Unsound
    days: tuple[date, ...]
    """The first and the last, or the only one: of the intervals that differ, where that can be told."""
    intervals: tuple[Interval, ...]
    invoices: tuple[Fault, ...]


@dataclass(slots=True, kw_only=True)
class Books:
    """What one audit has read of the store's invoices so far."""

    catalogs: Mapping[int, Catalog] = field(default_factory=dict)
    booked: dict[str, list[tuple[str, int, str]]] = field(default_factory=dict)
    """By contract, in order of issue: number, start of the period that was rated, and line of what is booked so far."""
    zones: dict[str, str] = field(default_factory=dict)
    """By gateway: the zone of a contract that an invoice has billed by it."""
    ordinals: dict[str, int] = field(default_factory=dict)
    unsealed: int = 0
    """Invoices whose seal is by a key that is not at hand."""
    deleted: int = 0
    """Invoices that rested on detail which was deleted as agreed."""


def audit_invoices(
    store: Store,
    archive: Archive,
    keys: Collection[PublicKey],
    unsound: Collection[Unsound],
    books: Books,
    progress: Callable[[int], None] = lambda _: None,
) -> Iterator[Fault]:
    """Each invoice that does not follow from the facts; `keys` are the receipt keys that are at hand."""
    yield from _catalogs(store, books)
    bad = {(each.gateway, each.log, each.epoch, each.seq) for each in unsound}
    last = 0
    while rows := store.rows("audit_invoices", last, INVOICES_AT_ONCE):
        for row in rows:
            fault = _audited(store, archive, {key.id: key for key in keys}, bad, books, row)
            if fault is not None:
                yield fault
        progress(len(rows))
        last = rows[-1][0]
    for series, given in store.rows("audit_series"):
        if given != books.ordinals.get(series, 0):
            sentence = (
                f"the series has given out {given} numbers, and its last invoice is {books.ordinals.get(series, 0)}"
            )
            yield Fault(number=series, sentences=(sentence,))


def damages(store: Store, unsound: Iterable[Unsound], faults: Iterable[Fault], books: Books) -> list[Damage]:
    """Each unsound line with the days it tells of and what it changes."""
    found = []
    known = list(faults)
    for line in unsound:
        position = (line.gateway, line.log, line.epoch, line.seq)
        spans = store.rows("audit_line_spans", *position)
        intervals = _intervals(store, position, spans)
        zone = books.zones.get(line.gateway, "UTC")
        instants = [each.start for each in intervals] or [
            instant for _, _, start, _, _, until, _ in spans if start is not None for instant in (start, until - 1)
        ]
        days = {local_date(zone, instant) for instant in instants}
        found.append(
            Damage(
                line=line,
                days=tuple(sorted({min(days), max(days)})) if days else (),
                intervals=intervals,
                invoices=tuple(fault for fault in known if position in fault.rests_on),
            )
        )
    return found


def _catalogs(store: Store, books: Books) -> Iterator[Fault]:
    rows = store.rows("catalog_revisions_whole")
    for number, digest, _, content, *_ in rows:
        if hashlib.sha256(bytes(content)).hexdigest() != digest:
            yield Fault(number=f"catalog {number}", sentences=("its bytes are not those that were applied",))
            return
    books.catalogs = {each.number: each.catalog for each in revisions(store)} if rows else {}


def _audited(
    store: Store,
    archive: Archive,
    keys: Mapping[str, PublicKey],
    bad: Collection[Position],
    books: Books,
    row: Sequence[Any],
) -> Fault | None:
    id_, number, series, ordinal, contract, *columns, digest, line, archived = row
    sentences = []
    if ordinal != books.ordinals.get(series, 0) + 1:
        sentences.append(f"the number before it in {series} is missing")
    books.ordinals[series] = ordinal
    if archived and archive.get(number) != bytes(line):
        sentences.append("the folder of issued invoices does not hold the same bytes")
    body = _body(bytes(line), digest, keys, books)
    if isinstance(body, Refused):
        return Fault(number=number, sentences=(*sentences, body.reason))
    sentences += _columns(body, (number, contract, *columns))
    printed = [(start, _printed(json.loads(text))) for start, text in store.rows("audit_bookings", id_)]
    if [_printed(each) for each in body["lines"]] != [line for _, line in printed]:
        sentences.append("what is booked by it is not what its lines say")
    earlier = books.booked.setdefault(contract, [])
    sentences += _subtracted(body, earlier)
    earlier += [(number, start, line) for start, line in printed]
    newest = books.catalogs.get(body["catalog"][0]["revision"])
    if "voids" not in body and newest is not None:
        sentences += misstated(store, newest, body)
    wanted = needed(body)
    for gateway, _ in wanted.logs():
        books.zones.setdefault(gateway, body["period"]["timezone"])
    reports, positions = _reports(store, wanted)
    gone = None if "voids" in body else absence(store, body, wanted)
    if gone is not None:
        return _deleted(books, number, body, gone, sentences, reports)
    for gateway, log, epoch, (first, last) in missing_from(wanted, positions):
        which = f"line {first}" if first == last else f"lines {first} to {last}"
        sentences.append(f"it rests on {which} of {gateway} {log} {epoch}, and the store has no such lines")
    fresh = _voided_again(store, body) if "voids" in body else _made_again(books.catalogs, body, reports)
    if isinstance(fresh, Refused):
        sentences.append(fresh.reason)
    else:
        sentences += [f"{finding.place}: {finding.sentence}" for finding in compare(body, fresh)]
    rests_on = frozenset(each for each in bad if wanted.wants(*each))
    if not sentences and not rests_on:
        return None
    return Fault(
        number=number,
        sentences=tuple(sentences),
        said=body["net"],
        now=None if isinstance(fresh, Refused) else fresh["net"],
        currency=body["currency"],
        rests_on=rests_on,
    )


def _deleted(
    books: Books, number: str, body: Body, gone: Absence, sentences: list[str], reports: Collection[Report]
) -> Fault | None:
    """It cannot be made again: what is kept for ever is compared, and that it once followed from all of its lines."""
    books.deleted += 1
    sentences += standing(body, [each for each in reports if isinstance(each, Usage)])
    if gone.proven is None:
        sentences.append(f"{gone.sentence}, and nobody has seen it follow from its lines before")
    if not sentences:
        return None
    return Fault(number=number, sentences=tuple(sentences), said=body["net"], currency=body["currency"])


def follows(store: Store, catalogs: Mapping[int, Catalog], body: Body) -> tuple[list[str], int]:
    """Why an issued invoice does not follow from all of the lines that it rests on, and how many these are."""
    wanted = needed(body)
    reports, positions = _reports(store, wanted)
    if missing_from(wanted, positions):
        return ["the store does not have all of the lines that it rests on"], len(positions)
    fresh = _made_again(catalogs, body, reports)
    if isinstance(fresh, Refused):
        return [fresh.reason], len(positions)
    return [f"{finding.place}: {finding.sentence}" for finding in compare(body, fresh)], len(positions)


def _body(line: bytes, digest: str, keys: Mapping[str, PublicKey], books: Books) -> Body | Refused:
    parsed = parse(line)
    if isinstance(parsed, Refused):
        return Refused(f"it is no sealed line any more: {parsed.reason}")
    if hash_of(line) != digest:
        return Refused("it is another line than the one that was issued")
    body = read_body(parsed)
    if isinstance(body, Refused):
        return body
    key = keys.get(body["key"])
    if key is None:
        books.unsealed += 1
    elif not parsed.verified_by(key):
        return Refused("it was changed after it was sealed")
    return body


def _made_again(catalogs: Mapping[int, Catalog], body: Body, reports: Iterable[Report]) -> Body | Refused:
    named = {entry["revision"]: catalogs.get(entry["revision"]) for entry in body["catalog"]}
    return recomposed(body, {name: each for name, each in named.items() if each is not None}, reports)


def _voided_again(store: Store, body: Body) -> Body | Refused:
    """A credit note that takes an invoice back rests on that invoice alone."""
    row = store.row("invoice_line", body["voids"]["number"])
    if row is None:
        return Refused(f"it takes back {body['voids']['number']}, which the store does not have")
    line = parse(bytes(row[1]))
    taken = line if isinstance(line, Refused) else read_body(line)
    return taken if isinstance(taken, Refused) else written_again(body, taken, hash_of(bytes(row[1])))


def _columns(body: Body, row: Sequence[Any]) -> Iterator[str]:
    """The figures that lists and books are made from are those of the sealed line."""
    said = {
        "number": body["number"],
        "contract": body["contract"],
        "account": body["account"]["id"],
        "kind": body["kind"],
        "revision": body["revision"],
        "currency": body["currency"],
        "total": body["total"],
        "inputs": body["inputs"],
    }
    for (name, sealed), stored in zip(said.items(), row, strict=True):
        if sealed != stored:
            yield f"the store lists its {name} as {stored}, and it says {sealed}"


def _subtracted(body: Body, earlier: Collection[tuple[str, int, str]]) -> Iterator[str]:
    """P14: what earlier invoices have booked of the periods that it rates is subtracted, that alone, and once."""
    said = Counter((row["number"], _printed(row["line"])) for rated in body["rated"] for row in rated["booked"])
    known = Counter((number, line) for number, _, line in earlier)
    starts = {rated["period"]["start"] for rated in body["rated"]}
    due = Counter((number, line) for number, start, line in earlier if iso(start) in starts)
    if said - known:
        number = min(said - known)[0]
        yield f"it subtracts what {number} has not booked"
    if due - said:
        number = min(due - said)[0]
        yield f"it does not subtract all that {number} has booked"


def _printed(line: Mapping[str, Any]) -> str:
    return json.dumps({name: line[name] for name in sorted(line) if name != "reads"}, sort_keys=True)


def _reports(store: Store, wanted: Needed) -> tuple[list[Report], list[Position]]:
    """What the lines say that the invoice rests on, as far as it can be read, and where lines are."""
    found: dict[Position, bytes] = {}
    for (gateway, log, epoch), stretches in sorted(wanted.stretches.items()):
        cutoff = wanted.received.get((gateway, log, epoch))
        if cutoff is None:
            continue
        rows: dict[int, bytes] = dict(store.rows("evidence_marks", gateway, log, epoch, cutoff.last, stretches[-1][1]))
        for first, last in stretches:
            rows |= dict(store.rows("evidence_lines", gateway, log, epoch, first, last))
        found |= {(gateway, log, epoch, seq): bytes(raw) for seq, raw in rows.items() if cutoff.holds(seq)}
    read = [None if isinstance(parse(raw), Refused) else report_of(raw) for _, raw in sorted(found.items())]
    return [report for report in read if report is not None], list(found)


def _intervals(store: Store, position: Position, spans: Iterable[Sequence[Any]]) -> tuple[Interval, ...]:
    """What the line says now beside what was taken from it when it was received, where it can be read."""
    rows = [bytes(row[0]) for row in store.rows("line_raw", *position)]
    report = report_of(rows[0]) if rows and not isinstance(parse(rows[0]), Refused) else None
    told = {(row.device, row.meter): row.deltas for row in report.rows} if isinstance(report, Usage) else {}
    found = []
    for device, meter, start, step, count, _, packed in spans:
        now = told.get((device, meter), ())
        if start is not None and len(now) == count:
            pairs = enumerate(zip(unpack_deltas(packed, count), now, strict=True))
            found += [
                Interval(device=device, meter=meter, start=start + at * step, received=before, stored=after)
                for at, (before, after) in pairs
                if before != after
            ]
    return tuple(found)
