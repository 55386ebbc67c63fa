"""Devices as a list: whose each is, its state, since when and why, for one screenful of however many there are."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Final

from cloud_collector.contracts.revision import Revision
from cloud_collector.insight.device_index import Entry, device_index
from cloud_collector.insight.device_life import Chapter, chapters
from cloud_collector.insight.kept import Kept
from cloud_collector.store.store import Store
from cloud_collector.usage.span import UsageView

PAGE_ROWS: Final = 50
WHOLE_ROWS: Final = 5_000
"""Devices in one export: each is looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A device under a contract."""

    device: str
    account: str
    account_name: str
    contract: str
    plan: str
    state: str
    since: datetime | None
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceList:
    """A page of devices."""

    total: int
    devices: tuple[Listed, ...]
    next: str | None
    """Where the next page goes on: after this device, and its contract."""


def device_list(
    store: Store,
    view: UsageView,
    known: Sequence[Revision],
    now: int,
    *,
    after: str = "",
    search: str = "",
    contract: str = "",
    account: str = "",
    rows: int = PAGE_ROWS,
    memory: Kept | None = None,
) -> DeviceList:
    """Devices of the newest catalog after one of a name, which may have the name of its contract behind it."""
    catalog = known[-1].catalog
    index = device_index(catalog)
    device, _, past = after.partition(" ")
    entries = list(islice(index.after(device, past, search=search, contract=contract, account=account), rows + 1))
    shown = entries[:rows]
    lives = {
        (each.device.id, each.held.contract): each
        for name in dict.fromkeys(entry.contract for entry in shown)
        for each in chapters(
            store,
            view,
            known,
            now,
            contracts=(name,),
            only={one.device for one in shown if one.contract == name},
            memory=memory,
        )
    }
    return DeviceList(
        total=len(index.entries),
        devices=tuple(
            _listed(each, lives.get((each.device, each.contract)), catalog.accounts[each.account].name, now)
            for each in shown
        ),
        next=f"{shown[-1].device} {shown[-1].contract}" if len(entries) > rows else None,
    )


def _listed(entry: Entry, chapter: Chapter | None, account_name: str, now: int) -> Listed:
    start = None if chapter is None else chapter.life.activation or chapter.foreseen
    since = None if chapter is None else chapter.since(now)
    return Listed(
        device=entry.device,
        account=entry.account,
        account_name=account_name,
        contract=entry.contract,
        plan="" if chapter is None else chapter.terms.stretches[-1].title or chapter.terms.stretches[-1].plan,
        state="ended" if chapter is None else chapter.state_at(now),
        since=None if since is None else datetime.fromtimestamp(since, UTC),
        why=_why(chapter, start is not None and start.at <= now),
    )


def _why(chapter: Chapter | None, started: bool) -> str:  # noqa: FBT001 (said at its one call)
    if chapter is None:
        return ""
    if started and chapter.life.activation is not None:
        return chapter.life.activation.why
    if chapter.grace_end is not None and chapter.grace_end < chapter.life.end:
        return f"unless used before, its grace ends on {datetime.fromtimestamp(chapter.grace_end, UTC):%Y-%m-%d}"
    return "not used yet"
