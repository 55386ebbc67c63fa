"""The credit note that takes an invoice back in full: the same lines, every figure turned round.

Pure. It rests on the sealed invoice alone, so that whoever holds both can write it again (P12). Figures are turned
as text, digit for digit: nothing is computed, so both sum to zero in every form.
"""

from dataclasses import dataclass
from typing import Final

from cloud_collector.contracts.period import iso
from cloud_collector.invoice.document import InvoiceKind
from shared.line import Body

_OWN: Final = frozenset({"offsets", "payable", "seen_until", "states"})
"""What an invoice may say that its credit note does not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Void:
    """What is settled in the moment of taking an invoice back."""

    key: str
    """The id of the operator's receipt key."""
    number: str
    revision: int
    issued_at: int
    reason: str
    hash: str
    """Of the sealed line that is taken back."""
    engine: str
    tzdata: str


def void_body(taken: Body, void: Void) -> Body:
    """The body of the credit note that takes back `taken`."""
    kept = {name: value for name, value in taken.items() if name not in _OWN}
    return {
        **kept,
        "key": void.key,
        "number": void.number,
        "kind": InvoiceKind.CREDIT_NOTE.value,
        "revision": void.revision,
        "issued_at": iso(void.issued_at),
        "due": None,
        "lines": [_turned(taken["number"], place, line) for place, line in enumerate(taken["lines"], start=1)],
        "net": turned(taken["net"]),
        "taxes": [{**tax, "base": turned(tax["base"]), "amount": turned(tax["amount"])} for tax in taken["taxes"]],
        "total": turned(taken["total"]),
        # What the invoice rested on is proved by its own bundle.
        "channels": [],
        "activations": [],
        "beside": [],
        "stated": [],
        "gaps": [],
        "rated": [],
        "engine": void.engine,
        "tzdata": void.tzdata,
        "voids": {
            "number": taken["number"],
            "issued_at": taken["issued_at"],
            "hash": void.hash,
            "reason": void.reason,
        },
    }


def turned(figure: str) -> str:
    """A decimal string with the other sign; zero has none."""
    if figure.startswith("-"):
        return figure[1:]
    return f"-{figure}" if any(digit in "123456789" for digit in figure) else figure


def booking_turned(line: Body, number: str, place: int) -> Body:
    """What the credit note books under the key of the invoice's line: as the line is printed, without counters."""
    printed = _turned(number, place, line)
    del printed["reads"]
    return printed


def _turned(number: str, place: int, line: Body) -> Body:
    amount = turned(line["amount"])
    return {
        **line,
        "quantity": None if line["quantity"] is None else turned(line["quantity"]),
        "exact": turned(line["exact"]),
        "amount": amount,
        "estimated": False,
        "why": f"takes back line {place} of {number}",
        "steps": [{"booked": line["amount"], "amount": amount}],
        "reads": [],
    }
