"""Warnings: what the customer wants to be told of and who is told, and everything that was said so far."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse

from cloud_collector.access.viewer import Deed
from cloud_collector.contracts.catalog import Contract
from cloud_collector.contracts.money import as_written
from cloud_collector.contracts.period import iso
from cloud_collector.insight.wishes import Wish, WishRefused, keep_wish, read_wish, wish_of, wishes
from cloud_collector.notify.warning_words import warning_said
from cloud_collector.store.store import Store
from cloud_collector.web import gate
from cloud_collector.web.looking import looked
from cloud_collector.web.portal.frame import (
    Visiting,
    contracts_of,
    moment_of,
    owner,
    show,
    twins,
)
from cloud_collector.web.shell import fields
from cloud_collector.web.site import Look, Moment, Site
from cloud_collector.web.table import Cell, Column, Mood, Table, row

SHOWN_MAX: Final = 200
HISTORY_MAX: Final = 20
_COLUMNS: Final = (
    Column(title="When", key="at", whole=True),
    Column(title="Contract", key="contract"),
    Column(title="What", key="what", whole=True),
    Column(title="Against", key="against"),
    Column(title="Kind", key="way"),
    Column(title="Said", key="said", wrap=True),
)
Form = Annotated[dict[str, str], Depends(fields)]


def add(router: APIRouter, site: Site) -> None:
    """The pages are served."""
    path = "/portal/{account}/warnings"

    def table(look: Look, parts: Mapping[str, str]) -> Table:
        return _table(look, parts["account"])

    def facts(look: Look, parts: Mapping[str, str]) -> Any:
        asked = [wish_of(look.store, each).to_json() for each in contracts_of(look.store, parts["account"])]
        return {"wishes": asked, "warnings": table(look, parts).records()}

    twins(router, site, path, table, facts)

    @router.get(path, include_in_schema=False)
    def listed(request: Request, account: str, viewer: Visiting) -> Response:
        with site.look() as look:
            told = {
                "asked": [_filled(look, account, each) for each in contracts_of(look.store, account)],
                "wrong": "",
                "may": viewer.may(Deed.WARN),
            }
            answer = show(
                request, look, account, "warnings.html", title="Warnings", table=_table(look, account), told=told
            )
        looked(site, request, viewer, account, "warnings")
        return answer

    @router.post(f"{path}/{{contract}}", include_in_schema=False)
    def wished(request: Request, account: str, contract: str, viewer: Visiting, form: Form) -> Response:
        gate.must(viewer, Deed.WARN)
        with site.writing() as store:
            _held(store, account, contract)
            given = {name: form.get(name, "") for name in ("budget", "over", "under", "mail")}
            try:
                wish = read_wish(contract, **given)
            except WishRefused as error:
                raise gate.Closed(409, str(error)) from error
            with store.atomic():
                keep_wish(store, wish, who=viewer.name, now_ms=site.clock.utc_ms())
                gate.record(request, Deed.WARN, f"warnings of {contract}", account=account, store=store)
        return RedirectResponse(f"/portal/{account}/warnings", 303)


def _held(store: Store, account: str, contract: str) -> Contract:
    """A contract of this account; raises Closed with 404 for every other (P20)."""
    owner(store, account)
    for each in contracts_of(store, account):
        if each.key == contract:
            return each
    raise gate.Closed(404, gate.NOT_THERE)


def _filled(look: Look, account: str, contract: Contract) -> dict[str, object]:
    """What stands in a contract's form as it is read back, and what was asked for before as people read it."""
    wish, moment = wish_of(look.store, contract), moment_of(look, account)
    return {
        "contract": contract.key,
        "currency": contract.currency or "",
        "budget": "" if wish.budget is None else as_written(wish.budget),
        "over": _listed(wish.over),
        "under": _listed(wish.under),
        "mail": ", ".join(wish.mail),
        "history": [_said(each, moment) for each in wishes(look.store, contract.key, HISTORY_MAX)],
    }


def _said(wish: Wish, moment: Moment) -> dict[str, object]:
    budget = "no budget" if wish.budget is None else f"budget {moment.number(as_written(wish.budget))}"
    over, under = (", ".join(moment.number(f"{each:f}") for each in percents) for percents in (wish.over, wish.under))
    return {
        "at": wish.at_ms // 1_000,
        "who": wish.who,
        "said": f"{budget}; over {over or 'nothing'}; under {under or 'nothing'}; "
        f"{', '.join(wish.mail) or 'nobody else'} told",
    }


def _listed(found: tuple[object, ...]) -> str:
    return ", ".join(f"{each}" for each in found)


_TOLD: Final = "contract against side way percent what at figure threshold unit said period_start id".split()
"""The columns of `portal_warnings`."""


def _table(look: Look, account: str) -> Table:
    locale = owner(look.store, account).locale
    moment = moment_of(look, account)
    rows = look.store.rows("portal_warnings", account, SHOWN_MAX)
    return Table(
        title="Warnings so far",
        path=f"/portal/{account}/warnings",
        command=f"cloud-collector warnings {account}",
        empty="Nothing had to be said yet.",
        columns=_COLUMNS,
        rows=tuple(_row(dict(zip(_TOLD, each, strict=True)), moment, locale) for each in rows),
    )


def _row(told: dict[str, Any], moment: Moment, locale: str | None) -> tuple[Cell, ...]:
    at, against, side, percent = told["at"] // 1_000, told["against"], told["side"], told["percent"]
    way = "what has happened" if told["way"] == "actual" else "what is foretold"
    return row(
        _COLUMNS,
        Cell(text=moment.local(at), value=iso(at), time=True),
        Cell(text=told["contract"], value=told["contract"]),
        Cell(text=told["what"], value=told["what"], mood=Mood.WARN if told["what"] == "fired" else Mood.IDLE),
        Cell(text=f"{against}, {side} {moment.number(percent)} %", value=f"{against} {side} {percent}"),
        Cell(text=way, value=told["way"]),
        # The pages speak English; the figures in the sentence are the account's.
        Cell(text=warning_said(told, locale, "en"), value=told["said"]),
    )
