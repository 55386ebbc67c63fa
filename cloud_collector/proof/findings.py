"""What a check found: sentences with their place, values and never exceptions."""

from dataclasses import dataclass
from enum import IntEnum


class Stage(IntEnum):
    """What was being checked, in the order of the report."""

    FORM = 1
    INVOICE = 2
    KEYS = 3
    CATALOG = 4
    LINES = 5
    QUANTITIES = 6
    STARTS = 7
    PRICES = 8
    TOTALS = 9


STAGES = {
    Stage.FORM: "form of the bundle",
    Stage.INVOICE: "seal of the invoice",
    Stage.KEYS: "keys that you trust",
    Stage.CATALOG: "prices and contract as applied",
    Stage.LINES: "signatures and chain of the reports",
    Stage.QUANTITIES: "counters and quantities",
    Stage.STARTS: "when billing began",
    Stage.PRICES: "prices",
    Stage.TOTALS: "taxes and totals",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that does not hold, in a sentence."""

    stage: Stage
    place: str
    """The file and row, or the invoice's line."""
    sentence: str
