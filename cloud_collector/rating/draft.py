"""A draft: the lines of a period, their taxes and total; `to_json` is what `quote` prints and invoices carry."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Any, TypeAlias

from cloud_collector.contracts.money import as_written, plain
from cloud_collector.contracts.period import Period, iso
from cloud_collector.usage.span import NamedGap, Read

Step: TypeAlias = Mapping[str, str | bool]


class LineKind(StrEnum):
    """What a line is."""

    SUBSCRIPTION = "subscription"
    USAGE = "usage"
    ONE_TIME = "one_time"
    DISCOUNT = "discount"
    CAP = "cap"
    MINIMUM = "minimum"
    TRUE_UP = "true_up"
    ADJUSTMENT = "adjustment"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class BookingKey:
    """What a booked amount is for; a rerun subtracts what is booked under the same key (P14)."""

    contract: str
    charge: str
    kind: LineKind
    device: str
    """Empty for the whole contract."""
    window: str
    """Empty where the charge has no windows."""
    segment_start: int
    """Of a one-time charge: its instant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftLine:
    """One amount with everything that explains it."""

    contract: str
    charge: str
    kind: LineKind
    device: str | None = None
    window: str | None = None
    quantity: Fraction
    unit: str
    unit_price: Decimal | None
    exact: Decimal
    amount: Decimal
    service_start: int
    service_end: int
    estimated: bool = False
    why: str
    steps: tuple[Step, ...] = ()
    reads: tuple[Read, ...] = ()
    """Which registers a usage line rests on; not part of the public JSON."""
    gaps: tuple[NamedGap, ...] = ()
    """What is not known in its time; not part of the public JSON."""

    @property
    def key(self) -> BookingKey:
        """Under which its amount is booked."""
        return BookingKey(
            contract=self.contract,
            charge=self.charge,
            kind=self.kind,
            device=self.device or "",
            window=self.window or "",
            segment_start=self.service_start,
        )

    def to_json(self) -> dict[str, Any]:
        """The public form."""
        return {
            "charge": self.charge,
            "kind": self.kind.value,
            "device": self.device,
            "window": self.window,
            "quantity": plain(self.quantity),
            "unit": self.unit,
            "unit_price": None if self.unit_price is None else as_written(self.unit_price),
            "exact": as_written(self.exact),
            "amount": as_written(self.amount),
            "service_start": iso(self.service_start),
            "service_end": iso(self.service_end),
            "estimated": self.estimated,
            "why": self.why,
            "steps": [dict(step) for step in self.steps],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class TaxLine:
    """One rate on the sum of the rounded net lines that it covers."""

    name: str
    percent: Decimal
    base: Decimal
    amount: Decimal
    category: str | None = None
    reason: str | None = None
    lines: tuple[int, ...] = ()
    """Which lines of the draft it is on, from 0."""

    def to_json(self) -> dict[str, str]:
        """The public form; category, reason and lines are the invoice's."""
        return {
            "name": self.name,
            "percent": plain(Fraction(self.percent)),
            "base": as_written(self.base),
            "amount": as_written(self.amount),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What a period costs, or what it costs more than is booked."""

    contract: str
    currency: str
    period: Period
    lines: tuple[DraftLine, ...]
    net: Decimal
    taxes: tuple[TaxLine, ...]
    total: Decimal
    too_late: tuple[DraftLine, ...] = ()
    """What look-back bars: it is not billed, and not part of the public JSON."""

    def to_json(self) -> dict[str, Any]:
        """Exactly the answer of `cloud-collector quote`."""
        return {
            "contract": self.contract,
            "currency": self.currency,
            "period": {
                "start": iso(self.period.start),
                "end": iso(self.period.end),
                "timezone": self.period.timezone,
            },
            "lines": [line.to_json() for line in self.lines],
            "net": as_written(self.net),
            "taxes": [tax.to_json() for tax in self.taxes],
            "total": as_written(self.total),
        }
