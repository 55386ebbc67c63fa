"""verify.html: one file that checks a bundle in any browser, from a disk, without a network (P12).

It is the portal's own modules, joined into one script; the file names the only script and style that it may run.
"""

import base64
import hashlib
import re
from functools import cache
from importlib import resources
from typing import Final

_ENTRY: Final = "portal/check/offline.js"
_STYLE: Final = "portal/check.css"
_IMPORT: Final = re.compile(r"^import (\{[^}]*\}|\* as \w+) from ['\"](\.[^'\"]+)['\"];$", re.MULTILINE)
_EXPORTED: Final = re.compile(r"^export (?:async )?(?:function|const|class) (\w+)", re.MULTILINE)
_LISTED: Final = re.compile(r"^export \{([^}]*)\};?$", re.MULTILINE)
_DEFAULT: Final = re.compile(r"^export default .*$", re.MULTILINE)
_PAGE_STYLE: Final = """\
:root { color-scheme: light dark; }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 48rem; margin: 0 auto; padding: 1rem; }
label { display: block; border: 0.12rem dashed; border-radius: 0.5rem; padding: 1.2rem; }
input { display: block; margin-top: 0.6rem; font: inherit; max-width: 100%; }
"""


@cache
def offline_page() -> bytes:
    """The page that goes along with a bundle: whoever opens it chooses the bundle's file."""
    return _page(b"")


def page_with(bundle: bytes) -> bytes:
    """The page with a bundle inside: it is checked as soon as the file is opened."""
    return _page(bundle)


def _page(bundle: bytes) -> bytes:
    script, style = _script(), _PAGE_STYLE + _read(_STYLE)
    held = (
        f'<script type="application/zip" id="bundle">{base64.b64encode(bundle).decode()}</script>\n' if bundle else ""
    )
    ask = "Check another bundle, the file ending in .zip:" if bundle else "Choose the bundle, the file ending in .zip:"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        f"script-src '{_hash(script)}'; style-src '{_hash(style)}'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Check this bill</title>\n<style>{style}</style>\n</head>\n<body>\n<main>\n<h1>Check this bill</h1>\n"
        "<p>This page works without a network. It looks at every signature, every counter and every sum of an invoice, "
        "and sends nothing to anyone.</p>\n"
        f'<label>{ask}<input id="file" type="file" accept=".zip"></label>\n'
        '<div id="check"><noscript>Checking needs JavaScript; the command verify-invoice needs none.</noscript></div>\n'
        f"</main>\n{held}<script>{script}</script>\n</body>\n</html>\n"
    ).encode()


@cache
def _script() -> str:
    """Every module that the entry needs, each in a function of its own, in order of need."""
    order: list[str] = []
    _collect(_ENTRY, order)
    parts = [f"const {_name(path)} = (() => {{\n{_body(path)}\n}})();\n" for path in order]
    return '"use strict";\n' + "".join(parts)


def _collect(path: str, order: list[str]) -> None:
    for _, target in _IMPORT.findall(_read(path)):
        needed = _resolved(path, target)
        if needed not in order:
            _collect(needed, order)
    order.append(path)


def _body(path: str) -> str:
    text = _read(path)
    names = _EXPORTED.findall(text)
    for listed in _LISTED.findall(text):
        # `a as b` is given out as b.
        names += [": ".join(reversed(each.split(" as "))).strip() for each in listed.split(",") if each.strip()]
    text = _IMPORT.sub(lambda found: _taken(path, found[1], found[2]), text)
    text = _DEFAULT.sub("", _LISTED.sub("", text))
    text = re.sub(r"^export ", "", text, flags=re.MULTILINE)
    return f"{text}\nreturn {{ {', '.join(names)} }};"


def _taken(path: str, names: str, target: str) -> str:
    source = _name(_resolved(path, target))
    if names.startswith("*"):
        return f"const {names.rpartition(' ')[2]} = {source};"
    return f"const {names.replace(' as ', ': ')} = {source};"


def _resolved(path: str, target: str) -> str:
    parts = path.split("/")[:-1]
    for step in target.split("/"):
        if step == "..":
            parts.pop()
        elif step != ".":
            parts.append(step)
    return "/".join(parts)


def _name(path: str) -> str:
    return "module_" + re.sub(r"\W", "_", path.removesuffix(".js"))


def _read(path: str) -> str:
    # The portal's files lie beside this room; nothing of the portal is imported, and a base install has them.
    return resources.files("cloud_collector").joinpath("web", "static", *path.split("/")).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
