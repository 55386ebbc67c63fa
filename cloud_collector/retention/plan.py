"""What would go, what stays and why: the same look for a preview and, batch by batch, for the deed itself."""

from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from cloud_collector.activity.holding import Holding, holdings
from cloud_collector.activity.lifecycle import FOREVER
from cloud_collector.billing.audit import follows
from cloud_collector.contracts.catalog import Catalog
from cloud_collector.contracts.period import iso
from cloud_collector.contracts.revision import Revision
from cloud_collector.retention.holds import ChainName, Holds, overlapping, survey
from cloud_collector.retention.horizon import Horizon
from cloud_collector.retention.stretches import Chain, Channel, Held, Looked, Stretch, stretches
from cloud_collector.store.store import Store
from shared.errors import Refused
from shared.line import parse, read_body

NOBODY: Final = ""
"""The account of channels that no contract has."""
HELD: Final = "an issued invoice rests on them: the ends of its counters, what started a device, or all of it"
OTHERS: Final = "they also carry devices whose detail is kept longer: another account's, or nobody's"
UNSTARTED: Final = "they carry a device that has not begun to be billed"


@dataclass(slots=True, kw_only=True)
class Tally:
    """What was found of an account's lines whose time has come; a line of several accounts counts for each."""

    lines: int = 0
    bytes: int = 0
    """Of lines that go."""
    stays: Counter[str] = field(default_factory=Counter)
    """Lines that stay, by reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What decides what may go; nothing of it is written."""

    known: Sequence[Revision]
    horizons: Mapping[str, Horizon]
    """By account; NOBODY's says what may go of channels that no contract has."""
    holds: Holds
    state: tuple[Any, ...]
    """What it was derived from: with another state it is derived anew."""
    proofs: dict[int, tuple[list[str], int]] = field(default_factory=dict)
    """By invoice: why it does not follow from its lines, and how many these are."""
    tallies: dict[str, Tally] = field(default_factory=dict)

    @property
    def catalog(self) -> Catalog:
        """The newest."""
        return self.known[-1].catalog


def planning(
    store: Store, known: Sequence[Revision], horizons: Sequence[Horizon], unassigned_before: int | None = None
) -> Generator[int, None, Plan]:
    """Find what these accounts may lose; yields how many invoices were looked at, and returns the plan.

    `unassigned_before` is until when the channels that no contract has may lose theirs; None: they keep all.
    """
    by_account = {each.account: each for each in horizons}
    if unassigned_before is not None:
        by_account[NOBODY] = Horizon(
            account=NOBODY, wanted=unassigned_before, before=unassigned_before, received=unassigned_before, why=()
        )
    state = state_of(store)
    held = yield from survey(store, by_account)
    tallies = {account: Tally() for account in by_account}
    return Plan(known=known, horizons=by_account, state=state, holds=held, tallies=tallies)


def plan_of(
    store: Store,
    known: Sequence[Revision],
    horizons: Sequence[Horizon],
    unassigned_before: int | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> Plan:
    """The same at once; `progress` hears of invoices looked at."""
    looking = planning(store, known, horizons, unassigned_before)
    while True:
        try:
            progress(next(looking))
        except StopIteration as done:
            plan: Plan = done.value
            return plan


def state_of(store: Store) -> tuple[Any, ...]:
    """The figures that a plan is derived from."""
    return tuple(store.rows("retention_state")[0])


def chains_of(store: Store, plan: Plan) -> list[Chain]:
    """Every chain that may carry something of these accounts, in a fixed order."""
    held = holdings(plan.catalog)
    mine = {
        device.partition("/")[0] for device, its in held.items() if any(each.account in plan.horizons for each in its)
    }
    gateways = [row[0] for row in store.rows("gateway_names") if NOBODY in plan.horizons or row[0] in mine]
    return [
        Chain(id=id_, gateway=gateway, log=log, epoch=epoch, through=through)
        for gateway in gateways
        for id_, log, epoch, through in store.rows("retention_chains", gateway)
    ]


def going(store: Store, plan: Plan, chain: Chain, first: int = 1) -> Iterator[Stretch | Looked]:
    """Stretches of the chain that go, and lines that stay, from a position on; the plan's tallies count both."""
    judge = _Judge(plan, chain, channels_of(store, chain))
    for found in stretches(store, chain, judge.channels.values(), judge.may, first):
        if isinstance(found, Looked):
            judge.stays(found.why, 1)
            yield found
            continue
        why = _unproven(store, plan, chain.name, found)
        if why:
            judge.stays(why, len(found.lines), found)
            yield from (Looked(seq=each.seq, why=why) for each in found.lines)
            continue
        for account in judge.accounts(found.start, found.until):
            tally = plan.tallies[account]
            tally.lines += len(found.lines)
            tally.bytes += sum(each.size for each in found.lines)
        yield found


def channels_of(store: Store, chain: Chain) -> dict[int, Channel]:
    """The channels of the chain's gateway, by number."""
    return {
        id_: Channel(id=id_, device=device, meter=meter, unit=unit, exponent=exponent)
        for id_, device, meter, unit, exponent, _ in store.rows("channels_of_gateway", chain.gateway)
        if unit is not None
    }


def _unproven(store: Store, plan: Plan, chain: ChainName, stretch: Stretch) -> str:
    """P12: before the first line goes that an invoice rests on, the invoice is seen to follow from all of them."""
    for each in overlapping(plan.holds.resting.get(chain, []), stretch.lines[0].seq, stretch.lines[-1].seq):
        if each.id not in plan.proofs:
            plan.proofs[each.id] = _proof(store, plan, each.number)
        if plan.proofs[each.id][0]:
            return f"{each.number} does not follow from its lines: see `cloud-collector audit`"
    return ""


def _proof(store: Store, plan: Plan, number: str) -> tuple[list[str], int]:
    row = store.row("let_go_invoice_of", number)
    if row is not None:
        return [], row[0]
    line = parse(bytes(store.rows("invoice_line", number)[0][1]))
    body = line if isinstance(line, Refused) else read_body(line)
    if isinstance(body, Refused):
        return [body.reason], 0
    return follows(store, {each.number: each.catalog for each in plan.known}, body)


class _Judge:
    """Says of a chain's lines whether their time has come, and for whom."""

    def __init__(self, plan: Plan, chain: Chain, channels: Mapping[int, Channel]) -> None:
        self.channels = channels
        self._plan = plan
        self._held = plan.holds.of(chain.name)
        known = holdings(plan.catalog)
        devices = {f"{chain.gateway}/{each.device}" for each in channels.values()}
        self._holdings: dict[str, tuple[Holding, ...]] = {each: known.get(each, ()) for each in sorted(devices)}
        self._names = {each.id: f"{chain.gateway}/{each.device}" for each in channels.values()}
        self._last: Held | None = None

    def may(self, line: Held) -> str | None:
        """None where it may go; else why not, empty where its time has not come for anybody."""
        self._last = line
        if not line.plain:
            # Nobody knows of which time it speaks: it stays whatever was agreed.
            return ""
        owners = {each for channel in line.rows for each in self._owners(self._names[channel], line.start, line.until)}
        ready = {account for account in owners if self._is_ready(account, line)}
        if not ready:
            return ""
        if ready != owners:
            return OTHERS
        if any(self._names[channel] in self._plan.horizons[each].unstarted for channel in line.rows for each in owners):
            return UNSTARTED
        return HELD if self._held(line.seq) else None

    def stays(self, why: str, lines: int, stretch: Stretch | None = None) -> None:
        """So many lines stay for this reason."""
        line = self._last
        if not why or (line is None and stretch is None):
            return
        start, until = (stretch.start, stretch.until) if stretch is not None else (line.start, line.until)  # type: ignore[union-attr]
        for account in self.accounts(start, until):
            self._plan.tallies[account].stays[why] += lines

    def accounts(self, start: int, until: int) -> list[str]:
        """Whose devices the chain carries in a time, of those that the plan is about."""
        found = {each for device in self._holdings for each in self._owners(device, start, until)}
        return sorted(found & self._plan.horizons.keys())

    def _is_ready(self, account: str, line: Held) -> bool:
        horizon = self._plan.horizons.get(account)
        return horizon is not None and line.until <= horizon.before and line.received < horizon.received

    def _owners(self, device: str, start: int, until: int) -> Iterator[str]:
        """Every account that has the device in a part of the time, and NOBODY where none has it in another part."""
        at = start
        for each in self._holdings.get(device, ()):
            if each.start < until and each.end > start:
                if each.start > at:
                    yield NOBODY
                yield each.account
                at = max(at, each.end)
        if at < min(until, FOREVER):
            yield NOBODY


def told(horizon: Horizon, tally: Tally) -> dict[str, Any]:
    """An account's part of the plan, as JSON has it."""
    return {
        "account": horizon.account or None,
        "agreed_before": iso(horizon.wanted),
        "before": iso(horizon.before),
        "because": list(horizon.why),
        "lines": tally.lines,
        "bytes": tally.bytes,
        "stays": [{"lines": lines, "because": why} for why, lines in sorted(tally.stays.items())],
    }
