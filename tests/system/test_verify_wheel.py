"""P12: a customer installs the wheel without extras, and checks an invoice with nothing but a bundle and two keys."""

import os
import random
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from cloud_collector.billing.export import as_bundle, invoice
from cloud_collector.billing.run import bill_due
from cloud_collector.invoice.pdf import pdf
from tests.unit.billing_samples import (
    GATEWAY_KEY,
    NOVEMBER,
    RECEIPT_KEY,
    Gateway,
    new_store,
    october,
    receive,
    store_biller,
)

pytestmark = pytest.mark.system

ROOT = Path(__file__).parents[2]
_MANY = """
import pathlib, random, sys
from cloud_collector.proof.container import pack, unpack
from cloud_collector.proof.trust import read_trust
from cloud_collector.proof.verify import verify
raw = pathlib.Path(sys.argv[1]).read_bytes()
trust = read_trust(sys.argv[3:])
assert verify(raw, trust).ok
chance = random.Random(int(sys.argv[2]))
silent = []
files = unpack(raw)
for place in chance.sample(range(len(raw)), 300):
    flipped = bytearray(raw)
    flipped[place] ^= chance.randint(1, 255)
    if verify(bytes(flipped), trust).ok:
        silent.append(place)
    # And once more as a forger would: the zip around the flip is repaired.
    name = chance.choice(sorted(files))
    content = bytearray(files[name])
    at = chance.randrange(len(content))
    content[at] ^= chance.randint(1, 255)
    if verify(pack(files | {name: bytes(content)}), trust).ok:
        silent.append((name, at))
assert not silent, silent
loaded = [name for name in ("typer", "fastapi", "apscheduler", "jinja2", "rich", "sqlite_utils") if name in sys.modules]
assert not loaded, loaded
print("every flip was found")
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of a fresh environment with the wheel's base install."""
    folder = tmp_path_factory.mktemp("customer")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = folder.glob("meterseal-*.whl")
    venv.create(folder / "venv", with_pip=True)
    bin_ = folder / "venv" / "bin"
    pip = [str(bin_ / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run([*pip, str(wheel)], check=False, capture_output=True, text=True)
    if done.returncode:
        if "No matching distribution" in done.stderr or "Connection" in done.stderr:
            pytest.skip("the package index cannot be reached")
        pytest.fail(done.stderr)
    return bin_


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the invoice's bundle, and the same with its PDF."""
    store, biller, now = new_store(), store_biller(), NOVEMBER + 3 * 86_400
    receive(store, october(Gateway()).lines, at=now)
    bill_due(store, now * 1000, biller)
    folder, found = tmp_path_factory.mktemp("bundle"), invoice(store, biller.archive, "INV-1")
    (folder / "INV-1.zip").write_bytes(as_bundle(store, found, RECEIPT_KEY.public))
    paper = pdf(found.body, key_words=RECEIPT_KEY.public.words)
    (folder / "printed.zip").write_bytes(as_bundle(store, found, RECEIPT_KEY.public, paper=paper))
    return folder


@pytest.fixture(scope="module")
def bundle(bundles: Path) -> Path:
    return bundles / "INV-1.zip"


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    clean = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
    return subprocess.run(command, check=False, capture_output=True, text=True, env=clean, cwd="/")


def test_the_base_install_verifies_an_invoice(installed: Path, bundle: Path) -> None:
    trust = ("--trust", RECEIPT_KEY.public.sha256, "--trust", GATEWAY_KEY.public.words)
    done = _run(str(installed / "verify-invoice"), str(bundle), *trust)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("VERIFIED  INV-1, 394.61 EUR")


def test_the_base_install_verifies_an_invoice_with_its_pdf_and_claims_nothing_of_that(
    installed: Path, bundles: Path
) -> None:
    trust = ("--trust", RECEIPT_KEY.public.sha256, "--trust", GATEWAY_KEY.public.words)
    done = _run(str(installed / "verify-invoice"), str(bundles / "printed.zip"), *trust)
    assert (done.returncode, done.stderr) == (0, "")
    assert "invoice.pdf is not sealed and was not compared" in done.stdout


def test_the_base_install_names_a_changed_reading_and_exits_with_six(
    installed: Path, bundle: Path, tmp_path: Path
) -> None:
    raw = bytearray(bundle.read_bytes())
    raw[raw.index(b"[330,330") + 1] ^= 1
    changed = tmp_path / "changed.zip"
    changed.write_bytes(bytes(raw))
    done = _run(str(installed / "verify-invoice"), str(changed), "--trust", RECEIPT_KEY.public.sha256)
    assert done.returncode == 6
    assert done.stdout.startswith("NOT VERIFIED")


def test_each_of_three_hundred_random_flips_is_found(installed: Path, bundle: Path) -> None:
    """No byte of a bundle is harmless: that is the rule, because a bundle has one form."""
    seed = os.environ.get("SEED") or str(random.SystemRandom().randrange(2**32))
    trust = (RECEIPT_KEY.public.sha256, GATEWAY_KEY.public.sha256)
    done = _run(str(installed / "python"), "-c", _MANY, str(bundle), seed, *trust)
    assert done.stdout == "every flip was found\n", f"SEED={seed}\n{done.stderr}"
