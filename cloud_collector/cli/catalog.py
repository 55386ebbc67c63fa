"""`cloud-collector catalog`: check a catalog, apply it as the next revision, list what was applied."""

import json
from collections.abc import Callable, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar
from zoneinfo import ZoneInfo

import typer

from cloud_collector.billing import revisions
from cloud_collector.billing.billable import CannotBill, require_billable
from cloud_collector.cli.gateway import show_rows
from cloud_collector.cli.opened import Json, StoreOption, ending, opened, say, settings
from cloud_collector.contracts.catalog import Catalog
from cloud_collector.contracts.difference import Difference, differences, written
from cloud_collector.contracts.node import CatalogError
from cloud_collector.contracts.period import boundary, iso
from cloud_collector.contracts.read import load_catalog
from cloud_collector.store.store import Store
from shared.effects.clock import SystemClock
from shared.places import places

_Made = TypeVar("_Made")

app = typer.Typer(no_args_is_help=True, help="Prices, accounts and contracts, applied in numbered revisions.")

Effective = Annotated[
    str | None,
    typer.Option(
        "--effective",
        metavar="DATE",
        help="Plans rate periods that begin on this local date or later (default: now).",
    ),
]
CHANGE_CHARS_MAX: Final = 160
"""How much of a value is printed for people; JSON has all of it."""
CONTRACTS_SAID_MAX: Final = 4
Source = Annotated[Path, typer.Argument(help="A TOML file, or a folder of them.")]


@app.command()
@ending
def check(source: Source, json_: Json = False) -> None:
    """Example: `cloud-collector catalog check catalog.toml`.

    Read the catalog and say what is in it; the first mistake is named with file, line and nearest key. Exit 2.
    """
    catalog = read_catalog(source)
    _print_json(summary(catalog)) if json_ else print(_sentence(catalog))


@app.command()
@ending
def apply(
    source: Source,
    store: StoreOption = None,
    effective: Effective = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would happen and change nothing.")] = False,
    json_: Json = False,
) -> None:
    """Example: `cloud-collector catalog apply catalog.toml --effective 2026-11-01`.

    Say what changes, and keep the catalog as the next revision, byte for byte. New plan terms apply from the next
    period on; accounts, contracts and devices at once.
    """
    catalog = read_catalog(source)
    effective_at = None if effective is None else effective_instant(effective, catalog)
    with opened(settings(store=store)) as held:
        now = SystemClock().utc_ms()
        changes = _changes(held, catalog, now // 1000 if effective_at is None else effective_at)
        told = {"changes": [each.to_json() for each in changes]}
        if dry_run:
            _refusing(source, lambda: require_billable(held, catalog))
            if json_:
                _print_json(summary(catalog) | told)
            else:
                print("\n".join([*changes_told(changes), f"would apply: {_sentence(catalog)}"]))
            return
        applied = _refusing(source, lambda: revisions.apply(held, catalog, now_ms=now, effective_at=effective_at))
    answer = {
        "revision": applied.number,
        "sha256": applied.sha256,
        "effective_at": iso(applied.effective_at),
        "new": applied.new,
    }
    if json_:
        _print_json(answer | summary(catalog) | told)
    elif applied.new:
        print("\n".join(changes_told(changes)), end="\n" if changes else "")
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
        rows = [
            {
                "revision": number,
                "applied_at": iso(applied_at // 1000),
                "effective_at": iso(effective_at),
                "bytes": len(content),
                "sha256": digest,
            }
            for number, digest, applied_at, effective_at, content in held.rows("catalog_applied")
        ]
    show_rows(rows, as_json=json_, empty="no catalog has been applied yet")


def read_catalog(source: Path) -> Catalog:
    """The catalog of a file, or of a folder's `*.toml`; ends the command with 2 where it breaks a rule."""
    try:
        # Bytes, not text: line ends are kept as they are, so that the hash is the file's.
        return load_catalog({str(path): path.read_bytes().decode("utf-8") for path in _paths(source)}, beside)
    except OSError as error:
        say(f"{error.filename}: {error.strerror}")
    except UnicodeDecodeError:
        say(f"{source}: the catalog is not UTF-8 text")
    except CatalogError as error:
        say(str(error))
    raise typer.Exit(2)


def effective_instant(text: str, catalog: Catalog) -> int:
    """The instant at which a local date of the operator begins, or the one that is written; else ends the command."""
    return _instant(text, catalog.operator.timezone)


def changes_told(changes: Sequence[Difference]) -> list[str]:
    """Changes for people: what, from what to what, and from when on."""
    found = []
    for each in changes:
        found.append(f"{_SIGNS[each.what]} {each.key}{_values(each)}")
        found.append(f"    {each.effect.words}{_since(each)}")
    return found


def key_place(source: Path, path: Sequence[str]) -> str:
    """`catalog.toml:41: ` for the key, or the nearest one above it; nothing where it stands in no file."""
    found = [
        (depth, f"{file}:{lines[key]}: ")
        for file in _paths(source)
        if (lines := places(file.read_text(encoding="utf-8")))
        for depth in range(2, len(path) + 1)
        if (key := tuple(path[:depth])) in lines
    ]
    return max(found, default=(0, ""))[1]


_SIGNS: Final = {"added": "+", "removed": "-", "changed": "~", "moved": ">"}


def _values(each: Difference) -> str:
    before, after = (
        "" if value is None or value == {} else _short(written(value)) for value in (each.before, each.after)
    )
    match each.what:
        case "changed":
            return f"  {before} → {after}"
        case "moved":
            return f"  moves to {each.moved_to}  {after}".rstrip()
        case _:
            return f"  {before or after}".rstrip()


def _short(text: str) -> str:
    return text if len(text) <= CHANGE_CHARS_MAX else f"{text[:CHANGE_CHARS_MAX]}…"


def _since(each: Difference) -> str:
    dated = [f"{name} {day or 'with its next period'}" for name, day in each.since.items()]
    if not dated:
        return ""
    more = len(dated) - CONTRACTS_SAID_MAX
    return ": " + ", ".join(dated[:CONTRACTS_SAID_MAX]) + (f" and {more} more" if more > 0 else "")


def _changes(held: Store, catalog: Catalog, effective_at: int) -> tuple[Difference, ...]:
    """Against the newest revision; nothing where there is none."""
    newest = held.row("catalog_newest")
    if newest is None:
        return ()
    return differences(revisions.revisions(held)[-1].catalog, catalog, effective_at=effective_at)


def _refusing(source: Path, act: Callable[[], _Made]) -> _Made:
    """What billing cannot do ends the command with 2, and nothing is applied."""
    try:
        return act()
    except CannotBill as error:
        say(f"{key_place(source, error.path)}{error}")
        raise typer.Exit(2) from None


def _paths(source: Path) -> list[Path]:
    return sorted(source.glob("*.toml")) if source.is_dir() else [source]


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


def summary(catalog: Catalog) -> dict[str, Any]:
    """How much is in it, and its hash."""
    return {
        "hash": catalog.hash,
        "plans": len(catalog.plans),
        "accounts": len(catalog.accounts),
        "contracts": len(catalog.contracts),
        "devices": sum(len(contract.devices) for contract in catalog.contracts.values()),
    }


def _sentence(catalog: Catalog) -> str:
    figures = summary(catalog)
    names = ("plans", "accounts", "contracts", "devices")
    counted = ", ".join(f"{figures[name]} {name[: -1 if figures[name] == 1 else None]}" for name in names)
    return f"{counted}, sha256 {catalog.hash}"


def _print_json(answer: Any) -> None:
    print(json.dumps(answer, indent=2, ensure_ascii=False))
