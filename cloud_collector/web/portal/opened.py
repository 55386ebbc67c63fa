"""What stands under a line, as tables: the devices that it rests on, and the counters, each with its signed line."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import quote, urlencode

from fastapi import Request

from cloud_collector.activity.lifecycle import FOREVER
from cloud_collector.contracts.catalog import State
from cloud_collector.contracts.money import plain
from cloud_collector.contracts.period import iso, local_date
from cloud_collector.insight.grounds import Deciding, Grounds
from cloud_collector.insight.opened_line import NEVER, Rests, Stood, Used
from cloud_collector.usage.span import ChannelName
from cloud_collector.web.paging import PAGE_ROWS, Pager, pager
from cloud_collector.web.site import Moment
from cloud_collector.web.table import Cell, Column, Table, row

_DEVICES: Final = (
    Column(title="Device", key="device"),
    Column(title="From", key="start", whole=True),
    Column(title="To", key="end", whole=True),
    Column(title="Used", key="quantity", number=True),
    Column(title="Unit", key="unit"),
    Column(title="How it is known", key="how", wrap=True),
)
STATES: Final = {State.ACTIVE.value: "in use", State.PROVISIONED.value: "waiting"}
"""How people call a state, where it is another word."""
_LIVES: Final = (
    Column(title="Device", key="device"),
    Column(title="State", key="state", whole=True),
    Column(title="From", key="start", whole=True),
    Column(title="To", key="end", whole=True),
    Column(title="Why", key="why", wrap=True),
    Column(title="Shown by", key="line"),
)
_READS: Final = (
    Column(title="Device", key="device"),
    Column(title="Meter", key="meter"),
    Column(title="First report", key="first"),
    Column(title="Counter", key="register_start", number=True),
    Column(title="Last report", key="last"),
    Column(title="Counter then", key="register_end", number=True),
    Column(title="Between", key="units", number=True),
    Column(title="Log and epoch", key="epoch"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Under:
    """Everything that a line rests on; on a page one screenful of it, with the way to the rest."""

    devices: Table
    reads: Table
    peak: Table | None
    pager: Pager | None

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "devices": self.devices.records(),
            "reads": self.reads.records(),
            "deciding": None if self.peak is None else self.peak.records(),
        }


def under(account: str, rests: Rests, moment: Moment, request: Request | None) -> Under:
    """What a line rests on; without a request all of it. Raises UnlikeUnits."""
    page = None if request is None else pager(request, rests.count)
    rows = slice(None) if page is None else page.rows
    if rests.found is None:
        time = rests.line.key.segment_start, rests.line.end
        devices = _lives_table(account, rests.states(rows), time, moment)
    else:
        devices = _devices_table(account, rests.found, rests, rests.used(rows), moment)
    peak = rests.decides
    return Under(
        devices=devices,
        reads=reads_table(account, rests.line.reads[rows], moment),
        peak=None if peak is None else _peak_table(account, peak, rests.unit, moment),
        pager=page,
    )


def usage_path(account: str, channel: ChannelName, start: int, end: int, **of: str) -> str:
    """The page of a channel's days in a stretch of time, and of a charge's window in it."""
    asked = {"from": iso(start), "until": iso(end), **{name: value for name, value in of.items() if value}}
    parts = "/".join(quote(part, safe="") for part in channel)
    return f"/portal/{account}/usage/{parts}?{urlencode(asked)}"


def _devices_table(account: str, found: Grounds, rests: Rests, used: Iterable[Used], moment: Moment) -> Table:
    """What each of these devices has in a line, with the way to its days."""
    of = {
        "contract": found.segment.terms.contract,
        "charge": found.charge.name,
        "window": rests.line.key.window,
    }
    rows = (_device(account, each, of, moment) for each in used)
    return _table(_DEVICES, "No device was billed in this time.", rows)


def _device(account: str, used: Used, of: Mapping[str, str], moment: Moment) -> tuple[Cell, ...]:
    link = usage_path(account, used.channel, used.start, used.end, **of) if used.how != NEVER else ""
    said = None if used.quantity is None else plain(used.quantity)
    return row(
        _DEVICES,
        Cell(text=used.device, value=used.device, link=link),
        Cell(text=moment.local(used.start), value=iso(used.start), time=True),
        Cell(text=moment.local(used.end), value=iso(used.end), time=True),
        Cell(text="—" if said is None else moment.number(said), value=said, link=link),
        Cell(text=used.unit, value=used.unit),
        Cell(text=used.how, value=used.how),
    )


def _lives_table(account: str, held: Iterable[Stood], time: tuple[int, int], moment: Moment) -> Table:
    """What state each of these devices was in, and the report that started it."""
    return _table(
        _LIVES,
        "No device of the contract was there in this time.",
        (_stage(account, each, time, moment) for each in held),
    )


def _stage(account: str, stood: Stood, time: tuple[int, int], moment: Moment) -> tuple[Cell, ...]:
    start, end = time
    shown = Cell(text="—", value=None)
    if stood.line is not None:
        place = "/".join(map(str, stood.line))
        shown = Cell(text=f"report {stood.line[3]}", value=place, link=f"/portal/{account}/lines/{place}")
    elif stood.channels:
        # Nobody metered what started it: its reports of the time are what there is.
        link = usage_path(account, stood.channels[0], start, max(end, start + 1))
        shown = Cell(text="its reports", value=None, link=link)
    path = f"/portal/{account}/devices/{stood.device}"
    ends = Cell(text="—", value=None)
    if stood.end < FOREVER:
        ends = Cell(text=moment.local(stood.end), value=iso(stood.end), time=True)
    return row(
        _LIVES,
        Cell(text=stood.device, value=stood.device, link=path if stood.life_ends > moment.now else ""),
        Cell(text=STATES.get(stood.state, stood.state), value=stood.state),
        Cell(text=moment.local(stood.start), value=iso(stood.start), time=True),
        ends,
        Cell(text=moment.told(stood.why), value=stood.why or None),
        shown,
    )


def reads_table(account: str, reads: Sequence[Sequence[Any]], moment: Moment) -> Table:
    """Counters as they are sealed, two by two; each report that carries one opens."""
    made = _table(
        _READS, "No counter stands here: the days of each device lead to them.", _reads(account, reads, moment)
    )
    return replace(made, title="Counters")


def _reads(account: str, reads: Sequence[Sequence[Any]], moment: Moment) -> Iterator[tuple[Cell, ...]]:
    for gateway, log, device, meter, epoch, first, low, last, high, estimated in reads:
        lines = f"/portal/{account}/lines/{gateway}/{log}/{epoch}"
        yield row(
            _READS,
            Cell(text=f"{gateway}/{device}", value=f"{gateway}/{device}"),
            Cell(text=meter, value=meter),
            Cell(text=f"report {first}", value=first, link=f"{lines}/{first}"),
            Cell(text=moment.number(str(low)), value=low, link=f"{lines}/{first}"),
            Cell(text=f"report {last}", value=last, link=f"{lines}/{last}"),
            Cell(
                text=moment.number(str(high)), value=high, note="estimated" if estimated else "", link=f"{lines}/{last}"
            ),
            Cell(text=moment.number(str(high - low)), value=high - low),
            Cell(text=f"{log} {epoch}", value=f"{log}/{epoch}"),
        )


def _peak_table(account: str, found: Deciding, unit: str, moment: Moment) -> Table:
    """What a maximum was made of when it was reached, with the way to the intervals of that day."""
    columns = _DEVICES[:5]
    made = _table(
        columns,
        "",
        (
            row(
                columns,
                Cell(
                    text=f"{each.channel.gateway}/{each.channel.device}",
                    value=f"{each.channel.gateway}/{each.channel.device}",
                    link=f"/portal/{account}/days/{local_date(moment.zone, each.start)}/"
                    + "/".join(quote(part, safe="") for part in each.channel),
                ),
                Cell(text=moment.local(each.start), value=iso(each.start), time=True),
                Cell(text=moment.local(each.end), value=iso(each.end), time=True),
                Cell(text=moment.number(plain(each.level)), value=plain(each.level)),
                Cell(text=unit, value=unit),
            )
            for each in found.shares[:PAGE_ROWS]
        ),
    )
    return replace(made, title="When it was highest")


def _table(columns: tuple[Column, ...], empty: str, rows: Iterable[tuple[Cell, ...]]) -> Table:
    return Table(title="Devices", path="", command="", empty=empty, columns=columns, rows=tuple(rows))
