"""`cloud-collector invoice void|paid` and `credit`: what is done to a document once it was issued."""

import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Annotated, Final, TypeVar

import typer

from cloud_collector.billing.accounts import NotPossible, Standing, open_credits, require_name
from cloud_collector.billing.accounts import pay as pay_invoice
from cloud_collector.billing.accounts import pay_out as pay_out_credit
from cloud_collector.billing.approval import Approval
from cloud_collector.billing.archive import ArchiveConflict, ArchiveFailed
from cloud_collector.billing.export import NoSuchInvoice
from cloud_collector.billing.issue import BillingRefused
from cloud_collector.billing.prepare import draft_rebill, draft_void
from cloud_collector.billing.rebill import Rebilling, rebill_draft
from cloud_collector.billing.rebill import rebill as rebill_invoice
from cloud_collector.billing.void import Voiding
from cloud_collector.billing.void import void as void_invoice
from cloud_collector.cli.billing import biller_of, told_draft
from cloud_collector.cli.invoice import Number
from cloud_collector.cli.opened import (
    FolderOption,
    Json,
    KeyOption,
    StoreOption,
    archive,
    ending,
    opened,
    say,
    settings,
    signing_key,
)
from shared.effects.clock import SystemClock

NOT_FOUND: Final = 3
REFUSED: Final = 4
PARTLY: Final = 5
credit = typer.Typer(no_args_is_help=True, help="Credit of accounts: list what is open, record what was paid out.")

As = Annotated[str, typer.Option("--as", metavar="NAME", help="Who does this; it is kept.")]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Printed on the credit note.")]
Amount = Annotated[str | None, typer.Option("--amount", metavar="A", help="A part of it (default: all that is open).")]
Day = Annotated[str | None, typer.Option("--on", metavar="DAY", help="The day, such as 2026-11-20 (default: today).")]
Reference = Annotated[str, typer.Option("--reference", metavar="TEXT", help="The bank's, say.")]
T = TypeVar("T")


@ending
def void(
    number: Number,
    reason: Reason,
    as_: As,
    store: StoreOption = None,
    key: KeyOption = None,
    folder: FolderOption = None,
    json_: Json = False,
) -> None:
    """Example: `cloud-collector invoice void INV-7 --reason "Wrong tariff" --as Anna`.

    Take an invoice back in full by a credit note with a number of its own; the invoice's number stays used. What was
    not paid of it is settled by that, what was paid becomes credit of the account. Nothing is billed anew by this.
    """
    known = settings(store=store, key=key, folder=folder)
    signing = signing_key(known)
    voiding = Voiding(number=number, reason=reason, by=as_)
    with opened(known) as held:
        now_ms = SystemClock().utc_ms()
        if Approval(known.billing.approval) is not Approval.NONE:
            run = done(lambda: draft_void(held, number, reason=reason, by=as_, at=now_ms // 1000))
            _say_drafted(run, number, json_=json_)
            return
        issued = done(lambda: void_invoice(held, voiding, now_ms=now_ms, key=signing, archive=archive(known)))
    if json_:
        print(json.dumps({"voided": number, "credit_note": issued.number}))
        return
    print(f"{issued.number} takes back {number} in full")
    say(f"bill its period again with: cloud-collector invoice rebill {number}")


@ending
def rebill(
    number: Number,
    as_: As,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be issued.")] = False,
    store: StoreOption = None,
    key: KeyOption = None,
    folder: FolderOption = None,
    json_: Json = False,
) -> None:
    """Example: `cloud-collector invoice rebill INV-7 --as Anna`.

    Bill the period of an invoice that was taken back again, by the catalog as it is in force for it now: what is not
    booked of it and of earlier ones, as the next revision with a number of its own.
    """
    known = settings(store=store, key=key, folder=folder)
    biller = biller_of(known)
    asked = Rebilling(number=number, by=as_)
    with opened(known) as held:
        now_ms = SystemClock().utc_ms()
        if dry_run:
            draft = done(lambda: rebill_draft(held, number, now_ms=now_ms, means=biller))
            print(json.dumps(draft.to_json(), indent=2, ensure_ascii=False) if json_ else told_draft(draft))
            return
        if biller.approval is not Approval.NONE:
            drafted = done(lambda: draft_rebill(held, number, by=as_, now_ms=now_ms, means=biller))
            _say_drafted(drafted, number, json_=json_)
            return
        issued = done(lambda: rebill_invoice(held, asked, now_ms=now_ms, means=biller))
    if json_:
        print(json.dumps({"rebilled": number, "number": None if issued is None else issued.number}))
    elif issued is None:
        print(f"nothing of the period of {number} is missing: what it billed stands on other invoices")
    else:
        print(f"{issued.number} replaces {number}")


@ending
def paid(
    number: Number,
    as_: As,
    amount: Amount = None,
    on: Day = None,
    reference: Reference = "",
    store: StoreOption = None,
    json_: Json = False,
) -> None:
    """Example: `cloud-collector invoice paid INV-7 --on 2026-11-20 --as Anna`.

    Record that an invoice was paid, wholly or in part.
    """
    with opened(settings(store=store)) as held:
        now = done(
            lambda: pay_invoice(held, number, amount=_amount(amount), at=_day(on), by=require_name(as_), note=reference)
        )
    _say_standing(now, json_=json_)


@credit.command("list")
@ending
def list_(store: StoreOption = None, json_: Json = False) -> None:
    """Example: `cloud-collector credit list`.

    Every credit note of which something is left: it is set off against the account's next invoices.
    """
    with opened(settings(store=store)) as held:
        rows = open_credits(held)
    if json_:
        print(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    for row in rows:
        print(f"{row['account']:<16} {row['number']:<12} {row['open']:>12} {row['currency']} of {row['total'][1:]}")
    if not rows:
        say("no account has credit")


@credit.command("pay-out")
@ending
def pay_out(
    number: Number,
    as_: As,
    amount: Amount = None,
    on: Day = None,
    reference: Reference = "",
    store: StoreOption = None,
    json_: Json = False,
) -> None:
    """Example: `cloud-collector credit pay-out INV-CN-2 --as Anna`.

    Record that what is left of a credit note was paid to the customer, wholly or in part; it is set off no more.
    """
    with opened(settings(store=store)) as held:
        now = done(
            lambda: pay_out_credit(
                held, number, amount=_amount(amount), at=_day(on), by=require_name(as_), note=reference
            )
        )
    _say_standing(now, json_=json_)


def _say_drafted(run: int | None, number: str, *, json_: bool) -> None:
    if json_:
        print(json.dumps({"of": number, "run": run}))
    elif run is None:
        print(f"nothing of the period of {number} is missing: what it billed stands on other invoices")
    else:
        print(f"run {run} drafts it; it is issued once it is approved")
        say(f"approve it with: cloud-collector billing approve {run}")


def done(act: Callable[[], T]) -> T:
    """What it comes to; ends the command with 3 for an unknown number, 4 where it is refused, 5 to go on later."""
    try:
        return act()
    except NoSuchInvoice as error:
        say(str(error))
        raise typer.Exit(NOT_FOUND) from None
    except (NotPossible, BillingRefused, ArchiveConflict) as error:
        say(str(error))
        raise typer.Exit(REFUSED) from None
    except ArchiveFailed as error:
        say(f"{error}. It is issued: `cloud-collector billing run` writes the file when that is possible")
        raise typer.Exit(PARTLY) from None


def _say_standing(now: Standing, *, json_: bool) -> None:
    if json_:
        told = {"number": now.number, "kind": now.kind.value, "state": now.state.value, "open": format(now.open, "f")}
        print(json.dumps(told))
        return
    print(f"{now.number} is {now.state.value}" + (f", {now.open:f} open" if now.open else ""))


def _amount(text: str | None) -> Decimal | None:
    if text is None:
        return None
    try:
        found = Decimal(text)
    except InvalidOperation:
        found = None
    if found is None or not found.is_finite():
        say(f"--amount {text[:32]}: write a decimal such as 12.50")
        raise typer.Exit(2)
    return found


def _day(text: str | None) -> int:
    if text is None:
        return SystemClock().utc_ms() // 1000
    try:
        day = date.fromisoformat(text)
    except ValueError:
        say(f"--on {text[:32]}: write a day such as 2026-11-20")
        raise typer.Exit(2) from None
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
