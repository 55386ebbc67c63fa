"""Invoices by e-mail, to a real SMTP server on this machine: sent once, whatever happens in between."""

import email
import logging
import socket
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

from cloud_collector.billing.export import invoice
from cloud_collector.invoice.pdf import pdf
from cloud_collector.notify.letter import NoAddress, letter
from cloud_collector.notify.post import Fate, Posted, smtp
from cloud_collector.notify.sending import NotSent, NotSentAgain, send
from cloud_collector.settings import MailSettings
from shared.effects.memory import SimpleClock
from shared.errors import InvalidRecord
from tests.paper import credit_note, regular, zero
from tests.requirements import require
from tests.unit.billing_samples import CATALOG, RECEIPT_KEY
from tests.unit.test_billing_cli import filled, here, run
from tests.unit.test_verify import billed, plain

__all__ = ["filled", "here"]
PAPER = b"%PDF-1.7 a page"


@dataclass
class Mailbox:
    """Takes what comes, or answers what it is told to."""

    taken: list[EmailMessage] = field(default_factory=list)
    answer: str = "250 taken"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802, ARG002
        message = email.message_from_bytes(envelope.content, policy=default)
        assert isinstance(message, EmailMessage)
        if self.answer.startswith("250"):
            self.taken.append(message)
        return self.answer

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, *_: Any) -> str:  # noqa: N802, ARG002
        if address.startswith("nobody@"):
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def authenticate(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:  # noqa: ARG001
    good = isinstance(data, LoginPassword) and (data.login, data.password) == (b"meterseal", b"secret")
    return AuthResult(success=good, handled=False)


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server's log speaks to a stream that the commands under test have replaced."""
    monkeypatch.setattr(logging.getLogger("mail.log"), "disabled", True)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For localhost, signed by itself."""
    folder = tmp_path_factory.mktemp("mail")
    command = [
        require("openssl"),
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=localhost",
    ]
    command += [
        "-addext",
        "subjectAltName=DNS:localhost",
        "-keyout",
        str(folder / "key.pem"),
        "-out",
        str(folder / "ca.pem"),
    ]
    subprocess.run(command, check=True, capture_output=True)
    return folder / "ca.pem"


@dataclass(frozen=True)
class Server:
    mailbox: Mailbox
    settings: MailSettings


@pytest.fixture
def server(certificate: Path) -> Iterator[Server]:
    """Wants STARTTLS before anything else, then a name and a password."""
    trust = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trust.load_cert_chain(certificate, certificate.with_name("key.pem"))
    mailbox, port = Mailbox(), free_port()
    controller = Controller(
        mailbox, "127.0.0.1", port, tls_context=trust, require_starttls=True,
        auth_required=True, auth_require_tls=True, authenticator=authenticate,
    )  # fmt: skip
    controller.start()
    settings = MailSettings(
        host="localhost", port=port, sender="billing@northwind.example", username="meterseal", ca_file=certificate,
        timeout_seconds=5,
    )  # fmt: skip
    yield Server(mailbox, settings)
    controller.stop()


def message() -> EmailMessage:
    return letter(regular(), PAPER, sender="billing@northwind.example", recipient="acme@example.org", now_ms=10**12)


def test_an_invoice_arrives_with_its_pdf_over_tls(server: Server) -> None:
    assert smtp(server.settings, "secret")(message()) == Posted(fate=Fate.SENT)
    (came,) = server.mailbox.taken
    assert came["Subject"] == "Invoice INV-1, Northwind Metering Oy"
    assert came["To"].addresses[0].addr_spec == "acme@example.org"
    assert came["Auto-Submitted"] == "auto-generated"
    body = came.get_body(("plain",))
    assert body is not None
    text = body.get_content()
    assert "comes to 401,89\u00a0€. Please pay by 15.11.2026 to FI21 1234 5600 0007 85" in text
    (attached,) = came.iter_attachments()
    assert attached.get_filename() == "INV-1.pdf"
    assert attached.get_content() == PAPER


def test_a_server_that_speaks_tls_from_the_first_byte_is_spoken_to(certificate: Path) -> None:
    trust = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trust.load_cert_chain(certificate, certificate.with_name("key.pem"))
    mailbox, port = Mailbox(), free_port()
    controller = Controller(mailbox, "localhost", port, ssl_context=trust)
    controller.start()
    settings = MailSettings(host="localhost", port=port, sender="a@b.example", tls="tls", ca_file=certificate)
    try:
        assert smtp(settings, None)(message()).fate is Fate.SENT
    finally:
        controller.stop()


def test_what_the_server_refuses_is_said_in_one_sentence(server: Server) -> None:
    post = smtp(server.settings, "secret")
    nobody = letter(regular(), PAPER, sender="billing@northwind.example", recipient="nobody@example.org", now_ms=0)
    assert post(nobody).why.endswith("refuses it: 550 no such mailbox")
    server.mailbox.answer = "552 too large"
    assert post(message()).why.endswith("refuses it: 552 too large")
    assert "does not take the name 'meterseal'" in smtp(server.settings, "wrong")(message()).why
    assert server.mailbox.taken == []


def test_a_server_that_is_not_trusted_or_not_there_gets_nothing(server: Server) -> None:
    strangers = MailSettings(host="localhost", port=server.settings.port, sender="a@b.example")
    assert "is not trusted" in smtp(strangers, None)(message()).why
    absent = MailSettings(host="localhost", port=free_port(), sender="a@b.example", tls="none")
    answer = smtp(absent, None)(message())
    assert (answer.fate, "is not reached" in answer.why) == (Fate.REFUSED, True)
    plain = Controller(Mailbox(), "127.0.0.1", free_port())
    plain.start()
    try:
        settings = MailSettings(host="127.0.0.1", port=plain.port, sender="a@b.example")
        assert "offers no starttls" in smtp(settings, None)(message()).why
    finally:
        plain.stop()


def test_a_connection_that_breaks_while_it_is_sent_leaves_it_unclear() -> None:
    """The server takes the envelope and dies after the text: nobody can tell."""

    class Dies(Mailbox):
        async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802, ARG002
            server.transport.abort()
            return "250 never heard"

    controller = Controller(Dies(), "127.0.0.1", free_port())
    controller.start()
    try:
        settings = MailSettings(host="127.0.0.1", port=controller.port, sender="a@b.example", tls="none")
        answer = smtp(settings, None)(message())
    finally:
        controller.stop()
    assert answer.fate is Fate.UNCLEAR
    assert "broke while it was sent" in answer.why


def test_the_same_letter_is_the_same_bytes_and_names_of_people_stay_in_their_header() -> None:
    """P15."""
    body = regular()
    body["account"]["name"] = 'Åke "A" <x@y>, Bcc: evil@example.org\nBcc: worse@example.org'
    made = [letter(body, PAPER, sender="a@b.example", recipient="c@d.example", now_ms=5) for _ in range(2)]
    assert made[0].as_bytes() == made[1].as_bytes()
    back = email.message_from_bytes(made[0].as_bytes(), policy=default)
    assert [each.addr_spec for each in back["To"].addresses] == ["c@d.example"]
    assert back["Bcc"] is None


@pytest.mark.parametrize("address", ["", "acme", "a@", "a@b\nBcc: c@d", "a b@c.example"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(NoAddress, match="is no e-mail address"):
        letter(regular(), PAPER, sender="a@b.example", recipient=address, now_ms=0)


def test_a_credit_and_an_invoice_of_nothing_ask_for_no_money() -> None:
    for body, says in ((credit_note(), "in your favour"), (zero(), "nothing to pay")):
        part = letter(body, PAPER, sender="a@b.example", recipient="c@d.example", now_ms=0).get_body(("plain",))
        assert part is not None
        assert says in part.get_content()
        assert "Please pay" not in part.get_content()


@pytest.mark.parametrize(
    "wrong", [{"tls": "ssl"}, {"port": 0}, {"timeout_seconds": 0}, {"host": "a.example", "sender": "billing"}]
)
def test_settings_that_cannot_be_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidRecord, match="mail"):
        MailSettings(**wrong)


# --- once -------------------------------------------------------------------------------------------


@pytest.fixture
def mailing(here: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """A collector that has billed and knows its mail server."""
    assert run("billing", "run").exit_code == 0
    (here / "password").write_text("secret\n", encoding="utf-8")
    told = {
        "host": "localhost",
        "port": server.settings.port,
        "sender": server.settings.sender,
        "username": "meterseal",
    }
    told |= {"ca_file": server.settings.ca_file, "password_file": here / "password", "timeout_seconds": 5}
    for name, value in told.items():
        monkeypatch.setenv(f"METERSEAL_COLLECTOR__MAIL__{name.upper()}", str(value))
    return server


def test_the_command_sends_once_and_again_only_when_told_to(mailing: Server) -> None:
    done = run("invoice", "send", "INV-1", "--to", "acme@example.org")
    assert (done.exit_code, done.stderr) == (0, "INV-1 was sent to acme@example.org\n")
    second = run("invoice", "send", "INV-1", "--to", "acme@example.org")
    assert second.exit_code == 4
    assert "INV-1 was sent to acme@example.org at 2" in second.stderr
    assert "add --again" in second.stderr
    assert len(mailing.mailbox.taken) == 1
    assert run("invoice", "send", "INV-1", "--to", "acme@example.org", "--again").exit_code == 0
    first, other = mailing.mailbox.taken
    assert first["Message-ID"] != other["Message-ID"]
    (attached,) = other.iter_attachments()
    assert attached.get_content().startswith(b"%PDF-1.7")


def test_a_refusal_is_one_sentence_and_the_next_try_sends(mailing: Server) -> None:
    mailing.mailbox.answer = "451 come back later"
    done = run("invoice", "send", "INV-1", "--to", "acme@example.org")
    assert done.exit_code == 1
    assert done.stderr.count("\n") == 1
    assert done.stderr.strip().endswith("refuses it: 451 come back later")
    mailing.mailbox.answer = "250 taken"
    assert run("invoice", "send", "INV-1", "--to", "acme@example.org").exit_code == 0
    assert len(mailing.mailbox.taken) == 1


def test_the_accounts_address_comes_from_the_catalog(mailing: Server, here: Path) -> None:
    none = run("invoice", "send", "INV-1")
    assert none.exit_code == 2
    assert "accounts.acme has no email" in none.stderr
    catalog = CATALOG.replace('locale = "fi_FI"', 'locale = "fi_FI"\nemail = "pay@acme.example"')
    (here / "catalog.toml").write_text(catalog, encoding="utf-8")
    assert run("catalog", "apply", str(here / "catalog.toml")).exit_code == 0
    dry = run("invoice", "send", "INV-1", "--dry-run")
    assert "To: " in dry.stdout
    assert "pay@acme.example" in dry.stdout
    assert mailing.mailbox.taken == []
    assert run("invoice", "send", "INV-1").exit_code == 0
    assert mailing.mailbox.taken[0]["To"].addresses[0].addr_spec == "pay@acme.example"


def test_without_a_server_the_command_says_what_to_set(here: Path) -> None:
    del here
    done = run("invoice", "send", "INV-1")
    assert (done.exit_code, "set mail.host" in done.stderr) == (2, True)


class Killed(BaseException):
    """The process ends here."""


def test_what_was_cut_off_in_between_is_not_sent_again_by_itself() -> None:
    """P5: killed while the e-mail is on its way, nobody knows; only a person repeats it."""
    store, biller = billed(plain())
    found = invoice(store, biller.archive, "INV-1")
    paper = pdf(found.body, key_words=RECEIPT_KEY.public.words)
    sent: list[EmailMessage] = []

    def dies(message: EmailMessage) -> Posted:
        sent.append(message)
        raise Killed

    def takes(message: EmailMessage) -> Posted:
        sent.append(message)
        return Posted(fate=Fate.SENT)

    def breaks(_: EmailMessage) -> Posted:
        return Posted(fate=Fate.UNCLEAR, why="the connection broke")

    told: dict[str, Any] = {"sender": "a@b.example", "recipient": "c@d.example"}
    clock = SimpleClock()
    with pytest.raises(Killed):
        send(store, found, paper, dies, clock, **told, again=False)
    with pytest.raises(NotSentAgain, match=r"on its way to c@d\.example .* it may have arrived"):
        send(store, found, paper, takes, clock, **told, again=False)
    assert len(sent) == 1
    with pytest.raises(NotSent, match="the connection broke"):
        send(store, found, paper, breaks, clock, **told, again=True)
    with pytest.raises(NotSentAgain, match=r"may have reached c@d\.example"):
        send(store, found, paper, takes, clock, **told, again=False)
    send(store, found, paper, takes, clock, **told, again=True)
    assert len(sent) == 2
