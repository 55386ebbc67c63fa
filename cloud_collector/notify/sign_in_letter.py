"""The e-mail that somebody signs in with. Pure."""

from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime

from cloud_collector.notify.letter import addressed


def sign_in_letter(link: str, *, site: str, minutes: int, sender: str, recipient: str, now_ms: int) -> EmailMessage:
    """The message; raises NoAddress."""
    found = EmailMessage()
    found["Subject"] = f"Sign in to {site}"
    found["From"] = addressed(sender)
    found["To"] = addressed(recipient)
    found["Date"] = format_datetime(datetime.fromtimestamp(now_ms // 1000, UTC))
    found["Auto-Submitted"] = "auto-generated"
    found.set_content(
        f"Open this page and press the button to sign in to {site}:\n\n{link}\n\n"
        f"It works once, for {minutes} minutes. Nobody who works here will ask you for it.\n"
        "If you did not ask for this e-mail, do nothing: without the button nothing happens.\n"
    )
    return found
