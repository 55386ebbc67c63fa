"""The e-mail that says what began to be wrong and what has ended: one for everything at once. Pure."""

from collections.abc import Sequence
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Final

from cloud_collector.notify.letter import addressed
from cloud_collector.upkeep.incidents import Incident

SHOWN_MAX: Final = 50
"""Alarms that one e-mail lists."""


def alarm_letter(
    incidents: Sequence[Incident], *, sender: str, recipients: Sequence[str], now_ms: int, name: str
) -> EmailMessage:
    """The message; raises NoAddress. `name` says which collector speaks."""
    begun = [each for each in incidents if each.ended_at is None]
    ended = [each for each in incidents if each.ended_at is not None]
    found = EmailMessage()
    counted = [f"{len(begun)} new" if begun else "", f"{len(ended)} over" if ended else ""]
    first = (begun or ended)[0]
    about = first.spot.cause.value.replace("_", " ") + (f" {first.spot.gateway}" if first.spot.gateway else "")
    found["Subject"] = f"[{name}] alarms: {', '.join(filter(None, counted))}: {about}"[:160]
    found["From"] = addressed(sender)
    found["To"] = ", ".join(addressed(each) for each in recipients)
    found["Date"] = format_datetime(datetime.fromtimestamp(now_ms // 1000, UTC))
    found["Auto-Submitted"] = "auto-generated"
    found.set_content(
        "\n".join([*_part("Wrong now:", begun), *_part("Over:", ended), "cloud-collector alarms --all", ""])
    )
    return found


def _part(title: str, incidents: Sequence[Incident]) -> list[str]:
    if not incidents:
        return []
    lines = [f"- {_at(each)} {each.text}" for each in incidents[:SHOWN_MAX]]
    more = len(incidents) - SHOWN_MAX
    return [title, "", *lines, *([f"- and {more} more"] if more > 0 else []), ""]


def _at(incident: Incident) -> str:
    until = "" if incident.ended_at is None else f" to {_iso(incident.ended_at)}"
    return f"{_iso(incident.begun_at)}{until}:"


def _iso(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
