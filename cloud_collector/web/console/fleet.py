"""Fleet: every gateway, when it last spoke by this server's clock, its backlog, how far its clock is trusted."""

from typing import Final

from fastapi import APIRouter

from cloud_collector.fleet.roster import CHOICES, HOLES, PAGE_ROWS, WHOLE_ROWS, Roster, Seen, roster
from cloud_collector.fleet.standing import Standing
from cloud_collector.web.console.cells import ago, count, text
from cloud_collector.web.console.screen import Ask, Screen, serve
from cloud_collector.web.site import Look, Moment, Site
from cloud_collector.web.table import Cell, Column, Mood, Table, row

MOODS: Final = {
    Standing.ONLINE: Mood.GOOD,
    Standing.LATE: Mood.WARN,
    Standing.SILENT: Mood.BAD,
    Standing.CLOCK: Mood.WARN,
    Standing.NEVER: Mood.IDLE,
}
WORDS: Final = {Standing.CLOCK: "clock wrong", Standing.NEVER: "never seen"}
CLOCKS: Final = {"S": "synchronised", "I": "was synchronised", "R": "not set", "U": "not set"}
_CHIPS: Final = (
    ("", "gateways", None),
    (Standing.ONLINE.value, "online", Mood.GOOD),
    (Standing.LATE.value, "late", Mood.WARN),
    (Standing.SILENT.value, "silent", Mood.BAD),
    (Standing.CLOCK.value, "clock wrong", Mood.WARN),
    (HOLES, "with holes", Mood.WARN),
    (Standing.NEVER.value, "never seen", Mood.IDLE),
)
_COLUMNS: Final = (
    Column(title="Gateway", key="gateway"),
    Column(title="State", key="standing", whole=True),
    Column(title="Last seen", key="heard_at", whole=True),
    Column(title="Backlog", key="backlog", number=True),
    Column(title="Clock", key="clock", whole=True),
    Column(title="Alarms", key="alarms", number=True),
    Column(title="Lines", key="lines", number=True),
)


def add(router: APIRouter, site: Site) -> None:
    """The page is served."""
    serve(router, site, "/gateways", _screen)


def _screen(look: Look, ask: Ask) -> Screen:
    choice = ask.text("state") if ask.text("state") in CHOICES else ""
    found = roster(
        look.store,
        look.moment.now_ms,
        after=ask.text("after"),
        search=ask.text("q"),
        choice=choice,
        rows=WHOLE_ROWS if ask.whole else PAGE_ROWS,
    )
    chips = [
        {
            "count": f"{found.total if not value else found.counts[value]:,}",
            "label": label,
            "mood": mood,
            "link": ask.also(state=value, after=""),
            "current": value == choice,
        }
        for value, label, mood in _CHIPS
    ]
    more = {"chips": chips, "q": ask.text("q"), "state": choice, "found": found}
    more |= {"further": ask.also(after=found.next or ""), "first": ask.also(after="") if ask.text("after") else ""}
    return Screen(title="Fleet", data=found, table=table(found, look.moment), template="console/fleet.html", told=more)


def table(found: Roster, moment: Moment) -> Table:
    """A row a gateway."""
    return Table(
        title="Gateways",
        path="/gateways",
        command="cloud-collector gateway list",
        empty="No gateway is like that."
        if found.total
        else "No gateway yet. Invite one, and it enrols itself: cloud-collector gateway invite NAME",
        columns=_COLUMNS,
        rows=tuple(
            row(
                _COLUMNS,
                text(each.gateway, link=f"/gateways/{each.gateway}"),
                state(each.standing),
                ago(moment, each.heard_at),
                count(each.backlog),
                clock(each),
                count(each.alarms),
                count(each.lines),
            )
            for each in found.gateways
        ),
    )


def state(standing: Standing) -> Cell:
    """A standing with its mark and its word."""
    return text(standing.value, shown=WORDS.get(standing, standing.value), mood=MOODS[standing])


def clock(each: Seen) -> Cell:
    """How far a gateway's clock is believed; a second or two are the line's way here."""
    said = CLOCKS.get(each.clock, "")
    ahead = each.ahead_seconds or 0
    return text(said, note=f"{ahead} s ahead" if ahead > 2 else "")
