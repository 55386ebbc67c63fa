"""The fleet as a list that is there at once, however many gateways there are: a page of it, and how many stand how."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from typing import Any, Final

from cloud_collector.fleet.holes import missing
from cloud_collector.fleet.positions import chain_of
from cloud_collector.fleet.standing import Standing, standing_now
from cloud_collector.store.store import Store

HOLES: Final = "holes"
"""The one choice beside the standings: gateways of which lines are missing."""
CHOICES: Final = (*(each.value for each in Standing), HOLES)
PAGE_ROWS: Final = 50
WHOLE_ROWS: Final = 100_000
"""Gateways in one export."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A gateway as its newest line and the last look have it."""

    gateway: str
    standing: Standing
    added_at: datetime
    heard_at: datetime | None
    """By the collector's clock."""
    lines: int
    backlog: int
    """Lines that later ones prove to exist and that have not come."""
    alarms: int
    clock: str
    """How its newest line places itself: `S` synchronised, `H` held over, `R` or `U` without UTC; empty: no line."""
    ahead_seconds: int | None
    """How far its clock was ahead of the collector's at the newest line; None where it was not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Roster:
    """A page of the fleet."""

    total: int
    counts: Mapping[str, int]
    """By standing as of the last look, and `holes`."""
    alarms: int
    unmatched: int
    gateways: tuple[Seen, ...]
    next: str | None
    """Where the next page goes on: after this gateway."""


def roster(
    store: Store,
    now_ms: int,
    *,
    after: str = "",
    search: str = "",
    choice: str = "",
    rows: int = PAGE_ROWS,
) -> Roster:
    """Gateways after one of a name, those that contain `search`, those of a choice alone."""
    like = f"%{_literal(search)}%"
    match choice:
        case "":
            found = store.rows("roster_page", after, like, rows + 1)
        case "holes" | "never":
            found = store.rows(f"roster_page_{choice}", after, like, rows + 1)
        case _:
            found = store.rows("roster_page_standing", choice, after, like, rows + 1)
    seen = [_seen(store, now_ms, list(held)) for _, held in groupby(found, key=lambda row: row[0])]
    total, holes, unmatched, alarms = store.rows("roster_totals")[0]
    counts: dict[str, int] = dict(store.rows("roster_counts"))
    told = {each.value: counts.get(each.value, 0) for each in Standing}
    told |= {Standing.NEVER.value: max(total - sum(counts.values()), 0), HOLES: holes}
    return Roster(
        total=total,
        counts=told,
        alarms=alarms,
        unmatched=unmatched,
        gateways=tuple(seen[:rows]),
        next=seen[rows - 1].gateway if len(seen) > rows else None,
    )


def seen_one(store: Store, gateway: str, now_ms: int) -> Seen | None:
    """One gateway as the list has it; None where there is none of that name."""
    rows = store.rows("roster_one", gateway)
    return _seen(store, now_ms, rows) if rows else None


def _seen(store: Store, now_ms: int, rows: Sequence[Sequence[Any]]) -> Seen:
    name, added_at, kept, every, since, alarms = rows[0][:6]
    chains = [row[6:] for row in rows if row[6] is not None]
    heard = max((tuple(row[3:]) for row in chains if row[3] is not None), default=None)
    backlog = sum(_missing(store, id_) for id_, through, top, *_ in chains if through < top)
    ahead = None if heard is None or heard[2] in {"R", "U"} else heard[1] - heard[0] // 1000
    return Seen(
        gateway=name,
        standing=standing_now(
            now_ms, None if heard is None else heard[0], every, None if kept is None else Standing(kept), since
        ),
        added_at=_utc(added_at),
        heard_at=None if heard is None else _utc(heard[0]),
        lines=sum(top for _, _, top, *_ in chains) - backlog,
        backlog=backlog,
        alarms=alarms,
        clock="" if heard is None else heard[2],
        ahead_seconds=ahead if ahead is not None and ahead > 0 else None,
    )


def _missing(store: Store, chain: int) -> int:
    return sum(last - first + 1 for first, last in missing(store, chain_of(store.rows("chain_by_id", chain)[0])))


def _literal(text: str) -> str:
    """The text as `like` finds it letter by letter."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _utc(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, UTC)
