"""`cloud-collector catalog`: check a catalog, apply it as the next revision, list what was applied."""

import json
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar
from zoneinfo import ZoneInfo

import typer

from cloud_collector.billing import revisions
from cloud_collector.billing.billable import CannotBill, require_billable
from cloud_collector.cli.opened import Json, StoreOption, ending, opened, say, settings
from cloud_collector.contracts.catalog import Catalog
from cloud_collector.contracts.node import CatalogError
from cloud_collector.contracts.period import boundary, iso
from cloud_collector.contracts.read import load_catalog
from shared.effects.clock import SystemClock

_Made = TypeVar("_Made")

app = typer.Typer(no_args_is_help=True, help="Prices, accounts and contracts, applied in numbered revisions.")

Source = Annotated[Path, typer.Argument(help="A TOML file, or a folder of them.")]


@app.command()
@ending
def check(source: Source, json_: Json = False) -> None:
    """Example: `cloud-collector catalog check catalog.toml`.

    Read the catalog and say what is in it; the first mistake is named with file, line and nearest key. Exit 2.
    """
    catalog = read_catalog(source)
    _print_json(_summary(catalog)) if json_ else print(_sentence(catalog))


@app.command()
@ending
def apply(
    source: Source,
    store: StoreOption = None,
    effective: Annotated[
        str | None,
        typer.Option(metavar="DATE", help="Plans rate periods that begin on this local date or later (default: now)."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would happen and change nothing.")] = False,
    json_: Json = False,
) -> None:
    """Example: `cloud-collector catalog apply catalog.toml --effective 2026-11-01`.

    Keep the catalog as the next revision, byte for byte. New plan terms apply from the next period on; accounts,
    contracts and devices at once.
    """
    catalog = read_catalog(source)
    effective_at = None if effective is None else _instant(effective, catalog.operator.timezone)
    if dry_run:
        with opened(settings(store=store)) as held:
            _refusing(lambda: require_billable(held, catalog))
        _print_json(_summary(catalog)) if json_ else print(f"would apply: {_sentence(catalog)}")
        return
    with opened(settings(store=store)) as held:
        now = SystemClock().utc_ms()
        applied = _refusing(lambda: revisions.apply(held, catalog, now_ms=now, effective_at=effective_at))
    answer = {
        "revision": applied.number,
        "sha256": applied.sha256,
        "effective_at": iso(applied.effective_at),
        "new": applied.new,
    }
    if json_:
        _print_json(answer | _summary(catalog))
    elif applied.new:
        print(f"revision {applied.number} is in force from {iso(applied.effective_at)}: {_sentence(catalog)}")
    else:
        print(f"revision {applied.number} says the same already: nothing changed")


@app.command(name="list")
@ending
def list_(store: StoreOption = None, json_: Json = False) -> None:
    """Example: `cloud-collector catalog list`.

    Every revision that was ever applied.
    """
    with opened(settings(store=store)) as held:
        rows = held.rows("catalog_revisions")
    if json_:
        _print_json([{"revision": row[0], "sha256": row[1], "effective_at": iso(row[2])} for row in rows])
        return
    for number, digest, effective_at, _ in rows:
        print(f"{number:>6}  {iso(effective_at)}  {digest}")
    if not rows:
        say("no catalog has been applied yet")


def read_catalog(source: Path) -> Catalog:
    """The catalog of a file, or of a folder's `*.toml`; ends the command with 2 where it breaks a rule."""
    paths = sorted(source.glob("*.toml")) if source.is_dir() else [source]
    try:
        # Bytes, not text: line ends are kept as they are, so that the hash is the file's.
        return load_catalog({str(path): path.read_bytes().decode("utf-8") for path in paths}, beside)
    except OSError as error:
        say(f"{error.filename}: {error.strerror}")
    except UnicodeDecodeError:
        say(f"{source}: the catalog is not UTF-8 text")
    except CatalogError as error:
        say(str(error))
    raise typer.Exit(2)


def _refusing(act: Callable[[], _Made]) -> _Made:
    """What billing cannot do ends the command with 2, and nothing is applied."""
    try:
        return act()
    except CannotBill as error:
        say(str(error))
        raise typer.Exit(2) from None


def beside(toml: str, name: str) -> str:
    """The text of a file that stands beside a TOML file, or where its name leads from there."""
    return (Path(toml).parent / name).read_bytes().decode("utf-8")


def _instant(text: str, timezone: str) -> int:
    try:
        return boundary(timezone, date.fromisoformat(text))
    except ValueError:
        try:
            return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(timezone)).timestamp())
        except ValueError:
            say(f"--effective {text}: write a date such as 2026-11-01")
            raise typer.Exit(2) from None


def _summary(catalog: Catalog) -> dict[str, Any]:
    return {
        "hash": catalog.hash,
        "plans": len(catalog.plans),
        "accounts": len(catalog.accounts),
        "contracts": len(catalog.contracts),
        "devices": sum(len(contract.devices) for contract in catalog.contracts.values()),
    }


def _sentence(catalog: Catalog) -> str:
    figures = _summary(catalog)
    names = ("plans", "accounts", "contracts", "devices")
    counted = ", ".join(f"{figures[name]} {name[: -1 if figures[name] == 1 else None]}" for name in names)
    return f"{counted}, sha256 {catalog.hash}"


def _print_json(answer: Any) -> None:
    print(json.dumps(answer, indent=2, ensure_ascii=False))
