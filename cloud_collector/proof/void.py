"""Whether a credit note takes an invoice back, and nothing else: written again from it, and compared to the letter.

Pure. Taken at the operator's word: the credit note's number, its date, and the reason.
"""

from datetime import datetime

from cloud_collector.invoice.void import Void, void_body
from cloud_collector.proof.bundle import Bundle
from cloud_collector.proof.compare import compare
from cloud_collector.proof.findings import Finding, Stage
from shared.errors import Refused
from shared.key import PublicKey
from shared.line import Body, hash_of, parse, read_body


def void_findings(bundle: Bundle, body: Body, operator: PublicKey) -> list[Finding]:
    """Everything that does not hold of a credit note and the invoice that it says it takes back."""
    if bundle.voided is None:
        return [_found("the bundle lacks the invoice that the credit note takes back")]
    if "voids" not in body:
        return [_found("the invoice takes nothing back, and the bundle holds another one")]
    taken = _read(bundle.voided, operator)
    if isinstance(taken, Refused):
        return [_found(taken.reason)]
    if hash_of(bundle.voided) != body["voids"]["hash"]:
        return [_found(f"it is not the {body['voids']['number']} that the credit note takes back: their hashes differ")]
    return compare(body, written_again(body, taken, hash_of(bundle.voided)))


def written_again(body: Body, taken: Body, digest: str) -> Body:
    """What a credit note must say that takes back `taken`, whose line has this hash."""
    void = Void(
        key=body["key"],
        number=body["number"],
        revision=body["revision"],
        issued_at=int(datetime.fromisoformat(body["issued_at"]).timestamp()),
        reason=body["voids"]["reason"],
        hash=digest,
        engine=body["engine"],
        tzdata=body["tzdata"],
    )
    return void_body(taken, void)


def _read(raw: bytes, operator: PublicKey) -> Body | Refused:
    line = parse(raw)
    if isinstance(line, Refused):
        return line
    if line.tag != "MI1" or not line.verified_by(operator):
        return Refused("it is not sealed with the operator's key")
    body = read_body(line)
    if not isinstance(body, Refused) and body["kind"] == "credit_note":
        return Refused("it is a credit note, and only invoices are taken back")
    return body


def _found(sentence: str) -> Finding:
    return Finding(stage=Stage.INVOICE, place="voided.ms", sentence=sentence)
