"""Events into the store: each counted once, for good, in the interval in which it was used; all of a request or none.

What is answered is durable. An event whose interval is sealed already is counted in the one that is open, marked
estimated: a sealed line is never amended (wire.md, section 3), and its amount is as exact as any other.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from cloud_collector.contracts.node import nearest
from cloud_collector.contracts.period import iso
from cloud_collector.ingest.event import NANOSECONDS, Event, Fault, units_of
from cloud_collector.ingest.log import Meter, meters_of
from cloud_collector.limits import (
    INGEST_CHANNELS_MAX,
    INGEST_LATE_SECONDS_MAX,
    INGEST_STEP_SECONDS,
    INGEST_WAITING_MAX,
)
from cloud_collector.store.store import Store
from cloud_collector.usage.derive import SKEW_SECONDS
from shared.limits import INTEGER_MAX


class Why(StrEnum):
    """Why nothing of a request was taken."""

    ABSENT = "absent"
    """There is no such log, or it is somebody else's (P20)."""
    FAULTY = "faulty"
    TAKEN = "taken"
    """An id was taken with other content."""
    FULL = "full"
    """Too much waits to be sealed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Nothing of a request was taken."""

    why: Why
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What became of an event."""

    event: Event
    new: bool
    """Whether it is counted by this request, and not by one before."""
    placed: int
    """The second at which the interval begins that it is counted in."""
    late: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """Who sends, and for whom he may."""

    name: str
    sees: Callable[[str], bool]
    """Whether an account is in sight."""
    fault: Callable[[str, str], str | None]
    """Why a device (`log/device`) is not an account's, where it is not."""


@dataclass(slots=True, kw_only=True)
class _Open:
    """A log in the transaction that adds to it."""

    account: str
    frontier: int
    waiting: int
    meters: dict[str, Meter]
    promised: dict[tuple[str, str], int]
    channels: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Counted:
    units: int
    placed: int
    late: bool


def take(store: Store, events: Sequence[Event], sender: Sender, now_ms: int) -> tuple[Taken, ...] | Refusal:
    """Every event is in the store with the promise of its amount, or none is; raises DatabaseError."""
    with store.atomic():
        opened: dict[str, _Open] = {}
        # In one order, so that two requests never wait for one another.
        for name in sorted({each.gateway for each in events}):
            found = _lock(store, name)
            if found is None or not sender.sees(found.account):
                return Refusal(why=Why.ABSENT)
            opened[name] = found
        return _Request(store, opened, sender, now_ms).take(events)


def _lock(store: Store, name: str) -> _Open | None:
    row = store.row("ingest_lock", name)
    if row is None:
        return None
    channels = {(each[0], each[1]): each[5] for each in store.rows("ingest_channels", name)}
    return _Open(
        account=row[0],
        frontier=row[8],
        waiting=row[9],
        meters={each.name: each for each in meters_of(store, name)},
        promised=channels,
        channels=len(channels),
    )


class _Request:
    """One request within its transaction: judged whole before anything is written."""

    def __init__(self, store: Store, opened: dict[str, _Open], sender: Sender, now_ms: int) -> None:
        self._store, self._opened, self._sender, self._now_ms = store, opened, sender, now_ms
        self._now = now_ms // 1_000
        self._faults: list[Fault] = []
        self._conflicts: list[Fault] = []
        self._new: dict[tuple[str, str, str], tuple[Event, _Counted]] = {}

    def take(self, events: Sequence[Event]) -> tuple[Taken, ...] | Refusal:
        outcomes = [self._judge(event) for event in events]
        if self._faults:
            return Refusal(why=Why.FAULTY, faults=tuple(self._faults))
        if self._conflicts:
            return Refusal(why=Why.TAKEN, faults=tuple(self._conflicts))
        if any(each.waiting > INGEST_WAITING_MAX for each in self._opened.values()):
            return Refusal(why=Why.FULL)
        self._write()
        return tuple(each for each in outcomes if each is not None)

    def _judge(self, event: Event) -> Taken | None:
        log = self._opened[event.gateway]
        units = self._units(log, event)
        if isinstance(units, Fault):
            self._faults.append(units)
            return None
        key = (event.gateway, event.source, event.id)
        known = self._known(key)
        if known is not None:
            return self._again(log, event, units, *known)
        late = event.at < log.frontier
        at = max(self._now, log.frontier) if late else event.at
        counted = _Counted(units=units, placed=at // INGEST_STEP_SECONDS * INGEST_STEP_SECONDS, late=late)
        fault = self._out_of_time(event) or self._beyond(log, event, units)
        if fault is not None:
            self._faults.append(fault)
            return None
        channel = (event.device, event.meter)
        log.promised[channel] = log.promised.get(channel, 0) + units
        log.waiting += 1
        self._new[key] = (event, counted)
        return Taken(event=event, new=True, placed=counted.placed, late=late)

    def _units(self, log: _Open, event: Event) -> int | Fault:
        meter = log.meters.get(event.meter)
        if meter is None:
            what = f"{event.gateway} does not count {event.meter}{nearest(event.meter, log.meters)}"
            return _fault(event, "type", f"{what}: `cloud-collector ingest open {event.gateway} --meter` adds one")
        if event.unit != meter.unit:
            return _fault(event, "unit", f"it is {event.unit[:32]!r}, and {event.meter} is counted in {meter.unit}")
        why = self._sender.fault(event.subject, log.account)
        if why is not None:
            return _fault(event, "subject", why)
        units = units_of(event.value, meter.exponent)
        return _fault(event, "value", units) if isinstance(units, str) else units

    def _known(self, key: tuple[str, str, str]) -> tuple[tuple[str, str, int, int], int | None, _Counted] | None:
        """What was taken under the same id: its content, when (None: in this request), how it is counted."""
        if key in self._new:
            event, counted = self._new[key]
            return (event.device, event.meter, event.at_ns, counted.units), None, counted
        row = self._store.row("ingest_event_one", *key)
        if row is None:
            return None
        device, meter, at, units, received_at, placed, late = row
        return (device, meter, at, units), received_at, _Counted(units=units, placed=placed, late=bool(late))

    def _again(
        self,
        log: _Open,
        event: Event,
        units: int,
        first: tuple[str, str, int, int],
        received_at: int | None,
        counted: _Counted,
    ) -> Taken | None:
        if first == (event.device, event.meter, event.at_ns, units):
            return Taken(event=event, new=False, placed=counted.placed, late=counted.late)
        device, meter, at, amount = first
        known = log.meters[meter]
        when = "in this request" if received_at is None else f"at {iso(received_at // 1_000)}"
        unit = "" if known.unit == "1" else f" {known.unit}"
        what = f"{_decimal(amount, known.exponent)}{unit} of {event.gateway}/{device} {meter} at {_moment(at)}"
        why = f"the id {event.id} of {event.source} was taken {when} for {what}: give another event another id"
        self._conflicts.append(_fault(event, "id", why))
        return None

    def _out_of_time(self, event: Event) -> Fault | None:
        if event.at > self._now + SKEW_SECONDS:
            return _fault(event, "time", f"it lies in the future: here it is {iso(self._now)}")
        if event.at < self._now - INGEST_LATE_SECONDS_MAX:
            days = INGEST_LATE_SECONDS_MAX // 86_400
            return _fault(event, "time", f"it lies more than {days} days back: such use is billed by hand, or credited")
        return None

    def _beyond(self, log: _Open, event: Event, units: int) -> Fault | None:
        channel = (event.device, event.meter)
        if channel not in log.promised and len(log.promised) >= INGEST_CHANNELS_MAX:
            what = f"{event.gateway} counts {INGEST_CHANNELS_MAX} meters of devices already"
            return _fault(event, "subject", f"{what}: open another log for further devices")
        if log.promised.get(channel, 0) + units > INTEGER_MAX:
            return _fault(event, "value", "the meter's register would go beyond what a line can say")
        return None

    def _write(self) -> None:
        rows = [
            (
                *key, event.device, event.meter, event.at_ns, counted.units, counted.placed, int(counted.late),
                self._now_ms, self._sender.name,
            )
            for key, (event, counted) in self._new.items()
        ]  # fmt: skip
        self._store.run_many("ingest_event_add", rows)
        touched = {(event.gateway, event.device, event.meter) for event, _ in self._new.values()}
        for gateway, device, meter in sorted(touched):
            promised = self._opened[gateway].promised[device, meter]
            self._store.run("ingest_promise", gateway, device, meter, promised)
        for name, log in self._opened.items():
            self._store.run("ingest_log_taken", sum(key[0] == name for key in self._new), name)
            if len(log.promised) > log.channels:
                # The next line is a birth that states the new ones.
                self._store.run("ingest_log_unstated", name)


def _fault(event: Event, what: str, why: str) -> Fault:
    return Fault(at=event.where(what), why=why)


def _decimal(units: int, exponent: int) -> str:
    if exponent == 0:
        return str(units)
    text = str(units).rjust(1 - exponent, "0")
    return f"{text[:exponent]}.{text[exponent:]}"


def _moment(at_ns: int) -> str:
    seconds, rest = divmod(at_ns, NANOSECONDS)
    fraction = f".{rest:09d}".rstrip("0") if rest else ""
    return f"{iso(seconds)[:-1]}{fraction}Z"
