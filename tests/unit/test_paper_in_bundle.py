"""The printed invoice in an evidence bundle: it is not sealed, so whether it follows from the sealed one is said."""

import subprocess
import sys
from pathlib import Path

import pytest

from cloud_collector.billing.export import as_bundle, invoice
from cloud_collector.invoice.pdf import pdf
from cloud_collector.proof.command import main, printed
from cloud_collector.proof.container import pack, unpack
from cloud_collector.proof.trust import Trust
from cloud_collector.proof.verify import Verification, verify
from shared.errors import Refused
from tests.unit.billing_samples import GATEWAY_KEY, RECEIPT_KEY
from tests.unit.test_verify import billed, plain

TRUST = Trust(fingerprints=frozenset({RECEIPT_KEY.public.sha256, GATEWAY_KEY.public.sha256}), words=frozenset())


@pytest.fixture(scope="module")
def bundle() -> bytes:
    store, biller = billed(plain())
    found = invoice(store, biller.archive, "INV-1")
    return as_bundle(store, found, RECEIPT_KEY.public, paper=pdf(found.body, key_words=RECEIPT_KEY.public.words))


def changed(bundle: bytes, name: str, content: bytes) -> bytes:
    """The bundle with another file in place of one, its zip repaired."""
    files = unpack(bundle)
    assert not isinstance(files, Refused)
    return pack(files | {name: content})


def paper(bundle: bytes) -> bytes:
    files = unpack(bundle)
    assert not isinstance(files, Refused)
    return files["invoice.pdf"]


def said(outcome: Verification) -> str:
    return " ".join([*outcome.notes, *(f"{finding.place}: {finding.sentence}" for finding in outcome.findings)])


def test_the_pdf_that_follows_from_the_sealed_invoice_is_told_to_be_it(bundle: bytes) -> None:
    outcome = verify(bundle, TRUST, printed)
    assert outcome.ok
    assert "invoice.pdf is, byte for byte, the page that follows from the sealed invoice" in said(outcome)


@pytest.mark.parametrize("place", [100, -300, -40])
def test_a_flip_anywhere_in_the_pdf_is_found(bundle: bytes, place: int) -> None:
    flipped = bytearray(paper(bundle))
    flipped[place] ^= 1
    outcome = verify(changed(bundle, "invoice.pdf", bytes(flipped)), TRUST, printed)
    assert not outcome.ok
    assert "invoice.pdf: it is not the page that follows from the sealed invoice" in said(outcome)


def test_the_pdf_of_another_invoice_is_found(bundle: bytes) -> None:
    store, biller = billed(plain())
    body = invoice(store, biller.archive, "INV-1").body | {"total": "1.00"}
    other = pdf(body, key_words=RECEIPT_KEY.public.words)
    assert not verify(changed(bundle, "invoice.pdf", other), TRUST, printed).ok


def test_where_it_cannot_be_made_again_nothing_is_claimed_of_it(bundle: bytes) -> None:
    outcome = verify(bundle, TRUST)
    assert outcome.ok
    assert "invoice.pdf is not sealed and was not compared, so believe this answer and not its page" in said(outcome)


def test_one_of_other_versions_is_not_called_wrong(bundle: bytes) -> None:
    older = paper(bundle).replace(b"typst 0.", b"typst 9.")
    outcome = verify(changed(bundle, "invoice.pdf", older), TRUST, printed)
    assert outcome.ok
    assert "could not be compared" in said(outcome)
    assert "typst 9." in said(outcome)


def test_a_bundle_whose_readme_speaks_of_a_pdf_that_is_gone_is_refused(bundle: bytes) -> None:
    files = unpack(bundle)
    assert not isinstance(files, Refused)
    del files["invoice.pdf"]
    outcome = verify(pack(files), TRUST, printed)
    assert not outcome.ok
    assert "README.txt" in said(outcome)


def test_the_command_tells_it(bundle: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "INV-1.zip"
    path.write_bytes(bundle)
    trust = ["--trust", RECEIPT_KEY.public.words, "--trust", GATEWAY_KEY.public.words]
    assert main([str(path), *trust]) == 0
    assert "note  invoice.pdf is, byte for byte" in capsys.readouterr().out


def test_without_the_extra_it_is_verified_all_the_same(bundle: bytes, tmp_path: Path) -> None:
    """P12: a base install suffices; here its two libraries are hidden from the interpreter."""
    path = tmp_path / "INV-1.zip"
    path.write_bytes(bundle)
    script = (
        "import sys; sys.modules.update(typst=None, facturx=None, lxml=None); "
        "from cloud_collector.proof.command import main; sys.exit(main(sys.argv[1:]))"
    )
    trust = ["--trust", RECEIPT_KEY.public.words, "--trust", GATEWAY_KEY.public.words]
    command = [sys.executable, "-c", script, str(path), *trust]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr
    assert "pip install 'meterseal[einvoice]'" in done.stdout
