"""Which revision of the catalog speaks for a billing period: plans from its start, contracts from today.

New plan terms apply from the next period boundary on; who is billed, from when until when and with
which devices, is always what the newest revision says, also for a period that is rated again. Cycle,
anchor and zone are frozen with the contract's first closed period: its cadence.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Final
from weakref import ReferenceType, ref

from cloud_collector.contracts.catalog import Catalog
from cloud_collector.contracts.glance import ANYTHING, Glance
from cloud_collector.contracts.period import Period, periods
from cloud_collector.contracts.terms import Stretch, Terms, UnknownContract, terms_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """A catalog as it was applied, numbered from 1; its plans rate what begins at `effective_at` or later.

    Over the years there are many, and each is read when it is asked for.
    """

    number: int
    effective_at: int
    """Unix seconds."""
    read: Callable[[], Catalog] = field(compare=False)
    glance: Callable[[], Glance] = field(default=lambda: ANYTHING, compare=False)
    """What it may have: it spares reading a catalog for what it does not have."""

    @property
    def catalog(self) -> Catalog:
        """What was applied."""
        return self.read()

    def knows(self, contract: str) -> bool:
        """Whether it has this contract."""
        return self.glance().may_have(contract) and contract in self.catalog.contracts


def plans_revision(revisions: Sequence[Revision], contract: str, period_start: int) -> Revision:
    """The newest revision in effect at a period's start that knows the contract, else the first that does.

    Raises UnknownContract where none does.
    """
    in_effect = (each for each in reversed(revisions) if each.effective_at <= period_start)
    for revision in (*in_effect, *revisions):
        if revision.knows(contract):
            return revision
    raise UnknownContract(f"no revision of the catalog has a contract {contract!r}")


TERMS_MAX: Final = 16_384
"""Terms that are remembered; then they are all forgotten and made again."""
_TERMS: Final[dict[tuple[int, int, int, str], tuple[Terms, tuple[ReferenceType[Catalog], ...]]]] = {}
"""By the very catalogs, each as long as somebody else keeps it: another one may take its place in memory."""


def terms_in_force(plans: Catalog, newest: Catalog, cadence: Catalog, contract: str) -> Terms:
    """A contract's terms: prices and rules of `plans`; account, dates, devices of `newest`; periods of `cadence`."""
    key = (id(plans), id(newest), id(cadence), contract)
    catalogs = (plans, newest, cadence)
    found = _TERMS.get(key)
    if found is None or any(held() is not each for held, each in zip(found[1], catalogs, strict=True)):
        if len(_TERMS) >= TERMS_MAX:
            _TERMS.clear()
        found = _TERMS[key] = (_terms(plans, newest, cadence, contract), tuple(map(ref, catalogs)))
    return found[0]


def _terms(plans: Catalog, newest: Catalog, cadence: Catalog, contract: str) -> Terms:
    now, then, first = (terms_of(catalog, contract) for catalog in (newest, plans, cadence))
    before = {each.contract: each for each in then.siblings}
    siblings = tuple(_in_force(each, before.get(each.contract, each)) for each in now.siblings)
    return replace(
        _in_force(now, then), cycle=first.cycle, anchor=first.anchor, timezone=first.timezone, siblings=siblings
    )


def billing_periods(terms: Terms, *, until: date, anchored: date | None = None) -> list[Period]:
    """The contract's periods that begin before `until`; a skipped local date is no period."""
    return [period for period in periods(terms, until=until, activated=anchored) if period.start < period.end]


def _in_force(now: Terms, then: Terms) -> Terms:
    """Prices and rules of then; account, dates and devices of now."""
    return replace(
        then,
        account=now.account,
        catalog_hash=now.catalog_hash,
        start=now.start,
        end=now.end,
        devices=now.devices,
        stretches=_stretches(now.stretches, then.stretches),
        meters={**now.meters, **then.meters},
        look_back=now.look_back,
        moved_from=now.moved_from,
        pooled_with=now.pooled_with,
    )


def _stretches(now: Sequence[Stretch], then: Sequence[Stretch]) -> tuple[Stretch, ...]:
    """Amendments where they are now, at the prices of then; a plan that was exchanged was the other one then.

    Whoever gives a contract another plan gives it from the next period on: what came before keeps the plan, and the
    amendments, that it had, but for those that are new.
    """
    if now[0].plan == then[0].plan:
        return tuple(_kept(then, stretch) for stretch in now)
    known = {stretch.start for stretch in then}
    added = [stretch for stretch in now[1:] if stretch.start not in known]
    return tuple(sorted([replace(then[0], start=now[0].start), *then[1:], *added], key=lambda stretch: stretch.start))


def _kept(known: Sequence[Stretch], stretch: Stretch) -> Stretch:
    """The stretch as it was known, where it was; its dates are the contract's."""
    same = [each for each in known if (each.start, each.plan) == (stretch.start, stretch.plan)]
    alike = same or [each for each in known if each.plan == stretch.plan]
    return replace(alike[0], start=stretch.start) if alike else stretch
