"""`cloud-collector simulate-tariff`: what history would have cost under another plan, price, threshold or ramp."""

import csv
import io
import json
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from cloud_collector.activity.activation import StateChange
from cloud_collector.billing.device_states import changes_for
from cloud_collector.billing.revisions import NoCatalog, revisions
from cloud_collector.cli.bar import counted
from cloud_collector.cli.catalog import beside
from cloud_collector.cli.opened import Json, StoreOption, ending, opened, say, settings, write_file
from cloud_collector.contracts.catalog import Catalog
from cloud_collector.contracts.change import Change, read_change
from cloud_collector.contracts.money import as_written
from cloud_collector.contracts.named_period import named_days
from cloud_collector.contracts.node import CatalogError, nearest
from cloud_collector.contracts.read import load_catalog
from cloud_collector.contracts.revision import Revision
from cloud_collector.insight.agreement import Agreement
from cloud_collector.insight.remembered import Remembered
from cloud_collector.insight.tariff import Difference, Span, difference, outliers_first, percent
from cloud_collector.store.store import Store
from cloud_collector.store.view import StoreView
from shared.effects.clock import SystemClock
from shared.errors import DatabaseError, MetersealError
from shared.inert import inert

NOT_FOUND: Final = 3
PARTLY: Final = 5
COLUMNS: Final = "account contract currency charge before after difference percent".split()
DAYS_TO: Final = ".."


@ending
def simulate_tariff(
    source: Annotated[
        Path | None,
        typer.Argument(metavar="CATALOG", help="A changed catalog: a TOML file, or a folder of them (default: as is)."),
    ] = None,
    store: StoreOption = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change the catalog, such as plans.charger.settle=24h."),
    ] = None,
    plan: Annotated[
        str | None, typer.Option("--plan", metavar="NAME", help="Put the contracts of --contract on this plan.")
    ] = None,
    contract: Annotated[
        list[str] | None, typer.Option("--contract", metavar="NAME", help="Only this one; repeatable.")
    ] = None,
    period: Annotated[
        str | None,
        typer.Option("--period", metavar="FROM..TO", help="Periods that begin there, such as 2026-07..2026-10."),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Contracts in the table.")] = 20,
    csv_: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="A row a contract's charge; `-` is standard output.")
    ] = None,
    json_: Json = False,
) -> None:
    """Example: `cloud-collector simulate-tariff --set plans.charger.activation.grace=60d --period 2026-07..2026-10`.

    Rate what was used under another catalog, by the code that rates invoices, and show who would pay how much more or
    less, outliers first. Nothing is written to the store. Exit 5 where a contract cannot be rated.
    """
    span = _span(period)
    changes = _changes(set_ or [], plan, contract)
    now = SystemClock().utc_ms() // 1000
    with opened(settings(store=store)) as held:
        known = _revisions(held)
        candidate = _candidate(source, known[-1].catalog, changes)
        names = _names(known[-1].catalog, candidate, contract)
        found: list[Difference] = []
        left_out: list[dict[str, str]] = []
        for name in counted(names, "re-rating"):
            try:
                made = difference(
                    Agreement.of(held, known, name, now),
                    candidate,
                    Remembered(StoreView(held)),
                    span,
                    _states(held, known, name, now),
                )
            except DatabaseError:
                raise
            except MetersealError as error:
                # P19: never guess; the others are compared.
                left_out.append({"contract": name, "why": str(error)})
                continue
            found.append(made)
    _told(found, left_out, limit=limit, to=csv_, json_=json_)
    if left_out:
        raise typer.Exit(PARTLY)


def _states(held: Store, known: Sequence[Revision], contract: str, now: int) -> list[StateChange]:
    return [change for change in changes_for(held, known[-1].catalog, (contract,)) if change.at <= now]


def _told(found: list[Difference], left_out: list[dict[str, str]], *, limit: int, to: Path | None, json_: bool) -> None:
    for each in left_out:
        say(f"{each['contract']} is left out: {each['why']}")
    if to is not None:
        write_file(to, as_csv(found).encode())
    if json_:
        print(json.dumps(as_json(found, left_out), indent=2, ensure_ascii=False))
    elif to is None or str(to) != "-":
        print(table(found, limit))


def as_json(found: Sequence[Difference], left_out: Sequence[dict[str, str]]) -> dict[str, Any]:
    """Everything: sums by currency, accounts and contracts with what differs most first."""
    groups = outliers_first(found)
    return {
        "totals": [_sum(code, [each for each in found if each.currency == code]) for code in _currencies(found)],
        "accounts": [{"account": account} | _sum(code, held) for account, code, held in groups],
        "contracts": [each.to_json() for _, _, held in groups for each in held],
        "left_out": list(left_out),
    }


def as_csv(found: Sequence[Difference]) -> str:
    """A row for each contract's charge, net; then its tax and its total."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for account, code, held in outliers_first(found):
        for each in held:
            tax = (each.before.total - each.before.net, each.after.total - each.after.net)
            total = (each.before.total, each.after.total)
            for name, before, after in [*each.charges, ("(tax)", *tax), ("(total)", *total)]:
                figures = [as_written(amount) for amount in (before, after, after - before)]
                writer.writerow(
                    [account, each.contract, code, inert(name), *figures, percent(before, after - before) or ""]
                )
    return out.getvalue()


def table(found: Sequence[Difference], limit: int) -> str:
    """For people: accounts, contracts and charges that differ, largest difference first, totals with tax."""
    differing = [each for each in found if each.amount or any(row[1] != row[2] for row in each.charges)]
    shown = {each.contract for _, _, held in outliers_first(differing) for each in held[:limit]}
    rows: list[tuple[str, str, str, str, str]] = []
    left = limit
    for account, code, held in outliers_first(differing):
        if left <= 0:
            break
        rows.append(_row(account, held, code))
        for each in [one for one in held if one.contract in shown][:left]:
            rows += _contract(each)
            left -= 1
    for code in _currencies(found):
        rows.append(_row("all", [each for each in found if each.currency == code], code))
    said = _laid_out(rows)
    same = len(found) - len(differing)
    more = len(differing) - (limit - max(left, 0))
    said.append("")
    said.append(
        f"{len(found)} contract{'s' * (len(found) != 1)} re-rated: "
        f"{len(differing)} would pay another amount, {same} the same"
    )
    if more > 0:
        said.append(f"{more} more differ: --limit {len(differing)}, --csv FILE or --json shows them")
    return "\n".join(said)


def _contract(each: Difference) -> list[tuple[str, str, str, str, str]]:
    rows = [_row(f"  {each.contract}", [each], each.currency)]
    rows += [
        _figures(f"    {name}, net", before, after, each.currency)
        for name, before, after in each.charges
        if before != after
    ]
    if each.moved:
        count = len(each.moved)
        rows.append((f"    {count} device{'s' * (count != 1)} billed from another day", "", "", "", ""))
    return rows


def _row(name: str, held: Sequence[Difference], code: str) -> tuple[str, str, str, str, str]:
    before = sum((each.before.total for each in held), Decimal(0))
    return _figures(name, before, sum((each.after.total for each in held), Decimal(0)), code)


def _figures(name: str, before: Decimal, after: Decimal, code: str) -> tuple[str, str, str, str, str]:
    share = percent(before, after - before)
    return (
        name,
        as_written(before),
        as_written(after),
        f"{after - before:+f} {code}",
        "new" if share is None else f"{share} %",
    )


def _laid_out(rows: Sequence[tuple[str, str, str, str, str]]) -> list[str]:
    table = [("", "as agreed", "as tried", "difference", ""), *rows]
    widths = [max(len(row[column]) for row in table) for column in range(5)]
    return [
        f"{row[0]:<{widths[0]}}"
        + "".join(f"  {cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True))
        for row in table
    ]


def _sum(code: str, held: Sequence[Difference]) -> dict[str, Any]:
    before = sum((each.before.total for each in held), Decimal(0))
    amount = sum((each.amount for each in held), Decimal(0))
    return {
        "currency": code,
        "before": as_written(before),
        "after": as_written(before + amount),
        "difference": as_written(amount),
        "percent": percent(before, amount),
    }


def _currencies(found: Sequence[Difference]) -> list[str]:
    return sorted({each.currency for each in found})


def _changes(texts: Sequence[str], plan: str | None, contracts: Sequence[str] | None) -> list[Change]:
    try:
        changes = [read_change(text) for text in texts]
    except CatalogError as error:
        raise _ended(str(error), 2) from None
    if plan is None:
        return changes
    if not contracts:
        raise _ended("--plan needs --contract: whose plan is to be another", 2)
    said = [
        Change(path=("contracts", name, "plan"), value=plan, said=f"contracts.{name}.plan={plan}") for name in contracts
    ]
    return [*changes, *said]


def _candidate(source: Path | None, newest: Catalog, changes: Sequence[Change]) -> Catalog:
    """The catalog that is tried out; ends the command with 2 where it breaks a rule."""
    files = {"the catalog in force": newest.text}
    try:
        if source is not None:
            paths = sorted(source.glob("*.toml")) if source.is_dir() else [source]
            files = {str(path): path.read_bytes().decode("utf-8") for path in paths}
        return load_catalog(files, beside, changes)
    except OSError as error:
        raise _ended(f"{error.filename}: {error.strerror}", 2) from None
    except UnicodeDecodeError:
        raise _ended(f"{source}: the catalog is not UTF-8 text", 2) from None
    except CatalogError as error:
        raise _ended(str(error), 2) from None


def _names(newest: Catalog, candidate: Catalog, wanted: Sequence[str] | None) -> list[str]:
    for name in wanted or ():
        if name not in newest.contracts:
            raise _ended(f"the catalog has no contract {name}{nearest(name, newest.contracts)}", NOT_FOUND)
    names = [name for name in sorted(newest.contracts) if wanted is None or name in wanted]
    for name in names:
        if name not in candidate.contracts:
            say(f"{name} is not in the catalog that is tried out, and is left out")
    return [name for name in names if name in candidate.contracts]


def _span(period: str | None) -> Span:
    if period is None:
        return Span()
    first, _, last = period.partition(DAYS_TO)
    try:
        return Span(first=named_days(first)[0], last=named_days(last or first)[1])
    except ValueError as error:
        raise _ended(f"--period: {error}; or two of them with .. between, such as 2026-07..2026-10", 2) from None


def _revisions(held: Store) -> Sequence[Revision]:
    try:
        return revisions(held)
    except NoCatalog as error:
        raise _ended(str(error), NOT_FOUND) from None


def _ended(sentence: str, code: int) -> typer.Exit:
    say(sentence)
    return typer.Exit(code)
