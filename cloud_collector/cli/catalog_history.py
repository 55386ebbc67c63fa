"""`cloud-collector catalog diff|export|show`: what a catalog changes, and what was applied."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from cloud_collector.billing.billable import CannotBill, require_billable
from cloud_collector.billing.revisions import NoCatalog, revisions
from cloud_collector.cli.catalog import (
    Effective,
    changes_told,
    effective_instant,
    key_place,
    read_catalog,
    summary,
)
from cloud_collector.cli.gateway import show_rows
from cloud_collector.cli.opened import Json, StoreOption, ending, opened, say, settings, write_file
from cloud_collector.contracts.catalog import Catalog
from cloud_collector.contracts.difference import differences
from cloud_collector.contracts.money import as_written
from cloud_collector.contracts.period import iso
from cloud_collector.contracts.revision import Revision
from cloud_collector.store.store import Store
from shared.effects.clock import SystemClock

NOT_FOUND: Final = 3

Number = Annotated[int | None, typer.Argument(help="A revision's number (default: the newest).", show_default=False)]


@ending
def diff(
    source: Annotated[str, typer.Argument(help="A TOML file, a folder of them, or the number of a revision.")],
    against: Annotated[
        str | None,
        typer.Option(
            metavar="WHAT",
            help="A revision, a file or a folder (default: the newest revision, or the one before the number).",
        ),
    ] = None,
    store: StoreOption = None,
    effective: Effective = None,
    json_: Json = False,
) -> None:
    """Example: `cloud-collector catalog diff catalog.toml --effective 2026-12-01`.

    What would change: contracts, devices, prices and terms, each with the date from which it is billed so. Between a
    file and what is applied, between two revisions, or between two files; nothing is changed.
    """
    if against is not None and not _is_number(source) and not _is_number(against):
        old, new = read_catalog(Path(against)), read_catalog(Path(source))
        at = effective_instant(effective, new) if effective else SystemClock().utc_ms() // 1000
        _print(old, new, at, [_named(None, old), _named(None, new)], json_=json_)
        return
    with opened(settings(store=store)) as held:
        known = _revisions(held)
        if _is_number(source):
            chosen = _numbered(known, source)
            new, newer = chosen.catalog, chosen.number
            at = effective_instant(effective, new) if effective else chosen.effective_at
        else:
            new, newer = read_catalog(Path(source)), None
            at = effective_instant(effective, new) if effective else SystemClock().utc_ms() // 1000
        older = _older(known, against, newer)
        old = read_catalog(Path(against or "")) if older is None else older.catalog
        _print(old, new, at, [_named(older, old), _named(chosen if newer else None, new)], json_=json_)
        if newer is None:
            _say_refusal(held, new, source)


@ending
def export(
    number: Number = None,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where to (default: standard output).")] = Path(
        "-"
    ),
    store: StoreOption = None,
) -> None:
    """Example: `cloud-collector catalog export --out catalog.toml`.

    Write an applied revision back, byte for byte: one file, also where a folder was applied. Applied again, it changes
    nothing.
    """
    with opened(settings(store=store)) as held:
        known = _revisions(held)
        content = (known[-1] if number is None else _numbered(known, str(number))).catalog.text.encode()
    write_file(out, content)


@ending
def show(number: Number = None, store: StoreOption = None, json_: Json = False) -> None:
    """Example: `cloud-collector catalog show`.

    An applied revision: its number and hash, since when it is in effect, and every contract with its plan and devices.
    """
    with opened(settings(store=store)) as held:
        known = _revisions(held)
        chosen = known[-1] if number is None else _numbered(known, str(number))
        applied = {row[0]: row[2] for row in held.rows("catalog_applied")}[chosen.number]
        catalog = chosen.catalog
    head = {
        "revision": chosen.number,
        "applied_at": iso(applied // 1000),
        "effective_at": iso(chosen.effective_at),
        **summary(catalog),
    }
    rows = [_contract(catalog, name) for name in sorted(catalog.contracts)]
    if json_:
        told = [row | agreed(catalog, str(row["contract"])) for row in rows]
        print(json.dumps(head | {"contracts": told}, indent=2, ensure_ascii=False))
        return
    print(f"revision {chosen.number}, applied {head['applied_at']}, in effect from {head['effective_at']}")
    print(f"sha256 {catalog.hash}\n")
    show_rows(rows, as_json=False, empty="it has no contracts")


def _contract(catalog: Catalog, name: str) -> dict[str, Any]:
    found = catalog.contracts[name]
    return {
        "contract": name,
        "account": found.account,
        "plan": found.plan.name,
        "start": found.start.isoformat(),
        "end": None if found.end is None else found.end.isoformat(),
        "devices": len(found.devices),
        "amendments": ", ".join(f"{each.start} {each.plan.name}" for each in found.amendments),
    }


def agreed(catalog: Catalog, name: str) -> dict[str, Any]:
    """What a contract agrees beside its price: what is normal, when to warn, whose the data is."""
    found = catalog.contracts[name]
    data = catalog.accounts[found.account].data
    warn = found.warn and {
        "over": [as_written(each) for each in found.warn.over],
        "under": [as_written(each) for each in found.warn.under],
    }
    owned = data and {
        "owner": data.owner,
        "purposes": list(data.purposes),
        "shared_with": list(data.shared_with),
        "keep_detail": None if data.keep_detail is None else str(data.keep_detail),
    }
    return {"budget": None if found.budget is None else as_written(found.budget), "warn": warn, "data": owned}


def _print(old: Catalog, new: Catalog, at: int, named: Sequence[dict[str, Any]], *, json_: bool) -> None:
    found = differences(old, new, effective_at=at)
    if json_:
        answer = {
            "from": named[0],
            "to": named[1],
            "effective_at": iso(at),
            "changes": [each.to_json() for each in found],
        }
        print(json.dumps(answer, indent=2, ensure_ascii=False))
    elif found:
        print("\n".join(changes_told(found)))
    else:
        print("nothing changes" if old.hash != new.hash else "it is the very same")


def _named(revision: Revision | None, catalog: Catalog) -> dict[str, Any]:
    return {"revision": None if revision is None else revision.number, "sha256": catalog.hash}


def _older(known: Sequence[Revision], against: str | None, newer: int | None) -> Revision | None:
    """The revision that something is held against; None where it is a file."""
    if against is not None:
        return _numbered(known, against) if _is_number(against) else None
    if newer is None:
        return known[-1]
    if newer == known[0].number:
        say(f"revision {newer} is the first one: name what to hold it against with --against")
        raise typer.Exit(2)
    return _numbered(known, str(newer - 1))


def _say_refusal(held: Store, catalog: Catalog, source: str) -> None:
    """That it could not be applied is said here as well."""
    try:
        require_billable(held, catalog)
    except CannotBill as error:
        say(f"cannot be applied: {key_place(Path(source), error.path)}{error}")


def _is_number(text: str) -> bool:
    return text.isdecimal() and len(text) <= 9 and not Path(text).exists()


def _numbered(known: Sequence[Revision], text: str) -> Revision:
    found = next((each for each in known if each.number == int(text)), None)
    if found is None:
        say(f"there is no revision {text}; the newest is {known[-1].number}")
        raise typer.Exit(NOT_FOUND)
    return found


def _revisions(held: Store) -> tuple[Revision, ...]:
    try:
        return revisions(held)
    except NoCatalog as error:
        say(str(error))
        raise typer.Exit(NOT_FOUND) from None
