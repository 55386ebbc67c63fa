"""What a contract costs so far, or in a period that has ended: its lines, each of them opened onto what it rests on."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response

from cloud_collector.billing.revisions import revisions
from cloud_collector.contracts.money import as_written, plain
from cloud_collector.contracts.period import Period
from cloud_collector.insight.draft_line import Charged, NamedLine, OpenedDraft, charged, lines_of
from cloud_collector.invoice.locale import Locale, locale_named
from cloud_collector.rating.draft import LineKind
from cloud_collector.web import gate
from cloud_collector.web.looking import looked
from cloud_collector.web.paging import pager
from cloud_collector.web.portal.frame import Visiting, moment_of, owner, show, twins
from cloud_collector.web.portal.invoices import step_told
from cloud_collector.web.portal.opened import Under, under
from cloud_collector.web.site import Look, Moment, Site
from cloud_collector.web.table import Cell, Column, Table, row
from shared.errors import DatabaseError, MetersealError

_LINES: Final = (
    Column(title="What", key="charge", wrap=True),
    Column(title="Kind", key="kind"),
    Column(title="Device", key="device"),
    Column(title="Quantity", key="quantity", number=True),
    Column(title="Unit", key="unit"),
    Column(title="Amount", key="amount", number=True),
    Column(title="Currency", key="currency", unseen=True),
    Column(title="Line", key="line", unseen=True),
)


def add(router: APIRouter, site: Site) -> None:
    """The pages are served."""
    _add_lines(router, site)
    _add_line(router, site)


def _add_lines(router: APIRouter, site: Site) -> None:
    path = "/portal/{account}/cost/{contract}"

    def found(look: Look, parts: Mapping[str, str]) -> tuple[Charged, list[NamedLine]]:
        made = _charged(look, parts)
        return made, lines_of(made.draft, **_asked(parts))

    def sheet(look: Look, parts: Mapping[str, str]) -> Table:
        people = locale_named(owner(look.store, parts["account"]).locale)
        return _lines(parts, *found(look, parts), people)

    twins(router, site, path, sheet, lambda look, parts: [each.to_json() for each in found(look, parts)[1]])

    @router.get(path, include_in_schema=False)
    def made(request: Request, account: str, contract: str, viewer: Visiting) -> Response:
        with site.look() as look:
            people = locale_named(owner(look.store, account).locale)
            parts = {**request.query_params, **request.path_params}
            whole, lines = found(look, parts)
            page = pager(request, len(lines))
            table = _lines(parts, whole, lines[page.rows], people)
            told = {
                "pager": page,
                "asked": _asked(parts),
                "ended": _ended(parts, whole.period, moment_of(look, account)),
                "all": table.path + _also(parts),
                "net": people.amount(as_written(_net(lines)), whole.draft.currency),
                "query": f"?{request.url.query}" if request.url.query else "",
            }
            answer = show(request, look, account, "made.html", title=f"Cost of {contract}", table=table, told=told)
        looked(site, request, viewer, account, f"lines of {contract}")
        return answer


def _add_line(router: APIRouter, site: Site) -> None:
    path = "/portal/{account}/cost/{contract}/{line}"

    def opened(look: Look, parts: Mapping[str, str]) -> Opened:
        return _opened(look, parts, None)

    twins(
        router,
        site,
        path,
        lambda look, parts: opened(look, parts).under.devices,
        lambda look, parts: opened(look, parts).to_json(),
    )

    @router.get(path, include_in_schema=False)
    def one(request: Request, account: str, contract: str, line: str, viewer: Visiting) -> Response:
        with site.look() as look:
            parts = {**request.query_params, **request.path_params}
            found = _opened(look, parts, request)
            path, command = f"/portal/{account}/cost/{contract}/{line}", f"cloud-collector cost {contract}"
            table = replace(found.under.devices, path=path, command=command)
            told = _told(look, parts, found) | {"query": f"?{request.url.query}" if request.url.query else ""}
            answer = show(request, look, account, "opened.html", title=found.found.line.charge, table=table, told=told)
        looked(site, request, viewer, account, f"line {line} of {contract}")
        return answer


def _charged(look: Look, parts: Mapping[str, str]) -> Charged:
    """The contract in its running period, or in one that ended; raises Closed: it is another's (P20), or none is."""
    owner(look.store, parts["account"])
    known = revisions(look.store)
    held = known[-1].catalog.contracts.get(parts["contract"])
    if held is None or held.account != parts["account"]:
        raise gate.Closed(404, gate.NOT_THERE)
    try:
        found = charged(look.store, known, held.key, look.moment.now_ms, parts.get("period", ""), memory=look.kept)
    except DatabaseError:
        raise
    except MetersealError as error:
        # P19: never guess.
        raise gate.Closed(409, str(error)) from error
    if found is None:
        raise gate.Closed(404, gate.NOT_THERE)
    return found


def _also(parts: Mapping[str, str]) -> str:
    """What an address says of a period that has ended."""
    return f"?{urlencode({'period': parts['period']})}" if parts.get("period") else ""


def _ended(parts: Mapping[str, str], period: Period, moment: Moment) -> str:
    """The days of a period that has ended; empty: it runs."""
    return f"{moment.day(period.start)} to {moment.day(period.end - 1)}" if parts.get("period") else ""


def _asked(parts: Mapping[str, str]) -> dict[str, str]:
    """Of which charge, which device, or under which tax lines are asked for; all where nothing is."""
    return {name: parts.get(name, "") for name in ("charge", "device", "tax")}


def _net(lines: list[NamedLine]) -> Decimal:
    return sum((each.line.amount for each in lines), Decimal(0))


def _lines(parts: Mapping[str, str], whole: Charged, lines: list[NamedLine], people: Locale) -> Table:
    account, contract = parts["account"], parts["contract"]
    base, code = f"/portal/{account}/cost/{contract}", whole.draft.currency
    return Table(
        title="Lines",
        path=base,
        command=f"cloud-collector cost {contract}",
        empty="Nothing costs anything yet.",
        columns=_LINES,
        rows=tuple(_line(f"{base}/{each.name}{_also(parts)}", account, each, code, people) for each in lines),
    )


def _line(link: str, account: str, named: NamedLine, code: str, people: Locale) -> tuple[Cell, ...]:
    line = named.line
    device = "" if line.device is None else f"/portal/{account}/devices/{line.device}"
    unit = "" if line.unit == "1" else line.unit
    return row(
        _LINES,
        Cell(text=line.charge, value=line.charge, note=line.why, link=link),
        Cell(text=line.kind.value.replace("_", " "), value=line.kind.value),
        Cell(text=line.device or "", value=line.device, link=device),
        Cell(text=people.number(plain(line.quantity)), value=plain(line.quantity), link=link),
        Cell(text=unit, value=line.unit),
        Cell(text=people.amount(as_written(line.amount), code), value=as_written(line.amount), link=link),
        Cell(text=code, value=code),
        Cell(text=named.name, value=named.name),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """One line with all that stands under it."""

    found: OpenedDraft
    under: Under

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            **self.found.named.to_json(),
            **self.under.to_json(),
            "beside": [each.name for each in self.found.beside],
        }


def _opened(look: Look, parts: Mapping[str, str], request: Request | None) -> Opened:
    """A line of the draft; raises Closed: 404 where there is none of that name now, 409 where nobody can say."""
    account, made = parts["account"], _charged(look, parts)
    try:
        found = made.opened(parts["line"])
    except DatabaseError:
        raise
    except MetersealError as error:
        raise gate.Closed(409, str(error)) from error
    if found is None:
        raise gate.Closed(404, gate.NOT_THERE)
    return Opened(found=found, under=under(account, found.rests, moment_of(look, account), request))


def _told(look: Look, parts: Mapping[str, str], found: Opened) -> dict[str, Any]:
    account, contract = parts["account"], parts["contract"]
    people, moment = locale_named(owner(look.store, account).locale), moment_of(look, account)
    line, draft = found.found.line, found.found.draft
    path, also = f"/portal/{account}/cost/{contract}", _also(parts)
    unit = "" if line.unit == "1" else line.unit
    return {
        "under": found.under,
        "why": line.why,
        "amount": people.amount(as_written(line.amount), draft.currency),
        "quantity": f"{people.number(plain(line.quantity))} {unit}".strip(),
        "price": "" if line.unit_price is None else people.number(as_written(line.unit_price)),
        "time": (moment.time(line.service_start), moment.time(line.service_end)),
        "steps": [step_told(dict(step), line.unit, people) for step in line.steps],
        "beside": [(each.line.why, f"{path}/{each.name}{also}") for each in found.found.beside[:_BESIDE_MAX]],
        "crumbs": [("This month", f"/portal/{account}"), (f"Cost of {contract}", path + also)],
        "notes": [(_ALL_COUNT, path + also)] if line.kind is LineKind.TRUE_UP else [],
    }


_ALL_COUNT: Final = "Every line of the contract counts towards it."
_BESIDE_MAX: Final = 20
"""Lines that are named beside one."""
