"""Where everything stands, in a few numbers: what there is, and what waits for a person."""

from collections.abc import Mapping
from dataclasses import dataclass

from cloud_collector.billing.approval import drafts
from cloud_collector.fleet.roster import roster
from cloud_collector.store.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """What there is, and what waits."""

    gateways: int
    standings: Mapping[str, int]
    """Gateways by how they stood at the last look, and `holes`."""
    lines: int
    """Sealed lines that are held."""
    last_line_at: int | None
    """When the last one came, in Unix milliseconds; None: none has."""
    alarms: int
    unmatched: int
    parked: int
    """Contracts that cannot be billed."""
    drafts: int
    """That wait for approval."""
    invoices: int
    """That were issued."""


def overview(store: Store, now_ms: int) -> Overview:
    """As the store has it now."""
    fleet = roster(store, now_ms, rows=1)
    lines, _, issued, _, last = store.row("web_counts") or (0, 0, 0, 0, None)
    return Overview(
        gateways=fleet.total,
        standings=fleet.counts,
        lines=lines,
        last_line_at=last,
        alarms=fleet.alarms,
        unmatched=fleet.unmatched,
        parked=len(store.rows("web_parked")),
        drafts=sum(each["state"] == "draft" for each in drafts(store)),
        invoices=issued,
    )
