"""What the operator's side of the web holds beside the store: its key, its folder of invoices, how it bills."""

from dataclasses import dataclass, field
from pathlib import Path

from cloud_collector.billing.approval import Approval
from cloud_collector.billing.archive import Archive
from cloud_collector.billing.compare import Thresholds
from cloud_collector.billing.run import Biller
from shared.key import PublicKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Office:
    """What documents are handed out with."""

    archive: Archive
    """An invoice is in there before anybody gets a copy."""
    key: PublicKey
    """The operator's, which documents are sealed with."""
    fonts: Path | None = None
    biller: Biller | None = None
    """None: nothing is issued from here."""
    approval: Approval = Approval.NONE
    """Who must have approved a document before it is issued."""
    thresholds: Thresholds = field(default_factory=Thresholds)
    """From which difference on a person should look."""
