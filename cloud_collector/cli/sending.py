"""`cloud-collector invoice send`: an invoice by e-mail, once."""

from typing import Annotated, Final

import typer

from cloud_collector.billing.documents import Form, written
from cloud_collector.billing.export import Invoice
from cloud_collector.billing.revisions import revisions
from cloud_collector.cli.invoice import Number, issued_invoice
from cloud_collector.cli.opened import FolderOption, KeyOption, StoreOption, ending, opened, say, settings, signing_key
from cloud_collector.notify.letter import NoAddress, letter
from cloud_collector.notify.post import smtp
from cloud_collector.notify.sending import NotSentAgain
from cloud_collector.notify.sending import send as send_once
from cloud_collector.settings import MailSettings
from cloud_collector.store.store import Store
from shared.effects.clock import SystemClock

REFUSED: Final = 4


@ending
def send(
    number: Number,
    to: Annotated[str | None, typer.Option("--to", metavar="ADDRESS", help="Default: the account's `email`.")] = None,
    again: Annotated[bool, typer.Option("--again", help="Send it though it was sent, or may have been.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the e-mail without its attachment.")] = False,
    store: StoreOption = None,
    folder: FolderOption = None,
    key: KeyOption = None,
) -> None:
    """Example: `cloud-collector invoice send INV-7`.

    Send an invoice as PDF to its account, by the server of `mail.host`. What was sent is kept, so the same command
    sends nothing a second time (4).
    """
    known = settings(store=store, key=key, folder=folder)
    mail = known.mail
    if not mail.host:
        say("no server sends e-mail: set mail.host and mail.sender in the configuration")
        raise typer.Exit(2)
    found = issued_invoice(number, known)
    operator = signing_key(known).public
    with opened(known) as held:
        recipient = to or _address(held, found)
        if recipient is None:
            say(f"accounts.{found.body['account']['id']} has no email: set it in the catalog and apply it, or add --to")
            raise typer.Exit(2)
        paper = written(held, found, Form.PDF, operator=operator, fonts=known.documents.fonts_path)
        try:
            if dry_run:
                now_ms = SystemClock().utc_ms()
                message = letter(found.body, paper, sender=mail.sender, recipient=recipient, now_ms=now_ms)
                headers = [f"{name}: {value}" for name, value in message.items()]
                part = message.get_body(("plain",))
                print("\n".join([*headers, "", "" if part is None else part.get_content()]), end="")
                return
            post = smtp(mail, _password(mail))
            send_once(held, found, paper, post, SystemClock(), sender=mail.sender, recipient=recipient, again=again)
        except NoAddress as error:
            say(str(error))
            raise typer.Exit(2) from None
        except NotSentAgain as error:
            say(str(error))
            raise typer.Exit(REFUSED) from None
    say(f"{number} was sent to {recipient}")


def _address(held: Store, found: Invoice) -> str | None:
    """The account's address in the newest catalog: it is not sealed, so that a move does not change an invoice."""
    account = revisions(held)[-1].catalog.accounts.get(found.body["account"]["id"])
    return None if account is None else account.email


def _password(mail: MailSettings) -> str | None:
    """The password of the server's name; ends the command with 2 where its file cannot be read."""
    if mail.password_file is None:
        return None
    try:
        return mail.password_file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        say(f"mail.password_file {mail.password_file} cannot be read: {reason}")
        raise typer.Exit(2) from None
