"""A billing run that a page began: it goes on when the page is closed, and says how far it has come."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from cloud_collector.billing.outcome import Outcome
from cloud_collector.billing.run import Biller, bill_due
from cloud_collector.billing.runs import end
from cloud_collector.store.store import Store
from cloud_collector.web.site import Site
from shared.errors import MetersealError


@dataclass(slots=True, kw_only=True)
class Progress:
    """How far a run has come. One run at a time is begun from the pages; what others do meanwhile is safe."""

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


class Runs:
    """The run that these pages began last."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self.last: Progress | None = None

    @property
    def busy(self) -> bool:
        """Whether one is on its way."""
        return self.last is not None and not self.last.ended

    def begun(
        self, means: Biller, number: int, by: str, *, as_of_ms: int, contracts: Sequence[str] | None
    ) -> Callable[[], None]:
        """What carries the run out, for whoever has the time: the page does not wait for it."""
        progress = self.last = Progress(number=number, by=by)

        def carry_out() -> None:
            try:
                with self._site.writing() as store:
                    self._bill(store, means, progress, as_of_ms, contracts)
            except MetersealError as error:
                progress.why = str(error)
            finally:
                progress.ended = True

        return carry_out

    def _bill(
        self, store: Store, means: Biller, progress: Progress, as_of_ms: int, contracts: Sequence[str] | None
    ) -> None:
        clock = self._site.clock
        report = bill_due(
            store,
            clock.utc_ms(),
            means,
            as_of_ms=as_of_ms,
            contracts=contracts,
            progress=progress.said,
            left=progress.remain,
        )
        end(store, progress.number, report, at=clock.utc_ms() // 1000)
