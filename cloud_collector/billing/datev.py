"""Issued invoices as a batch of postings in the DATEV format (EXTF 700, Buchungsstapel 13).

Source: https://developer.datev.de/datev/platform/en/dtvf. Of the 125 columns the first fourteen are written, in their
order; those behind them are optional. One posting an invoice and tax: the customer's account against the account of the
revenue, gross, because DATEV's automatic accounts split the tax off themselves.
"""

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Final

from cloud_collector.billing.books import issue_day
from cloud_collector.settings import DatevSettings
from shared.errors import MetersealError
from shared.line import Body

COLUMNS: Final = (
    "Umsatz (ohne Soll/Haben-Kz)",
    "Soll/Haben-Kennzeichen",
    "WKZ Umsatz",
    "Kurs",
    "Basis-Umsatz",
    "WKZ Basis-Umsatz",
    "Konto",
    "Gegenkonto (ohne BU-Schlüssel)",
    "BU-Schlüssel",
    "Belegdatum",
    "Belegfeld 1",
    "Belegfeld 2",
    "Skonto",
    "Buchungstext",
)
UNTAXED: Final = "-"
_NUMBER_MAX: Final = 36
_TEXT_MAX: Final = 60


class NotBookable(MetersealError):
    """Something that a posting needs is not configured, or DATEV has no place for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Posting:
    """What one invoice bears under one tax, gross."""

    body: Body
    tax: str
    amount: Decimal


def as_datev(bodies: Iterable[Body], books: DatevSettings, first: date, last: date) -> bytes:
    """The file, in Windows' code page 1252; raises NotBookable. `first` and `last` are its days, both counted."""
    if not (books.consultant and books.client):
        raise NotBookable("set datev.consultant and datev.client: the tax adviser's number, and yours there")
    year = _year_of(first, books)
    if _year_of(last, books) != year:
        raise NotBookable(
            f"{first} to {last} lies in two fiscal years, and a DATEV file in one: export each for itself"
        )
    kept = list(bodies)
    made = max((datetime.fromisoformat(body["issued_at"]) for body in kept), default=None)
    head = [
        '"EXTF"', "700", "21", '"Buchungsstapel"', "13",
        # The last invoice's issue, not now: the same invoices are the same file.
        f"{made:%Y%m%d%H%M%S}000" if made else f"{last:%Y%m%d}000000000",
        "", '"MS"', '""', '""', str(books.consultant), str(books.client), f"{year:%Y%m%d}", str(books.account_digits),
        f"{first:%Y%m%d}", f"{last:%Y%m%d}", '"Rechnungen"', '""', "1", "0", "0", '"EUR"',
        "", '""', "", "", '""', "", "", '""', '""',
    ]  # fmt: skip
    rows = [";".join(head), ";".join(COLUMNS)]
    rows += [_row(posting, books) for body in kept for posting in _postings(body)]
    return "".join(row + "\r\n" for row in rows).encode("cp1252")


def _postings(body: Body) -> list[_Posting]:
    """The invoice's total, each line with its first tax; a further tax on a line stands for itself."""
    taken: set[int] = set()
    found: dict[str, Decimal] = {}
    for tax in body["taxes"]:
        key = f"{tax['category'] or tax['name']}{tax['percent']}"
        base = sum(
            (Decimal(body["lines"][place - 1]["amount"]) for place in tax["lines"] if place not in taken), Decimal(0)
        )
        taken.update(tax["lines"])
        found[key] = found.get(key, Decimal(0)) + base + Decimal(tax["amount"])
    rest = [Decimal(line["amount"]) for place, line in enumerate(body["lines"], start=1) if place not in taken]
    if rest:
        found[UNTAXED] = sum(rest, Decimal(0))
    assert sum(found.values(), Decimal(0)) == Decimal(body["total"]), "postings sum to the invoice"
    return [_Posting(body=body, tax=key, amount=amount) for key, amount in found.items() if amount]


def _row(posting: _Posting, books: DatevSettings) -> str:
    body = posting.body
    if body["currency"] != "EUR":
        raise NotBookable(
            f"{body['number']} is in {body['currency']}: a DATEV file in euro needs its rate, which nobody has"
        )
    debtor = books.debtors.get(body["account"]["id"], books.receivable)
    if not debtor:
        raise NotBookable(
            f"{body['number']}: name an account for {body['account']['id']} in datev.debtors, or datev.receivable"
        )
    revenue = books.revenue.get(posting.tax)
    if revenue is None:
        raise NotBookable(f"{body['number']}: datev.revenue has no account for {posting.tax!r}")
    day = issue_day(body)
    cells: Sequence[str] = (
        format(abs(posting.amount), "f").replace(".", ","),
        _quoted("S" if posting.amount > 0 else "H"),
        _quoted("EUR"),
        "",
        "",
        _quoted(""),
        debtor,
        revenue,
        _quoted(""),
        f"{day:%d%m}",
        _quoted(body["number"][:_NUMBER_MAX]),
        _quoted(f"{date.fromisoformat(body['due']):%d%m%y}" if body["due"] else ""),
        "",
        _quoted(f"{body['account']['name']}, {body['contract']}"[:_TEXT_MAX]),
    )
    return ";".join(cells)


def _quoted(value: str) -> str:
    """A text: without control characters, in letters of code page 1252, its quotation marks doubled."""
    plain = " ".join(value.split())
    letters = "".join(_letter(letter) for letter in plain)
    return '"' + letters.replace('"', '""') + '"'


def _letter(letter: str) -> str:
    try:
        letter.encode("cp1252")
    except UnicodeEncodeError:
        return unicodedata.normalize("NFKD", letter).encode("ascii", "ignore").decode() or "?"
    return letter


def _year_of(day: date, books: DatevSettings) -> date:
    """The first day of the fiscal year that a day lies in."""
    try:
        begins = date.fromisoformat(f"{day.year}-{books.year_begins}")
    except ValueError:
        raise NotBookable(f"datev.year_begins is {books.year_begins[:16]!r}, not a day such as 01-01") from None
    return begins if begins <= day else begins.replace(year=begins.year - 1)
