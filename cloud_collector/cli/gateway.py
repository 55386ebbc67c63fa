"""`cloud-collector gateway`: which gateways are known, their keys, how their chains stand."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from cloud_collector.cli.key import read_public
from cloud_collector.cli.opened import Json, ending, opened, say, settings
from cloud_collector.fleet.gateways import add_gateway, names, nearest
from cloud_collector.fleet.holes import complete_until, missing
from cloud_collector.fleet.invitations import standings
from cloud_collector.fleet.orders import told
from cloud_collector.fleet.positions import chain_of
from cloud_collector.store.store import Store
from shared.effects.clock import SystemClock
from shared.errors import InvalidRecord
from shared.grammar import GATEWAY_PATTERN

COMMANDS_SHOWN: Final = 20
_SHORT_CHARS: Final = 16
_STANDING: Final = {
    "invited": ", and has not claimed its code: `edge-agent enrol` there",
    "expired": ", its code was not used in time: `cloud-collector gateway invite {name}`",
    "pending": ", a key awaits acceptance: `cloud-collector gateway accept {name} --words`",
}
"""What people have to do next."""

app = typer.Typer(no_args_is_help=True, help="Gateways and their keys.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="The gateway's id.")]


@app.command()
@ending
def add(
    name: Name,
    key: Annotated[Path, typer.Option("--key", help="The gateway's public key (PEM), from `edge-agent key show`.")],
    json_: Json = False,
) -> None:
    """Example: `cloud-collector gateway add house-7 --key house-7.pub`.

    Enrol a gateway's key; the same again changes nothing. Compare the words with those on the gateway.
    """
    if GATEWAY_PATTERN.fullmatch(name) is None:
        say(f"{name!r} is no gateway id: at most 32 lower case letters, digits and hyphens, no hyphen at the ends")
        raise typer.Exit(2)
    public = read_public(key)
    with opened(settings(), make=True) as store:
        try:
            before = [row[0] for row in store.rows("gateway_keys", name)]
            new = add_gateway(store, name, public, SystemClock().utc_ms())
        except InvalidRecord as error:
            say(str(error))
            raise typer.Exit(4) from None
    if json_:
        print(json.dumps({"gateway": name, "key": public.id, "words": public.words, "new": new}))
    else:
        print(f"{name}: key {public.id} {'enrolled' if new else 'was enrolled already'}\n{public.words}")
    if new and before and not json_:
        say(f"{name} had {', '.join(before)} before, and either may sign from now on")


@app.command("list")
@ending
def list_(json_: Json = False) -> None:
    """Example: `cloud-collector gateway list --json`.

    Every gateway: invited, expired, pending, enrolled or revoked, how many lines it has sealed and when it last spoke.
    """
    with opened(settings()) as store:
        states = standings(store, SystemClock().utc_ms())
        parked = store.rows("gateways_parked")
        rows = [
            {
                "gateway": row[0],
                "state": states.pop(row[0]),
                "added_at": iso(row[1]),
                "keys": row[2],
                "lines": (row[3] << 32) + row[4],
                "logs_with_holes": row[5],
                "alarms": row[6],
                "parked": (row[0],) in parked,
                "last_line_at": iso(row[7]),
            }
            for row in store.rows("gateway_summary")
        ]
    unheard: dict[str, Any] = {"added_at": None, "keys": 0, "lines": 0, "logs_with_holes": 0, "alarms": 0}
    unheard |= {"parked": False, "last_line_at": None}
    rows += [{"gateway": name, "state": state, **unheard} for name, state in states.items()]
    rows.sort(key=lambda row: str(row["gateway"]))
    show_rows(rows, as_json=json_, empty="no gateway has been invited yet: `cloud-collector gateway invite`")


@app.command()
@ending
def show(name: Name, json_: Json = False) -> None:
    """Example: `cloud-collector gateway show house-7`.

    One gateway: its keys, its chains with their holes, its alarms, up to when it is complete.
    """
    with opened(settings()) as store:
        state = standings(store, SystemClock().utc_ms()).get(name)
        if state is None:
            raise not_known(store, name)
        found = {"state": state} | _gateway(store, name)
    if json_:
        print(json.dumps(found, indent=2, ensure_ascii=False))
        return
    print(f"{name}: {state}{_STANDING.get(state, '').format(name=name)}")
    whole = f"complete until {found['complete_until']}" if found["complete_until"] else "nothing accepted yet"
    print(f"{whole}, {found['refused']} lines refused")
    if found["parked"]:
        print(f"PARKED: two of it speak. Look at the chains, then: cloud-collector gateway adopt {name} EPOCH")
    for title in ("keys", "revoked", "chains", "adopted", "commands", "alarms"):
        if found[title]:
            print(f"\n{title}")
            show_rows(found[title], as_json=False, empty="")


def _gateway(store: Store, name: str) -> dict[str, Any]:
    until = complete_until(store, name)
    refused = store.row("refusals_of", name)
    return {
        "gateway": name,
        "complete_until": None if until is None else iso(until * 1000),
        "refused": 0 if refused is None else refused[0],
        "keys": [
            {"key": row[0], "log": row[2], "epoch": row[3], "first": row[4], "last": row[5], "added_at": iso(row[6])}
            for row in store.rows("gateway_keys", name)
        ]
        + introduced_keys(store, name),
        "revoked": [
            {"key": row[0], "at": iso(row[1]), "log": row[2], "epoch": row[3], "until": row[4]}
            for row in store.rows("revocations_told", name)
        ],
        "parked": (name,) in store.rows("gateways_parked"),
        "adopted": [{"epoch": row[0], "at": iso(row[1])} for row in store.rows("adoptions_told", name)],
        "commands": [command_row(each) for each in told(store, name, COMMANDS_SHOWN)],
        "chains": [_chain(store, name, row) for row in store.rows("chains_of_gateway", name)],
        "alarms": [
            {"kind": row[0], "log": row[1], "text": row[2], "raised_at": iso(row[3])}
            for row in store.rows("alarms_of_gateway", name)
        ],
    }


def introduced_keys(store: Store, name: str) -> list[dict[str, Any]]:
    """The keys that `rotate` lines introduced, each from where on in each log."""
    return [
        {"key": row[4], "log": row[0], "epoch": row[1], "first": row[2] + 1, "last": None, "added_at": None}
        for row in store.rows("rotations_of", name)
    ]


def command_row(command: Mapping[str, Any]) -> dict[str, Any]:
    """A command for people: what, with what, when, and what became of it."""
    return {
        "counter": command["counter"],
        "do": command["do"],
        "with": " ".join(f"{key}={_short(value)}" for key, value in command["with"].items() if key != "proof"),
        "given_at": iso(command["given_at"]),
        "state": command["state"],
        "answered_at": iso(command["answered_at"]),
        "why": command["why"],
    }


def _short(value: Any) -> str:
    text = "-".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= _SHORT_CHARS else f"{text[:_SHORT_CHARS]}…"


def _chain(store: Store, name: str, row: tuple[Any, ...]) -> dict[str, Any]:
    chain = chain_of(store.rows("chain_by_name", name, row[0], row[1])[0])
    return {
        "log": row[0],
        "epoch": row[1],
        "standing": row[2],
        "through": row[4],
        "top": row[5],
        "aside": row[6],
        "missing": [list(hole) for hole in missing(store, chain)],
    }


def show_rows(rows: Sequence[Mapping[str, Any]], *, as_json: bool, empty: str) -> None:
    """Rows as JSON, or as a table for people; `empty` is said where there are none."""
    if as_json:
        print(json.dumps(rows, indent=2, ensure_ascii=False))
    elif not rows:
        say(empty)
    else:
        head = [name.replace("_", " ") for name in rows[0]]
        texts = [[_told(value) for value in row.values()] for row in rows]
        widths = [max(map(len, column)) for column in zip(head, *texts, strict=True)]
        for cells in (head, *texts):
            print("  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip())


def _told(value: Any) -> str:
    match value:
        case None | []:
            return ""
        case bool():
            return "yes" if value else "no"
        case _:
            return str(value)


def not_known(store: Store, name: str) -> typer.Exit:
    """The exit of a command that names a gateway which is not enrolled, once that is said."""
    near = nearest(name, names(store))
    say(f"there is no gateway {name}" + (f", did you mean {near}?" if near else ""))
    return typer.Exit(3)


def iso(at_ms: int | None) -> str | None:
    """RFC 3339 in UTC, to the second."""
    if at_ms is None:
        return None
    return datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
