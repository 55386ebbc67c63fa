"""One device: its life with every cause, its usage with gaps shown as gaps, and what may be done to it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from fastapi import APIRouter

from cloud_collector.access.viewer import Deed
from cloud_collector.activity.holding import holdings
from cloud_collector.billing.revisions import NoCatalog, revisions
from cloud_collector.insight.curve import HOUR_SECONDS, Curve, by_day, by_hour
from cloud_collector.insight.device_deeds import NotPossible, Word, do
from cloud_collector.insight.device_life import UnknownDevice, chapters_of
from cloud_collector.insight.event import Event
from cloud_collector.insight.timeline import timeline
from cloud_collector.store.store import Store
from cloud_collector.store.view import StoreView
from cloud_collector.web.console.bars import bars
from cloud_collector.web.console.cells import count, text, utc, when
from cloud_collector.web.console.devices import state
from cloud_collector.web.console.screen import Ask, Asked, Did, NotThere, Screen, act, serve, web_path
from cloud_collector.web.site import Look, Moment, Site
from cloud_collector.web.table import Cell, Column, Mood, Table, row

DAYS: Final = 35
_MOODS: Final = {
    "active": Mood.GOOD,
    "resumed": Mood.GOOD,
    "gap": Mood.WARN,
    "hole": Mood.WARN,
    "suspended": Mood.WARN,
    "swap": Mood.WARN,
    "set apart": Mood.BAD,
    "ended": Mood.BAD,
}
_EVENTS: Final = (
    Column(title="When", key="at", whole=True),
    Column(title="What", key="what", whole=True),
    Column(title="Told", key="told", wrap=True),
    Column(title="Details", key="details", wrap=True),
    Column(title="Expected", key="expected"),
)
_BARS: Final = (
    Column(title="From", key="from", whole=True),
    Column(title="To", key="to", whole=True),
    Column(title="Amount", key="amount", number=True),
    Column(title="Unit", key="unit"),
    Column(title="Estimated", key="estimated", whole=True),
    Column(title="Not metered, s", key="gap_seconds", number=True),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSheet:
    """Everything about one device."""

    device: str
    contracts: tuple[str, ...]
    account: str
    state: str
    since: datetime
    usage: tuple[Curve, ...]
    """By day."""
    timeline: tuple[dict[str, Any], ...]


def add(router: APIRouter, site: Site) -> None:
    """The pages and what can be done on them are served."""
    serve(router, site, "/devices/{gateway}/{device}/usage", _usage)
    serve(router, site, "/devices/{gateway}/{device}", _screen)
    act(router, site, "/devices/{gateway}/{device}/state", Deed.COMMAND, _do, back="/devices/{gateway}/{device}")


def _screen(look: Look, ask: Ask) -> Screen:
    name, moment, view = _name(ask), look.moment, StoreView(look.store)
    known = revisions(look.store)
    try:
        found = chapters_of(look.store, view, known, name, moment.now, look.kept)
        events = timeline(look.store, view, known, name, moment.now, look.kept)
    except UnknownDevice as error:
        raise NotThere(str(error)) from None
    held = next((each for each in reversed(found) if each.held.start <= moment.now), found[0])
    usage = _curves(view, ask, held.terms.timezone, moment)
    sheet = DeviceSheet(
        device=name,
        contracts=tuple(each.held.contract for each in found),
        account=held.held.account,
        state=held.state_at(moment.now),
        since=datetime.fromtimestamp(held.since(moment.now), UTC),
        usage=tuple(usage),
        timeline=tuple(each.to_json() for each in events),
    )
    path = web_path("devices", *name.split("/", 1))
    shown = Moment(now_ms=moment.now_ms, zone=held.terms.timezone)
    return Screen(
        title=name,
        data=sheet,
        table=_events(events, shown, path, name),
        template="console/device.html",
        of=frozenset(each.held.account for each in found),
        told={
            "sheet": sheet,
            "path": path,
            "state": state(sheet.state),
            "moment": shown,
            "events": [(each, _MOODS.get(each.what, Mood.IDLE)) for each in reversed(events)],
            "curves": [(each, bars(each, shown)) for each in usage],
            "account": known[-1].catalog.accounts[held.held.account],
            "contract": held.held.contract,
            "plan": held.terms.stretches[-1].title or held.terms.stretches[-1].plan,
            "words": [(word.value, _SAYS[word]) for word in Word],
        },
    )


_SAYS: Final = {
    Word.SUSPEND: "suspend: as the plan prices suspended ones",
    Word.RESUME: "resume: it is active again",
    Word.END: "end: nothing of it is billed any more",
    Word.ACTIVATE: "activate: it is billed, used or not",
}


def _usage(look: Look, ask: Ask) -> Screen:
    name, view = _name(ask), StoreView(look.store)
    days = int(ask.text("days")) if ask.text("days").isdecimal() and len(ask.text("days")) < 4 else DAYS
    hourly = ask.text("by") == "hour"
    usage = _curves(view, ask, look.moment.zone, look.moment, days=min(max(days, 1), 400), hourly=hourly)
    wanted = ask.text("meter")
    shown = [each for each in usage if not wanted or each.meter == wanted]
    if not shown:
        raise NotThere(f"nothing that {name} metered is known")
    path = web_path("devices", *name.split("/", 1))
    return Screen(
        title=f"Usage of {name}",
        data=shown,
        table=_amounts(shown, look.moment, f"{path}/usage", name),
        template="console/usage.html",
        of=_owners(look, name),
        told={
            "device": name,
            "path": path,
            "hourly": hourly,
            "by_hour": ask.also(by="hour", days="7"),
            "by_day": ask.also(by="", days=""),
            "curves": [(each, bars(each, look.moment, hourly=hourly)) for each in shown],
        },
    )


def _owners(look: Look, device: str) -> frozenset[str]:
    """Whoever has had it under a contract, at whatever time."""
    try:
        known = revisions(look.store)
    except NoCatalog:
        return frozenset()
    return frozenset(each.account for each in holdings(known[-1].catalog).get(device, ()))


def _curves(
    view: StoreView, ask: Ask, zone: str, moment: Moment, *, days: int = DAYS, hourly: bool = False
) -> list[Curve]:
    channels = view.channels(ask.part("gateway"), ask.part("device"))
    start, end = moment.now - days * 24 * HOUR_SECONDS, moment.now
    return [
        by_hour(view, channel, start, end) if hourly else by_day(view, channel, zone, start, end)
        for channel in channels
    ]


def _events(events: Sequence[Event], moment: Moment, path: str, name: str) -> Table:
    return Table(
        title="Timeline",
        path=path,
        command=f"cloud-collector device timeline {name}",
        empty="Nothing is known of it yet.",
        columns=_EVENTS,
        rows=tuple(
            row(
                _EVENTS,
                when(moment, datetime.fromtimestamp(each.at, UTC)),
                text(each.what),
                text(each.told),
                text("; ".join(each.details)),
                text("yes" if each.expected else "no"),
            )
            for each in events
        ),
    )


def _amounts(curves: Sequence[Curve], moment: Moment, path: str, name: str) -> Table:
    return Table(
        title="Usage",
        path=path,
        command=f"cloud-collector usage show {name.partition('/')[0]}",
        empty="Nothing was metered.",
        columns=(Column(title="Meter", key="meter"), *_BARS),
        rows=tuple(
            row(
                (Column(title="Meter", key="meter"), *_BARS),
                text(curve.meter),
                when(moment, each.start),
                Cell(text=moment.at(each.end), value=utc(each.end)),
                Cell(
                    text="not known" if each.amount is None else f"{each.amount:,f}",
                    value=None if each.amount is None else f"{each.amount:f}",
                ),
                text(curve.unit),
                text("yes" if each.estimated else "no", mood=Mood.WARN if each.estimated else None),
                count(each.gap_seconds),
            )
            for curve in curves
            for each in reversed(curve.bars)
        ),
    )


def _do(store: Store, asked: Asked) -> Did:
    name = f"{asked.part('gateway')}/{asked.part('device')}"
    to = web_path("devices", *name.split("/", 1))
    reason = asked.text("reason")
    if not reason:
        return Did(told="say why: the reason is kept", to=to, well=False)
    try:
        word = Word(asked.text("word"))
        done = do(
            store,
            StoreView(store),
            revisions(store),
            word,
            device=name,
            at=asked.now_ms // 1000,
            now_ms=asked.now_ms,
            by_whom=asked.viewer.name,
            reason=reason,
        )
    except ValueError:
        return Did(told="choose what is to be done", to=to, well=False)
    except (NotPossible, UnknownDevice) as error:
        return Did(told=str(error), to=to, well=False)
    billed = f"; what differs from {', '.join(done.billed)} comes with the next invoice" if done.billed else ""
    return Did(
        told=f"{name} is {done.deed.state.value} from now on{billed}",
        to=to,
        what=f"device {word.value} {name}: {reason}",
    )


def _name(ask: Ask) -> str:
    return f"{ask.part('gateway')}/{ask.part('device')}"
