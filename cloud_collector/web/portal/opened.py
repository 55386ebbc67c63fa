"""What stands under a line, as tables: the devices that it rests on, and the counters, each with its signed line."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Final
from urllib.parse import quote, urlencode

from fastapi import Request

from cloud_collector.activity.lifecycle import FOREVER, Life
from cloud_collector.contracts.money import plain
from cloud_collector.contracts.period import Period, iso, local_date
from cloud_collector.insight.by_day import unit_of
from cloud_collector.insight.grounds import Deciding, Ground, Grounds, deciding, grounds, lives
from cloud_collector.rating.draft import BookingKey, LineKind
from cloud_collector.rating.known import Known
from cloud_collector.usage.let_go import DetailDeleted
from cloud_collector.usage.span import ChannelName, UsageView
from cloud_collector.web.paging import PAGE_ROWS, Pager, pager
from cloud_collector.web.site import Moment
from cloud_collector.web.table import Cell, Column, Table, row

ON_USAGE: Final = frozenset({LineKind.USAGE, LineKind.DISCOUNT, LineKind.CAP, LineKind.MINIMUM})
"""Kinds of lines that stand on usage, or beside one that does."""
NEVER: Final = "it has never reported"
_DEVICES: Final = (
    Column(title="Device", key="device"),
    Column(title="From", key="start", whole=True),
    Column(title="To", key="end", whole=True),
    Column(title="Used", key="quantity", number=True),
    Column(title="Unit", key="unit"),
    Column(title="How it is known", key="how", wrap=True),
)
_LIVES: Final = (
    Column(title="Device", key="device"),
    Column(title="State", key="state"),
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line that is to be opened, of a draft or as it is sealed."""

    key: BookingKey
    end: int
    reads: Sequence[Sequence[Any]]
    sealed: Mapping[str, Fraction]
    """What sealed counters say of each device; of a draft nothing is sealed."""


def under(account: str, known: Known, period: Period, line: Line, moment: Moment, request: Request | None) -> Under:
    """What a line rests on; without a request all of it. Raises UnlikeUnits."""
    time = line.key.segment_start, line.end
    found = grounds(known, period, line.key) if line.key.kind in ON_USAGE else None
    held = [each for each in lives(known) if line.key.device in {"", each.device}]
    page = None if request is None else pager(request, len(held if found is None else found.held))
    rows = slice(None) if page is None else page.rows
    if found is None:
        devices = _lives_table(account, held[rows], time, moment, known.usage)
    else:
        devices = _devices_table(account, found, found.held[rows], line, moment)
    peak = None if found is None else deciding(found)
    return Under(
        devices=devices,
        reads=reads_table(account, line.reads[rows], moment),
        peak=None if peak is None or found is None else _peak_table(account, peak, unit_of(found.meter), moment),
        pager=page,
    )


def usage_path(account: str, channel: ChannelName, start: int, end: int, **of: str) -> str:
    """The page of a channel's days in a stretch of time, and of a charge's window in it."""
    asked = {"from": iso(start), "until": iso(end), **{name: value for name, value in of.items() if value}}
    parts = "/".join(quote(part, safe="") for part in channel)
    return f"/portal/{account}/usage/{parts}?{urlencode(asked)}"


def _devices_table(account: str, found: Grounds, held: Sequence[Ground], line: Line, moment: Moment) -> Table:
    """What each of these devices has in a line, with the way to its days."""
    return _table(
        _DEVICES,
        "No device was billed in this time.",
        (_device(account, found, each, line, moment) for each in held),
    )


def _device(account: str, found: Grounds, ground: Ground, line: Line, moment: Moment) -> tuple[Cell, ...]:
    terms, unit = found.segment.terms, unit_of(found.meter)
    start, end = ground.times[0][0], ground.times[-1][1]
    value, how = _known(found, ground)
    value = line.sealed.get(ground.device, value)
    of = {"contract": terms.contract, "charge": found.charge.name, "window": line.key.window}
    link = usage_path(account, ground.channel, start, end, **of) if how != NEVER else ""
    said = None if value is None else plain(value)
    return row(
        _DEVICES,
        Cell(text=ground.device, value=ground.device, link=link),
        Cell(text=moment.local(start), value=iso(start), time=True),
        Cell(text=moment.local(end), value=iso(end), time=True),
        Cell(text="—" if said is None else moment.number(said), value=said, link=link),
        Cell(text=unit, value=unit),
        Cell(text=how, value=how),
    )


def _known(found: Grounds, ground: Ground) -> tuple[Fraction | None, str]:
    """So much, and how it is known."""
    channel = ground.channel
    if channel not in found.segment.usage.channels(channel.gateway, channel.device):
        return Fraction(0), NEVER
    try:
        quantity = ground.quantity()
    except DetailDeleted as error:
        return None, str(error)
    if quantity.gaps:
        return quantity.value, "parts of the time are not known"
    return quantity.value, "partly estimated" if quantity.estimated else "metered"


def _lives_table(account: str, held: Sequence[Life], time: tuple[int, int], moment: Moment, usage: UsageView) -> Table:
    """What state each of these devices was in, and the report that started it."""
    return _table(
        _LIVES,
        "No device of the contract was there in this time.",
        (cells for life in held for cells in _stages(account, life, time, moment, usage)),
    )


def _stages(
    account: str, life: Life, time: tuple[int, int], moment: Moment, usage: UsageView
) -> Iterable[tuple[Cell, ...]]:
    gateway, _, name = life.device.rpartition("/")
    channels = usage.channels(gateway, name)
    start, end = time
    evidence = None if life.activation is None else life.activation.evidence
    if evidence is not None:
        place = f"{evidence.gateway}/{evidence.log}/{evidence.epoch}/{evidence.seq}"
        shown = Cell(text=f"report {evidence.seq}", value=place, link=f"/portal/{account}/lines/{place}")
    elif channels:
        # Nobody metered what started it: its reports of the time are what there is.
        link = usage_path(account, channels[0], start, max(end, start + 1))
        shown = Cell(text="its reports", value=None, link=link)
    else:
        shown = Cell(text="—", value=None)
    for stage in life.stages:
        low, high = max(stage.start, start), min(stage.end, end)
        if low > high or (low == high and start != end):
            continue
        why = life.activation.why if life.activation is not None and stage.start >= life.activation.at else ""
        path = f"/portal/{account}/devices/{life.device}"
        yield row(
            _LIVES,
            Cell(text=life.device, value=life.device, link=path if life.end > moment.now else ""),
            Cell(text=stage.state.value, value=stage.state.value),
            Cell(text=moment.local(low), value=iso(low), time=True),
            Cell(text="—", value=None)
            if high >= FOREVER
            else Cell(text=moment.local(high), value=iso(high), time=True),
            Cell(text=why, value=why or None),
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
