"""A device's timeline: every transition with its cause, its meters' history, what invoices said and took."""

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

from cloud_collector.activity.activation import Activation
from cloud_collector.activity.lifecycle import FOREVER, left_at
from cloud_collector.billing.device_states import Deed, deeds_of
from cloud_collector.contracts.catalog import State
from cloud_collector.contracts.period import iso
from cloud_collector.contracts.revision import Revision
from cloud_collector.insight.device_life import TESTING, Chapter, chapters_of
from cloud_collector.insight.event import Event, ReportName
from cloud_collector.insight.kept import Kept
from cloud_collector.insight.meter_history import meter_history
from cloud_collector.store.store import Store
from cloud_collector.usage.span import UsageView

_ORDER: Final = ("provisioned", TESTING, "active", "suspended", "resumed", "ended")
"""What comes first where several things happen at one instant; everything else follows."""


def timeline(
    store: Store, view: UsageView, known: Sequence[Revision], device: str, now: int, memory: Kept | None = None
) -> list[Event]:
    """Everything that is known up to now, and what is expected; raises UnknownDevice."""
    found = chapters_of(store, view, known, device, now, memory)
    deeds = deeds_of(store, device)
    events = meter_history(store, device, until=now)
    for at, chapter in enumerate(found):
        following = found[at + 1] if at + 1 < len(found) else None
        events += _begins(store, chapter)
        events += _stages(store, chapter, deeds)
        events += _grace(chapter, now)
        events += _ends(chapter, deeds, following)
        events += _statements(store, chapter)
        events += _late_evidence(store, chapter)
        events += _bookings(store, chapter)
    events += _without_effect(deeds, events)
    rank = {what: place for place, what in enumerate(_ORDER)}
    return [
        replace(event, expected=event.at > now)
        for event in sorted(events, key=lambda event: (event.at, rank.get(event.what, len(rank)), event.what))
    ]


def _begins(store: Store, chapter: Chapter) -> Iterator[Event]:
    contract, plan = chapter.held.contract, chapter.terms.stretches[0].title
    came = f", from {chapter.origin}" if chapter.origin is not None else ""
    yield Event(
        at=chapter.life.provisioned,
        what="provisioned",
        told=f"belongs to {contract} ({plan}){came}",
        data={"contract": contract, "state": State.PROVISIONED.value, "moved_from": chapter.origin},
    )
    if chapter.tested is not None:
        span, until = chapter.tested
        name = span.channel
        report = _report(store, name.gateway, span.log, span.epoch, span.seq)
        begins = max(span.start, chapter.life.provisioned)
        yield Event(
            at=begins,
            what=TESTING,
            told=f"its first report: what it says before {iso(until)} is an installer's test and does not count",
            details=(f"ignore_first = {chapter.terms.activation.ignore_first}", str(report)),
            data={"contract": contract, "state": TESTING, "until": iso(until), "report": report.to_json()},
        )


def _stages(store: Store, chapter: Chapter, deeds: Sequence[Deed]) -> Iterator[Event]:
    """Every change of state, with the deed or the start that caused it."""
    stages = chapter.life.stages
    start = chapter.life.activation
    if start is not None and (not stages or start.at > stages[0].start or stages[0].state is not State.PROVISIONED):
        yield _started(store, chapter, start, _deed(deeds, start.at, State.ACTIVE))
    for before, stage in zip([None, *stages], stages, strict=False):
        deed = (
            _deed(deeds, stage.start, stage.state) if before is not None else _first_deed(chapter, deeds, stage.state)
        )
        told = _transition(before.state if before is not None else None, stage.state)
        if told is None or (deed is None and stage.state is State.PROVISIONED):
            continue
        if start is not None and stage.start == start.at and stage.state is State.ACTIVE:
            continue
        yield _done(chapter, deed, stage.start, told, before.state if before is not None else None, stage.state)


def _transition(before: State | None, state: State) -> str | None:
    match state:
        case State.SUSPENDED:
            return "suspended"
        case State.ACTIVE | State.PROVISIONED if before is State.SUSPENDED:
            return "resumed"
        case State.PROVISIONED if before is State.ACTIVE:
            return "provisioned"
        case State.ACTIVE if before is State.PROVISIONED:
            return "active"
        case _:
            return None


def _started(store: Store, chapter: Chapter, start: Activation, deed: Deed | None) -> Event:
    evidence = start.evidence
    data: dict[str, Any] = {
        "contract": chapter.held.contract,
        "state": State.ACTIVE.value,
        "rule": start.cause.value,
        "why": start.why,
    }
    details: list[str] = []
    if evidence is not None:
        report = _report(store, evidence.gateway, evidence.log, evidence.epoch, evidence.seq)
        details.append(f"{evidence.rule} met with {evidence.figure} by interval {evidence.interval} of {report}")
        data |= {
            "threshold": evidence.rule,
            "figure": evidence.figure,
            "interval": evidence.interval,
            "estimated": evidence.estimated,
            "report": report.to_json(),
        }
    if deed is not None:
        details.append(_by(deed))
        data |= _deed_data(deed)
    return Event(
        at=start.at, what="active", told=f"billed from here on: {start.why}", details=tuple(details), data=data
    )


def _done(chapter: Chapter, deed: Deed | None, at: int, what: str, before: State | None, state: State) -> Event:
    data: dict[str, Any] = {
        "contract": chapter.held.contract,
        "from": None if before is None else before.value,
        "state": state.value,
    }
    told = f"{what}: {state.value} from here on" if what == "resumed" else f"{what} from here on"
    if deed is None:
        return Event(at=at, what=what, told=told, data=data)
    return Event(at=at, what=what, told=told, details=(_by(deed),), data=data | _deed_data(deed))


def _grace(chapter: Chapter, now: int) -> Iterator[Event]:
    """The end of grace, where the device had not started by then or may still start with it."""
    start = chapter.life.activation
    if chapter.grace_end is None or (start is not None and start.at <= chapter.grace_end):
        return
    if chapter.grace_end >= chapter.life.end:
        return
    told = f"grace ends: {chapter.terms.activation.grace} after it was provisioned it starts, used or not"
    data = {"contract": chapter.held.contract, "rule": "grace"}
    yield Event(at=chapter.grace_end, what="grace", told=told, data=data, expected=chapter.grace_end > now)


def _ends(chapter: Chapter, deeds: Sequence[Deed], following: Chapter | None) -> Iterator[Event]:
    if chapter.life.end >= FOREVER:
        return
    contract, at = chapter.held.contract, chapter.life.end
    data = {"contract": contract, "state": State.ENDED.value}
    deed = _deed(deeds, at, State.ENDED)
    if deed is not None and at < left_at(chapter.terms, chapter.device):
        data_of_deed = data | {"rule": "operator"} | _deed_data(deed)
        yield Event(at=at, what="ended", told="ended from here on", details=(_by(deed),), data=data_of_deed)
    elif following is not None and following.origin == contract:
        to = following.held.contract
        yield Event(at=at, what="moved", told=f"moved to {to}", data=data | {"rule": "moved", "moved_to": to})
    elif chapter.device.until is not None:
        told = f"{contract} has it until {chapter.device.until}"
        yield Event(at=at, what="ended", told=told, data=data | {"rule": "until"})
    else:
        told = f"{contract} ended on {chapter.terms.end}"
        yield Event(at=at, what="ended", told=told, data=data | {"rule": "contract_end"})


def _statements(store: Store, chapter: Chapter) -> Iterator[Event]:
    """What invoices said of the start: the first time, and wherever it moved."""
    contract, last = chapter.held.contract, None
    for number, issued_at, at, why in store.rows("device_starts_stated", contract, chapter.device.id):
        if at != last:
            moved = "" if last is None else f", and not at {iso(last)} as was said before"
            data = {
                "contract": contract,
                "number": number,
                "start": iso(at),
                "before": None if last is None else iso(last),
            }
            told = f"{number} says that billing began at {iso(at)}{moved}"
            yield Event(at=issued_at, what="stated", told=told, details=(why,), data=data)
        last = at


def _late_evidence(store: Store, chapter: Chapter) -> Iterator[Event]:
    """Evidence that came after an invoice: it moves the start with the next one, or the plan keeps what was said."""
    rows = store.rows("device_starts_stated", chapter.held.contract, chapter.device.id)
    evident = chapter.evident
    if not rows or evident is None or evident.at == rows[-1][2]:
        return
    number, issued_at, said, _ = rows[-1]
    adjusts = chapter.terms.activation.late_evidence_adjusts
    then = "the next invoice adjusts what was billed" if adjusts else "the plan keeps what was said"
    told = f"by what is known since, billing begins at {iso(evident.at)}, and {number} said {iso(said)}: {then}"
    at, details = issued_at, [evident.why]
    data: dict[str, Any] = {
        "contract": chapter.held.contract,
        "number": number,
        "start": iso(evident.at),
        "stated": iso(said),
        "late_evidence": "adjust" if adjusts else "keep",
    }
    if evident.evidence is not None:
        found = evident.evidence
        report = _report(store, found.gateway, found.log, found.epoch, found.seq)
        at = max(at, 0 if report.received_at is None else report.received_at // 1000)
        details.append(str(report))
        data["report"] = report.to_json()
    yield Event(at=at, what="evidence", told=told, details=tuple(details), data=data)


def _bookings(store: Store, chapter: Chapter) -> Iterator[Event]:
    """What each document took for the device itself."""
    contract = chapter.held.contract
    found: dict[tuple[str, int, str], list[dict[str, Any]]] = defaultdict(list)
    for number, issued_at, currency, line in store.rows("device_bookings", contract, chapter.device.id):
        found[number, issued_at, currency].append(json.loads(line))
    for (number, issued_at, currency), lines in found.items():
        rows = [
            {name: line[name] for name in ("charge", "kind", "amount", "service_start", "service_end")}
            for line in lines
        ]
        yield Event(
            at=issued_at,
            what="billed",
            told=f"{number} of {contract}",
            details=tuple(
                f"{row['charge']} {row['amount']} {currency}, {row['service_start']} to {row['service_end']}"
                for row in rows
            ),
            data={"contract": contract, "number": number, "currency": currency, "lines": rows},
        )


def _without_effect(deeds: Sequence[Deed], events: Sequence[Event]) -> Iterator[Event]:
    """What was said of the device and changed nothing, as the catalog is now."""
    told = {(event.data.get("said_at"), event.data.get("by"), event.data.get("reason")) for event in events}
    for deed in deeds:
        data = _deed_data(deed)
        if (data["said_at"], data["by"], data["reason"]) not in told:
            yield Event(
                at=deed.at,
                what="no effect",
                told=f"said to be {deed.state.value} from here on: as things are that changes nothing",
                details=(_by(deed),),
                data={"state": deed.state.value, **data},
            )


def _deed(deeds: Sequence[Deed], at: int, state: State) -> Deed | None:
    return next((deed for deed in deeds if (deed.at, deed.state) == (at, state)), None)


def _first_deed(chapter: Chapter, deeds: Sequence[Deed], state: State) -> Deed | None:
    """What was said before the contract had the device, and holds on."""
    earlier = [deed for deed in deeds if deed.at <= chapter.life.provisioned and deed.state is state]
    return earlier[-1] if earlier else None


def _by(deed: Deed) -> str:
    return f"{deed.by_whom} on {iso(deed.said_at // 1000)}: {deed.reason}"


def _deed_data(deed: Deed) -> dict[str, Any]:
    return {"by": deed.by_whom, "reason": deed.reason, "said_at": iso(deed.said_at // 1000)}


def _report(store: Store, gateway: str, log: str, epoch: str, seq: int) -> ReportName:
    row = store.row("line_received", gateway, log, epoch, seq)
    return ReportName(gateway=gateway, log=log, epoch=epoch, seq=seq, received_at=None if row is None else row[0])
