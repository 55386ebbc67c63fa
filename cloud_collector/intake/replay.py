"""Everything that follows from the facts, computed again: `rebuild` puts it in place, `audit` compares (P11, P15)."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from cloud_collector.fleet.positions import NumberOf, Positions
from cloud_collector.intake.fact import Fact, fact_of
from cloud_collector.intake.intake import place, project
from cloud_collector.intake.projection import Projection
from cloud_collector.intake.turns import NOBODY, take_turns
from cloud_collector.settings import CollectorSettings
from cloud_collector.store.store import Store
from shared.effects.database import Row

REPLAY_LINES: Final = 256
"""Lines that are replayed at once."""
PROJECTIONS: Final = (
    "chain",
    "line",
    "gone",
    "cover",
    "boot",
    "channel",
    "span",
    "unknown",
    "bad_row",
    "alarm",
    "rotation",
    "disowned",
)
"""Tables that follow from the facts; of `line` the column `aside`."""
_CLEARED: Final = (*(table for table in PROJECTIONS if table not in ("chain", "line")), "rejudge")
_DECIDED: Final = (
    ("copied_keys", "gateway_key_add"),
    ("copied_revocation", "copy_revocation"),
    ("copied_revoked_at", "revoked_at_put"),
    ("copied_adoption", "copy_adoption"),
)
"""Facts beside the lines, and how a scratch store takes them."""
Progress = Callable[[int], None]
"""Called with the number of lines replayed since the last call."""


def rejudge(store: Store, settings: CollectorSettings) -> None:
    """The rows say what the operator has decided; the running collector does the same with its next transaction."""
    with store.atomic():
        projection = Projection(store, skew_seconds=settings.clock_skew_seconds, rates_max=settings.rates_max)
        marked = [gateway for (gateway,) in store.rows("rejudge_marks")]
        take_turns(store, marked, NOBODY)
        for gateway in marked:
            projection.rejudge(gateway)
            store.run("rejudge_done", gateway)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """The first row in which the store is not what its facts say."""

    table: str
    held: Row | None
    computed: Row | None


def rebuild(store: Store, settings: CollectorSettings, progress: Progress = lambda _: None) -> None:
    """Every projection is what the facts say, in one transaction."""
    with store.atomic():
        store.run("rebuild_alone")
        for table in _CLEARED:
            store.run(f"rebuild_clear_{table}")
        store.run("rebuild_reset_chain")
        store.run("rebuild_reset_line")
        _replay(store, settings, _facts(store), progress)
        store.run("turns_forget")


def audit(
    store: Store, scratch: Store, settings: CollectorSettings, progress: Progress = lambda _: None
) -> Difference | None:
    """The first difference between the store and its facts, or None; `scratch` is an empty store to compute in.

    The store numbers its chains and channels as collectors come to name them; everything else must follow.
    """
    with store.snapshot():
        return _audit(store, scratch, settings, progress)


def _audit(store: Store, scratch: Store, settings: CollectorSettings, progress: Progress) -> Difference | None:
    with scratch.atomic():
        for row in store.rows("audit_gateways"):
            scratch.run("gateway_add", *row)
        for told, copy in _DECIDED:
            for row in store.rows(told):
                scratch.run(copy, *row)
        _replay(scratch, settings, _facts(store), progress, numbered_by=store)
    for table in PROJECTIONS:
        held, computed = (_table(each, table) for each in (store, scratch))
        while True:
            left, right = next(held, None), next(computed, None)
            if left != right:
                return Difference(table=table, held=left, computed=right)
            if left is None:
                break
    return None


def _replay(
    store: Store,
    settings: CollectorSettings,
    facts: Iterator[Fact],
    progress: Progress,
    numbered_by: Store | None = None,
) -> None:
    projection = Projection(
        store,
        skew_seconds=settings.clock_skew_seconds,
        rates_max=settings.rates_max,
        number=_number_in(numbered_by, "channel_one"),
    )
    number = _number_in(numbered_by, "chain_by_name")
    batch: list[Fact] = []
    for each in facts:
        batch.append(each)
        if len(batch) == REPLAY_LINES:
            _take(store, projection, Positions(store, number), batch)
            progress(len(batch))
            batch = []
    _take(store, projection, Positions(store, number), batch)
    progress(len(batch))


def _number_in(store: Store | None, query: str) -> NumberOf:
    if store is None:
        return lambda *_: None

    def number(*name: str) -> int | None:
        row = store.row(query, *name)
        return None if row is None else int(row[0])

    return number


def _take(store: Store, projection: Projection, positions: Positions, batch: list[Fact]) -> None:
    for each in batch:
        place(store, positions, each)
    project(store, projection, positions, {each.id: each for each in batch})


def _facts(store: Store) -> Iterator[Fact]:
    last = 0
    while rows := store.rows("facts", last, REPLAY_LINES):
        for row in rows:
            yield fact_of(store, row)
        last = rows[-1][0]


def _table(store: Store, table: str) -> Iterator[Row]:
    offset = 0
    while rows := store.rows(f"audit_{table}", REPLAY_LINES * 16, offset):
        yield from rows
        offset += len(rows)
