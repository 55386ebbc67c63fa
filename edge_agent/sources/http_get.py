"""One GET, bounded in time and size, with a sentence for everything that may go wrong.

h11 keeps the protocol's rules, asyncio the sockets; no redirect is followed and nothing is kept open.
Source: RFC 9110, RFC 9112.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import h11

from edge_agent.reading import SourceDown

HEAD_BYTES_MAX: Final = 64 * 1024
"""The longest status line and headers."""
_READ_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is asked for, and the bounds of the answer."""

    url: str
    headers: Mapping[str, str]
    ca_file: Path | None
    timeout_seconds: float
    body_bytes_max: int


async def get(request: Request) -> bytes:
    """The body of a successful response; raises SourceDown with one sentence."""
    where = urlsplit(request.url).netloc
    try:
        async with asyncio.timeout(request.timeout_seconds):
            return await _exchange(request)
    except TimeoutError:
        raise SourceDown(
            f"{where} took longer than {request.timeout_seconds:g} s: is it there, and is timeout_seconds long enough?"
        ) from None
    except h11.RemoteProtocolError as error:
        raise SourceDown(f"{where} does not answer in HTTP ({error}): is this its web port?") from error
    except ssl.SSLCertVerificationError as error:
        raise SourceDown(_certificate_sentence(request, error)) from error
    except ssl.SSLError as error:
        raise SourceDown(
            f"TLS with {where} failed ({error.reason or error}): is this its https port, or is it http?"
        ) from error
    except socket.gaierror as error:
        raise SourceDown(
            f"the name {urlsplit(request.url).hostname} cannot be resolved: check its spelling and the DNS"
        ) from error
    except ConnectionRefusedError as error:
        raise SourceDown(f"nothing listens at {where}: is its web server on, and the port right?") from error
    except OSError as error:
        raise SourceDown(f"{where} cannot be reached: {error.strerror or error}") from error


async def _exchange(request: Request) -> bytes:
    parts = urlsplit(request.url)
    tls = _tls(request.ca_file) if parts.scheme == "https" else None
    port = parts.port or (443 if tls else 80)
    reader, writer = await asyncio.open_connection(parts.hostname, port, ssl=tls)
    try:
        connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_BYTES_MAX)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        headers = {"Host": parts.netloc, "User-Agent": "meterseal", "Accept": "*/*", "Connection": "close"} | dict(
            request.headers
        )
        sent = connection.send(h11.Request(method="GET", target=target, headers=list(headers.items())))
        writer.write((sent or b"") + (connection.send(h11.EndOfMessage()) or b""))
        await writer.drain()
        return await _body(request, connection, reader)
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def _body(request: Request, connection: h11.Connection, reader: asyncio.StreamReader) -> bytes:
    body = bytearray()
    while True:
        match connection.next_event():
            case h11.NEED_DATA:
                connection.receive_data(await reader.read(_READ_BYTES))
            case h11.Response() as response:
                _require_success(request.url, response)
            case h11.Data(data=data):
                body += data
                if len(body) > request.body_bytes_max:
                    raise SourceDown(
                        f"{request.url} answers with more than {request.body_bytes_max} bytes: "
                        "name a smaller page, or set body_bytes_max higher"
                    )
            case h11.EndOfMessage():
                return bytes(body)
            case _:
                pass  # An interim answer, such as 103.


def _require_success(url: str, response: h11.Response) -> None:
    headers = {name.lower(): value for name, value in response.headers}
    encoding = headers.get(b"content-encoding", b"identity")
    if response.status_code == 200 and encoding == b"identity":
        return
    match response.status_code:
        case 200:
            why = f"answers in the encoding {encoding.decode('ascii', 'replace')[:32]}, which nobody asked for"
        case 301 | 302 | 303 | 307 | 308:
            to = headers.get(b"location", b"elsewhere").decode("ascii", "replace")[:200]
            why = f"redirects to {to}: set url to the address where it ends"
        case 401:
            scheme = headers.get(b"www-authenticate", b"").decode("ascii", "replace").partition(" ")[0]
            why = f"asks for authentication ({scheme or 'of no kind'}): give username and password_file, or token_file"
            if scheme.lower() == "digest":
                why = "asks for digest authentication, which is not supported: read it by MQTT, or without a password"
        case 403:
            why = "refuses (403): is this user allowed to read it?"
        case 404:
            why = "has no such page (404): check the path of url"
        case status if status >= 500:
            why = f"failed ({status}): look at that machine's own log"
        case status:
            why = f"answers with status {status}, not 200"
    raise SourceDown(f"{url} {why}")


def _tls(ca_file: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        why = error.strerror if isinstance(error, OSError) and not isinstance(error, ssl.SSLError) else "it is no PEM"
        raise SourceDown(f"the CA file {ca_file} cannot be used: {why}") from error


def _certificate_sentence(request: Request, error: ssl.SSLCertVerificationError) -> str:
    parts = urlsplit(request.url)
    match error.verify_code:
        case 10:
            why = "has expired"
        case 9:
            why = "is not valid yet by this machine's clock"
        case 62 | 64:
            why = f"is not for the name {parts.hostname}"
        case _:
            why = f"is not trusted by {request.ca_file or 'the system'} ({error.verify_message}): name its ca_file"
    return f"the certificate of {parts.netloc} {why}"
