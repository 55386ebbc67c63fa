"""After a restore: what the folder of issued invoices knows and the store does not becomes facts of it again (P22).

A document is a fact, so its bookings, its starts, its period and its number are read out of its sealed body, and
nothing is rated. The counters stand behind every number that was ever given out, so that none is used twice.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

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
    for each in sorted(documents, key=lambda each: (each.body["issued_at"], len(each.number), each.number)):
        with store.atomic():
            missing += _put_back(store, each, _split(each.number, known))
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


def _put_back(store: Store, document: _Document, place: tuple[str, int]) -> list[str]:
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
    store.run_many("booking_add", list(_bookings(id_, contract, body)))
    starts = [
        (id_, contract, row["device"], _instant(row["at"]), row["rule"], row["why"]) for row in body["activations"]
    ]
    store.run_many("activation_add", starts)
    if body["rated"]:
        plans = body["rated"][0]["plans"]
        store.run("period_close_again", contract, start, end, issued_at, id_, plans)
    store.run("invoice_is_archived", id_)
    store.run("sending_unclear", id_, body["account"]["id"], issued_at * 1000, UNCLEAR)
    return [number for number in passed if number != document.number]


def _bookings(invoice: int, contract: str, body: Body) -> Iterator[tuple[Any, ...]]:
    periods = [(_instant(each["period"]["start"]), _instant(each["period"]["end"])) for each in body["rated"]]
    for place, line in enumerate(body["lines"], start=1):
        printed = {name: value for name, value in line.items() if name != "reads"}
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
            json.dumps(printed, separators=(",", ":")),
        )


def _rated_in(periods: Iterable[tuple[int, int]], at: int) -> int:
    """The start of the rated period that a line belongs to: the one around it, else the last one before it."""
    known = sorted(periods)
    around = [start for start, end in known if start <= at < end]
    before = [start for start, _ in known if start <= at]
    return (around or before[-1:] or [known[0][0] if known else at])[0]


def _split(number: str, known: Mapping[str, None]) -> tuple[str, int]:
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
