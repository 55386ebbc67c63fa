"""Periods that have ended and are not billed yet: their invoice as it would be issued now, and what it waits for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from cloud_collector.billing.case import Case, Sight, case_of, ended_period, still
from cloud_collector.billing.due import Waiting
from cloud_collector.billing.issue import require_issuable
from cloud_collector.billing.revisions import revisions
from cloud_collector.contracts.catalog import Catalog
from cloud_collector.contracts.money import as_written
from cloud_collector.contracts.period import Period, iso
from cloud_collector.contracts.revision import Revision
from cloud_collector.invoice.compose import compose
from cloud_collector.rating.draft import Draft
from cloud_collector.store.store import Store
from cloud_collector.store.view import StoreView
from shared.errors import DatabaseError, MetersealError


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A contract's earliest period that has ended and is not billed."""

    contract: str
    period: Period
    draft: Draft | None
    """What the invoice would say now; None: it cannot be issued, and the operator has to look at it."""
    waits_until: int | None = None
    """When it is billed all the same."""
    silent: tuple[str, ...] = ()
    """Gateways whose reports it waits for, or is billed without."""
    more: bool = False
    """Whether the period after it has ended too."""

    def told(self, local: Callable[[int], str]) -> str:
        """How it stands, in sentences."""
        gateways = ", ".join(self.silent)
        if self.draft is None:
            said = "It cannot be billed as it is: the operator has to look at it."
        elif self.waits_until is not None:
            said = f"It waits for reports of {gateways}, until {local(self.waits_until)} at the longest."
        else:
            said = "The next billing run bills it" + (f", without reports of {gateways}." if self.silent else ".")
        return said + (" What ended after it is billed once it is." if self.more else "")

    def to_json(self) -> dict[str, Any]:
        """The public form."""
        return {
            "contract": self.contract,
            "period": self.period.first.isoformat(),
            "start": iso(self.period.start),
            "end": iso(self.period.end),
            "waits_until": None if self.waits_until is None else iso(self.waits_until),
            "silent": list(self.silent),
            "more": self.more,
            "net": None if self.draft is None else as_written(self.draft.net),
            "total": None if self.draft is None else as_written(self.draft.total),
            "currency": None if self.draft is None else self.draft.currency,
        }


def ended_of(store: Store, account: str, now_ms: int) -> tuple[Ended, ...]:
    """What of the account's contracts has ended and waits for its invoice, by contract; raises NoCatalog."""
    known = revisions(store)
    held = known[-1].catalog.contracts
    return ended_in(store, known, sorted(name for name in held if held[name].account == account), now_ms)


def ended_in(store: Store, known: Sequence[Revision], names: Sequence[str], now_ms: int) -> tuple[Ended, ...]:
    """The same of these contracts."""
    sight = still(Sight(view=StoreView))
    found = (_ended(store, known, name, now_ms // 1_000, sight) for name in names)
    return tuple(each for each in found if each is not None)


def _ended(store: Store, known: Sequence[Revision], contract: str, now: int, sight: Sight) -> Ended | None:
    period = ended_period(store, contract, known, now, sight)
    if period is None:
        return None
    try:
        case = case_of(store, contract, known, now, sight, billed_at=now)
        draft = _draft(store, case, known[-1].catalog, sight)
    except DatabaseError:
        raise
    except MetersealError:
        # P19: no figure rather than a wrong one; why stands on the operator's page.
        return Ended(contract=contract, period=period, draft=None)
    due = case.due
    if due is None or draft is None or not draft.lines:
        # There is nothing to bill, and a run closes it without an invoice.
        return None
    waits_until = due.until if isinstance(due, Waiting) else None
    return Ended(
        contract=contract,
        period=period,
        draft=draft,
        waits_until=waits_until,
        silent=tuple(sorted(due.silent)),
        more=case.further,
    )


def _draft(store: Store, case: Case, catalog: Catalog, sight: Sight) -> Draft | None:
    if case.order is None or not case.order.tasks:
        return None
    composition = compose(case.order, sight.view(store))
    require_issuable(composition, catalog.operator, catalog.accounts[case.terms.account])
    return composition.draft
