"""What sealed reports say of a device's meters beside usage: swaps, resets, gaps, holes, and what was set apart."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from cloud_collector.contracts.period import iso
from cloud_collector.insight.event import Event, ReportName
from cloud_collector.intake.fact import report_of
from cloud_collector.store.store import Store
from cloud_collector.usage.derive import RowKind
from shared.effects.database import Row
from shared.kinds import Exchange, Gap, Summary, Usage
from shared.rows import Verdict

_TOLD: Final = {
    Verdict.RESET: "the counter began again at zero",
    Verdict.ROLLOVER: "the counter rolled over",
    Verdict.ROLLBACK: "the counter went back; usage goes on from there",
    Verdict.GLITCH: "an impossible reading was held and dropped",
    Verdict.EXCHANGE: "another meter answered",
}
"""Verdicts that stand on a timeline; what is estimated or missing is a gap's."""
_MARK: Final = re.compile(b'"(?:' + "|".join(_TOLD).encode() + b')"')


@dataclass(frozen=True, slots=True, kw_only=True)
class _Channel:
    id: int
    gateway: str
    device: str
    meter: str
    unit: str
    exponent: int

    def said(self, integer: int) -> str:
        """An amount in the meter's unit."""
        return f"{format(Decimal(integer).scaleb(self.exponent), 'f')} {self.unit}"

    def event(self, at: int, what: str, told: str, report: ReportName, **data: Any) -> Event:
        return Event(
            at=at,
            what=what,
            told=f"{self.meter}: {told}",
            details=(str(report),),
            data={"meter": self.meter, **data, "report": report.to_json()},
        )


def meter_history(store: Store, device: str, *, until: int) -> list[Event]:
    """Every such event of `gateway/device` up to an instant, channel by channel."""
    gateway, _, name = device.rpartition("/")
    found: list[Event] = []
    for id_, meter, unit, exponent in store.rows("device_channels", gateway, name):
        channel = _Channel(id=id_, gateway=gateway, device=name, meter=meter, unit=unit or "", exponent=exponent or 0)
        found += _marks(store, channel)
        found += _unknown(store, channel)
        found += _verdicts(store, channel)
    return [event for event in found if event.at <= until]


def _marks(store: Store, channel: _Channel) -> Iterator[Event]:
    serial: str | None = None
    epoch = ""
    for row in store.rows("device_marks", channel.id, channel.id):
        seq, kind, start, until, register, register_end, new_serial, display, reason, log, in_epoch, received, raw = row
        report = ReportName(gateway=channel.gateway, log=log, epoch=in_epoch, seq=seq, received_at=received)
        units = register_end - register
        match RowKind(kind):
            case RowKind.BIRTH:
                yield from _birth(channel, row, report, serial, epoch)
            case RowKind.EXCHANGE:
                yield _exchange(channel, start, new_serial, display, raw, report)
            case RowKind.GAP:
                cause = _gap_cause(channel, raw, register)
                told = f"not metered until {iso(until)} ({cause}); {channel.said(units)} by its registers, estimated"
                yield channel.event(start, "gap", told, report, until=iso(until), cause=cause, units=units)
            case RowKind.BRIDGE | RowKind.BETWEEN:
                told = f"reports until {iso(until)} are missing; {channel.said(units)} by the registers beside them"
                yield channel.event(start, "hole", told, report, until=iso(until), units=units)
            case RowKind.USAGE:
                pass
        if reason is not None:
            yield channel.event(start, "set apart", f"{reason}: not billed", report, reason=reason)
        if kind <= RowKind.EXCHANGE:
            serial, epoch = new_serial, in_epoch


def _birth(channel: _Channel, row: Row, report: ReportName, serial: str | None, epoch: str) -> Iterator[Event]:
    """The first one, one that begins an epoch, and one with another meter: not every start of the agent."""
    _, _, start, _, register, _, new_serial, _, _, _, in_epoch, _, _ = row
    named = f"meter {new_serial or 'without a serial number'}"
    data = {"serial": new_serial, "register": register}
    if serial is None:
        told = f"{named} reports for the first time, its register at {channel.said(register)}"
        yield channel.event(start, "meter", told, report, **data)
    elif new_serial != serial:
        told = f"{named} in place of {serial or 'one without a serial number'}, register {channel.said(register)}"
        yield channel.event(start, "swap", told, report, **data)
    elif in_epoch != epoch:
        told = f"a new epoch of its gateway begins, {named}, register {channel.said(register)}"
        yield channel.event(start, "epoch", told, report, **data)


def _exchange(channel: _Channel, start: int, serial: str, display: int, raw: bytes | None, report: ReportName) -> Event:
    line = None if raw is None else report_of(raw)
    rows = line.rows if isinstance(line, Exchange) else ()
    old = next((each for each in rows if (each.device, each.meter) == (channel.device, channel.meter)), None)
    before = "another meter" if old is None else f"meter {old.old_serial or 'without a serial number'}"
    shown = "" if old is None or old.old_display is None else f" (display {channel.said(old.old_display)})"
    told = (
        f"{before}{shown} was swapped for {serial or 'one without a serial number'} (display {channel.said(display)})"
    )
    data = {"serial": serial, "display": display, "old_serial": None if old is None else old.old_serial}
    return channel.event(start, "swap", told, report, **data)


def _gap_cause(channel: _Channel, raw: bytes | None, register: int) -> str:
    line = None if raw is None else report_of(raw)
    for row in line.rows if isinstance(line, Gap) else ():
        if (row.device, row.meter, row.before) == (channel.device, channel.meter, register):
            return row.cause.value
    return "unknown"


def _unknown(store: Store, channel: _Channel) -> Iterator[Event]:
    for seq, start, until, cause, why, log, epoch, received in store.rows("device_unknown", channel.id):
        report = ReportName(gateway=channel.gateway, log=log, epoch=epoch, seq=seq, received_at=received)
        told = f"not metered until {iso(until)} ({cause}), and nobody knows how much" + (f": {why}" if why else "")
        yield channel.event(start, "gap", told, report, until=iso(until), cause=cause, units=None)


def _verdicts(store: Store, channel: _Channel) -> Iterator[Event]:
    """Resets and the like, which stand in usage reports: only one that may tell of any is read."""
    for seq, start, reason, log, epoch, received in store.rows("device_set_apart", channel.gateway, channel.id):
        report = ReportName(gateway=channel.gateway, log=log, epoch=epoch, seq=seq, received_at=received)
        yield channel.event(start, "set apart", f"{reason}: not billed", report, reason=reason)
    place, summaries = (channel.id, channel.gateway), set()
    for start, step, log, epoch, received, raw in store.rows("device_noted", *place, *place):
        told = report_of(raw) if _MARK.search(raw) else None
        if not isinstance(told, Usage | Summary) or (log, epoch, told.header.seq) in summaries:
            continue
        if isinstance(told, Summary):
            # Of lines that came after all its row was parted.
            summaries.add((log, epoch, told.header.seq))
        name = ReportName(gateway=channel.gateway, log=log, epoch=epoch, seq=told.header.seq, received_at=received)
        yield from _noted(channel, told, name, (start, step))


def _noted(channel: _Channel, told: Usage | Summary, name: ReportName, placed: tuple[int, int]) -> Iterator[Event]:
    start, step = placed
    if isinstance(told, Summary):
        # It tells of its own hours, of which the row is a part.
        start, step = told.start if told.header.clock.placed else start, told.step
    for said in told.rows:
        if (said.device, said.meter) != (channel.device, channel.meter):
            continue
        for index, note in sorted(said.notes.items()):
            if note in _TOLD:
                at = start + index * step
                yield channel.event(at, note.value, _TOLD[note], name, interval=index, until=iso(at + step))
