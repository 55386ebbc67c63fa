"""One POST to somebody's web server, and what it answered: no redirect is followed, nothing of the answer is kept."""

import http.client
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

ANSWER_SECONDS_MAX: Final = 15.0
ANSWER_BYTES_MAX: Final = 4_096


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The status, or 0 where nobody answered, and why in a sentence."""

    status: int
    why: str

    @property
    def ok(self) -> bool:
        """Whether it was taken."""
        return 200 <= self.status < 300


WebPost = Callable[[str, Mapping[str, str], bytes], Answer]
"""To a URL, with headers, this body."""


def web_post(url: str, headers: Mapping[str, str], body: bytes) -> Answer:
    """The real way; never raises for what the other side or the network does."""
    there = urlsplit(url)
    host = there.hostname or ""
    try:
        if there.scheme == "https":
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                host, there.port, timeout=ANSWER_SECONDS_MAX, context=ssl.create_default_context()
            )
        else:
            connection = http.client.HTTPConnection(host, there.port, timeout=ANSWER_SECONDS_MAX)
        try:
            path = (there.path or "/") + (f"?{there.query}" if there.query else "")
            connection.request("POST", path, body, dict(headers))
            answer = connection.getresponse()
            answer.read(ANSWER_BYTES_MAX)
        finally:
            connection.close()
    except ssl.SSLCertVerificationError as error:
        return Answer(status=0, why=f"the certificate of {host} is not trusted: {error.verify_message}")
    except (OSError, http.client.HTTPException, ValueError) as error:
        said = error.strerror if isinstance(error, OSError) and error.strerror else str(error) or type(error).__name__
        return Answer(status=0, why=f"{host} is not reached: {said}")
    return Answer(status=answer.status, why=f"{answer.status} {answer.reason}")
