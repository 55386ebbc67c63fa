"""The e-mail that somebody signs in with, in the language of his account. Pure."""

from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime

from cloud_collector.invoice.wording import language_of, languages
from cloud_collector.notify.letter import addressed


def sign_in_letter(
    link: str, *, site: str, minutes: int, locale: str | None, sender: str, recipient: str, now_ms: int
) -> EmailMessage:
    """The message; raises NoAddress."""
    words = languages()[language_of(locale)]
    found = EmailMessage()
    found["Subject"] = words["mail_sign_in"].format(site=site)
    found["From"] = addressed(sender)
    found["To"] = addressed(recipient)
    found["Date"] = format_datetime(datetime.fromtimestamp(now_ms // 1000, UTC))
    found["Auto-Submitted"] = "auto-generated"
    found.set_content(
        f"{words['mail_sign_in_open'].format(site=site)}\n\n{link}\n\n"
        f"{words['mail_sign_in_once'].format(minutes=minutes)}\n{words['mail_sign_in_else']}\n"
    )
    return found
