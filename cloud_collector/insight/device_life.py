"""A device's life as far as it is known: its time with each contract, its state now, and what it waits for."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from cloud_collector.activity.activation import Activation, StateChange
from cloud_collector.activity.first_use import first_activity, tested_until
from cloud_collector.activity.holding import Holding, holdings
from cloud_collector.activity.lifecycle import FOREVER, Life, life_of
from cloud_collector.activity.recall import Recall
from cloud_collector.billing.case import stated_starts
from cloud_collector.billing.device_states import changes_for
from cloud_collector.contracts.catalog import ContractDevice, Per, State
from cloud_collector.contracts.node import nearest
from cloud_collector.contracts.period import later
from cloud_collector.contracts.revision import Revision
from cloud_collector.contracts.terms import Terms
from cloud_collector.insight.agreement import Agreement
from cloud_collector.insight.kept import Kept
from cloud_collector.store.store import Store
from cloud_collector.usage.span import Span, UsageView
from shared.errors import MetersealError

TESTING = "testing"
"""Provisioned, and what its reports say still is an installer's test."""


class UnknownDevice(MetersealError):
    """No contract of the catalog has the device."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chapter:
    """A device's time with one contract."""

    device: ContractDevice
    terms: Terms
    held: Holding
    life: Life
    """As it is up to now."""
    foreseen: Activation | None
    """The start that rules alone will give, where it has not started."""
    evident: Activation | None
    """The start by what is known now, whatever invoices have said."""
    tested: tuple[Span, int] | None
    """Its first report and the end of the time that is ignored, where the plan ignores any."""
    grace_end: int | None
    """When it starts though nobody uses it."""
    origin: str | None
    """The contract of the account from which it came."""

    def state_at(self, now: int) -> str:
        """The word for its state, `testing` among them."""
        state = self.life.state_at(now)
        if state is None:
            return State.ENDED.value if now >= self.life.end else State.PROVISIONED.value
        if state is State.PROVISIONED and self.tested is not None and self.tested[0].start <= now < self.tested[1]:
            return TESTING
        return state.value

    def since(self, now: int) -> int:
        """From when it is in that state."""
        if now >= self.life.end:
            return self.life.end
        stage = next((each for each in self.life.stages if each.start <= now < each.end), None)
        since = self.life.provisioned if stage is None else stage.start
        testing = self.tested is not None and self.state_at(now) == TESTING
        return max(since, self.tested[0].start) if testing and self.tested is not None else since


def chapters(
    store: Store,
    view: UsageView,
    known: Sequence[Revision],
    now: int,
    *,
    contracts: Iterable[str],
    only: Collection[str] | None = None,
    memory: Kept | None = None,
) -> list[Chapter]:
    """Each device of these contracts, in the catalog's order, or `only` some; what was reported is looked at."""
    recall = None if memory is None else memory.starts.over(view, view)
    return [
        chapter for contract in contracts for chapter in _of_contract(store, view, known, contract, now, only, recall)
    ]


def chapters_of(
    store: Store, view: UsageView, known: Sequence[Revision], device: str, now: int, memory: Kept | None = None
) -> list[Chapter]:
    """A device's time with each of its contracts, in order; raises UnknownDevice."""
    held = holdings(known[-1].catalog)
    if device not in held:
        raise UnknownDevice(f"no contract of the catalog has the device {device[:80]}{nearest(device, held)[:120]}")
    contracts = dict.fromkeys(each.contract for each in held[device])
    found = chapters(store, view, known, now, contracts=contracts, only={device}, memory=memory)
    return sorted(found, key=lambda each: each.held.start)


def _of_contract(
    store: Store,
    view: UsageView,
    known: Sequence[Revision],
    contract: str,
    now: int,
    only: Collection[str] | None,
    recall: Recall | None,
) -> list[Chapter]:
    catalog = known[-1].catalog
    terms = Agreement.of(store, known, contract, now).terms(now)
    if only is not None and terms.activation.combine is Per.DEVICE:
        # Each starts by its own use: the others need no look.
        terms = replace(terms, devices=tuple(device for device in terms.devices if device.id in only))
    states = changes_for(store, catalog, [contract])
    stated = stated_starts(store, known, [contract])
    issued = {each.activation.device: each.activation for each in stated}
    starts = first_activity(terms, view, states, until=now, foresee=True, issued=issued, recall=recall)
    evident = first_activity(terms, view, states, until=now, recall=recall) if issued else starts
    graces = _graces(terms)
    held_by = holdings(catalog)
    return [
        _chapter(terms, view, states, device, held, (starts, evident), graces, now)
        for device in terms.devices
        if only is None or device.id in only
        for held in held_by.get(device.id, ())
        if held.contract == contract
    ]


def _chapter(
    terms: Terms,
    view: UsageView,
    states: Sequence[StateChange],
    device: ContractDevice,
    held: Holding,
    starts: tuple[Mapping[str, Activation], Mapping[str, Activation]],
    graces: Mapping[str, int],
    now: int,
) -> Chapter:
    start, evident = (each.get(device.id) for each in starts)
    started = start if start is not None and start.at <= now else None
    return Chapter(
        device=device,
        terms=terms,
        held=held,
        life=life_of(terms, device, started, states),
        foreseen=start if started is None else None,
        evident=evident if evident is not None and evident.at <= now else None,
        tested=tested_until(terms, view, device, until=now),
        grace_end=graces.get(device.id),
        origin=terms.moved_from.get(device.id),
    )


def _graces(terms: Terms) -> dict[str, int]:
    """By device the end of its grace; combined ones share that of the earliest to be provisioned."""
    grace = terms.activation.grace
    if grace is None:
        return {}
    lives = {device.id: life_of(terms, device, None, ()).provisioned for device in terms.devices}
    first = min(lives.values(), default=FOREVER)
    together = terms.activation.combine is Per.CONTRACT
    return {name: later(terms.timezone, first if together else at, grace) for name, at in lives.items()}
