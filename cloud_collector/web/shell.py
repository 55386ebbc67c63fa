"""What every page has around it: title, navigation, style, light or dark, and headers that let nothing else run."""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final
from urllib.parse import parse_qsl

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import RedirectResponse
from fastapi.templating import Jinja2Templates
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from cloud_collector.access.viewer import Role, Viewer
from cloud_collector.invoice.html import style_hash
from cloud_collector.web.assets import asset_url
from cloud_collector.web.site import Moment

HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
PAPER_POLICY: Final = (
    f"default-src 'none'; style-src '{style_hash()}'; img-src data:; form-action 'none'; frame-ancestors 'none'"
)
"""For an invoice: it carries its own sheet, this one and no other, so that the saved page is whole; and no script."""
THEMES: Final = ("auto", "light", "dark")
_CODE: Final = re.compile(r"`([^`]+)`")
_YEAR_SECONDS: Final = 365 * 86_400
_FORM_BYTES_MAX: Final = 65_536
Nav = Sequence[tuple[str, str]]


@cache
def _templates() -> Jinja2Templates:
    # Everything is escaped, whatever a template is called: a device's name is text.
    environment = Environment(
        loader=PackageLoader("cloud_collector.web"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.globals["asset"] = asset_url
    environment.filters["coded"] = _coded
    return Jinja2Templates(env=environment)


def page(
    request: Request,
    template: str,
    *,
    title: str,
    nav: Nav,
    moment: Moment,
    told: Mapping[str, Any],
    status: int = 200,
) -> Response:
    """A template inside the layout; `nav` lists titles and paths, the longest path that fits is where one is."""
    here = request.url.path
    inside = [path for _, path in nav if here == path or (path != "/" and here.startswith(f"{path}/"))]
    theme = request.cookies.get("theme", "auto")
    context: Mapping[str, Any] = {
        "title": title,
        "nav": nav,
        "home": nav[0][1] if nav else home_of(request),
        "current": max(inside, key=len, default=""),
        "here": here,
        "theme": theme if theme in THEMES else "auto",
        "themes": THEMES,
        "moment": moment,
        **told,
    }
    return _templates().TemplateResponse(request, template, dict(context), status_code=status)


def home_of(request: Request) -> str:
    """Where one's pages begin; of somebody who is not known, where the address is."""
    known: Viewer | None = getattr(request.state, "viewer", None)
    ours = request.url.path.startswith("/portal") if known is None else known.role is Role.CUSTOMER
    return "/portal" if ours else "/"


def _coded(text: object) -> Markup:
    """The text with what stands in backticks as code: sentences for terminals say commands so."""
    if "`" not in (told := str(text)):
        return escape(text)
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(told))))  # noqa: S704 (escaped before)


async def fields(request: Request) -> dict[str, str]:
    """What a form was filled in with; of a name that stands twice, the last."""
    # P9: a body is never read beyond its bound.
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > _FORM_BYTES_MAX:
            raise HTTPException(413, "the form is too long")
    try:
        return dict(parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=1_000))
    except ValueError:
        raise HTTPException(400, "the form cannot be read") from None


def routes() -> APIRouter:
    """The switch between light and dark; it asks for no script and changes nothing but a cookie."""
    router = APIRouter()

    @router.post("/theme", include_in_schema=False)
    async def theme(request: Request) -> Response:
        asked = await fields(request)
        wanted, back = asked.get("to", "auto"), asked.get("back", "/")
        # Back to a page of this server: `//elsewhere` would be another one.
        local = back.startswith("/") and not back.startswith(("//", "/\\"))
        answer = RedirectResponse(back if local else "/", status_code=303)
        if wanted in THEMES[1:]:
            answer.set_cookie("theme", wanted, max_age=_YEAR_SECONDS, samesite="lax", httponly=True)
        else:
            answer.delete_cookie("theme", samesite="lax", httponly=True)
        return answer

    return router
