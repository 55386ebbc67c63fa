"""`cloud-collector gateway command` and `gateway adopt`: what an operator asks of a gateway, and decides about it."""

import json
import re
from pathlib import Path
from typing import Annotated, Final

import typer

from cloud_collector.cli.gateway import Name, not_known
from cloud_collector.cli.opened import Json, ending, opened, read_key, say, settings
from cloud_collector.fleet.decisions import adopt_epoch
from cloud_collector.fleet.orders import give_order, give_sealed
from cloud_collector.intake.replay import rejudge
from cloud_collector.store.store import Store
from shared.command import Order, ReadNow, Resend, RotateKey, SetInterval, trust_order
from shared.effects.clock import SystemClock
from shared.errors import InvalidRecord

Given = dict[str, str]
FORMS: Final = {
    "resend": "log=main epoch=5f2c91aa seq=5-9",
    "read_now": "",
    "rotate_key": "",
    "set_interval": "step=60 count=15",
    "trust_key": "next=NEXT.pem [by=KEY.pem]",
}
_RANGE: Final = re.compile(r"([0-9]{1,16})-([0-9]{1,16})", re.ASCII)


@ending
def command(
    name: Name,
    do: Annotated[
        str, typer.Argument(metavar="ORDER", help="resend, read_now, rotate_key, set_interval or trust_key.")
    ],
    details: Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="What the order needs.")] = None,
    json_: Json = False,
) -> None:
    """Example: `cloud-collector gateway command house-7 set_interval step=60 count=15`.

    Ask something of a gateway. The running collector sends it until it is answered; `gateway show` has the answer.
    """
    if do not in FORMS:
        say(f"{do!r} is no order: {', '.join(FORMS)}")
        raise typer.Exit(2)
    given = _given(do, details or [])
    now_ms = SystemClock().utc_ms()
    known = settings()
    with opened(known) as store:
        _require_known(store, name)
        try:
            if do == "trust_key":
                following, by = read_key(Path(given["next"])), read_key(Path(given.get("by") or known.key_file))
                counter = give_sealed(store, name, lambda epoch, n: trust_order(name, epoch, n, following), by, now_ms)
            else:
                counter = give_order(store, name, _order(do, given), now_ms)
        except InvalidRecord as error:
            say(str(error))
            raise typer.Exit(4) from None
    if json_:
        print(json.dumps({"gateway": name, "counter": counter, "do": do}))
    else:
        print(f"{name}: command {counter}, {do}, is kept and will be sent by the running collector")


@ending
def adopt(
    name: Name,
    epoch: Annotated[str, typer.Argument(help="The epoch, as `gateway show` lists it.")],
    json_: Json = False,
) -> None:
    """Example: `cloud-collector gateway adopt house-7 5f2c91aa`.

    Decide that this epoch is the gateway's own, after two of them spoke; its account is billed again.
    """
    known = settings()
    with opened(known) as store:
        _require_known(store, name)
        try:
            adopt_epoch(store, name, epoch, SystemClock().utc_ms())
        except InvalidRecord as error:
            say(str(error))
            raise typer.Exit(3) from None
        rejudge(store, known)
        chains = store.rows("chains_of_gateway", name)
    beside = sorted({row[1] for row in chains if row[2] in ("cloned", "disowned")})
    if json_:
        print(json.dumps({"gateway": name, "epoch": epoch, "set_apart": beside}))
        return
    print(f"{name}: {epoch} is its own, and nothing parks its account any more")
    if beside:
        say(f"set apart are {', '.join(beside)}: where they were another machine's, revoke that machine's key")


def _require_known(store: Store, name: str) -> None:
    if store.row("gateway_one", name) is None:
        raise not_known(store, name)


def _given(do: str, details: list[str]) -> Given:
    form = FORMS[do]
    wanted = set(re.findall(r"(\w+)=", form))
    needed = set(re.findall(r"(\w+)=", form.partition("[")[0]))
    given = dict(each.partition("=")[::2] for each in details)
    if not needed <= set(given) <= wanted or len(given) < len(details):
        say(f"{do} is given as: cloud-collector gateway command NAME {do} {form}".rstrip())
        raise typer.Exit(2)
    return given


def _order(do: str, given: Given) -> Order:
    """The order that was spelled; ends the command with 2 where it cannot be one."""
    try:
        match do:
            case "resend":
                first, last = _range(given["seq"])
                return Resend(log=given["log"], epoch=given["epoch"], first=first, last=last)
            case "set_interval":
                return SetInterval(step=_number("step", given), count=_number("count", given))
            case "rotate_key":
                return RotateKey()
            case _:
                return ReadNow()
    except InvalidRecord as error:
        say(str(error))
        raise typer.Exit(2) from None


def _range(text: str) -> tuple[int, int]:
    asked = _RANGE.fullmatch(text)
    if asked is None:
        raise InvalidRecord(f"seq is a range such as 5-9, not {text[:40]!r}")
    return int(asked[1]), int(asked[2])


def _number(name: str, given: Given) -> int:
    if not given[name].isdecimal() or len(given[name]) > 9:
        raise InvalidRecord(f"{name} is a number, not {given[name][:40]!r}")
    return int(given[name])
