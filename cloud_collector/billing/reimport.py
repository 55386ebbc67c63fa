"""After a restore: what the folder of issued invoices knows and the store does not becomes facts of it again (P22).

A document is a fact, so its bookings, its starts, its period and its number are read out of its sealed body, and
nothing is rated. The counters stand behind every number that was ever given out, so that none is used twice.
"""

import hashlib
import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from cloud_collector.billing.accounts import Offset, set_off, standing
from cloud_collector.billing.archive import CATALOGS, Archive
from cloud_collector.billing.revisions import NoCatalog, revisions
from cloud_collector.contracts.node import CatalogError
from cloud_collector.contracts.read import load_catalog
from cloud_collector.store.store import Store
from shared.errors import MetersealError, Refused
from shared.key import PublicKey
from shared.line import Body, hash_of, parse, read_body

FindPublic = Callable[[str], PublicKey | None]
"""The operator's public key of an id, where it is known."""
Place = tuple[str, int]
"""A series of numbers, and a place in it."""
Period = tuple[str, str]
"""A contract, and where a billing period of it begins."""
RESTORED: Final = "restored"
"""In the place of whoever took an invoice back or billed it again: the document does not say."""
UNCLEAR: Final = "it was issued after the backup that was restored, so nobody knows whether it was sent"
_NUMBER: Final = re.compile(r"(.*?)([1-9][0-9]*)", re.DOTALL)


class FolderUnusable(MetersealError):
    """The folder of issued invoices holds what cannot be put back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reimported:
    """What was put back."""

    numbers: tuple[str, ...]
    """In order of issue."""
    catalogs: tuple[int, ...]
    missing: tuple[str, ...]
    """Numbers that were given out, going by those after them, and whose documents are nowhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Document:
    number: str
    line: bytes
    body: Body


def keep_catalogs(store: Store, archive: Archive) -> None:
    """Every revision of the catalog is in the archive, beside the invoices that it rates."""
    beside = archive.beside(CATALOGS)
    kept = beside.numbers()
    for number, _, effective_at, content, applied_at in store.rows("catalog_revisions_whole"):
        name = f"{number}-{effective_at}-{applied_at}"
        if name not in kept:
            beside.put(name, bytes(content))


def reimport(store: Store, archive: Archive, find: FindPublic) -> Reimported:
    """Everything in the archive is known to the store, each document in a transaction; raises FolderUnusable.

    The same again changes nothing.
    """
    catalogs = tuple(_catalogs(store, archive))
    held = {row[0] for row in store.rows("invoice_numbers")}
    documents = [_document(archive, number, find) for number in archive.numbers() - held]
    known = _series_known(store)
    missing: list[str] = []
    for each, place in _ordered(documents, known):
        with store.atomic():
            missing += _put_back(store, each, place)
    gone = tuple(number for number in missing if store.row("invoice_known", number) is None)
    return Reimported(numbers=tuple(each.number for each in documents), catalogs=catalogs, missing=gone)


def _catalogs(store: Store, archive: Archive) -> Iterator[int]:
    known = {row[0] for row in store.rows("catalog_revisions")}
    beside = archive.beside(CATALOGS)
    for name in sorted(beside.numbers(), key=lambda name: [int(part) for part in name.split("-")]):
        number, effective_at, applied_at = (int(part) for part in name.split("-"))
        if number in known:
            continue
        content = beside.get(name) or b""
        try:
            load_catalog(content.decode())
        except (CatalogError, UnicodeDecodeError) as error:
            raise FolderUnusable(f"revision {number} of the catalog in the folder cannot be read: {error}") from error
        store.run("catalog_add", number, hashlib.sha256(content).hexdigest(), applied_at, effective_at, content)
        yield number


def _document(archive: Archive, number: str, find: FindPublic) -> _Document:
    """The document, verified with the operator's key that it names."""
    raw = archive.get(number) or b""
    line = parse(raw)
    if isinstance(line, Refused) or line.tag != "MI1":
        raise FolderUnusable(
            f"the file of {number} in the folder of issued invoices is no sealed invoice: take it away"
        )
    body = read_body(line)
    if isinstance(body, Refused) or body.get("number") != number:
        raise FolderUnusable(f"the file of {number} in the folder of issued invoices holds another document")
    key = find(str(body["key"]))
    if key is None:
        raise FolderUnusable(f"{number} was sealed with the key {body['key']}, which is not at hand: see key_file")
    if not line.verified_by(key):
        raise FolderUnusable(f"the file of {number} in the folder of issued invoices was changed: its seal is broken")
    return _Document(number=number, line=raw, body=body)


def _put_back(store: Store, document: _Document, place: Place) -> list[str]:
    """The document and what follows from it are facts; the numbers before it that nobody has heard of."""
    body, (series, ordinal) = document.body, place
    store.run("series_open", series)
    passed: list[str] = []
    last = next(known[1] for known in store.rows("series_all") if known[0] == series)
    while last < ordinal:
        last = store.rows("series_next", series)[0][0]
        passed.append(f"{series}{last}")
    start, end = _instant(body["period"]["start"]), _instant(body["period"]["end"])
    contract, issued_at = body["contract"], _instant(body["issued_at"])
    found = store.rows(
        "invoice_add",
        document.number,
        series,
        ordinal,
        contract,
        body["account"]["id"],
        start,
        end,
        body["kind"],
        body["revision"],
        body["currency"],
        body["total"],
        issued_at,
        body["inputs"],
        hash_of(document.line),
        document.line,
    )
    id_ = found[0][0]
    if "voids" in body:
        _take_back(store, id_, document)
        return _others(store, document, id_, passed)
    store.run_many("booking_add", list(_bookings(id_, contract, body)))
    starts = [
        (id_, contract, row["device"], _instant(row["at"]), row["rule"], row["why"]) for row in body["activations"]
    ]
    store.run_many("activation_add", starts)
    if body["rated"]:
        plans = body["rated"][0]["plans"]
        replaced = store.row("voided_unreplaced", contract, start)
        if replaced is not None:
            store.run("rebill_add", contract, start, id_, replaced[0], plans, RESTORED)
        store.run("period_close_again", contract, start, end, issued_at, id_, plans)
    used = [
        Offset(credit_note=_id_of(store, document, number), number=number, amount=Decimal(amount))
        for number, amount in body.get("offsets", ())
    ]
    set_off(store, body["account"]["id"], body["currency"], id_, used, at=issued_at)
    return _others(store, document, id_, passed)


def _others(store: Store, document: _Document, id_: int, passed: Iterable[str]) -> list[str]:
    """What every document leaves behind besides its bookings; the numbers before it that nobody has heard of."""
    store.run("invoice_is_archived", id_)
    at_ms = _instant(document.body["issued_at"]) * 1000
    store.run("sending_unclear", id_, document.body["account"]["id"], at_ms, UNCLEAR)
    return [number for number in passed if number != document.number]


def _take_back(store: Store, credit: int, document: _Document) -> None:
    """The invoice that a credit note takes back is taken back, under the very keys that it has booked."""
    body, voids = document.body, document.body["voids"]
    taken, open_before = _id_of(store, document, voids["number"]), standing(store, voids["number"]).open
    rows = []
    for (place, *key, _), line in zip(store.rows("bookings_of_invoice", taken), body["lines"], strict=True):
        rows.append((credit, place, *key, _printed(line)))
    store.run_many("booking_add", rows)
    store.run("void_add", taken, credit, voids["reason"], RESTORED)
    if open_before > Decimal(0):
        owed = Offset(credit_note=credit, number=document.number, amount=open_before)
        at = _instant(body["issued_at"])
        set_off(store, body["account"]["id"], body["currency"], taken, [owed], at=at, by=RESTORED)


def _id_of(store: Store, document: _Document, number: str) -> int:
    row = store.row("invoice_line", number)
    if row is None:
        raise FolderUnusable(f"{document.number} names {number}, which is neither in the store nor in the folder")
    return int(row[0])


def _ordered(documents: Iterable[_Document], known: Mapping[str, None]) -> Iterator[tuple[_Document, Place]]:
    """Each document after those that it rests on, and after those before it in its series; clocks decide nothing."""
    queues: dict[str, list[tuple[int, _Document]]] = {}
    for each in documents:
        series, ordinal = _split(each.number, known)
        queues.setdefault(series, []).append((ordinal, each))
    for queue in queues.values():
        queue.sort(key=lambda entry: -entry[0])
    waiting = {each.number for queue in queues.values() for _, each in queue}
    taken: dict[Period, set[Place]] = {}
    for queue in queues.values():
        for _, each in queue:
            if "voids" in each.body:
                taken.setdefault(_period(each.body), set()).add(_split(each.body["voids"]["number"], known))
    while waiting:
        heads = [(series, *queue[-1]) for series, queue in queues.items() if queue]
        ready = [
            series
            for series, ordinal, each in heads
            if not _rests_on(each.body, (series, ordinal), waiting, taken.get(_period(each.body), ()))
        ]
        if not ready:
            raise FolderUnusable(
                f"{', '.join(sorted(waiting)[:8])} rest on one another: these are no genuine documents"
            )
        for series in ready:
            ordinal, document = queues[series].pop()
            waiting.discard(document.number)
            if "voids" in document.body:
                taken[_period(document.body)].discard(_split(document.body["voids"]["number"], known))
            yield document, (series, ordinal)


def _rests_on(body: Body, place: Place, waiting: Collection[str], taken: Iterable[Place]) -> bool:
    """Whether a document names one that waits, or replaces one that is still to be taken back."""
    if "voids" in body:
        return body["voids"]["number"] in waiting
    if any(number in waiting for number, _ in body.get("offsets", ())):
        return True
    # Of several taken back one after the other, those before it in its series.
    return any(series == place[0] and ordinal < place[1] for series, ordinal in taken)


def _period(body: Body) -> Period:
    return body["contract"], body["period"]["start"]


def _bookings(invoice: int, contract: str, body: Body) -> Iterator[tuple[Any, ...]]:
    periods = [(_instant(each["period"]["start"]), _instant(each["period"]["end"])) for each in body["rated"]]
    for place, line in enumerate(body["lines"], start=1):
        yield (
            invoice,
            place,
            contract,
            _rated_in(periods, _instant(line["service_start"])),
            line["charge"],
            line["kind"],
            line["device"] or "",
            line["window"] or "",
            _instant(line["service_start"]),
            _printed(line),
        )


def _printed(line: Body) -> str:
    """A line as it is booked: without the counters that it rests on."""
    return json.dumps({name: value for name, value in line.items() if name != "reads"}, separators=(",", ":"))


def _rated_in(periods: Iterable[tuple[int, int]], at: int) -> int:
    """The start of the rated period that a line belongs to: the one around it, else the last one before it."""
    known = sorted(periods)
    around = [start for start, end in known if start <= at < end]
    before = [start for start, _ in known if start <= at]
    return (around or before[-1:] or [known[0][0] if known else at])[0]


def _split(number: str, known: Mapping[str, None]) -> Place:
    """A number's series and its place in it; a series may itself end with a digit, so known ones go first."""
    for series in sorted(known, key=len, reverse=True):
        rest = number.removeprefix(series)
        if rest != number and rest.isdecimal() and not rest.startswith("0"):
            return series, int(rest)
    split = _NUMBER.fullmatch(number)
    if split is None:
        raise FolderUnusable(f"{number!r} in the folder of issued invoices is no number of an invoice")
    return split[1], int(split[2])


def _series_known(store: Store) -> dict[str, None]:
    try:
        prefixes = [revision.catalog.operator.invoice_prefix for revision in revisions(store)]
    except NoCatalog:
        prefixes = []
    series = [row[0] for row in store.rows("series_all")]
    return dict.fromkeys([*series, *prefixes, *(f"{prefix}CN-" for prefix in prefixes)])


def _instant(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())
