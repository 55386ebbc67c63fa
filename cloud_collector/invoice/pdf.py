"""The printed invoice: PDF/A-3b with the electronic invoice inside, the same bytes whenever it is made (P15).

Typst arranges it, from fonts that travel in its wheel, and attaches `factur-x.xml`. What Factur-X wants said in the
XMP metadata beside that, the library factur-x writes; its own way into a PDF would stamp the current time. Every
date in it is the time of issue. Needs the extra `einvoice`, and only when called.
"""

import json
import re
from datetime import UTC, datetime
from functools import cache
from importlib import metadata, resources
from pathlib import Path
from typing import Any, Final

from cloud_collector.invoice.document import ENGINE
from cloud_collector.invoice.einvoice import NotInstalled, cii
from cloud_collector.invoice.sheet import sheet
from cloud_collector.invoice.vat import NotExpressible
from shared.errors import MetersealError
from shared.line import Body

STANDARD: Final = "a-3b"
FACTURX_NAMESPACE: Final = "urn:factur-x:pdfa:CrossIndustryDocument:invoice:1p0#"
_RDF: Final = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_EXTENSION: Final = "{http://www.aiim.org/pdfa/ns/extension/}schemas"
_METADATA: Final = re.compile(rb"<</Length (\d+)/Type/Metadata/Subtype/XML>>\nstream\n")
_XREF_ENTRY: Final = re.compile(rb"(\d{10}) (\d{5}) ([nf])(..)", re.DOTALL)


class PaperFailed(MetersealError):
    """The PDF cannot be made."""


def pdf(body: Body, *, key_words: str, fonts: Path | None = None) -> bytes:
    """The invoice as PDF/A-3b; without the electronic invoice where EN 16931 cannot express it.

    Raises NotInstalled, and PaperFailed where no font has a letter of it.
    """
    try:
        xml: bytes | None = cii(body)
    except NotExpressible:
        xml = None
    made = _compiled(body, key_words, xml, fonts)
    return made if xml is None else _with_facturx(made)


def made_with() -> str:
    """The versions that make the bytes, as the PDF names them among its keywords; raises NotInstalled."""
    _typst()
    return ", ".join([f"meterseal {ENGINE}", *(f"{name} {metadata.version(name)}" for name in ("typst", "factur-x"))])


def _compiled(body: Body, key_words: str, xml: bytes | None, fonts: Path | None) -> bytes:
    typst = _typst()
    issued = datetime.fromisoformat(body["issued_at"]).astimezone(UTC)
    texts = sheet(body, key_words=key_words, attached=xml is not None)
    texts["issued"] = [issued.year, issued.month, issued.day, issued.hour, issued.minute, issued.second]
    texts["fonts"] = _families(fonts)
    texts["made_with"] = made_with()
    inputs = {"sheet": json.dumps(texts)} | ({} if xml is None else {"xml": xml.decode("utf-8")})
    try:
        made: bytes = _compiler(fonts).compile(
            _template(), format="pdf", sys_inputs=inputs, pdf_standards=[STANDARD], timestamp=int(issued.timestamp())
        )
    except typst.TypstError as error:
        letter = re.search(r"the text `\"(.+?)\"` could not be displayed", str(error))
        if letter is None:
            raise PaperFailed(f"{body['number']} cannot be printed: {error}") from error
        raise PaperFailed(
            f"{body['number']} cannot be printed: no font here has {letter[1]!r}. "
            "Put a font that has it into a folder, and name the folder as documents.fonts_path"
        ) from error
    return made


@cache
def _compiler(fonts: Path | None) -> Any:
    """One compiler, so that fonts are read once and what was laid out is remembered."""
    return _typst().Compiler(ignore_system_fonts=True, font_paths=[] if fonts is None else [str(fonts)])


@cache
def _families(fonts: Path | None) -> list[str]:
    """The families of the operator's own fonts, tried after Typst's."""
    if fonts is None:
        return []
    found = _typst().Fonts(include_system_fonts=False, include_embedded_fonts=False, font_paths=[str(fonts)])
    return sorted(found.families())


@cache
def _template() -> bytes:
    return resources.files("cloud_collector.invoice").joinpath("invoice.typ").read_bytes()


def _typst() -> Any:
    try:
        import typst  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise NotInstalled(NotInstalled.__doc__) from error
    return typst


def _with_facturx(made: bytes) -> bytes:
    """The same PDF, its XMP naming the embedded invoice; as what follows moves, the offsets are written anew."""
    head = _METADATA.search(made)
    assert head is not None, "typst writes its metadata as one plain stream"
    start, length = head.end(), int(head[1])
    packet = _named(made[start : start + length])
    moved = b"<</Length %d/Type/Metadata/Subtype/XML>>\nstream\n" % len(packet)
    shift = len(moved) + len(packet) - (start + length - head.start())
    body = made[: head.start()] + moved + packet + made[start + length :]
    table = body.rindex(b"xref\n0 ", 0, body.rindex(b"startxref"))
    trailer = body.index(b"trailer", table)

    def entry(found: re.Match[bytes]) -> bytes:
        at = int(found[1])
        return b"%010d %b %b%b" % (at + shift if at > head.start() else at, found[2], found[3], found[4])

    offsets = _XREF_ENTRY.sub(entry, body[table:trailer])
    end = re.sub(rb"startxref\n\d+", b"startxref\n%d" % table, body[trailer:])
    return body[:table] + offsets + end


def _named(packet: bytes) -> bytes:
    """An XMP packet with the four properties of Factur-X and the schema that describes them (PDF/A-3, 6.6.2.3.3)."""
    from lxml import etree  # noqa: PLC0415 - comes with the extra

    begin, end = packet.index(b"?>") + 2, packet.rindex(b"<?xpacket")
    tree = etree.fromstring(packet[begin:end])
    described, values = _facturx_descriptions()
    bag = next(tree.iter(_EXTENSION)).find(f"{_RDF}Bag")
    bag.append(etree.fromstring(described))
    next(tree.iter(f"{_RDF}RDF")).append(etree.fromstring(values))
    return b"%b%b%b" % (packet[:begin], etree.tostring(tree, encoding="UTF-8"), packet[end:])


@cache
def _facturx_descriptions() -> tuple[bytes, bytes]:
    """What the library factur-x says of itself in XMP: its schema, its properties' values."""
    import facturx  # noqa: PLC0415 - an extra
    from lxml import etree  # noqa: PLC0415 - comes with the extra

    named = {
        "urn": FACTURX_NAMESPACE,
        "documenttype": "INVOICE",
        "xml_filename": "factur-x.xml",
        "version": "1.0",
        "xmp_level": "EN 16931",
    }
    unused = dict.fromkeys(("pdfa3_flavor", "title", "author", "subject", "producer", "creator_tool", "timestamp"), "")
    tree = facturx.generate_xmp_object(unused | named)
    *_, described, values = tree.iter(f"{_RDF}Description")
    for each in (described, values):
        each.set(f"{_RDF}about", "")
    return etree.tostring(described.find(f"{_EXTENSION}/{_RDF}Bag/{_RDF}li")), etree.tostring(values)
