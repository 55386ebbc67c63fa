"""Requests over HTTPS to a server whose CA is pinned: who it is comes before what is said (P10).

The standard library's client, one connection a request, bounded answers. Loaded by commands, never by the
running agent.
"""

import http.client
import json
import socket
import ssl
import string
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from shared.errors import HttpsRefused, HttpsUnreachable, InvalidRecord
from shared.limits import ENROLMENT_BYTES_MAX

ANSWER_SECONDS_MAX: Final = 20.0
SENTENCE_CHARS_MAX: Final = 400
_NO_CHECK_TIME: Final = 0x200000
"""OpenSSL's X509_V_FLAG_NO_CHECK_TIME, which the ssl module does not name."""
_PRINTABLE: Final = frozenset(string.printable) - frozenset("\t\n\r\x0b\x0c")


class Https:
    """A server at `https://host[:port]`.

    With `authority`, a CA certificate in PEM, nobody else is believed, whatever the clock says (P13). Without,
    nobody is believed at all: for what is public and checked by other means.
    """

    def __init__(self, url: str, *, authority: str | None) -> None:
        self._url = parsed(url)
        self._authority = authority

    def get(self, path: str) -> bytes:
        """What lies there; raises HttpsUnreachable, HttpsRefused."""
        return self._ask("GET", path, None)

    def post(self, path: str, body: object) -> Any:
        """The JSON of the answer; raises HttpsUnreachable, HttpsRefused."""
        raw = self._ask("POST", path, json.dumps(body).encode())
        try:
            return json.loads(raw)
        except (ValueError, RecursionError) as error:
            raise HttpsUnreachable(f"{self._where} answers no JSON: is this the collector's enrolment port?") from error

    @property
    def _where(self) -> str:
        return self._url.netloc

    def _ask(self, method: str, path: str, body: bytes | None) -> bytes:
        host = str(self._url.hostname)
        connection = http.client.HTTPSConnection(
            host, self._url.port or 443, timeout=ANSWER_SECONDS_MAX, context=self._context()
        )
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
            answer = connection.getresponse()
            raw = answer.read(ENROLMENT_BYTES_MAX + 1)
        except (OSError, http.client.HTTPException, UnicodeError) as error:
            raise HttpsUnreachable(self._sentence(error)) from error
        finally:
            connection.close()
        if len(raw) > ENROLMENT_BYTES_MAX:
            raise HttpsUnreachable(f"{self._where} answers without end: is this the collector's enrolment port?")
        if answer.status != http.client.OK:
            raise HttpsRefused(self._refusal(answer.status, raw), answer.status)
        return raw

    def _context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cadata=self._authority)
        if self._authority is None:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        else:
            context.verify_flags = ssl.VerifyFlags(context.verify_flags | _NO_CHECK_TIME)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        return context

    def _refusal(self, status: int, raw: bytes) -> str:
        """The server's own sentence, without what a terminal would obey."""
        try:
            said = json.loads(raw)["detail"]
        except (ValueError, RecursionError, KeyError, TypeError):
            said = None
        if not isinstance(said, str) or not said:
            return f"{self._where} answers with status {status}: is this the collector's enrolment port?"
        return "".join(letter for letter in said[:SENTENCE_CHARS_MAX] if letter in _PRINTABLE)

    def _sentence(self, error: Exception) -> str:
        where = self._where
        match error:
            case ssl.SSLCertVerificationError(verify_code=62 | 64):
                return (
                    f"the certificate of {where} is not for the name {self._url.hostname}: use a name that it is for, "
                    "or renew it there with `cloud-collector pki renew --host`"
                )
            case ssl.SSLCertVerificationError():
                return f"{where} is not signed by the collector's CA ({error.verify_message}): somebody is in between"
            case ssl.SSLEOFError():
                return f"{where} broke the TLS handshake off: is this the collector's enrolment port, most often 8843?"
            case ssl.SSLError():
                return f"TLS with {where} failed ({error.reason or error}): is this the collector's enrolment port?"
            case socket.gaierror() | UnicodeError():
                return f"the name {self._url.hostname} cannot be resolved: check its spelling and the DNS"
            case ConnectionRefusedError():
                return f"nothing listens at {where}: is the collector running, with enrolment.host set?"
            case TimeoutError():
                return f"{where} does not answer: check the address, the port and the firewall"
            case ConnectionResetError() | http.client.HTTPException():
                return f"{where} broke the connection off: is this the collector's enrolment port?"
            case OSError():
                return f"{where} cannot be reached: {error.strerror or error}"
            case _:
                return f"{where} cannot be reached: {error}"


def parsed(url: str) -> SplitResult:
    """The parts of an address; raises InvalidRecord for what is none of HTTPS."""
    try:
        found = urlsplit(url)
        good = found.scheme == "https" and bool(found.hostname) and (found.port is None or found.port > 0)
    except ValueError as error:
        raise InvalidRecord(f"{url[:128]!r} is no address: {error}") from error
    if not good or found.path not in ("", "/") or found.query or found.fragment or found.username:
        raise InvalidRecord(f"{url[:128]!r} is no address of a collector: it looks like https://collector.example:8843")
    return found
