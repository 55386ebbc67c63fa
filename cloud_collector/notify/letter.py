"""The e-mail that an invoice travels with: how much, until when, what is attached. Pure."""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from email.errors import HeaderParseError
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from urllib.parse import quote

from cloud_collector.invoice.said import Said, iban_grouped, payable
from cloud_collector.invoice.wording import language_of, languages
from shared.errors import MetersealError
from shared.line import Body


class NoAddress(MetersealError):
    """An address is not one that e-mail can be sent to."""


def letter(body: Body, paper: bytes, *, sender: str, recipient: str, now_ms: int) -> EmailMessage:
    """The message, in the account's language, with the PDF attached; the same input is the same bytes (P15)."""
    words = languages()[language_of(body["account"].get("locale"))]
    title, operator = words[body["kind"]], body["operator"]["name"]
    found = EmailMessage()
    found["Subject"] = f"{title} {body['number']}, {_line(operator)}"
    found["From"] = Address(display_name=_line(operator), addr_spec=addressed(sender))
    found["To"] = Address(display_name=_line(body["account"]["name"]), addr_spec=addressed(recipient))
    found["Date"] = format_datetime(datetime.fromtimestamp(now_ms // 1000, UTC))
    found["Message-ID"] = f"<{_digest(body, recipient, now_ms)}@{sender.rpartition('@')[2]}>"
    found["Auto-Submitted"] = "auto-generated"
    found.set_content(_text(body, words))
    name = f"{quote(body['number'], safe='')}.pdf"
    found.add_attachment(paper, maintype="application", subtype="pdf", filename=name)
    found.set_boundary(f"=={_digest(body, recipient, now_ms)}==")
    return found


def addressed(text: str) -> str:
    """An e-mail address; raises NoAddress."""
    try:
        return Address(addr_spec=text).addr_spec
    except (ValueError, IndexError, HeaderParseError) as error:
        raise NoAddress(f"{text[:64]!r} is no e-mail address: {error}") from error


def _text(body: Body, words: Mapping[str, str]) -> str:
    said, total = Said.of(body), Decimal(body["total"])
    told = {"title": words[body["kind"]], "number": body["number"], "operator": body["operator"]["name"]}
    if "voids" in body:
        first = words["mail_voids"].format(**told, voided=body["voids"]["number"], reason=body["voids"]["reason"])
    elif total < 0 or body["kind"] == "credit_note":
        first = words["mail_credit"].format(**told, total=said.money(body["total"].removeprefix("-")))
    elif total == 0 or not body["due"]:
        first = words["mail_nothing"].format(**told, total=said.money(body["total"]))
    else:
        iban = body["operator"]["iban"]
        account = words["mail_pay_account"].format(iban=iban_grouped(iban), number=body["number"]) if iban else ""
        first = words["mail_pay_rest" if "offsets" in body else "mail_pay"].format(
            **told,
            total=said.money(body["total"]),
            rest=said.money(payable(body)),
            due=said.date(body["due"]),
            account=account,
        )
    period = said.span(body["period"]["start"], body["period"]["end"])
    rest = [words["mail_period"].format(period=period, contract=body["contract"])]
    rest += [words["mail_attached"], words["mail_check"], body["operator"]["name"]]
    hello = words["mail_hello"].format(name=body["account"]["name"])
    return "\n\n".join([hello, first, *rest]) + "\n"


def _line(name: str) -> str:
    """A name for a header: one line."""
    return " ".join(name.split())


def _digest(body: Body, recipient: str, now_ms: int) -> str:
    return hashlib.sha256(f"{body['number']}|{body['key']}|{recipient}|{now_ms}".encode()).hexdigest()[:32]
