"""What is agreed beside prices: who owns the data and who may see it, and when the customer wants to be warned."""

from dataclasses import dataclass
from decimal import Decimal

from cloud_collector.contracts.duration import Duration


@dataclass(frozen=True, slots=True, kw_only=True)
class DataTerms:
    """Who owns what is measured, for what it may be used, with whom it is shared and how long detail is kept."""

    owner: str | None = None
    purposes: tuple[str, ...] = ()
    shared_with: tuple[str, ...] = ()
    keep_detail: Duration | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Warn:
    """Per cent of the budget, the commitment or what is normal, at which someone is told."""

    over: tuple[Decimal, ...] = ()
    under: tuple[Decimal, ...] = ()
