"""Contracts looked at when something of theirs has changed, and what that makes anyone warn of, kept as facts."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from typing import Final

from cloud_collector.billing.revisions import revisions
from cloud_collector.contracts.agreed import Warn
from cloud_collector.contracts.catalog import Contract
from cloud_collector.contracts.money import plain
from cloud_collector.contracts.period import Period, boundary
from cloud_collector.contracts.revision import Revision
from cloud_collector.fleet.progress import progress
from cloud_collector.insight.forecast import Forecast, forecast
from cloud_collector.insight.habit import HOUR
from cloud_collector.insight.look import Look, NotRunning, look
from cloud_collector.insight.normal import PERIODS, Habits, Normal, habits, normal
from cloud_collector.insight.warnings import (
    Against,
    Notice,
    Past,
    Side,
    Threshold,
    Way,
    What,
    judge,
    past_of,
    said,
)
from cloud_collector.insight.wishes import wished
from cloud_collector.insight.yardsticks import figures
from cloud_collector.store.store import Store
from cloud_collector.usage.span import UsageView
from shared.effects.database import Row
from shared.errors import DatabaseError, MetersealError

CONTRACTS_A_LOOK_MAX: Final = 20
"""Looked at in one round; the next round goes on with the others. It shares a processor with intake."""
HABITS_MAX: Final = 20_000
"""Earlier periods of contracts whose habit is kept in memory; beyond it they are learnt anew."""
_log: Final = logging.getLogger(__name__)

Told = Callable[[Store, int, Notice, Look], None]
"""Called in the transaction that keeps a warning, with its id: who is to hear of it."""
_Seen = tuple[object, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A warning that has become a fact."""

    id: int
    contract: str
    warning: Notice


class Watch:
    """Remembers at which facts each contract was looked at last; what it forgets it only looks at again."""

    def __init__(
        self,
        view: Callable[[Store], UsageView],
        told: Told,
        *,
        most: int = CONTRACTS_A_LOOK_MAX,
        rest: Callable[[], object] = lambda: None,
    ) -> None:
        """`rest` is called after each contract: intake has the processor meanwhile."""
        self._view = view
        self._told = told
        self._rest = rest
        self._most = most
        self._seen: dict[str, _Seen] = {}
        self._habits: dict[tuple[str, int], Habits] = {}
        self._made: dict[tuple[str, int], tuple[int, Forecast | None, Normal | None]] = {}
        self._last = ""
        self._known = 0
        """The revisions at which everyone was looked at last."""

    def round(self, store: Store, now_ms: int) -> tuple[Kept, ...]:
        """Judge every contract of which something is new, or the hour; raises DatabaseError.

        Without thresholds it is judged where warnings may still stand.
        """
        if store.row("catalog_newest") is None:
            return ()
        known = revisions(store)
        sources = progress(store)
        kept: list[Kept] = []
        looked = 0
        contracts = known[-1].catalog.contracts
        warned: set[str] = set()
        if len(known) != self._known:
            # Of whoever is not to be warned any more, what stands is taken back.
            warned = {row[0] for row in store.rows("contracts_warned", now_ms // 1_000)}
        # Where everything moves all the time, everyone has a turn.
        asked: Mapping[str, int] = dict(store.rows("wishes_newest"))
        for name in sorted(contracts, key=lambda each: (each <= self._last, each)):
            contract = wished(store, contracts[name]) if name in asked else contracts[name]
            seen = (len(known), asked.get(name), now_ms // (1_000 * HOUR), *_sources(contract, sources))
            if self._seen.get(name) == seen or (contract.warn is None and name not in warned):
                continue
            if looked == self._most:
                break
            looked, self._last = looked + 1, name
            try:
                kept += self._judge(store, known, contract, now_ms)
            except DatabaseError:
                raise
            except MetersealError as error:
                # P19: never guess; the others are judged.
                _log.warning('event=contract_not_judged contract=%s why="%s"', name, error)
            self._seen[name] = seen
            self._rest()
        else:
            self._known = len(known)
        return tuple(kept)

    def _judge(self, store: Store, known: Sequence[Revision], contract: Contract, now_ms: int) -> list[Kept]:
        found = []
        for each in self._looks(store, known, contract, now_ms):
            found += self._judge_period(store, contract, each)
        return found

    def _looks(self, store: Store, known: Sequence[Revision], contract: Contract, now_ms: int) -> Iterable[Look]:
        """The running period, and the one before while billing has not closed it."""
        try:
            running = look(store, known, contract.key, now_ms, self._view)
        except NotRunning:
            begun = contract.end is not None
            last = self._ended(store, known, contract, now_ms) if begun else None
            return [] if last is None else [last]
        before = running.period.start - 1
        if running.period.number == 1:
            return [running]
        earlier = look(store, known, contract.key, now_ms, self._view, within=before)
        return [running] if earlier.period.start in earlier.agreement.closed else [earlier, running]

    def _ended(self, store: Store, known: Sequence[Revision], contract: Contract, now_ms: int) -> Look | None:
        assert contract.end is not None, "asked of a contract with an end"
        zone = contract.timezone or contract.plan.timezone or known[-1].catalog.operator.timezone
        try:
            last = look(store, known, contract.key, now_ms, self._view, within=boundary(zone, contract.end) - 1)
        except NotRunning:
            return None
        return None if last.period.start in last.agreement.closed or last.period.end * 1_000 > now_ms else last

    def _judge_period(self, store: Store, contract: Contract, seen: Look) -> list[Kept]:
        warn = contract.warn or Warn()
        ahead, usual = self._hourly(seen)
        measured = figures(replace(seen.cost(foretold=False), forecast=ahead), usual)
        period = seen.period

        def standing() -> tuple[Past, dict[Threshold, int]]:
            return _past(store.rows("warnings_of_period", contract.key, period.start))

        if not judge(warn, measured, standing()[0]):
            # Most often nothing is new, and intake need not wait for a transaction.
            return []
        with store.atomic():
            past, turns = standing()
            made = judge(warn, measured, past)
            return [self._keep(store, seen, each, turns.get(each.threshold, 0) + 1) for each in made]

    def _hourly(self, seen: Look) -> tuple[Forecast | None, Normal | None]:
        """The forecast and what is normal, made once an hour: a single report moves neither."""
        at, key = seen.as_of_ms // 1_000, (seen.agreement.contract, seen.period.start)
        held = self._made.get(key)
        if held is None or held[0] != at // HOUR:
            while len(self._made) >= HABITS_MAX:
                del self._made[next(iter(self._made))]
            usual = normal(seen.known, seen.period, at, self._earlier(seen))
            held = self._made[key] = (at // HOUR, forecast(seen.known, seen.period, at), usual)
        return held[1], held[2]

    def _keep(self, store: Store, seen: Look, warning: Notice, turn: int) -> Kept:
        threshold, period, terms = warning.threshold, seen.period, seen.known.terms
        (row,) = store.rows(
            "warning_add",
            terms.contract,
            terms.account,
            period.start,
            period.end,
            threshold.against.value,
            threshold.side.value,
            threshold.way.value,
            format(threshold.percent, "f"),
            turn,
            warning.what.value,
            seen.as_of_ms,
            plain(warning.figure),
            plain(warning.limit),
            warning.unit,
            said(warning),
        )
        self._told(store, row[0], warning, seen)
        return Kept(id=row[0], contract=terms.contract, warning=warning)

    def _earlier(self, seen: Look) -> list[Habits]:
        """The habits of the last periods, the latest first; each is learnt once, when it has ended."""
        periods: list[Period] = [
            each
            for each in seen.agreement.periods(seen.known.activated, seen.period.start - 1)
            if each.end <= seen.period.start
        ]
        found = []
        for period in reversed(periods[-PERIODS:]):
            key = (seen.agreement.contract, period.start)
            if key not in self._habits:
                while len(self._habits) >= HABITS_MAX:
                    del self._habits[next(iter(self._habits))]
                self._habits[key] = habits(seen.known, period)
            found.append(self._habits[key])
        return found


def _past(rows: Iterable[Row]) -> tuple[Past, dict[Threshold, int]]:
    notices: list[Notice] = []
    turns: dict[Threshold, int] = {}
    for against, side, way, percent, what, turn, figure, limit, unit in rows:
        threshold = Threshold(against=Against(against), side=Side(side), way=Way(way), percent=Decimal(percent))
        notices.append(
            Notice(threshold=threshold, what=What(what), figure=Fraction(figure), limit=Fraction(limit), unit=unit)
        )
        turns[threshold] = turn
    return past_of(notices), turns


def _sources(contract: Contract, sources: Mapping[str, int]) -> Iterable[int]:
    gateways = sorted({device.id.rpartition("/")[0] for device in contract.devices})
    return [sources.get(gateway, 0) for gateway in gateways]
