"""What the pages show: gateways, subscriptions, invoices, as tables over the store's facts."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

from cloud_collector.store.store import Store
from cloud_collector.web.table import Cell, Column, Mood, Table, row

LATE_SECONDS: Final = 2 * 3600
"""A gateway that has said nothing for this long is late; the default window is a quarter of an hour."""
SILENT_SECONDS: Final = 24 * 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """A device under a contract, and what it has cost in the open period."""

    contract: str
    account: str
    plan: str
    device: str
    state: str
    since: int | None
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """When a page is made and in which zone it speaks."""

    now_ms: int
    zone: str

    def local(self, seconds: int) -> str:
        """An instant for people, to the minute."""
        return datetime.fromtimestamp(seconds, ZoneInfo(self.zone)).strftime("%Y-%m-%d %H:%M")

    def day(self, seconds: int) -> str:
        """A date for people."""
        return datetime.fromtimestamp(seconds, ZoneInfo(self.zone)).strftime("%Y-%m-%d")

    def ago(self, at_ms: int) -> str:
        """How long ago, in words."""
        seconds = max(0, (self.now_ms - at_ms) // 1000)
        for size, name in ((86_400, "d"), (3_600, "h"), (60, "min")):
            if seconds >= size:
                return f"{seconds // size} {name} ago"
        return f"{seconds} s ago"


Subscriptions = Callable[[Store, int], list[Subscription]]

_GATEWAYS: Final = (
    Column(title="Gateway", key="gateway"),
    Column(title="State", key="state", whole=True),
    Column(title="Last line", key="last_received_at", whole=True),
    Column(title="Lines", key="lines", number=True),
    Column(title="Missing", key="missing", number=True),
    Column(title="Alarms", key="alarms", number=True),
)
_SUBSCRIPTIONS: Final = (
    Column(title="Account", key="account", unseen=True),
    Column(title="Device", key="device", whole=True),
    Column(title="Contract", key="contract"),
    Column(title="State", key="state", whole=True),
    Column(title="Since", key="since", whole=True),
    Column(title="Why", key="why", wrap=True),
)
_INVOICES: Final = (
    Column(title="Invoice", key="number"),
    Column(title="Account", key="account"),
    Column(title="Period", key="period_start", whole=True),
    Column(title="Kind", key="kind"),
    Column(title="Total", key="total", number=True),
    Column(title="Currency", key="currency"),
    Column(title="Issued", key="issued_at", whole=True),
)
_UNMATCHED: Final = (
    Column(title="Topic", key="topic"),
    Column(title="Messages", key="messages", number=True),
    Column(title="Why", key="reason", wrap=True),
    Column(title="Nearest name", key="nearest"),
    Column(title="Last", key="last_at", whole=True),
)


def gateways(store: Store, moment: Moment) -> Table:
    """Every gateway, when it last spoke, what is missing of its chains."""
    rows = []
    for name, _added, lines, received, missing, alarms in store.rows("web_gateways"):
        state = _gateway_state(moment, received, missing, alarms)
        last = "never" if received is None else moment.ago(received)
        rows.append(
            row(
                _GATEWAYS,
                Cell(text=name, value=name),
                state,
                Cell(text=last, value=None if received is None else _iso(received // 1000)),
                Cell(text=f"{lines:,}", value=lines),
                Cell(text=str(missing), value=missing),
                Cell(text=str(alarms), value=alarms),
            )
        )
    return Table(
        title="Gateways",
        path="/gateways",
        command="cloud-collector gateway list",
        empty="No gateway yet. Add one with: cloud-collector gateway add NAME --key FILE",
        columns=_GATEWAYS,
        rows=tuple(rows),
    )


def unmatched(store: Store, moment: Moment) -> Table:
    """What nobody knows, with its reason: the first hour's most common trouble."""
    return Table(
        title="Unmatched",
        path="/unmatched",
        command="cloud-collector unmatched list",
        empty="Nothing: every message that arrived is of a known gateway and key.",
        columns=_UNMATCHED,
        rows=tuple(
            row(
                _UNMATCHED,
                Cell(text=topic, value=topic),
                Cell(text=str(messages), value=messages),
                Cell(text=reason, value=reason),
                Cell(text=nearest or "—", value=nearest),
                Cell(text=moment.ago(last), value=_iso(last // 1000)),
            )
            for topic, _gateway, reason, nearest, messages, last in store.rows("web_unmatched")
        ),
    )


def subscriptions(found: list[Subscription], moment: Moment) -> Table:
    """Each device under its contract: waiting, in use since when and by which rule, or ended."""
    moods = {"active": Mood.GOOD, "provisioned": Mood.IDLE, "suspended": Mood.WARN, "ended": Mood.IDLE}
    words = {"active": "in use", "provisioned": "waiting for first use"}
    return Table(
        title="Subscriptions",
        path="/subscriptions",
        command="cloud-collector billing preview",
        empty="No contract yet. Write one into the catalog, then: cloud-collector catalog apply catalog.toml",
        columns=_SUBSCRIPTIONS,
        rows=tuple(
            row(
                _SUBSCRIPTIONS,
                Cell(text=each.account, value=each.account),
                Cell(text=each.device, value=each.device, note=each.account),
                Cell(text=each.contract, value=each.contract, note=each.plan),
                Cell(text=words.get(each.state, each.state), value=each.state, mood=moods.get(each.state, Mood.IDLE)),
                Cell(
                    text="—" if each.since is None else moment.local(each.since),
                    value=None if each.since is None else _iso(each.since),
                ),
                Cell(text=each.why, value=each.why),
            )
            for each in found
        ),
    )


def invoices(store: Store, moment: Moment) -> Table:
    """What was issued, newest first."""
    return Table(
        title="Invoices",
        path="/invoices",
        command="cloud-collector invoice list",
        empty="No invoice yet: the first is issued when a billing period has closed.",
        columns=_INVOICES,
        rows=tuple(
            row(
                _INVOICES,
                Cell(text=number, value=number, link=f"/invoices/{number}"),
                Cell(text=account, value=account, note=contract),
                Cell(text=f"{moment.day(start)} – {moment.day(end - 1)}", value=_iso(start)),
                Cell(text=kind.replace("_", " "), value=kind),
                Cell(text=total, value=total),
                Cell(text=currency, value=currency),
                Cell(text=moment.local(issued), value=_iso(issued)),
            )
            for number, account, contract, start, end, kind, total, currency, issued in store.rows("web_invoices")
        ),
    )


def invoice_body(store: Store, number: str) -> dict[str, object] | None:
    """The signed body of an issued invoice, or None."""
    found = store.row("web_invoice_line", number)
    if found is None:
        return None
    text = bytes(found[0]).decode("ascii")
    body: dict[str, object] = json.loads(text[4 : text.rindex("|")])
    return body


def _gateway_state(moment: Moment, received: int | None, missing: int, alarms: int) -> Cell:
    if received is None:
        return Cell(text="never seen", value="never_seen", mood=Mood.IDLE)
    silence = (moment.now_ms - received) // 1000
    if silence > SILENT_SECONDS:
        return Cell(text="silent", value="silent", mood=Mood.BAD)
    if alarms:
        return Cell(text="alarm", value="alarm", mood=Mood.BAD)
    if missing:
        return Cell(text="catching up", value="catching_up", mood=Mood.WARN)
    if silence > LATE_SECONDS:
        return Cell(text="late", value="late", mood=Mood.WARN)
    return Cell(text="online", value="online", mood=Mood.GOOD)


def _iso(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
