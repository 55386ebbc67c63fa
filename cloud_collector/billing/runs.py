"""Runs that people began: who, for what, and whether they came to their end; one that did not is resumed."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cloud_collector.billing.accounts import require_name
from cloud_collector.billing.outcome import Report
from cloud_collector.contracts.period import iso
from cloud_collector.store.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """A run that was begun and has not ended."""

    number: int
    by: str
    as_of: int
    contracts: tuple[str, ...]
    """Empty: all."""


def begin(store: Store, *, by: str, at: int, as_of: int, contracts: Sequence[str] | None) -> int:
    """Write down that somebody begins a run; its number."""
    number: int = store.rows("run_begin", at, require_name(by), as_of, json.dumps(sorted(contracts or ())), 0)[0][0]
    return number


def end(store: Store, number: int, report: Report, *, at: int) -> None:
    """Write down that it came to its end."""
    counts = (len(report.of(state)) for state in ("issued", "parked", "unapproved"))
    store.run("run_end", number, at, *counts)


def stopped(store: Store) -> Stopped | None:
    """The last run, where it was begun and has not ended."""
    row = store.row("run_stopped")
    if row is None:
        return None
    return Stopped(number=row[0], by=row[1], as_of=row[2], contracts=tuple(json.loads(row[3])))


def every(store: Store) -> list[dict[str, Any]]:
    """Every run, in order."""
    return [
        {
            "run": row[0],
            "begun": iso(row[1]),
            "by": row[2],
            "what": "drafts" if row[5] else "issues",
            "as_of": iso(row[3]),
            "contracts": ", ".join(json.loads(row[4])) or "all",
            "ended": None if row[6] is None else iso(row[6]),
            "issued": row[7],
            "parked": row[8],
            "unapproved": row[9],
        }
        for row in store.rows("runs_all")
    ]
