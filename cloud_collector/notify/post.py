"""Handing an e-mail to the operator's server, once: what is known of it afterwards is one of three things.

Refused: the server said no, or nobody was reached, and nothing has left. Sent: the server has taken it. Unclear: the
connection broke after the message had begun to travel, and nobody can tell.
"""

import smtplib
import ssl
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from email.message import EmailMessage
from enum import StrEnum

from cloud_collector.settings import MailSettings


class Fate(StrEnum):
    """What became of an e-mail."""

    SENT = "sent"
    REFUSED = "refused"
    UNCLEAR = "unclear"


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """What became of an e-mail, and why, in a sentence; empty where it was sent."""

    fate: Fate
    why: str = ""


Post = Callable[[EmailMessage], Posted]


def smtp(settings: MailSettings, password: str | None) -> Post:
    """The real way: SMTP with TLS, each e-mail over a connection of its own."""

    def post(message: EmailMessage) -> Posted:
        where = f"{settings.host}:{settings.port}"
        try:
            server = _connected(settings, password)
        except smtplib.SMTPAuthenticationError:
            return Posted(
                fate=Fate.REFUSED, why=f"{where} does not take the name {settings.username!r} or its password"
            )
        except smtplib.SMTPNotSupportedError:
            return Posted(fate=Fate.REFUSED, why=f"{where} offers no {settings.tls}: see mail.tls")
        except ssl.SSLCertVerificationError as error:
            return Posted(fate=Fate.REFUSED, why=f"the certificate of {where} is not trusted: {error.verify_message}")
        except (OSError, smtplib.SMTPException) as error:
            return Posted(fate=Fate.REFUSED, why=f"{where} is not reached: {_said(error)}")
        try:
            server.send_message(message)
        except (smtplib.SMTPResponseException, smtplib.SMTPRecipientsRefused, smtplib.SMTPNotSupportedError) as error:
            return Posted(fate=Fate.REFUSED, why=f"{where} refuses it: {_said(error)}")
        except (OSError, smtplib.SMTPException) as error:
            return Posted(fate=Fate.UNCLEAR, why=f"the connection to {where} broke while it was sent: {_said(error)}")
        finally:
            server.close()
        return Posted(fate=Fate.SENT)

    return post


def reached(settings: MailSettings) -> str:
    """Why no session that may send can be had; nothing where it can. Nothing is sent."""
    try:
        file = settings.password_file
        _connected(settings, None if file is None else file.read_text(encoding="utf-8").strip()).close()
    except OSError as error:
        return _said(error)
    return ""


def _connected(settings: MailSettings, password: str | None) -> smtplib.SMTP:
    """A session that may send."""
    trust = ssl.create_default_context(cafile=None if settings.ca_file is None else str(settings.ca_file))
    if settings.tls == "tls":
        server: smtplib.SMTP = smtplib.SMTP_SSL(
            settings.host, settings.port, timeout=settings.timeout_seconds, context=trust
        )
    else:
        server = smtplib.SMTP(settings.host, settings.port, timeout=settings.timeout_seconds)
    with ExitStack() as closing:
        closing.callback(server.close)
        if settings.tls == "starttls":
            server.starttls(context=trust)
        if settings.username:
            server.login(settings.username, password or "")
        closing.pop_all()
    return server


def _said(error: Exception) -> str:
    """The server's own words, else the system's."""
    match error:
        case smtplib.SMTPRecipientsRefused(recipients=refused):
            code, text = next(iter(refused.values()))
            return f"{code} {text.decode('utf-8', 'replace')}"
        case smtplib.SMTPResponseException(smtp_code=code, smtp_error=text):
            return f"{code} {text.decode('utf-8', 'replace') if isinstance(text, bytes) else text}"
        case OSError(strerror=str(text)):
            return text
        case _:
            return str(error) or type(error).__name__
