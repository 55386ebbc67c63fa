"""An invoice worked out again from its evidence as it stands now: the re-rated copy, beside what was billed."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from cloud_collector.billing.export import Invoice, NotHandedOut, as_it_stands
from cloud_collector.proof.bundle import Bundle, from_zip, read_keys
from cloud_collector.proof.compare import lines_by_key
from cloud_collector.proof.trust import Trust
from cloud_collector.proof.verify import Verification, verify
from cloud_collector.store.store import Store
from shared.errors import Refused
from shared.key import PublicKey
from shared.line import Body


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line as it was billed, and as it comes out now; what is on one side only is empty on the other."""

    place: int | None
    """Of the invoice; None: it does not have this line."""
    charge: str
    device: str | None
    unit: str
    quantity: str | None
    amount: str | None
    quantity_again: str | None
    amount_again: str | None

    @property
    def differs(self) -> bool:
        """Whether the two sides say different things."""
        return (self.quantity, self.amount) != (self.quantity_again, self.amount_again)

    @property
    def difference(self) -> Decimal:
        """What would have to be added to the billed amount."""
        return Decimal(self.amount_again or 0) - Decimal(self.amount or 0)

    def to_json(self) -> dict[str, Any]:
        """The public form."""
        return {
            "line": self.place,
            "charge": self.charge,
            "device": self.device,
            "unit": self.unit,
            "quantity": self.quantity,
            "amount": self.amount,
            "quantity_again": self.quantity_again,
            "amount_again": self.amount_again,
            "difference": format(self.difference, "f"),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """What came out."""

    ok: bool
    """Whether it is the same to the letter."""
    sentences: tuple[str, ...] = ()
    """What differs, or why nothing came out."""
    rows: tuple[Row, ...] = ()
    total: str | None = None
    total_again: str | None = None
    currency: str = ""
    body: Body | None = None
    """What the invoice would say now."""

    def of(self, place: int) -> tuple[Row, ...]:
        """The line that is asked for, all of them for 0; and whatever differs."""
        return tuple(each for each in self.rows if place in (0, each.place) or each.differs)

    def to_json(self) -> dict[str, Any]:
        """The public form."""
        return {
            "same": self.ok,
            "sentences": list(self.sentences),
            "lines": [each.to_json() for each in self.rows],
            "total": self.total,
            "total_again": self.total_again,
            "currency": self.currency,
        }


def worked_again(store: Store, invoice: Invoice, key: PublicKey | None) -> Again:
    """The invoice by its evidence as the store has it now; `key` is the operator's."""
    if key is None:
        return Again(ok=False, sentences=("this collector has no key to hand out evidence with",))
    try:
        outcome = by_its_own_keys(as_it_stands(store, invoice, key))
    except NotHandedOut as error:
        return Again(ok=False, sentences=(str(error),))
    fresh, said = outcome.fresh, invoice.body
    return Again(
        ok=outcome.ok,
        sentences=tuple(f"{each.place}: {each.sentence}" for each in outcome.findings),
        rows=() if fresh is None else tuple(_rows(said, fresh)),
        total=said["total"],
        total_again=None if fresh is None else fresh["total"],
        currency=said["currency"],
        body=fresh,
    )


def by_its_own_keys(bundle: bytes) -> Verification:
    """What `verify-invoice` says of it, trusting the keys that are in it: whose they are is the reader's to compare."""
    opened = from_zip(bundle)
    keys = read_keys(opened.keys) if isinstance(opened, Bundle) else opened
    if isinstance(keys, Refused):
        return verify(bundle, Trust(fingerprints=frozenset(), words=frozenset()))
    operator, gateways = keys
    trusted = frozenset({operator.sha256, *(each.key.sha256 for each in gateways)})
    return verify(bundle, Trust(fingerprints=trusted, words=frozenset()))


def _rows(said: Body, fresh: Body) -> Iterator[Row]:
    billed, again = lines_by_key(said), lines_by_key(fresh)
    for key in [*billed, *(key for key in again if key not in billed)]:
        place, old = billed.get(key, (None, None))
        _, new = again.get(key, (None, None))
        either = old or new or {}
        yield Row(
            place=place,
            charge=either["charge"],
            device=either["device"],
            unit=either["unit"],
            quantity=None if old is None else old["quantity"],
            amount=None if old is None else old["amount"],
            quantity_again=None if new is None else new["quantity"],
            amount_again=None if new is None else new["amount"],
        )
