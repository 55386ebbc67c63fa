"""The e-mail that tells a customer of a warning. Pure."""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any

from cloud_collector.notify.letter import addressed


def warning_letter(
    told: Mapping[str, Any], *, operator: str, name: str, sender: str, recipient: str, now_ms: int
) -> EmailMessage:
    """The message: the sentence first, then where it comes from and what to do; raises NoAddress."""
    found = EmailMessage()
    found["Subject"] = f"{_subject(told)}: {_line(told['contract'])}"
    found["From"] = Address(display_name=_line(operator), addr_spec=addressed(sender))
    found["To"] = Address(display_name=_line(name), addr_spec=addressed(recipient))
    found["Date"] = format_datetime(datetime.fromtimestamp(now_ms // 1000, UTC))
    digest = hashlib.sha256(f"{told['id']}|{told['at']}|{recipient}".encode()).hexdigest()[:32]
    found["Message-ID"] = f"<{digest}@{sender.rpartition('@')[2]}>"
    found["Auto-Submitted"] = "auto-generated"
    period = told["period"]
    body = [
        f"Hello {name},",
        f"{told['said']}.",
        f"This is about the contract {told['contract']}, from {period['start']} to {period['end']} (exclusive).",
        "To be told at other figures, change the budget or the thresholds on your portal, under Warnings, or ask us.",
        operator,
    ]
    found.set_content("\n\n".join(body) + "\n")
    return found


def _subject(told: Mapping[str, Any]) -> str:
    if told["what"] == "withdrawn":
        return "Withdrawn: a warning"
    kind = {"over": "More", "under": "Less"}[told["side"]]
    way = " than expected" if told["way"] == "actual" else " is expected"
    share = f"{told['percent']} % of the {told['against']}" if told["against"] != "normal" else "what is normal"
    return f"{kind}{way} ({share})"


def _line(name: str) -> str:
    """A name for a header: one line."""
    return " ".join(name.split())
