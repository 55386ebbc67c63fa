"""What browsers fetch beside the pages: style, scripts and their licences, out of the package and nowhere else."""

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Final

from fastapi import APIRouter, HTTPException, Request, Response

_TYPES: Final = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "txt": "text/plain; charset=utf-8",
    "mjs": "text/javascript; charset=utf-8",
}
_FOLDERS: Final = ("", "portal", "portal/check", "vendor", "vendor/noble")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """One file: its bytes, packed once, and what its address is called after."""

    media_type: str
    raw: bytes
    packed: bytes
    digest: str


@cache
def assets() -> dict[str, Asset]:
    """Every file of `static/`, by its path below that folder."""
    found = {}
    for folder in _FOLDERS:
        root = resources.files("cloud_collector.web").joinpath("static", *folder.split("/"))
        for file in root.iterdir():
            suffix = file.name.rpartition(".")[2]
            if file.is_file() and suffix in _TYPES:
                raw = file.read_bytes()
                found[f"{folder}/{file.name}".lstrip("/")] = Asset(
                    media_type=_TYPES[suffix],
                    raw=raw,
                    packed=gzip.compress(raw, mtime=0),
                    digest=hashlib.sha256(raw).hexdigest()[:12],
                )
    return found


def asset_url(name: str) -> str:
    """Where a file is served; the address changes with its bytes, so that it may be kept for ever."""
    return f"/static/{name}?v={assets()[name].digest}"


def routes() -> APIRouter:
    """The files under `/static/`."""
    router = APIRouter()

    @router.get("/static/{name:path}", include_in_schema=False)
    def static(request: Request, name: str) -> Response:
        asset = assets().get(name)
        if asset is None:
            raise HTTPException(404, "there is no such file")
        headers = {
            "Cache-Control": "public, max-age=31536000, immutable" if request.url.query else "public, max-age=300",
            "Vary": "Accept-Encoding",
        }
        if "gzip" in request.headers.get("Accept-Encoding", ""):
            return Response(asset.packed, media_type=asset.media_type, headers=headers | {"Content-Encoding": "gzip"})
        return Response(asset.raw, media_type=asset.media_type, headers=headers)

    return router
