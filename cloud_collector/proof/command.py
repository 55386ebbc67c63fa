"""`verify-invoice BUNDLE --trust FINGERPRINT …`: needs nothing but the base install, the bundle, and your keys."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cloud_collector.invoice.pdf import pdf
from cloud_collector.proof.container import BUNDLE_BYTES_MAX
from cloud_collector.proof.findings import STAGES, Stage
from cloud_collector.proof.page import offline_page
from cloud_collector.proof.trust import read_trust
from cloud_collector.proof.verify import Verification, summary, verify
from shared.errors import MetersealError, Refused
from shared.key import PublicKey
from shared.line import Body

OK: Final = 0
USAGE: Final = 2
NOT_FOUND: Final = 3
NOT_VERIFIED: Final = 6
_OF_READINGS: Final = frozenset({Stage.CATALOG, Stage.LINES, Stage.QUANTITIES, Stage.STARTS})
"""What a credit note that takes an invoice back does not rest on."""
_EXAMPLES: Final = """\
examples:
  verify-invoice INV-7.zip --trust compass-brick-falcon-olive-tiger-birch-oyster-cabin --trust 56475aa7…(64 digits)
  verify-invoice INV-7.zip --trust "$(cat operator.txt)" --trust "$(cat gateway.txt)" --json

A key is trusted by the full SHA-256 of the raw public key, or by its eight words. Take them from
somewhere else than the bundle: your contract for the operator's, the gateway's label for its own.

exit codes: 0 verified, 2 usage, 3 no such file, 6 not verified
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Check a bundle, print what was found, return the exit code."""
    parser = argparse.ArgumentParser(
        prog="verify-invoice",
        description="Check an invoice against its evidence: signatures, chain, counters, prices, taxes, totals.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="the evidence bundle, a .zip")
    parser.add_argument(
        "--trust",
        action="append",
        required=True,
        metavar="FINGERPRINT",
        help="a key that you trust, the operator's and every gateway's; repeatable",
    )
    parser.add_argument("--json", action="store_true", help="print the outcome as JSON")
    given = parser.parse_args(arguments)
    trust = read_trust(given.trust)
    if isinstance(trust, Refused):
        print(f"verify-invoice: {trust.reason}", file=sys.stderr)
        return USAGE
    try:
        with given.bundle.open("rb") as file:
            raw = file.read(BUNDLE_BYTES_MAX + 1)
    except OSError as error:
        print(f"verify-invoice: {given.bundle}: {error.strerror}", file=sys.stderr)
        return NOT_FOUND
    outcome = verify(raw, trust, printed, offline_page())
    if given.json:
        print(json.dumps(summary(outcome), indent=2))
    else:
        print(told(outcome))
    return OK if outcome.ok else NOT_VERIFIED


def printed(body: Body, operator: PublicKey) -> bytes | Refused:
    """The invoice's PDF, made here, where the extra `einvoice` is installed."""
    try:
        return pdf(body, key_words=operator.words)
    except MetersealError as error:
        return Refused(str(error))


def told(outcome: Verification) -> str:
    """The outcome for people: the verdict first, then each thing that was checked, then what to do."""
    body = outcome.body
    rows = []
    if body is not None:
        name = f"{body.get('number')}, {body.get('total')} {body.get('currency')}"
        rows.append(f"{'VERIFIED' if outcome.ok else 'NOT VERIFIED'}  {name}")
    else:
        rows.append("NOT VERIFIED  the invoice could not be read")
    void = body is not None and "voids" in body
    first = min((finding.stage for finding in outcome.findings), default=None)
    for stage in Stage:
        found = [finding for finding in outcome.findings if finding.stage is stage]
        reached = (body is not None or first is None or stage <= first) and not (void and stage in _OF_READINGS)
        mark = "FAIL" if found else "ok" if reached else "--"
        rows.append(f"  {mark:<4}  {STAGES[stage]}{_detail(outcome, stage) if not found and reached else ''}")
        rows += [f"        {finding.place}: {finding.sentence}" for finding in found]
    rows += [f"  note  {note}" for note in outcome.notes]
    rows.append("  note  this version of bundles holds no checkpoints and no proofs of inclusion")
    return "\n".join(rows)


def _detail(outcome: Verification, stage: Stage) -> str:
    if stage is Stage.LINES and outcome.reports:
        return f": {outcome.reports} reports"
    if stage is Stage.KEYS and outcome.operator is not None:
        gateways = ", ".join(sorted({row.gateway for row in outcome.keys}))
        return f": the operator's, and of {gateways}" if gateways else ": the operator's"
    return ""


if __name__ == "__main__":
    sys.exit(main())
