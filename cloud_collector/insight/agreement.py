"""By which terms each billing period of a contract is rated: as billing has closed it, else by the plans in force."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property

from cloud_collector.contracts.catalog import AnchorKind
from cloud_collector.contracts.period import Period, local_date
from cloud_collector.contracts.revision import Revision, billing_periods, plans_revision, terms_in_force
from cloud_collector.contracts.terms import Terms
from cloud_collector.store.store import Store


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """A contract over its whole time."""

    contract: str
    known: Sequence[Revision]
    """Every revision of the catalog, the newest last."""
    closed: Mapping[int, int]
    """By the start of each closed period the number of the revision that priced it, in order."""
    now: int
    stated: int | None = None
    """The first start that an issued invoice has stated."""

    @classmethod
    def of(cls, store: Store, known: Sequence[Revision], contract: str, now: int) -> "Agreement":
        """As the store has it."""
        closed = {row[0]: row[4] for row in store.rows("periods_closed", contract)}
        stated = store.row("first_start_used", contract, contract)
        return cls(contract=contract, known=known, closed=closed, now=now, stated=None if stated is None else stated[0])

    @cached_property
    def cadence(self) -> Revision:
        """Whose cycle, anchor and zone the contract keeps."""
        for number in self.closed.values():
            return self._numbered(number)
        return plans_revision(self.known, self.contract, self.now)

    @cached_property
    def _terms(self) -> dict[int, Terms]:
        return {}

    def plans(self, start: int) -> Revision:
        """Whose prices the period that begins then has."""
        number = self.closed.get(start)
        return plans_revision(self.known, self.contract, start) if number is None else self._numbered(number)

    def terms(self, start: int) -> Terms:
        """The terms of the period that begins then."""
        plans = self.plans(start)
        if plans.number not in self._terms:
            newest, cadence = self.known[-1].catalog, self.cadence.catalog
            self._terms[plans.number] = terms_in_force(plans.catalog, newest, cadence, self.contract)
        return self._terms[plans.number]

    def anchored(self, activated: date | None) -> date | None:
        """The date that periods are anchored at: as an invoice has stated it, else as it is known now."""
        terms = self.terms(self.now)
        if terms.anchor is not AnchorKind.ACTIVATION:
            return None
        return activated if self.stated is None else local_date(terms.timezone, self.stated)

    def periods(self, activated: date | None, until: int) -> list[Period]:
        """The contract's billing periods that begin up to an instant."""
        terms = self.terms(self.now)
        last = local_date(terms.timezone, until) + timedelta(days=1)
        found = billing_periods(terms, until=last, anchored=self.anchored(activated))
        return [period for period in found if period.start <= until]

    def _numbered(self, number: int) -> Revision:
        return next(revision for revision in self.known if revision.number == number)
