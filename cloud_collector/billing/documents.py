"""The forms in which one issued invoice is handed out, each with its file's name."""

import json
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from urllib.parse import quote

from cloud_collector.billing.export import Invoice, as_bundle, as_html
from cloud_collector.invoice.einvoice import NotInstalled, cii, ubl
from cloud_collector.invoice.pdf import PaperFailed, pdf
from cloud_collector.proof.page import offline_page
from cloud_collector.store.store import Store
from shared.key import PublicKey


class Form(StrEnum):
    """A form of an invoice, by the word that asks for it."""

    PDF = "pdf"
    """PDF/A-3 with the electronic invoice inside: to read, to pay, to book."""
    HTML = "html"
    JSON = "json"
    """The sealed body."""
    SEALED = "sealed"
    """The sealed line itself."""
    FACTUR_X = "factur-x"
    """The electronic invoice as CII, the one that is in the PDF."""
    UBL = "ubl"
    """The electronic invoice as UBL."""
    BUNDLE = "bundle"
    """The evidence."""


_SUFFIXES = {
    Form.PDF: "pdf",
    Form.HTML: "html",
    Form.JSON: "json",
    Form.SEALED: "ms",
    Form.FACTUR_X: "factur-x.xml",
    Form.UBL: "ubl.xml",
    Form.BUNDLE: "zip",
}


def file_name(number: str, form: Form) -> str:
    """The name of an invoice's file; a number with a slash stays one name."""
    return f"{quote(number, safe='')}.{_SUFFIXES[form]}"


def written(
    store: Store,
    found: Invoice,
    form: Form,
    *,
    operator: PublicKey | None,
    fonts: Path | None = None,
    say: Callable[[str], None] | None = None,
) -> bytes:
    """The invoice in a form; raises NotHandedOut, NotExpressible, NotInstalled and PaperFailed.

    `operator` may be None for forms that do not name its key. A bundle is whole without the PDF; `say` hears why it has
    none.
    """
    match form:
        case Form.JSON:
            return (json.dumps(found.body, indent=2, ensure_ascii=False) + "\n").encode()
        case Form.SEALED:
            return found.line
        case Form.FACTUR_X:
            return cii(found.body)
        case Form.UBL:
            return ubl(found.body)
        case _:
            pass
    assert operator is not None, "these name the operator's key"
    if form is Form.HTML:
        return as_html(found, operator).encode()
    try:
        paper = pdf(found.body, key_words=operator.words, fonts=fonts)
    except (NotInstalled, PaperFailed) as error:
        if form is Form.PDF:
            raise
        if say is not None:
            say(f"the bundle has no invoice.pdf: {error}")
        return as_bundle(store, found, operator, page=offline_page())
    return paper if form is Form.PDF else as_bundle(store, found, operator, paper=paper, page=offline_page())
