"""What a customer brings forward against an invoice, with its evidence as it stands."""

from cloud_collector.billing.again import by_its_own_keys
from cloud_collector.billing.disputes import Complaint, DisputeRefused
from cloud_collector.billing.export import Invoice, NotHandedOut, as_it_stands
from cloud_collector.store.store import Store
from shared.key import PublicKey


def complaint_on(store: Store, invoice: Invoice, key: PublicKey | None, *, place: int, why: str, who: str) -> Complaint:
    """What is brought forward against a line, or with place 0 against all of it; raises DisputeRefused."""
    lines = invoice.body["lines"]
    if not 0 <= place <= len(lines):
        raise DisputeRefused(f"the invoice has {len(lines)} lines, and no line {place}")
    if key is None:
        raise DisputeRefused("this collector has no key to hand out evidence with")
    try:
        evidence = as_it_stands(store, invoice, key)
    except NotHandedOut as error:
        raise DisputeRefused(str(error)) from error
    amount = lines[place - 1]["amount"] if place else invoice.body["total"]
    return Complaint(
        account=invoice.body["account"]["id"],
        number=invoice.number,
        place=place,
        amount=f"{amount} {invoice.body['currency']}",
        why=why,
        evidence=evidence,
        holds=by_its_own_keys(evidence).ok,
        who=who,
    )
