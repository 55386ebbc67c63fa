"""Whether an invoice follows from its evidence: signatures, chain, counters, starts, prices, taxes, totals (P12).

Pure, and from the bundle alone. Everything that the invoice says is composed again from the reports and the
catalog by the very code that issued it, and compared to the letter; only what `stated` reads is taken from it.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from cloud_collector.contracts.catalog import Catalog
from cloud_collector.contracts.read import load_catalog
from cloud_collector.invoice.basis import Cutoff
from cloud_collector.invoice.compose import Order, compose
from cloud_collector.invoice.document import ENGINE, Issue, body_of
from cloud_collector.invoice.sent import sent_of
from cloud_collector.proof.bundle import Bundle, GatewayKey, from_zip, read_keys, write_keys, write_readme
from cloud_collector.proof.compare import compare
from cloud_collector.proof.evidence import Needed, needed
from cloud_collector.proof.findings import Finding, Stage
from cloud_collector.proof.reports import check_reports
from cloud_collector.proof.stated import cutoff_of, issue_of, order_of
from cloud_collector.proof.trust import Trust
from cloud_collector.proof.usage import ledger_of
from cloud_collector.proof.void import void_findings
from shared.errors import MetersealError, Refused
from shared.key import PublicKey
from shared.kinds import Header
from shared.line import Body, parse, read_body
from shared.report import Report

_MADE_WITH: Final = re.compile(rb"/Keywords\((meterseal [0-9a-z., -]{1,120})\)")
"""Which versions a PDF says have made it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """The outcome: verified where there are no findings. Whoever reads it may print `notes` too."""

    findings: tuple[Finding, ...]
    body: Body | None = None
    """What the invoice says, where it can be read."""
    reports: int = 0
    keys: tuple[GatewayKey, ...] = ()
    operator: PublicKey | None = None
    notes: tuple[str, ...] = ()
    fresh: Body | None = None
    """What follows from the evidence, where something does."""

    @property
    def ok(self) -> bool:
        """Whether everything holds."""
        return not self.findings


Printer = Callable[[Body, PublicKey], bytes | Refused]
"""Makes the printed invoice of a body and the operator's key again, or says why that is not possible here."""


def verify(raw: bytes, trust: Trust, printer: Printer | None = None, page: bytes | None = None) -> Verification:
    """Check a bundle's file from its first byte to its last; whatever it holds, the answer is a value.

    The printed invoice is not sealed: only `printer` can tell whether it is the one that follows from what is. Nor is
    the page that checks in a browser: `page` is the one that this version hands out.
    """
    try:
        return _verify(raw, trust, printer, page)
    except (KeyError, ValueError, TypeError, IndexError, AttributeError, ArithmeticError, RecursionError) as error:
        # The seal is genuine, and what it seals is no invoice of ours: its parts have other shapes.
        return _failed(Stage.INVOICE, "invoice.ms", f"it does not say what an invoice says: {error!r}"[:256])


def _verify(raw: bytes, trust: Trust, printer: Printer | None, page: bytes | None) -> Verification:
    bundle = from_zip(raw)
    if isinstance(bundle, Refused):
        return _failed(Stage.FORM, "the bundle", bundle.reason)
    keys = read_keys(bundle.keys)
    if isinstance(keys, Refused):
        return _failed(Stage.KEYS, "keys.json", keys.reason)
    operator, gateways = keys
    body = _read_invoice(bundle, operator)
    if isinstance(body, Refused):
        return _failed(Stage.INVOICE, "invoice.ms", body.reason)
    findings = [*_operator_findings(operator, gateways, trust)]
    if "voids" in body or bundle.voided is not None:
        beside = [_paper(bundle, body, operator, printer), _page(bundle, body, page)]
        return _verify_void(bundle, body, operator, gateways, findings, beside)
    catalogs = _read_catalogs(bundle, body)
    if isinstance(catalogs, Refused):
        findings.append(Finding(stage=Stage.CATALOG, place="catalog.toml", sentence=catalogs.reason))
        return Verification(findings=tuple(findings), body=body, operator=operator, keys=gateways)
    facts = _read_facts(body, catalogs)
    if isinstance(facts, Refused):
        findings.append(Finding(stage=Stage.INVOICE, place="invoice.ms", sentence=facts.reason))
        return Verification(findings=tuple(findings), body=body, operator=operator, keys=gateways)
    checked = check_reports(bundle.lines, gateways, trust, facts.needed)
    findings += checked.findings
    findings += _written_again(bundle, body, operator, gateways, [held.report.header for held in checked.held])
    fresh = _fresh(facts, (held.report for held in checked.held))
    findings += _differences(body, fresh)
    beside = [_paper(bundle, body, operator, printer), _page(bundle, body, page)]
    findings += [each for each in beside if isinstance(each, Finding)]
    return Verification(
        findings=tuple(sorted(findings, key=lambda finding: finding.stage)),
        body=body,
        reports=len(checked.held),
        operator=operator,
        keys=gateways,
        notes=(*_notes(body), *(each for each in beside if isinstance(each, str))),
        fresh=None if isinstance(fresh, Refused) else fresh,
    )


def _verify_void(
    bundle: Bundle,
    body: Body,
    operator: PublicKey,
    gateways: Sequence[GatewayKey],
    findings: Sequence[Finding],
    beside: Sequence[Finding | str | None],
) -> Verification:
    """A credit note that takes an invoice back rests on that invoice alone."""
    found = [*findings, *void_findings(bundle, body, operator), *_written_again(bundle, body, operator, gateways, ())]
    found += [each for each in beside if isinstance(each, Finding)]
    number = body["voids"]["number"] if "voids" in body else "the invoice"
    return Verification(
        findings=tuple(sorted(found, key=lambda finding: finding.stage)),
        body=body,
        operator=operator,
        keys=tuple(gateways),
        notes=(
            f"it takes back {number} line by line: what that one rests on is in its own bundle",
            *(each for each in beside if isinstance(each, str)),
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Facts:
    """What the invoice states and the rest of the bundle cannot tell."""

    order: Order
    issue: Issue
    cutoff: Cutoff
    needed: Needed


def _read_invoice(bundle: Bundle, operator: PublicKey) -> Body | Refused:
    line = parse(bundle.invoice)
    if isinstance(line, Refused):
        return line
    if line.tag != "MI1":
        return Refused(f"an invoice begins with MI1, not with {line.tag}")
    if not line.verified_by(operator):
        return Refused("the seal is not that of the operator's key: the invoice was changed, or the key was")
    body = read_body(line)
    if isinstance(body, Refused):
        return body
    if body.get("key") != operator.id:
        return Refused("the invoice names another key than the one that sealed it")
    return body


def _read_catalogs(bundle: Bundle, body: Body) -> dict[int, Catalog] | Refused:
    """Every revision that the invoice names, each with the hash that it names."""
    try:
        named = {int(row["revision"]): str(row["sha256"]) for row in body["catalog"]}
        newest = int(body["catalog"][0]["revision"])
    except (KeyError, ValueError, TypeError, IndexError) as error:
        return Refused(f"the invoice does not name its catalog: {error}")
    files = {newest: bundle.catalog, **bundle.older}
    if files.keys() != named.keys():
        return Refused(f"the invoice names the revisions {sorted(named)}, and the bundle holds {sorted(files)}")
    catalogs: dict[int, Catalog] = {}
    for number, content in files.items():
        try:
            catalog = load_catalog(content.decode("utf-8"))
        except (UnicodeDecodeError, MetersealError) as error:
            return Refused(f"revision {number} cannot be read: {error}")
        if catalog.hash != named[number] or catalog.text.encode() != content:
            return Refused(f"revision {number} is not the one that the invoice names: it was changed")
        catalogs[number] = catalog
    return catalogs


def _read_facts(body: Body, catalogs: dict[int, Catalog]) -> _Facts | Refused:
    order = order_of(body, catalogs)
    if isinstance(order, Refused):
        return order
    issue, cutoff = issue_of(body, order.newest.catalog), cutoff_of(body)
    if isinstance(issue, Refused):
        return issue
    if isinstance(cutoff, Refused):
        return cutoff
    return _Facts(order=order, issue=issue, cutoff=cutoff, needed=needed(body))


def _operator_findings(operator: PublicKey, gateways: Sequence[GatewayKey], trust: Trust) -> list[Finding]:
    found = []
    if not trust.covers(operator):
        found.append(
            Finding(
                stage=Stage.KEYS,
                place="operator",
                sentence=f"its key is not one that you trust: {operator.words} ({operator.sha256}). Compare these "
                "words with your contract, then name them with --trust",
            )
        )
    if any(row.key == operator for row in gateways):
        sentence = "the operator's own key signs for a gateway: such reports prove nothing"
        found.append(Finding(stage=Stage.KEYS, place="keys.json", sentence=sentence))
    return found


def _written_again(
    bundle: Bundle, body: Body, operator: PublicKey, gateways: Sequence[GatewayKey], headers: Sequence[Header]
) -> list[Finding]:
    """The files that say nothing of their own: written again from the others, they must be the same."""
    found = []
    if bundle.keys != write_keys(operator, gateways, headers):
        sentence = "it does not say of each key whose it is and which reports here it signs, or it was changed"
        found.append(Finding(stage=Stage.KEYS, place="keys.json", sentence=sentence))
    if bundle.readme != write_readme(body, paper=bundle.paper is not None, page=bundle.page is not None):
        found.append(
            Finding(stage=Stage.FORM, place="README.txt", sentence="it is not the text of this invoice's bundle")
        )
    return found


def _differences(body: Body, fresh: Body | Refused) -> list[Finding]:
    if isinstance(fresh, Refused):
        return [Finding(stage=Stage.QUANTITIES, place="invoice.ms", sentence=fresh.reason)]
    return compare(body, fresh)


def _fresh(facts: _Facts, reports: Iterable[Report]) -> Body | Refused:
    held = tuple(reports)
    usage = ledger_of(held, facts.needed, facts.cutoff)
    try:
        return body_of(compose(facts.order, usage), replace(facts.issue, sent=sent_of(held)))
    except MetersealError as error:
        return Refused(f"it cannot be rated again: {error}")


def recomposed(body: Body, catalogs: dict[int, Catalog], reports: Iterable[Report]) -> Body | Refused:
    """What the invoice would say by these catalogs and reports; what it alone can tell is taken from it."""
    try:
        facts = _read_facts(body, catalogs)
        return facts if isinstance(facts, Refused) else _fresh(facts, reports)
    except (KeyError, ValueError, TypeError, IndexError, AttributeError, ArithmeticError, RecursionError) as error:
        return Refused(f"it does not say what an invoice says: {error!r}"[:256])


def _paper(bundle: Bundle, body: Body, operator: PublicKey, printer: Printer | None) -> Finding | str:
    """Whether the printed invoice is the one that follows from the sealed one, or that nobody has looked."""
    if bundle.paper is None:
        return "the bundle has no invoice.pdf"
    fresh = Refused("pip install 'meterseal[einvoice]' to compare it") if printer is None else printer(body, operator)
    if isinstance(fresh, Refused):
        return (
            f"invoice.pdf is not sealed and was not compared, so believe this answer and not its page: {fresh.reason}"
        )
    if fresh == bundle.paper:
        return "invoice.pdf is, byte for byte, the page that follows from the sealed invoice"
    theirs, ours = (_MADE_WITH.search(each) for each in (bundle.paper, fresh))
    if theirs and ours and theirs[1] != ours[1]:
        made, here = (found[1].decode("latin-1") for found in (theirs, ours))
        return (
            "invoice.pdf is not sealed and could not be compared, so believe this answer and not its page: "
            f"it says that {made} made it, and here is {here}"
        )
    sentence = "it is not the page that follows from the sealed invoice: believe the invoice, and not its page"
    return Finding(stage=Stage.FORM, place="invoice.pdf", sentence=sentence)


def _page(bundle: Bundle, body: Body, expected: bytes | None) -> Finding | str | None:
    """Whether the page that checks in a browser is this version's own: another one could say anything."""
    if bundle.page is None:
        return None
    if bundle.page == expected:
        return "verify.html is, byte for byte, the page that this version hands out"
    if expected is None or body["engine"] != ENGINE:
        return "verify.html is not sealed and was not compared, so believe this answer and not its page"
    sentence = "it is not the page that this version hands out: believe this answer, and not that page"
    return Finding(stage=Stage.FORM, place="verify.html", sentence=sentence)


def _notes(body: Body) -> list[str]:
    notes = []
    if body["engine"] != ENGINE:
        notes.append(f"the invoice was made by version {body['engine']}, and checked by version {ENGINE}")
    booked = sorted({row["number"] for rated in body["rated"] for row in rated["booked"]})
    if booked:
        notes.append(f"what {', '.join(booked)} billed before is taken from this invoice: check those with theirs")
    stated = sorted({row[0] for row in body["stated"]})
    if stated:
        notes.append(f"from when devices are billed is kept as {', '.join(stated)} said it: check it with theirs")
    if "offsets" in body:
        used = ", ".join(row[0] for row in body["offsets"])
        notes.append(f"credit of {used} pays a part of it: check that with the credit note's own bundle")
    if body.get("sent"):
        notes.append(
            f"the usage of {', '.join(body['sent'])} was sent to the operator over HTTP and sealed with a key that the "
            "operator holds: nobody but the operator can say that it was used"
        )
    if body.get("states"):
        notes.append("when devices were suspended, resumed, ended or set active is the operator's word, stated here")
    if body["cutoff"]["boots"] or body["cutoff"]["moved"]:
        notes.append(
            "some reports had no trustworthy clock: their place in time is the operator's word, marked estimated"
        )
    return notes


def _failed(stage: Stage, place: str, sentence: str) -> Verification:
    return Verification(findings=(Finding(stage=stage, place=place, sentence=sentence),))


def summary(verification: Verification) -> dict[str, Any]:
    """The outcome as JSON."""
    body = verification.body or {}
    return {
        "verified": verification.ok,
        "number": body.get("number"),
        "total": body.get("total"),
        "currency": body.get("currency"),
        "reports": verification.reports,
        "findings": [
            {"stage": finding.stage.name.lower(), "place": finding.place, "sentence": finding.sentence}
            for finding in verification.findings
        ],
        "notes": list(verification.notes),
    }
