"""An issued document as its account holds it."""

from cloud_collector.billing.export import Invoice
from cloud_collector.store.store import Store
from shared.errors import Refused
from shared.line import parse, read_body


def issued_to(store: Store, account: str, number: str) -> Invoice | Refused | None:
    """The document of this number; None where the account has none (P20), Refused where it cannot be read any more."""
    found = store.row("portal_invoice", number, account)
    if found is None:
        return None
    line = bytes(found[0])
    parsed = parse(line)
    body = parsed if isinstance(parsed, Refused) else read_body(parsed)
    return body if isinstance(body, Refused) else Invoice(number=number, line=line, body=body)
