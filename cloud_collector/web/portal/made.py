"""What the cost so far is made of: a contract's lines, and each of them opened onto what it rests on."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Final

from fastapi import APIRouter, Request, Response

from cloud_collector.billing.revisions import revisions
from cloud_collector.contracts.money import as_written, plain
from cloud_collector.insight.cost import Cost
from cloud_collector.insight.draft_line import OpenedDraft, lines_of, named, opened_draft
from cloud_collector.insight.grounds import line_id
from cloud_collector.insight.look import Look as Looked
from cloud_collector.insight.look import look as look_at
from cloud_collector.invoice.locale import Locale, locale_named
from cloud_collector.rating.draft import DraftLine, LineKind
from cloud_collector.store.view import StoreView
from cloud_collector.web import gate
from cloud_collector.web.looking import looked
from cloud_collector.web.paging import pager
from cloud_collector.web.portal.frame import Visiting, moment_of, owner, show, twins
from cloud_collector.web.portal.invoices import step_told
from cloud_collector.web.portal.opened import Under, under
from cloud_collector.web.site import Look, Site
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

    def found(look: Look, parts: Mapping[str, str]) -> tuple[Cost, list[DraftLine]]:
        cost = _looked(look, parts["account"], parts["contract"]).cost(foretold=False)
        return cost, lines_of(cost, **_asked(parts))

    def sheet(look: Look, parts: Mapping[str, str]) -> Table:
        people = locale_named(owner(look.store, parts["account"]).locale)
        return _lines(parts["account"], *found(look, parts), people)

    twins(router, site, path, sheet, lambda look, parts: [named(each) for each in found(look, parts)[1]])

    @router.get(path, include_in_schema=False)
    def made(request: Request, account: str, contract: str, viewer: Visiting) -> Response:
        with site.look() as look:
            people = locale_named(owner(look.store, account).locale)
            asked = _asked(request.query_params)
            cost, lines = found(look, {"account": account, "contract": contract, **asked})
            page = pager(request, len(lines))
            table = _lines(account, cost, lines[page.rows], people)
            told = {
                "cost": cost,
                "pager": page,
                "asked": asked,
                "net": people.amount(as_written(_net(lines)), cost.draft.currency),
                "query": f"?{request.url.query}" if request.url.query else "",
            }
            answer = show(request, look, account, "made.html", title=f"Cost of {contract}", table=table, told=told)
        looked(site, request, viewer, account, f"lines of {contract}")
        return answer


def _add_line(router: APIRouter, site: Site) -> None:
    path = "/portal/{account}/cost/{contract}/{line}"

    def opened(look: Look, parts: Mapping[str, str]) -> Opened:
        return _opened(look, parts["account"], parts["contract"], parts["line"], None)

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
            found = _opened(look, account, contract, line, request)
            path, command = f"/portal/{account}/cost/{contract}/{line}", f"cloud-collector cost {contract}"
            table = replace(found.under.devices, path=path, command=command)
            told = _told(look, account, found)
            answer = show(request, look, account, "opened.html", title=found.found.line.charge, table=table, told=told)
        looked(site, request, viewer, account, f"line {line} of {contract}")
        return answer


def _looked(look: Look, account: str, contract: str) -> Looked:
    """The contract in its running period; raises Closed where it is another's (P20), or none runs."""
    owner(look.store, account)
    known = revisions(look.store)
    held = known[-1].catalog.contracts.get(contract)
    if held is None or held.account != account:
        raise gate.Closed(404, gate.NOT_THERE)
    try:
        return look_at(look.store, known, contract, look.moment.now_ms, StoreView)
    except DatabaseError:
        raise
    except MetersealError as error:
        # P19: never guess.
        raise gate.Closed(409, str(error)) from error


def _asked(parts: Mapping[str, str]) -> dict[str, str]:
    """Of which charge, which device, or under which tax lines are asked for; all where nothing is."""
    return {name: parts.get(name, "") for name in ("charge", "device", "tax")}


def _net(lines: list[DraftLine]) -> Decimal:
    return sum((line.amount for line in lines), Decimal(0))


def _lines(account: str, cost: Cost, lines: list[DraftLine], people: Locale) -> Table:
    base, code = f"/portal/{account}/cost/{cost.contract}", cost.draft.currency
    return Table(
        title="Lines",
        path=base,
        command=f"cloud-collector cost {cost.contract}",
        empty="Nothing costs anything yet.",
        columns=_LINES,
        rows=tuple(_line(f"{base}/{line_id(each.key)}", account, each, code, people) for each in lines),
    )


def _line(link: str, account: str, line: DraftLine, code: str, people: Locale) -> tuple[Cell, ...]:
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
        Cell(text=line_id(line.key), value=line_id(line.key)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """One line of the cost so far with all that stands under it."""

    found: OpenedDraft
    under: Under

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            **named(self.found.line),
            **self.under.to_json(),
            "beside": [line_id(each.key) for each in self.found.beside],
        }


def _opened(look: Look, account: str, contract: str, name: str, request: Request | None) -> Opened:
    """A line of the draft; raises Closed with 404 where there is none of that name now."""
    found = opened_draft(_looked(look, account, contract), name)
    if found is None:
        raise gate.Closed(404, gate.NOT_THERE)
    return Opened(found=found, under=under(account, found.rests, moment_of(look, account), request))


def _told(look: Look, account: str, found: Opened) -> dict[str, Any]:
    people, moment = locale_named(owner(look.store, account).locale), moment_of(look, account)
    line, cost = found.found.line, found.found.cost
    path = f"/portal/{account}/cost/{cost.contract}"
    unit = "" if line.unit == "1" else line.unit
    return {
        "under": found.under,
        "why": line.why,
        "amount": people.amount(as_written(line.amount), cost.draft.currency),
        "quantity": f"{people.number(plain(line.quantity))} {unit}".strip(),
        "price": "" if line.unit_price is None else people.number(as_written(line.unit_price)),
        "time": (moment.time(line.service_start), moment.time(line.service_end)),
        "steps": [step_told(dict(step), line.unit, people) for step in line.steps],
        "beside": [(each.why, f"{path}/{line_id(each.key)}") for each in found.found.beside[:_BESIDE_MAX]],
        "crumbs": [("This month", f"/portal/{account}"), (f"Cost of {cost.contract}", path)],
        "notes": [("Every line of the contract counts towards it.", path)] if line.kind is LineKind.TRUE_UP else [],
    }


_BESIDE_MAX: Final = 20
"""Lines that are named beside one."""
