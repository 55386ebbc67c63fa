"""The billing run that was begun from a page or over the API: one at a time, and how far it has come.

It goes on when the page is closed; killed anywhere, it is resumed.
"""

from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from threading import Lock

from cloud_collector.billing.outcome import Outcome
from cloud_collector.billing.run import Biller, bill_due
from cloud_collector.billing.runs import Stopped, begin, end, stopped
from cloud_collector.store.store import Store
from shared.effects.clock import Clock
from shared.errors import MetersealError


class NotBegun(MetersealError):
    """No run is begun."""


class NotIssuedHere(MetersealError):
    """Documents are not issued from here."""


@dataclass(slots=True, kw_only=True)
class Progress:
    """How far a run has come. One run at a time is begun from here; what others do meanwhile is safe."""

    number: int
    by: str
    total: int = 0
    left: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    ended: bool = False
    why: str = ""
    """Why it stopped before its end; it is resumed."""

    @property
    def done(self) -> int:
        """Contracts that were looked at."""
        return self.total - self.left

    def said(self, outcome: Outcome) -> None:
        """An outcome more."""
        self.counts[outcome.state] += 1

    def remain(self, contracts: int) -> None:
        """So many contracts are still to be looked at."""
        self.total = max(self.total, contracts)
        self.left = contracts


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A run that was written down, and has yet to be carried out."""

    number: int
    what: str
    """As the audit log keeps it."""
    then: Callable[[], None]
    """Carries it out, for whoever has the time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Which run is to be begun, by whom."""

    what: str
    by: str
    as_of_ms: int
    contracts: tuple[str, ...] | None
    """None: all."""
    number: int | None = None
    """Of one that goes on."""


class Runs:
    """The run that was begun here last."""

    def __init__(self) -> None:
        self.last: Progress | None = None
        self._one_at_a_time = Lock()

    @property
    def busy(self) -> bool:
        """Whether one is on its way."""
        return self.last is not None and not self.last.ended

    def begin(
        self,
        store: Store,
        means: Biller | None,
        order: Order,
        writing: Callable[[], AbstractContextManager[Store]],
        clock: Clock,
    ) -> Begun:
        """The run is written down; raises NotBegun where another is on its way, NotIssuedHere without means."""
        if means is None:
            raise NotIssuedHere
        with self._one_at_a_time:
            if self.busy:
                raise NotBegun("a run is on its way already")
            at, as_of = clock.utc_ms() // 1000, order.as_of_ms // 1000
            number = order.number
            if number is None:
                number = begin(store, by=order.by, at=at, as_of=as_of, contracts=order.contracts)
            progress = self.last = Progress(number=number, by=order.by)

        def carry_out() -> None:
            try:
                with writing() as held:
                    report = bill_due(
                        held,
                        clock.utc_ms(),
                        means,
                        as_of_ms=order.as_of_ms,
                        contracts=order.contracts,
                        progress=progress.said,
                        left=progress.remain,
                    )
                    end(held, progress.number, report, at=clock.utc_ms() // 1000)
            except MetersealError as error:
                progress.why = str(error)
            finally:
                progress.ended = True

        what = order.what if order.number is not None else f"{order.what}: run {number}"
        return Begun(number=number, what=what, then=carry_out)


def everything_due(by: str, now_ms: int, contracts: tuple[str, ...] | None = None) -> Order:
    """A run over what is due now, of all contracts or of these."""
    return Order(what="billing run", by=by, as_of_ms=now_ms, contracts=contracts)


def stopped_one(store: Store, by: str) -> Order:
    """The run that was stopped goes on: for its contracts, with what was due then. Raises NotBegun."""
    held: Stopped | None = stopped(store)
    if held is None:
        raise NotBegun("no run was stopped: there is nothing to resume")
    return Order(
        what=f"billing resume {held.number}",
        by=by,
        as_of_ms=held.as_of * 1000,
        contracts=held.contracts or None,
        number=held.number,
    )


def parked_ones(store: Store, by: str, now_ms: int) -> Order:
    """A run over the contracts that are parked, and no other. Raises NotBegun."""
    contracts = tuple(row[0] for row in store.rows("parked"))
    if not contracts:
        raise NotBegun("no contract is parked")
    return Order(what="billing retry", by=by, as_of_ms=now_ms, contracts=contracts)
