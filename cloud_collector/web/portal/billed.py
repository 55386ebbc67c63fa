"""A line of an issued invoice, opened: its devices and their days, and the counters that are sealed beside it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from fastapi import APIRouter, Request, Response

from cloud_collector.billing.export import Invoice
from cloud_collector.insight.billed_line import instant_of, opened_billed
from cloud_collector.invoice.locale import locale_named
from cloud_collector.store.store import Store
from cloud_collector.usage.quantity import UnlikeUnits
from cloud_collector.web import gate
from cloud_collector.web.looking import looked
from cloud_collector.web.portal.frame import Visiting, moment_of, owner, show, twins
from cloud_collector.web.portal.invoices import invoice_of, step_told
from cloud_collector.web.portal.opened import Under, reads_table, under
from cloud_collector.web.site import Look, Site
from cloud_collector.web.table import Table

_DIGITS_MAX: Final = 6


def add(router: APIRouter, site: Site) -> None:
    """The page is served."""
    path = "/portal/{account}/invoices/{number}/lines/{place}"

    def devices(look: Look, parts: Mapping[str, str]) -> Table:
        account = parts["account"]
        return _under(look, account, *_line(look.store, account, parts["number"], parts["place"]), None).devices

    def facts(look: Look, parts: Mapping[str, str]) -> Any:
        found, line = _line(look.store, parts["account"], parts["number"], parts["place"])
        return {**line, **_under(look, parts["account"], found, line, None).to_json()}

    twins(router, site, path, devices, facts)

    @router.get(path, include_in_schema=False)
    def one(request: Request, account: str, number: str, place: str, viewer: Visiting) -> Response:
        with site.look() as look:
            found, line = _line(look.store, account, number, place)
            opened = _under(look, account, found, line, request)
            told = _told(look, account, found, line, place) | {"under": opened}
            path, command = (
                f"/portal/{account}/invoices/{number}/lines/{place}",
                f"cloud-collector invoice show {number}",
            )
            table = replace(opened.devices, path=path, command=command)
            title = f"{line['charge']}, line {place} of {number}"
            answer = show(request, look, account, "opened.html", title=title, table=table, told=told)
        looked(site, request, viewer, account, f"line {place} of invoice {number}")
        return answer


def _line(store: Store, account: str, number: str, place: str) -> tuple[Invoice, dict[str, Any]]:
    """A line as it is sealed; raises Closed with 404 where the account has none such (P20)."""
    found = invoice_of(store, account, number)
    at = int(place) if place.isascii() and place.isdecimal() and len(place) <= _DIGITS_MAX else 0
    if not 1 <= at <= len(found.body["lines"]):
        raise gate.Closed(404, gate.NOT_THERE)
    return found, found.body["lines"][at - 1]


def _under(look: Look, account: str, found: Invoice, line: dict[str, Any], request: Request | None) -> Under:
    """By the sealed counters, and by what the store has of that time now."""
    nothing = Table(title="Devices", path="", command="", empty=_GONE, columns=(), rows=())
    without = Under(
        devices=nothing, reads=reads_table(account, line["reads"], moment_of(look, account)), peak=None, pager=None
    )
    rests = opened_billed(look.store, found, line, look.moment.now_ms, look.kept)
    if rests is None:
        return without
    try:
        return under(account, rests, moment_of(look, account), request)
    except UnlikeUnits:
        return without


_GONE: Final = "What it is made of stands with the line that it changes, or in the evidence."


def _told(look: Look, account: str, found: Invoice, line: dict[str, Any], place: str) -> dict[str, Any]:
    people, moment = locale_named(owner(look.store, account).locale), moment_of(look, account)
    base = f"/portal/{account}/invoices"
    unit = "" if line["unit"] == "1" else line["unit"]
    return {
        "why": line["why"],
        "amount": people.amount(line["amount"], found.body["currency"]),
        "quantity": f"{people.number(line['quantity'] or '')} {unit}".strip(),
        "price": people.number(line["unit_price"] or ""),
        "time": (moment.time(instant_of(line["service_start"])), moment.time(instant_of(line["service_end"]))),
        "steps": [step_told(step, line["unit"], people) for step in line["steps"]],
        "beside": [(why, f"{base}/{found.number}/lines/{at}") for at, why in _beside(found, line)],
        "crumbs": [("Invoices", base), (found.number, f"{base}/{found.number}")],
        "notes": [*_taken_back(base, found, place), *_before(look.store, account, found, line)],
    }


def _beside(found: Invoice, line: dict[str, Any]) -> list[tuple[int, str]]:
    """Lines of the same charge, device and time: a discount, a cap, a minimum, or what they are of."""
    same = ("charge", "device", "service_start")
    return [
        (at, other["why"])
        for at, other in enumerate(found.body["lines"], start=1)
        if other is not line and other["kind"] != line["kind"] and all(other[name] == line[name] for name in same)
    ]


def _taken_back(base: str, found: Invoice, place: str) -> list[tuple[str, str]]:
    """Of a credit note: the line that it takes back, which has the same place."""
    if "voids" not in found.body:
        return []
    taken = found.body["voids"]["number"]
    return [
        (f"It takes back line {place} of {taken}, which shows what that rested on.", f"{base}/{taken}/lines/{place}")
    ]


def _before(store: Store, account: str, found: Invoice, line: dict[str, Any]) -> list[tuple[str, str]]:
    """Earlier invoices that billed a part of the same, each with its line."""
    notes = []
    for rated in found.body["rated"]:
        for booked in rated["booked"]:
            if _same(booked["line"], line):
                earlier = invoice_of(store, account, booked["number"])
                for at, other in enumerate(earlier.body["lines"], start=1):
                    if _same(other, line):
                        path = f"/portal/{account}/invoices/{earlier.number}/lines/{at}"
                        notes.append((f"Line {at} of {earlier.number} billed {other['amount']} of it before.", path))
    return notes


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    names = ("charge", "kind", "device", "window", "service_start")
    return all((one[name] or "") == (other[name] or "") for name in names)
