"""One gateway: its logs on a sequence ruler, keys, alarms, commands; holes asked for again with one button."""

from dataclasses import dataclass
from typing import Final

from fastapi import APIRouter

from cloud_collector.access.viewer import Deed
from cloud_collector.fleet.asking import ask_again
from cloud_collector.fleet.orders import give_order
from cloud_collector.fleet.survey import Epoch, Survey, UnknownGateway, require_gateway, survey
from cloud_collector.store.store import Store
from cloud_collector.web.console.cells import count, text, utc, when
from cloud_collector.web.console.fleet import clock, state
from cloud_collector.web.console.screen import Ask, Asked, Did, NotThere, Screen, act, serve
from cloud_collector.web.site import Look, Moment, Site
from cloud_collector.web.table import Cell, Column, Mood, Table, row
from shared.command import ReadNow
from shared.errors import InvalidRecord

RULER_WIDTH: Final = 1_000
_HOLE_WIDTH_MIN: Final = 4
_EPOCHS: Final = (
    Column(title="Log", key="log"),
    Column(title="Epoch", key="epoch"),
    Column(title="Standing", key="standing"),
    Column(title="Whole through", key="through", number=True),
    Column(title="Newest", key="top", number=True),
    Column(title="Missing", key="missing", number=True),
    Column(title="Aside", key="aside", number=True),
)
_KEYS: Final = (
    Column(title="Key", key="key"),
    Column(title="Words", key="words", wrap=True),
    Column(title="From", key="first", whole=True),
    Column(title="Enrolled", key="added_at", whole=True),
    Column(title="Revoked", key="revoked_at", whole=True),
)
_COMMANDS: Final = (
    Column(title="No.", key="counter", number=True),
    Column(title="Order", key="do"),
    Column(title="Given", key="given_at", whole=True),
    Column(title="State", key="state", whole=True),
    Column(title="Answer", key="why", wrap=True),
)
_ALARMS: Final = (
    Column(title="Alarm", key="text", wrap=True),
    Column(title="Since", key="begun_at", whole=True),
    Column(title="Until", key="ended_at", whole=True),
)
_METERS: Final = (
    Column(title="Device", key="device"),
    Column(title="Meter", key="meter"),
    Column(title="Unit", key="unit"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A stretch of a ruler: where it is drawn and what it stands for."""

    x: int
    width: int
    kind: str
    told: str


def add(router: APIRouter, site: Site) -> None:
    """The page and what can be done on it are served."""
    serve(router, site, "/gateways/{gateway}", _screen)
    act(router, site, "/gateways/{gateway}/resend", Deed.COMMAND, _resend, back="/gateways/{gateway}")
    act(router, site, "/gateways/{gateway}/read", Deed.COMMAND, _read, back="/gateways/{gateway}")


def ruler(epoch: Epoch) -> list[Piece]:
    """The epoch's positions from 1 to the newest: held, missing, gone; a single missing line is wide enough to see."""
    span = max(epoch.top, 1)

    def piece(first: int, last: int, kind: str, said: str) -> Piece:
        x = (first - 1) * RULER_WIDTH // span
        width = max((last - first + 1) * RULER_WIDTH // span, _HOLE_WIDTH_MIN)
        return Piece(x=min(x, RULER_WIDTH - width), width=width, kind=kind, told=f"{said}: {spelled(first, last)}")

    whole = Piece(x=0, width=RULER_WIDTH, kind="held", told=f"held: up to {epoch.top:,}")
    gone = [piece(first, last, "gone", "said to be gone") for first, last in epoch.gone]
    return [whole, *gone, *(piece(first, last, "hole", "missing") for first, last in epoch.holes)]


def spelled(first: int, last: int) -> str:
    """A range of positions for people."""
    return f"{first:,}" if first == last else f"{first:,} to {last:,} ({last - first + 1:,} lines)"


def _screen(look: Look, ask: Ask) -> Screen:
    try:
        found = survey(look.store, ask.part("gateway"), look.moment.now_ms)
    except UnknownGateway as error:
        raise NotThere(str(error)) from None
    moment, path = look.moment, f"/gateways/{found.seen.gateway}"
    return Screen(
        title=found.seen.gateway,
        data=found,
        table=_epochs(found, path),
        template="console/gateway.html",
        told={
            "found": found,
            "state": state(found.seen.standing),
            "clock": clock(found.seen),
            "rulers": [_drawn(epoch) for epoch in found.epochs if epoch.top],
            "width": RULER_WIDTH,
            "missing": sum(epoch.missing for epoch in found.epochs),
            "keys": _keys(found, moment),
            "commands": _commands(found, moment),
            "alarms": _alarms(found, moment),
            "meters": _meters(found),
            "open_alarms": [each for each in found.alarms if each.ended_at is None],
        },
    )


def _drawn(epoch: Epoch) -> tuple[Epoch, list[Piece], list[str]]:
    return epoch, ruler(epoch), [spelled(*hole) for hole in epoch.holes]


def _epochs(found: Survey, path: str) -> Table:
    return Table(
        title="Logs",
        path=path,
        command=f"cloud-collector gateway show {found.seen.gateway}",
        empty="It has not sent a line yet.",
        columns=_EPOCHS,
        rows=tuple(
            row(
                _EPOCHS,
                text(each.log),
                text(each.epoch),
                text(each.standing, mood=Mood.GOOD if each.standing == "linked" else Mood.WARN),
                count(each.through),
                count(each.top),
                count(each.missing),
                count(each.aside),
            )
            for each in found.epochs
        ),
    )


def _keys(found: Survey, moment: Moment) -> Table:
    rows = []
    for each in found.keys:
        begins = f"{each.log} {each.epoch} {each.first}".strip() if each.log else "the beginning"
        ended = Cell(
            text=moment.at(each.revoked_at) if each.revoked_at else "no",
            value=utc(each.revoked_at),
            mood=Mood.BAD if each.revoked_at else None,
        )
        enrolled = when(moment, each.added_at) if each.added_at else text("", shown="by the gateway itself")
        rows.append(row(_KEYS, text(each.key), text(each.words), text(begins), enrolled, ended))
    return Table(
        title="Keys",
        path="",
        command="",
        empty="No key is enrolled: nothing it sends is taken.",
        columns=_KEYS,
        rows=tuple(rows),
    )


def _commands(found: Survey, moment: Moment) -> Table:
    moods = {"done": Mood.GOOD, "refused": Mood.BAD, "given up": Mood.BAD}
    return Table(
        title="Commands",
        path="",
        command="",
        empty="Nothing was asked of it.",
        columns=_COMMANDS,
        rows=tuple(
            row(
                _COMMANDS,
                count(each.counter),
                text(each.do, note=each.details),
                when(moment, each.given_at),
                text(each.state, mood=moods.get(each.state, Mood.IDLE)),
                text(each.why),
            )
            for each in found.commands
        ),
    )


def _alarms(found: Survey, moment: Moment) -> Table:
    return Table(
        title="Alarms",
        path="",
        command="",
        empty="Nothing has been wrong.",
        columns=_ALARMS,
        rows=tuple(
            row(
                _ALARMS,
                text(each.text),
                when(moment, each.begun_at),
                when(moment, each.ended_at) if each.ended_at else text("", shown="still so", mood=Mood.BAD),
            )
            for each in (*found.alarms, *found.contradictions)
        ),
    )


def _meters(found: Survey) -> Table:
    gateway = found.seen.gateway
    return Table(
        title="Meters",
        path="",
        command="",
        empty="None of its meters has reported.",
        columns=_METERS,
        rows=tuple(
            row(
                _METERS,
                text(each.device, link=f"/devices/{gateway}/{each.device}"),
                text(each.meter),
                text(each.unit),
            )
            for each in found.meters
        ),
    )


def _resend(store: Store, asked: Asked) -> Did:
    gateway = asked.part("gateway")
    _require(store, gateway)
    made = ask_again(store, gateway, asked.now_ms)
    to = f"/gateways/{gateway}"
    if not made.wanted:
        return Did(told=f"nothing of {gateway} is missing", to=to)
    if made.why and not made.counters:
        return Did(told=made.why, to=to, well=False)
    lines = made.lines
    said = f"{gateway} is asked for {lines} lines again" if lines else f"{gateway} was asked for all of it before"
    return Did(told=said, to=to, what=f"gateway resend {gateway}: {lines} lines" if lines else "")


def _read(store: Store, asked: Asked) -> Did:
    gateway = asked.part("gateway")
    _require(store, gateway)
    try:
        counter = give_order(store, gateway, ReadNow(), asked.now_ms)
    except InvalidRecord as error:
        return Did(told=str(error), to=f"/gateways/{gateway}", well=False)
    said = f"{gateway} is asked to read its meters now (command {counter})"
    return Did(told=said, to=f"/gateways/{gateway}", what=f"gateway command {gateway} read_now")


def _require(store: Store, gateway: str) -> None:
    try:
        require_gateway(store, gateway)
    except UnknownGateway as error:
        raise NotThere(str(error)) from None
