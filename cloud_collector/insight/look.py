"""The store looked at for one contract: what its running period costs at a moment."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from cloud_collector.billing.device_states import changes_for
from cloud_collector.contracts.period import Period, boundary
from cloud_collector.contracts.revision import Revision
from cloud_collector.insight.agreement import Agreement
from cloud_collector.insight.as_of import AsOf
from cloud_collector.insight.cost import Cost, cost
from cloud_collector.insight.forecast import Forecast, forecast
from cloud_collector.insight.kept import Kept, Later
from cloud_collector.insight.remembered import Remembered
from cloud_collector.insight.wishes import wished
from cloud_collector.rating.known import Known
from cloud_collector.store.store import Store
from cloud_collector.usage.span import UsageView
from shared.errors import MetersealError

AHEAD_SECONDS = 86_400
"""A report may end a little later than it was received."""


class NotRunning(MetersealError):
    """The contract has no billing period at that moment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """A contract with what is known of it at a moment."""

    agreement: Agreement
    known: Known
    period: Period
    as_of_ms: int
    budget: Decimal | None = None
    """As the customer has set it, else as the catalog has it."""

    def _ahead(self, memory: Kept, *, wait: bool) -> Forecast | None:
        """What the period will come to, as it was said a moment ago or is found now."""
        known, at = self.known, self.as_of_ms // 1_000
        terms = known.terms
        key = "forecast", terms.contract, self.period.start, terms.catalog_hash, terms.devices, len(known.states)

        def made(usage: UsageView) -> Forecast | None:
            return forecast(replace(known, usage=usage), self.period, at)

        return memory.made(key, at, known.usage, made, wait=wait)

    def cost(self, *, foretold: bool = True, memory: Kept | None = None, wait: bool = True) -> Cost:
        """What the running period costs; with a memory its forecast may be of a moment ago. Raises UnlikeUnits.

        Without `wait` a forecast that rests on many reports is left for later.
        """
        if foretold and memory is not None:
            found = self.cost(foretold=False)
            try:
                return replace(found, forecast=self._ahead(memory, wait=wait))
            except Later:
                return replace(found, later=True)
        agreement, period = self.agreement, self.period
        alike = agreement.plans(period.start).number == agreement.plans(period.end).number
        return cost(
            self.known,
            period,
            self.as_of_ms,
            budget=self.budget,
            after=None if alike else agreement.terms(period.end),
            anchored=agreement.anchored(self.known.activated),
            foretold=foretold,
        )


def look(
    store: Store,
    known: Sequence[Revision],
    contract: str,
    as_of_ms: int,
    view: Callable[[Store], UsageView],
    *,
    past: bool = False,
    within: int | None = None,
    memory: Kept | None = None,
) -> Look:
    """The contract in the period that holds the moment, or the instant `within`; raises NotRunning.

    `past`: the moment lies back, so that what was received after it does not count. A `memory` spares finding again
    what was found for another page.
    """
    at = as_of_ms // 1_000
    agreement = Agreement.of(store, known, contract, at)
    held = view(store)
    usage: UsageView = Remembered(AsOf(held, as_of_ms) if past else held)
    recall = None if memory is None or past else memory.starts.over(usage, held)
    done = [change for change in changes_for(store, known[-1].catalog, (contract,)) if change.at <= at]
    terms = agreement.terms(at)
    begins = boundary(terms.timezone, terms.start)
    if at < begins:
        raise NotRunning(f"{contract} begins on {terms.start}")
    looked = Known.of(terms, usage, done, until=at + AHEAD_SECONDS, recall=recall)
    inside = at if within is None else within
    running = [each for each in agreement.periods(looked.activated, at) if each.start <= inside < each.end]
    if not running:
        raise NotRunning(f"{contract} ended on {terms.end}")
    (period,) = running
    if agreement.plans(period.start).number != agreement.plans(at).number:
        looked = Known.of(agreement.terms(period.start), usage, done, until=at + AHEAD_SECONDS, recall=recall)
    budget = wished(store, known[-1].catalog.contracts[contract]).budget
    return Look(agreement=agreement, known=looked, period=period, as_of_ms=as_of_ms, budget=budget)
