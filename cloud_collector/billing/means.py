"""What issuing documents needs besides the store: effects handed in, and what the collector was told."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from cloud_collector.billing.approval import Approval
from cloud_collector.billing.archive import Archive
from cloud_collector.billing.case import Sight
from cloud_collector.fleet.holes import complete_until
from cloud_collector.store.store import Store
from cloud_collector.usage.between import RATES_MAX
from cloud_collector.usage.derive import SKEW_SECONDS
from cloud_collector.usage.span import UsageView
from shared.key import SigningKey

TOGETHER_MAX: Final = 64
"""Periods that are closed in one transaction: a power cut costs no more, and intake waits no longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """A key to seal with, a folder to keep in, eyes, and who must have approved."""

    key: SigningKey
    archive: Archive
    view: Callable[[Store], UsageView]
    complete: Callable[[Store, str], int | None] = complete_until
    rates_max: Mapping[str, int] = field(default_factory=lambda: RATES_MAX)
    skew_seconds: int = SKEW_SECONDS
    approval: Approval = Approval.NONE
    together: int = TOGETHER_MAX
    """Periods to close in one transaction."""

    @property
    def sight(self) -> Sight:
        """Its eyes alone."""
        return Sight(view=self.view, complete=self.complete)
