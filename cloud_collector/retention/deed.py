"""Detail goes: a batch a transaction, whole or not at all; killed anywhere, the next one goes on where it was.

In the transaction in which a line's bytes go, its row of `let_go` comes, and of each stretch the last line's rows say
what every channel came to in it. So a replay of all facts gives the same projections before and after.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from cloud_collector.access import trail
from cloud_collector.access.viewer import Deed, Viewer
from cloud_collector.intake.turns import NOBODY, take_turns
from cloud_collector.retention.holds import overlapping
from cloud_collector.retention.plan import Plan, chains_of, channels_of, going, state_of
from cloud_collector.retention.stretches import Chain, Stretch
from cloud_collector.store.store import Store
from cloud_collector.usage.derive import RowKind
from cloud_collector.usage.packing import pack_deltas
from shared.errors import MetersealError

BATCH_LINES: Final = 2_000
"""Lines that go, or are looked at, in one transaction: intake waits no longer."""


class Moved(MetersealError):
    """What decides what may go has changed while detail was being deleted: it stops here, start it again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A deed that has begun, and who does it."""

    deed: int
    plan: Plan
    who: Viewer


def begin(store: Store, plan: Plan, *, who: Viewer, now_ms: int, request: int | None = None) -> Begun:
    """From here on nothing of what is to go is billed anew, whether the deed ends or not."""
    with store.atomic():
        deed = int(store.rows("letting_go_begin", now_ms, who.name, request)[0][0])
        for account, horizon in sorted(plan.horizons.items()):
            store.run("letting_go_account_add", deed, account, horizon.before)
    return Begun(deed=deed, plan=plan, who=who)


def carry_out(store: Store, begun: Begun, progress: Callable[[int], None] = lambda _: None) -> Iterator[int]:
    """Delete batch by batch, a transaction each; yields the lines that went. Raises Moved, and DatabaseError."""
    for chain in chains_of(store, begun.plan):
        first: int | None = 1
        while first is not None:
            with store.atomic():
                if state_of(store) != begun.plan.state:
                    raise Moved
                take_turns(store, [chain.gateway], NOBODY)
                lines, following = _batch(store, begun, chain, first)
            if following is not None:
                progress(following - first)
            first = following
            yield lines


def end(store: Store, begun: Begun, now_ms: int) -> int:
    """The deed is done and stands in the log; how many lines went by it."""
    with store.atomic():
        lines = int(store.rows("letting_go_end", begun.deed, now_ms)[0][0])
        for account, horizon in sorted(begun.plan.horizons.items()):
            tally = begun.plan.tallies[account]
            if not tally.lines:
                continue
            what = f"deleted the detail before {horizon.day(horizon.before)}: {tally.lines} reports, deed {begun.deed}"
            trail.enter(store, begun.who, Deed.CONFIGURE, what, account=account, now_ms=now_ms)
    return lines


def _batch(store: Store, begun: Begun, chain: Chain, first: int) -> tuple[int, int | None]:
    """How many lines went, and from where it goes on; None where the chain is done."""
    looked = gone = 0
    for found in going(store, begun.plan, chain, first):
        if isinstance(found, Stretch):
            _let_go(store, begun, chain, found)
            gone += len(found.lines)
            looked += len(found.lines)
            following = found.lines[-1].seq + 1
        else:
            looked += 1
            following = found.seq + 1
        if looked >= BATCH_LINES:
            return gone, following
    return gone, None


def _let_go(store: Store, begun: Begun, chain: Chain, stretch: Stretch) -> None:
    channels = channels_of(store, chain)
    last, start, until = stretch.lines[-1], stretch.start, stretch.until
    for each in overlapping(begun.plan.holds.resting.get(chain.name, []), stretch.lines[0].seq, last.seq):
        store.run("let_go_invoice_put", each.id, begun.deed, begun.plan.proofs[each.id][1])
    store.run_many(
        "let_go_put",
        [
            (each.id, begun.deed, *((start, until, len(stretch.lines)) if each is last else (None, None, None)))
            for each in stretch.lines
        ],
    )
    for id_, (register, units) in sorted(stretch.rows.items()):
        channel = channels[id_]
        store.run(
            "let_go_row_put", last.id, channel.device, channel.meter, channel.unit, channel.exponent, register, units
        )
        reach = store.rows("let_go_reach", id_, chain.id, last.seq)[0][0]
        store.run("let_go_spans", id_, chain.id, stretch.lines[0].seq, last.seq)
        store.run(
            "span_put", id_, chain.id, last.seq, int(RowKind.USAGE), last.id, start, until - start, 1, until, register,
            register + units, pack_deltas((units,)), None, None, None, 0, None, 0, 0, register + units, reach,
        )  # fmt: skip
        store.run("channel_longest", until - start, id_)
    store.run_many("let_go_line", [(b"", each.id) for each in stretch.lines])
