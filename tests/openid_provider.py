"""A real OpenID provider on this machine, which also insists on PKCE: `python -m tests.openid_provider PORT`.

The provider is oidc-provider-mock, over authlib and Flask; what stands before it remembers each try's challenge and
refuses a code whose verifier does not fit (RFC 7636), which the provider itself does not check.
"""

import base64
import hashlib
import io
import subprocess
import sys
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import werkzeug.serving


class Pkce:
    """A WSGI application before another."""

    def __init__(self, provider: Any) -> None:
        self._provider = provider
        self._challenges: dict[str, str] = {}

    def __call__(self, environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        """One request."""
        path, asked = environ["PATH_INFO"], parse_qs(environ.get("QUERY_STRING", ""))
        if path == "/oauth2/token":
            body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            environ["wsgi.input"] = io.BytesIO(body)
            form = parse_qs(body.decode())
            verifier = form.get("code_verifier", [""])[0].encode()
            found = base64.urlsafe_b64encode(hashlib.sha256(verifier).digest()).rstrip(b"=").decode()
            if self._challenges.pop(form.get("code", [""])[0], None) != found:
                start("400 Bad Request", [("Content-Type", "application/json")])
                return [b'{"error": "invalid_grant"}']
        if path == "/oauth2/authorize" and asked.get("code_challenge_method") != ["S256"]:
            start("400 Bad Request", [("Content-Type", "text/plain")])
            return [b"PKCE is needed"]

        def remembered(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            where = dict(headers).get("Location", "")
            code = parse_qs(urlsplit(where).query).get("code")
            if path == "/oauth2/authorize" and code:
                self._challenges[code[0]] = asked["code_challenge"][0]
            return start(status, headers, *rest)

        found_answer: Iterable[bytes] = self._provider(environ, remembered)
        return found_answer


@contextmanager
def serving() -> Iterator[str]:
    """Within, a provider is there, in a process of its own: its issuer."""
    command = [sys.executable, "-m", "tests.openid_provider", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        yield f"http://localhost:{int(process.stdout.readline())}"
        process.terminate()


def main(port: int) -> None:
    """Serve until it is ended."""
    warnings.simplefilter("ignore")
    from oidc_provider_mock import app  # noqa: PLC0415 (its libraries warn of themselves)

    provider = app(require_nonce=True, require_client_registration=False)
    provider.debug = False
    server = werkzeug.serving.make_server("localhost", port, Pkce(provider), threaded=True)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]))
