"""The e-mail that tells a customer of a warning, in the account's language. Pure."""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any
from zoneinfo import ZoneInfo

from cloud_collector.invoice.locale import locale_named
from cloud_collector.invoice.said import Said
from cloud_collector.notify.letter import addressed
from cloud_collector.notify.warning_words import share_of, warning_said, words_of


def warning_letter(
    told: Mapping[str, Any],
    *,
    operator: str,
    name: str,
    locale: str | None,
    zone: str,
    sender: str,
    recipient: str,
    now_ms: int,
) -> EmailMessage:
    """The message: the sentence first, then where it comes from and what to do; raises NoAddress."""
    found = EmailMessage()
    found["Subject"] = f"{_subject(told, locale)}: {_line(told['contract'])}"
    found["From"] = Address(display_name=_line(operator), addr_spec=addressed(sender))
    found["To"] = Address(display_name=_line(name), addr_spec=addressed(recipient))
    found["Date"] = format_datetime(datetime.fromtimestamp(now_ms // 1000, UTC))
    digest = hashlib.sha256(f"{told['id']}|{told['at']}|{recipient}".encode()).hexdigest()[:32]
    found["Message-ID"] = f"<{digest}@{sender.rpartition('@')[2]}>"
    found["Auto-Submitted"] = "auto-generated"
    words = words_of(locale)
    people = Said(locale=locale_named(locale), zone=ZoneInfo(zone), currency="")
    period = people.span(told["period"]["start"], told["period"]["end"])
    body = [
        words["mail_hello"].format(name=name),
        f"{warning_said(told, locale)}.",
        words["mail_warn_about"].format(contract=told["contract"], period=period),
        words["mail_warn_else"],
        operator,
    ]
    found.set_content("\n\n".join(body) + "\n")
    return found


def _subject(told: Mapping[str, Any], locale: str | None) -> str:
    words = words_of(locale)
    if told["what"] == "withdrawn":
        return words["mail_warn_gone"]
    way = told["side"] if told["way"] == "actual" else f"{told['side']}_ahead"
    return words[f"mail_warn_{way}"].format(share=share_of(told, locale))


def _line(name: str) -> str:
    """A name for a header: one line."""
    return " ".join(name.split())
