"""A chore of the collector's tick: once a day, what has been kept as long as agreed goes, a small step a tick."""

import logging
from collections.abc import Iterator
from typing import Final

from cloud_collector.access.viewer import Means, Role, everything
from cloud_collector.billing.revisions import NoCatalog, revisions
from cloud_collector.retention.deed import Moved, begin, carry_out, end
from cloud_collector.retention.horizon import agreed
from cloud_collector.retention.plan import planning
from cloud_collector.store.store import Store

DAY_MS: Final = 86_400_000
_log = logging.getLogger("meterseal.retention")


class Retention:
    """What it does is derived from the store: a collector that is killed leaves the rest to the next one."""

    def __init__(self, *, keep_unassigned_days: int = 0, name: str = "collector") -> None:
        self._keep_unassigned_days = keep_unassigned_days
        self._who = everything(Role.OPERATOR, name, means=Means.LOCAL)
        self._steps: Iterator[int] | None = None
        self._next_ms = 0
        self._now_ms = 0

    def __call__(self, store: Store, now_ms: int) -> None:
        """One step: some invoices looked at, or one batch of lines."""
        self._now_ms = now_ms
        if self._steps is None:
            if now_ms < self._next_ms:
                return
            self._next_ms = now_ms + DAY_MS
            self._steps = self._deed(store)
        try:
            next(self._steps)
        except StopIteration:
            self._steps = None
        except Moved:
            # An invoice was issued, a catalog applied, a line disputed: the next tick looks at everything anew.
            self._steps, self._next_ms = None, now_ms
        except BaseException:
            self._steps, self._next_ms = None, now_ms
            raise

    def _deed(self, store: Store) -> Iterator[int]:
        try:
            known = revisions(store)
        except NoCatalog:
            return
        due = []
        for each in agreed(store, known, self._now_ms // 1000):
            finished = store.rows("let_go_finished", each.account)[0][0]
            if each.before > max(finished or 0, each.begins):
                due.append(each)
        if not due:
            return
        days = self._keep_unassigned_days
        before = self._now_ms // 1000 - days * (DAY_MS // 1000) if days else None
        # Lines may carry devices of several accounts: whoever has agreed, has agreed.
        plan = yield from planning(store, known, agreed(store, known, self._now_ms // 1000), before)
        begun = begin(store, plan, who=self._who, now_ms=self._now_ms)
        yield from carry_out(store, begun)
        lines = end(store, begun, self._now_ms)
        _log.info("event=detail_deleted deed=%d lines=%d", begun.deed, lines)
