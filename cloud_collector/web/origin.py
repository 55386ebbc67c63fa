"""Where a request comes from: this machine, an address, a page of this site."""

import ipaddress
from typing import Final
from urllib.parse import urlsplit

from fastapi import Request

FORWARDED: Final = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip")
"""Headers that a proxy adds: who comes through one is not on this machine."""


def on_this_machine(request: Request) -> bool:
    """Whether somebody on this machine asks for this machine: no proxy, and no name that was made to lead here."""
    if request.client is None or not _is_loopback(request.client.host):
        return False
    if any(name in request.headers for name in FORWARDED):
        return False
    # A page of another site can let its own name lead to 127.0.0.1: then the Host header still says that name.
    host = urlsplit(f"//{request.headers.get('host', '')}").hostname or ""
    return host == "localhost" or _is_loopback(host)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def address_of(request: Request) -> str:
    """Who asks, as far as the network tells; behind a proxy that `web.proxies` names, whom that one names."""
    return request.client.host if request.client else ""


def from_own_page(request: Request, url: str) -> bool:
    """Whether a page of this site asks, at `url` or wherever it is served; or a program that no other site steers."""
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is not None:
        return site == "same-origin"
    if origin is not None:
        # A proxy may hand the request on under another Host than the browser asked for.
        return urlsplit(origin).netloc in {request.headers.get("host"), urlsplit(url).netloc} - {"", None}
    # No browser of this decade sends neither; other sites cannot add this header without being asked first.
    return "hx-request" in request.headers
