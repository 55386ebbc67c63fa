"""`cloud-collector quote`: rate a period from files, without a collector."""

import json
import os
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from cloud_collector.cli.catalog import read_catalog
from cloud_collector.cli.opened import say
from cloud_collector.contracts.catalog import Catalog
from cloud_collector.contracts.node import nearest
from cloud_collector.contracts.terms import UnknownContract, terms_of
from cloud_collector.rating.booking import Booking, bookings_of, period_start_of
from cloud_collector.rating.csv_facts import BadRow, instant_ms_of, read_states, read_usage
from cloud_collector.rating.draft import Draft
from cloud_collector.rating.quote import NoPeriod, Question
from cloud_collector.rating.quote import quote as answer
from cloud_collector.usage.quantity import UnlikeUnits
from cloud_collector.usage.span import Span

_Read = TypeVar("_Read")
UNKNOWN_DEVICES_SAID_MAX = 5


def quote(
    *,
    catalog: Annotated[Path, typer.Option("--catalog", help="A TOML file, or a folder of them.")],
    contract: Annotated[str, typer.Option("--contract", help="The contract's name in the catalog.")],
    usage: Annotated[
        Path, typer.Option("--usage", help="CSV: device,meter,start,end,quantity and optionally received_at.")
    ],
    period: Annotated[
        str,
        typer.Option(
            "--period",
            help="2026-10, 2026-10-05, 2026-W41, 2026-Q4, 2026, or START/END as local dates, END exclusive.",
        ),
    ],
    as_of: Annotated[
        str | None, typer.Option("--as-of", metavar="T", help="An instant: rows received later are ignored.")
    ] = None,
    booked: Annotated[
        list[Path] | None, typer.Option("--booked", help="An earlier answer (JSON): only what differs is printed.")
    ] = None,
    states: Annotated[Path | None, typer.Option("--states", help="CSV: device,state,at.")] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print the draft as JSON.")] = False,
) -> None:
    """Example: `cloud-collector quote --catalog catalog.toml --contract acme --usage usage.csv --period 2026-10`.

    Rate one billing period from files, by the very code that rates invoices. Without --as-of the period is rated as
    closed, with everything that the file holds.
    """
    book = read_catalog(catalog)
    try:
        terms = terms_of(book, contract)
    except UnknownContract as error:
        raise _ended(f"{error}{nearest(contract, book.contracts)}", 3) from None
    spans = _read(usage, lambda text: read_usage(text, str(usage), book.meters))
    _name_unknown_devices(book, spans, usage)
    answers = [_read(path, lambda text: _answer(text, contract)) for path in booked or ()]
    question = Question(
        period=period,
        spans=spans,
        states=[] if states is None else _read(states, lambda text: read_states(text, str(states))),
        booked=[booking for _, bookings in answers for booking in bookings],
        booked_from=min((start for start, _ in answers), default=None),
        as_of=None if as_of is None else _as_of(as_of),
    )
    try:
        draft = answer(terms, question)
    except NoPeriod as error:
        raise _ended(str(error), 3) from None
    except ValueError as error:
        raise _ended(f"--period: {error}", 2) from None
    except UnlikeUnits as error:
        raise _ended(f"{usage}: {error}", 2) from None
    if json_:
        print(json.dumps(draft.to_json(), indent=2, ensure_ascii=False))
    else:
        print(table(draft))


def table(draft: Draft) -> str:
    """The draft for people: a line an amount with its reason below, then net, taxes and total."""
    body = draft.to_json()
    span = body["period"]
    rows = [f"{draft.contract}  {draft.period.first} to {draft.period.last} (exclusive), {span['timezone']}", ""]
    width = max([len(_label(line)) for line in body["lines"]] + [24])
    money = max(len(text) for text in (body["total"], body["net"], *(line["amount"] for line in body["lines"])))
    for line in body["lines"]:
        rows.append(f"{_label(line):<{width}}  {line['amount']:>{money}} {draft.currency}")
        rows.append(f"  {line['why']}")
        rows += [f"    {_step(step)}" for step in line["steps"]]
    if not body["lines"]:
        rows.append("nothing to bill")
    rows += ["", f"{'net':<{width}}  {body['net']:>{money}} {draft.currency}"]
    for tax in body["taxes"]:
        label = f"{tax['name']} {tax['percent']} % on {tax['base']}"
        rows.append(f"{label:<{width}}  {tax['amount']:>{money}} {draft.currency}")
    rows.append(f"{'total':<{width}}  {body['total']:>{money}} {draft.currency}")
    return "\n".join(rows)


def _label(line: dict[str, Any]) -> str:
    named = ", ".join(each for each in (line["charge"], line["device"], line["window"]) if each is not None)
    return named if line["kind"] in {"subscription", "usage", "one_time"} else f"{named} ({line['kind']})"


def _step(step: dict[str, Any]) -> str:
    """A step as people write a sum."""
    match step:
        case {"included": True, "quantity": quantity}:
            return f"{quantity} included"
        case {"state": state, "days": days, "of": of, "price": price, "amount": amount}:
            return f"{days} of {of} days {state} at {price} = {amount}"
        case {"state": state, "seconds": seconds, "of": of, "price": price, "amount": amount}:
            return f"{seconds} of {of} seconds {state} at {price} = {amount}"
        case {"packages": packages, "size": size, "price": price, "amount": amount}:
            return f"{packages} packages of {size} at {price} = {amount}"
        case {"share": share, "of": of, "amount": amount}:
            return f"a share of {share} in {of} = {amount}"
        case {"committed": committed, "counted": counted, "amount": amount}:
            return f"{committed} committed - {counted} that counts = {amount}"
        case {"quantity": quantity, "flat": flat, "amount": amount}:
            return f"at {quantity}: {flat} = {amount}"
        case {"quantity": quantity, "price": price, "amount": amount}:
            return f"{quantity} at {price} = {amount}"
        case {"quantity": quantity, "percent": percent, "amount": amount}:
            return f"{percent} % of {quantity} = {amount}"
        case _:
            return ", ".join(f"{key} {value}" for key, value in step.items())


def _answer(text: str, contract: str) -> tuple[int, tuple[Booking, ...]]:
    """Where an earlier answer's period begins, and what it booked."""
    earlier = json.loads(text, parse_float=Decimal)
    if earlier["contract"] != contract:
        raise ValueError(f"it is an answer for the contract {earlier['contract']!r}")
    return period_start_of(earlier), bookings_of(earlier)


def _as_of(text: str) -> int:
    try:
        return instant_ms_of(text)
    except ValueError as error:
        raise _ended(f"--as-of: {error}", 2) from None


def _name_unknown_devices(book: Catalog, spans: list[Span], usage: Path) -> None:
    """A device of no contract is not billed, and that is said."""
    known = {device.id for contract in book.contracts.values() for device in contract.devices}
    seen = {
        f"{span.channel.gateway}/{span.channel.device}" if span.channel.gateway else span.channel.device
        for span in spans
    }
    unknown = sorted(seen - known)
    for device in unknown[:UNKNOWN_DEVICES_SAID_MAX]:
        say(f"{usage}: {device} is a device of no contract, and is not billed{nearest(device, known)}")
    if len(unknown) > UNKNOWN_DEVICES_SAID_MAX:
        say(f"{usage}: {len(unknown) - UNKNOWN_DEVICES_SAID_MAX} more devices of no contract are not billed")


def _read(path: Path, parse: Callable[[str], _Read]) -> _Read:
    try:
        return parse(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise _ended(f"{path}: {os.strerror(error.errno or 0)}", 2) from None
    except BadRow as error:
        raise _ended(str(error), 2) from None
    except UnicodeDecodeError:
        raise _ended(f"{path}: this is not UTF-8 text", 2) from None
    except (ValueError, KeyError, TypeError) as error:
        raise _ended(f"{path}: this is no earlier answer of quote for this contract: {error}", 2) from None


def _ended(sentence: str, code: int) -> typer.Exit:
    say(sentence)
    return typer.Exit(code)
