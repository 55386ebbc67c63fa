"""Accounts: who pays, what they owe, what their running periods cost so far."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from fastapi import APIRouter

from cloud_collector.billing.issued import Issued, issued_rows
from cloud_collector.billing.revisions import NoCatalog, revisions
from cloud_collector.contracts.catalog import Account
from cloud_collector.insight.ledger import AccountRow, SoFar, account_rows, so_far
from cloud_collector.web.console.cells import DASH, count, money, text
from cloud_collector.web.console.invoices import table as invoice_table
from cloud_collector.web.console.screen import Ask, NotThere, Screen, serve, web_path
from cloud_collector.web.console.warnings import Warned, standing_warnings
from cloud_collector.web.site import Look, Moment, Site
from cloud_collector.web.table import Cell, Column, Mood, Table, row

PAGE_ROWS: Final = 100
INVOICES_SHOWN: Final = 12
_ACCOUNTS: Final = (
    Column(title="Account", key="account"),
    Column(title="Name", key="name", unseen=True),
    Column(title="Contracts", key="contracts", number=True),
    Column(title="Devices", key="devices", number=True),
    Column(title="Open", key="open", number=True),
    Column(title="Credit", key="credit", number=True),
    Column(title="Parked", key="parked", number=True),
)
_SO_FAR: Final = (
    Column(title="Contract", key="contract"),
    Column(title="Devices", key="devices", number=True),
    Column(title="So far, with tax", key="total", number=True),
    Column(title="Forecast", key="forecast", number=True),
    Column(title="Budget, net", key="budget", number=True),
    Column(title="Note", key="why", wrap=True),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountSheet:
    """Everything about one account."""

    account: str
    details: Account
    contracts: tuple[SoFar, ...]
    invoices: tuple[Issued, ...]
    warnings: tuple[Warned, ...]


def add(router: APIRouter, site: Site) -> None:
    """The pages are served."""
    serve(router, site, "/accounts", _screen)
    serve(router, site, "/accounts/{account}", _one)


def _screen(look: Look, ask: Ask) -> Screen:
    try:
        found = account_rows(look.store, revisions(look.store)[-1].catalog, ask.text("q"))
    except NoCatalog:
        found = []
    after = ask.text("after")
    ahead = [each for each in found if (each.name.casefold(), each.account) > _cursor(after)] if after else found
    shown = ahead if ask.whole else ahead[:PAGE_ROWS]
    further = f"{shown[-1].name.casefold()}\n{shown[-1].account}" if len(ahead) > len(shown) else ""
    return Screen(
        title="Accounts",
        data=shown,
        table=_table(shown),
        template="console/list.html",
        told={
            "lead": f"{len(found):,} accounts. Open is what is issued and not paid.",
            "q": ask.text("q"),
            "label": "Account's name contains",
            "further": ask.also(after=further) if further else "",
            "first": ask.also(after="") if after else "",
        },
    )


def _cursor(after: str) -> tuple[str, str]:
    name, _, key = after.partition("\n")
    return name, key


def _table(found: Sequence[AccountRow]) -> Table:
    return Table(
        title="Accounts",
        path="/accounts",
        command="cloud-collector account list",
        empty="No account is like that.",
        columns=_ACCOUNTS,
        rows=tuple(
            row(
                _ACCOUNTS,
                text(each.account, shown=each.name, note=each.account, link=web_path("accounts", each.account)),
                text(each.name),
                count(each.contracts),
                count(each.devices),
                _sums(each.open),
                _sums(each.credit),
                Cell(text=str(each.parked), value=each.parked, mood=Mood.BAD if each.parked else None),
            )
            for each in found
        ),
    )


def _sums(found: Mapping[str, Decimal]) -> Cell:
    said = ", ".join(f"{amount:,f} {currency}" for currency, amount in sorted(found.items()))
    return Cell(text=said or DASH, value=" ".join(f"{amount:f} {code}" for code, amount in sorted(found.items())))


def _one(look: Look, ask: Ask) -> Screen:
    key, moment = ask.part("account"), look.moment
    known = revisions(look.store)
    catalog = known[-1].catalog
    account = catalog.accounts.get(key)
    if account is None:
        raise NotThere(f"there is no account {key[:64]}")
    names = sorted(name for name, contract in catalog.contracts.items() if contract.account == key)
    costs = so_far(look.store, known, names, moment.now_ms, look.kept, wait=ask.waits)
    issued = issued_rows(look.store, account=key, rows=INVOICES_SHOWN)
    warned = standing_warnings(look.store, names, moment.now)
    sheet = AccountSheet(
        account=key, details=account, contracts=tuple(costs), invoices=tuple(issued), warnings=tuple(warned)
    )
    path = web_path("accounts", key)
    return Screen(
        title=account.name,
        data=sheet,
        table=costs_table(costs, path, f"cloud-collector cost {key}"),
        template="console/account.html",
        of=frozenset({key}),
        told={
            "sheet": sheet,
            "account": account,
            "key": key,
            "invoices": invoice_table(issued, moment, path="", title="Invoices"),
            "known_until": _age(costs, moment),
            "further": waiting_for(costs, ask),
        },
    )


def waiting_for(found: Sequence[SoFar], ask: Ask) -> str:
    """Where this page is with what it was shown without; empty: nothing is missing."""
    return ask.also(wait="true") if any(each.cost is not None and each.cost.later for each in found) else ""


def costs_table(found: Sequence[SoFar], path: str, command: str) -> Table:
    """What contracts cost so far."""
    return Table(
        title="This period",
        path=path,
        command=command,
        empty="It has no contract.",
        columns=_SO_FAR,
        rows=tuple(_so_far(each) for each in found),
    )


def _so_far(each: SoFar) -> tuple[Cell, ...]:
    link = web_path("contracts", each.contract)
    name = text(each.contract, note=each.plan, link=link)
    if each.cost is None:
        return row(_SO_FAR, name, count(each.devices), money(None), text(""), money(None), text(each.why))
    draft, ahead = each.cost.draft, each.cost.forecast
    band = "" if ahead is None else f"{ahead.total.low:,f} to {ahead.total.high:,f}"
    none = "rests on many reports" if each.cost.later else "from the third day on"
    likely = none if ahead is None else f"{ahead.total.likely:,f} {draft.currency}"
    waiting, unused = len(each.cost.waiting), len(each.cost.unused)
    said = [f"{waiting} wait for first use" if waiting else "", f"{unused} not used this period" if unused else ""]
    return row(
        _SO_FAR,
        name,
        count(each.devices),
        money(draft.total, draft.currency),
        Cell(text=likely, value=None if ahead is None else f"{ahead.total.likely:f}", note=band),
        money(each.cost.budget, draft.currency if each.cost.budget is not None else ""),
        text("; ".join(filter(None, said))),
    )


def _age(found: Sequence[SoFar], moment: Moment) -> str:
    until = max((each.cost.known_until or 0 for each in found if each.cost is not None), default=0)
    return moment.since(datetime.fromtimestamp(until, UTC)) if until else ""
