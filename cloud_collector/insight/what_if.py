"""What a change of the catalog would have cost whom: the same re-rating as `simulate-tariff`, bounded for a page."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cloud_collector.billing.device_states import changes_for
from cloud_collector.contracts.catalog import Catalog
from cloud_collector.contracts.change import Change, read_change
from cloud_collector.contracts.named_period import named_days
from cloud_collector.contracts.read import load_catalog
from cloud_collector.contracts.revision import Revision
from cloud_collector.insight.agreement import Agreement
from cloud_collector.insight.remembered import Remembered
from cloud_collector.insight.tariff import Difference, Span, difference
from cloud_collector.store.store import Store
from cloud_collector.usage.span import UsageView
from shared.errors import DatabaseError, MetersealError

CONTRACTS_MAX: Final = 100
"""Contracts that are re-rated for one page; the command does all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatIf:
    """Who would have paid how much more or less."""

    said: tuple[str, ...]
    """The changes, as they were written."""
    found: tuple[Difference, ...]
    """What differs most first."""
    left_out: tuple[tuple[str, str], ...]
    """Contracts that cannot be rated so, and why (P19)."""
    beyond: int
    """Contracts that were not looked at."""


def what_if(
    store: Store,
    view: UsageView,
    known: Sequence[Revision],
    changes: Sequence[Change],
    contracts: Sequence[str],
    span: Span,
    now: int,
    *,
    text: str | None = None,
) -> WhatIf:
    """These contracts under the newest catalog, or under the one that `text` says, with these changes.

    Raises CatalogError where it breaks a rule.
    """
    newest = known[-1].catalog
    files = {"the catalog in force": newest.text} if text is None else {"catalog": text}
    candidate = load_catalog(files, changes=changes)
    found: list[Difference] = []
    left_out: list[tuple[str, str]] = []
    usage = Remembered(view)
    for name in contracts[:CONTRACTS_MAX]:
        states = [change for change in changes_for(store, newest, (name,)) if change.at <= now]
        try:
            found.append(difference(Agreement.of(store, known, name, now), candidate, usage, span, states))
        except DatabaseError:
            raise
        except MetersealError as error:
            left_out.append((name, str(error)))
    return WhatIf(
        said=tuple(change.said for change in changes),
        found=tuple(sorted(found, key=lambda each: (-abs(each.amount), each.contract))),
        left_out=tuple(left_out),
        beyond=max(len(contracts) - CONTRACTS_MAX, 0),
    )


def alike(catalog: Catalog, contract: str) -> list[str]:
    """The contract, and after it every other one that has its plan, by name."""
    plan = catalog.contracts[contract].plan.name
    others = sorted(name for name, each in catalog.contracts.items() if each.plan.name == plan and name != contract)
    return [contract, *others]


def asked_changes(contract: str, plan: str, text: str) -> list[Change]:
    """Changes as a form says them: another plan for one contract, and lines `KEY=VALUE`; raises CatalogError."""
    changes = [read_change(line.strip()) for line in text.splitlines() if line.strip()]
    if plan:
        said = f"contracts.{contract}.plan={plan}"
        changes.append(Change(path=("contracts", contract, "plan"), value=plan, said=said))
    return changes


def asked_span(first: str, last: str) -> Span:
    """Periods that begin in these months, both counted; raises ValueError."""
    if not first and not last:
        return Span()
    return Span(first=named_days(first or last)[0], last=named_days(last or first)[1])
