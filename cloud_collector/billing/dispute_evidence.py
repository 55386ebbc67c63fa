"""What a dispute rests on: the invoice's evidence as it stands, and the invoice worked out again from it."""

from dataclasses import dataclass

from cloud_collector.billing.disputes import Complaint, DisputeRefused
from cloud_collector.billing.export import Invoice, NotHandedOut, as_it_stands
from cloud_collector.proof.own_keys import verified_by_its_own_keys
from cloud_collector.proof.verify import summary
from cloud_collector.store.store import Store
from shared.key import PublicKey

NO_KEY = "this collector has no key to hand out evidence with"


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """The invoice rated again from the evidence as it stands: whether it comes out the same, and where it does not."""

    ok: bool
    sentences: tuple[str, ...]


def complaint_on(store: Store, invoice: Invoice, key: PublicKey | None, *, place: int, why: str, who: str) -> Complaint:
    """What is brought forward against a line, or with place 0 against all of it; raises DisputeRefused."""
    lines = invoice.body["lines"]
    if not 0 <= place <= len(lines):
        raise DisputeRefused(f"the invoice has {len(lines)} lines, and no line {place}")
    if key is None:
        raise DisputeRefused(NO_KEY)
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
        holds=verified_by_its_own_keys(evidence).ok,
        who=who,
    )


def worked_out_again(store: Store, invoice: Invoice, key: PublicKey | None) -> Again:
    """The re-rated copy beside the invoice, and where the two differ."""
    if key is None:
        return Again(ok=False, sentences=(NO_KEY,))
    try:
        outcome = summary(verified_by_its_own_keys(as_it_stands(store, invoice, key)))
    except NotHandedOut as error:
        return Again(ok=False, sentences=(str(error),))
    sentences = tuple(f"{each['place']}: {each['sentence']}" for each in outcome["findings"])
    return Again(ok=outcome["verified"], sentences=sentences)
