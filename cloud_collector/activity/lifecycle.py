"""A device's life under a contract: provisioned, active, suspended, ended, and when."""

from collections.abc import Iterable
from dataclasses import dataclass

from cloud_collector.activity.activation import Activation, StateChange
from cloud_collector.contracts.catalog import ContractDevice, State
from cloud_collector.contracts.period import boundary
from cloud_collector.contracts.terms import Terms

FOREVER = 2**40
"""After every instant that a period ends at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """In this state in [start, end)."""

    state: State
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """Every stage of a device under the contract, without holes, by time."""

    device: str
    provisioned: int
    end: int
    """When it left, or its contract ended, or it was set ended; FOREVER where none is known."""
    activation: Activation | None
    stages: tuple[Stage, ...]

    def state_at(self, instant: int) -> State | None:
        """The state at an instant; None before and after the contract has the device."""
        for stage in self.stages:
            if stage.start <= instant < stage.end:
                return stage.state
        return None


def provisioned_at(terms: Terms, device: ContractDevice) -> int:
    """When the contract has the device: its `from`, else the contract's start; never before the contract's start."""
    return boundary(terms.timezone, max(device.start or terms.start, terms.start))


def left_at(terms: Terms, device: ContractDevice) -> int:
    """When the contract has the device no more: its `until`, or the contract's end, whichever is sooner."""
    days = [day for day in (device.until, terms.end) if day is not None]
    return boundary(terms.timezone, min(days)) if days else FOREVER


def ended_at(terms: Terms, device: ContractDevice, states: Iterable[StateChange]) -> int:
    """The end of its life: when it left or was set ended. Ended is final."""
    ended = [change.at for change in states if change.device == device.id and change.state is State.ENDED]
    return min([left_at(terms, device), *ended])


def life_of(terms: Terms, device: ContractDevice, activation: Activation | None, states: Iterable[StateChange]) -> Life:
    """The device's life, given when it was first active and what was done to it."""
    states = list(states)
    start, end = provisioned_at(terms, device), ended_at(terms, device, states)
    changes: list[tuple[int, State | None]] = [
        (max(change.at, start), change.state)
        for change in states
        if change.device == device.id and change.state is not State.ENDED
    ]
    if activation is not None:
        changes.append((max(activation.at, start), None))
    if start >= end:
        return Life(device=device.id, provisioned=start, end=end, activation=None, stages=())
    stages: list[Stage] = []
    state, since = State.PROVISIONED, start
    # At one instant what someone did ranks above what usage did.
    for at, change in sorted(changes, key=lambda each: (each[0], each[1] is not None)):
        # Usage does not resume a suspended device.
        changed = change or (State.ACTIVE if state is State.PROVISIONED else state)
        if changed is state or at >= end:
            continue
        if since < at:
            stages.append(Stage(state=state, start=since, end=at))
        state, since = changed, at
    if since < end:
        stages.append(Stage(state=state, start=since, end=end))
    kept = activation if activation is not None and activation.at < end else None
    return Life(device=device.id, provisioned=start, end=end, activation=kept, stages=tuple(stages))
