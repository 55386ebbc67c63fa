"""Contracts: the plan in words, what it costs so far, and what a change of the plan would have cost whom."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from fastapi import APIRouter

from cloud_collector.billing.revisions import NoCatalog, revisions
from cloud_collector.contracts.catalog import Catalog, Contract
from cloud_collector.contracts.node import CatalogError
from cloud_collector.contracts.revision import Revision
from cloud_collector.insight.device_index import device_index
from cloud_collector.insight.device_list import device_list
from cloud_collector.insight.ledger import SoFar, so_far
from cloud_collector.insight.plan_words import plan_words
from cloud_collector.insight.what_if import WhatIf, alike, asked_changes, asked_span, what_if
from cloud_collector.store.view import StoreView
from cloud_collector.web.console.accounts import costs_table, waiting_for
from cloud_collector.web.console.cells import count, money, text
from cloud_collector.web.console.devices import table as device_table
from cloud_collector.web.console.screen import Ask, NotThere, Screen, serve, web_path
from cloud_collector.web.site import Look, Site
from cloud_collector.web.table import Cell, Column, Mood, Table, row

PAGE_ROWS: Final = 100
DEVICES_SHOWN: Final = 20
_CONTRACTS: Final = (
    Column(title="Contract", key="contract"),
    Column(title="Account", key="account"),
    Column(title="Plan", key="plan"),
    Column(title="Devices", key="devices", number=True),
    Column(title="Begins", key="start", whole=True),
    Column(title="Ends", key="end", whole=True),
    Column(title="State", key="parked", whole=True),
)
_DIFFERENCES: Final = (
    Column(title="Contract", key="contract"),
    Column(title="Account", key="account"),
    Column(title="Periods", key="periods", number=True),
    Column(title="As agreed", key="before", number=True),
    Column(title="As tried", key="after", number=True),
    Column(title="Difference", key="difference", number=True),
    Column(title="Most by", key="charge", wrap=True),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractSheet:
    """Everything about one contract."""

    contract: str
    account: str
    plan: str
    words: tuple[str, ...]
    so_far: SoFar
    parked: str
    """Why it cannot be billed; empty: it can."""
    preview: WhatIf | None


def add(router: APIRouter, site: Site) -> None:
    """The pages are served."""
    serve(router, site, "/contracts", _screen)
    serve(router, site, "/contracts/{contract}", _one)


def _screen(look: Look, ask: Ask) -> Screen:
    try:
        catalog = revisions(look.store)[-1].catalog
    except NoCatalog:
        found: list[Contract] = []
        table = _table([], {}, None)
    else:
        parked = {contract: reason for contract, _, reason, _ in look.store.rows("parked")}
        sought, after = ask.text("q").casefold(), ask.text("after")
        found = [
            each
            for name, each in sorted(catalog.contracts.items())
            if name > after and (sought in name.casefold() or sought in each.account.casefold())
        ]
        table = _table(found if ask.whole else found[:PAGE_ROWS], parked, catalog)
    further = found[PAGE_ROWS - 1].key if len(found) > PAGE_ROWS else ""
    return Screen(
        title="Contracts",
        data=table.records(),
        table=table,
        template="console/list.html",
        told={
            "lead": "A catalog in TOML says what was agreed; a change of it is the next revision.",
            "q": ask.text("q"),
            "label": "Contract's or account's key contains",
            "further": ask.also(after=further) if further else "",
            "first": ask.also(after="") if ask.text("after") else "",
        },
    )


def _table(found: Sequence[Contract], parked: dict[str, str], catalog: Catalog | None) -> Table:
    counts = {} if catalog is None else device_index(catalog).counts
    return Table(
        title="Contracts",
        path="/contracts",
        command="cloud-collector contract list",
        empty="No contract is like that."
        if catalog is not None
        else "No contract yet. Write one into the catalog, then: cloud-collector catalog apply catalog.toml",
        columns=_CONTRACTS,
        rows=tuple(
            row(
                _CONTRACTS,
                text(each.key, link=web_path("contracts", each.key)),
                text(each.account, link=web_path("accounts", each.account)),
                text(each.plan.name, shown=each.plan.title or each.plan.name),
                count(counts.get(each.key, 0)),
                text(each.start.isoformat()),
                text("" if each.end is None else each.end.isoformat()),
                Cell(
                    text="parked" if each.key in parked else "billed",
                    value=parked.get(each.key, ""),
                    mood=Mood.BAD if each.key in parked else Mood.GOOD,
                ),
            )
            for each in found
        ),
    )


def _one(look: Look, ask: Ask) -> Screen:
    name, moment = ask.part("contract"), look.moment
    known = revisions(look.store)
    catalog = known[-1].catalog
    contract = catalog.contracts.get(name)
    if contract is None:
        raise NotThere(f"there is no contract {name[:64]}")
    (cost,) = so_far(look.store, known, [name], moment.now_ms, look.kept, wait=ask.waits)
    preview, why = _preview(look, ask, known, contract)
    row_ = look.store.row("is_parked", name)
    currency = contract.currency or catalog.accounts[contract.account].currency or contract.plan.currency
    sheet = ContractSheet(
        contract=name,
        account=contract.account,
        plan=contract.plan.name,
        words=tuple(plan_words(contract.plan, currency or catalog.operator.currency)),
        so_far=cost,
        parked="" if row_ is None else row_[0],
        preview=preview,
    )
    path = web_path("contracts", name)
    devices = device_list(
        look.store, StoreView(look.store), known, moment.now, contract=name, rows=DEVICES_SHOWN, memory=look.kept
    )
    return Screen(
        title=name,
        data=sheet,
        table=_differences(preview, path, ask)
        if preview
        else costs_table([cost], path, f"cloud-collector cost {name}"),
        template="console/contract.html",
        of=frozenset({contract.account}),
        told={
            "sheet": sheet,
            "contract": contract,
            "account": catalog.accounts[contract.account],
            "costs": costs_table([cost], path, ""),
            "further": waiting_for([cost], ask),
            "devices": device_table(devices, moment, ""),
            "many": device_index(catalog).counts.get(name, 0),
            "plans": sorted(set(catalog.plans) - {contract.plan.name}),
            "asked": {each: ask.text(each) for each in ("plan", "set", "from", "to", "whom")},
            "preview": preview,
            "preview_table": None if preview is None else _differences(preview, path, ask),
            "wrong": why,
            "charges": [each.name for each in contract.plan.charges],
        },
    )


def _preview(look: Look, ask: Ask, known: Sequence[Revision], contract: Contract) -> tuple[WhatIf | None, str]:
    """What the form asks for, or why it cannot be told."""
    try:
        changes = asked_changes(contract.key, ask.text("plan"), ask.text("set"))
        if not changes:
            return None, ""
        span = asked_span(ask.text("from"), ask.text("to"))
        whom = [contract.key] if ask.text("whom") == "this" else alike(known[-1].catalog, contract.key)
        return what_if(look.store, StoreView(look.store), known, changes, whom, span, look.moment.now), ""
    except (CatalogError, ValueError) as error:
        return None, str(error)


def _differences(found: WhatIf, path: str, ask: Ask) -> Table:
    asked: dict[str, Any] = {name: ask.text(name) for name in ("set", "plan")}
    flags = " ".join(f"--set {change}" for change in found.said)
    return Table(
        title="What it would have cost",
        path=path,
        command=f"cloud-collector simulate-tariff {flags}" if any(asked.values()) else "",
        empty="Nothing would be different.",
        columns=_DIFFERENCES,
        rows=tuple(
            row(
                _DIFFERENCES,
                text(each.contract, link=web_path("contracts", each.contract)),
                text(each.account),
                count(each.after.periods),
                money(each.before.total, each.currency),
                money(each.after.total, each.currency),
                money(each.amount, each.currency, signed=True),
                text(
                    ", ".join(
                        f"{name} {after - before:+,f}" for name, before, after in each.charges[:2] if after != before
                    )
                ),
            )
            for each in found.found
        ),
    )
