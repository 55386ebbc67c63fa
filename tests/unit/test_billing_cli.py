"""The operator's billing commands as people meet them: their words, their files, their exit codes."""

import json
import shutil
import sys
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cloud_collector.billing.documents import Form
from cloud_collector.cli.main import app
from cloud_collector.proof.command import main as verify_invoice
from tests.unit.billing_samples import (
    CATALOG,
    GATEWAY_KEY,
    NOVEMBER,
    RECEIPT_KEY,
    Gateway,
    new_store,
    october,
    receive,
)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("filled")
    store = new_store(folder / "collector.db")
    receive(store, october(Gateway()).lines, at=NOVEMBER + 3 * 86_400)
    store.close()
    (folder / "key.pem").write_text(RECEIPT_KEY.pem, encoding="ascii")
    (folder / "catalog.toml").write_text(CATALOG, encoding="utf-8")
    return folder


@pytest.fixture
def here(filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "collector"
    shutil.copytree(filled, folder)
    for name, value in (("STORE_PATH", "collector.db"), ("KEY_FILE", "key.pem"), ("ARCHIVE_PATH", "invoices")):
        monkeypatch.setenv(f"METERSEAL_COLLECTOR__{name}", str(folder / value))
    return folder


def run(*words: str) -> Result:
    return CliRunner().invoke(app, list(words), catch_exceptions=False)


def test_a_month_is_previewed_run_listed_exported_and_verified(here: Path) -> None:
    assert "394.61 EUR" in run("billing", "preview").stdout
    assert json.loads(run("billing", "preview", "--json").stdout)[0]["draft"]["total"] == "394.61"
    done = run("billing", "run")
    assert (done.exit_code, done.stdout) == (0, "1 issued, 0 nothing, 0 waiting, 0 parked\n")
    assert "INV-1" in done.stderr
    assert json.loads(run("billing", "run", "--json").stdout) == {"outcomes": [], "archived": []}
    assert [path.name for path in (here / "invoices").glob("*.ms")] == ["INV-1.ms"]
    assert json.loads(run("billing", "list", "--json").stdout)["closed"][0]["number"] == "INV-1"
    assert json.loads(run("invoice", "list", "--json").stdout)[0]["total"] == "394.61"
    assert "INV-1" in run("invoice", "list").stdout
    assert "total 394.61 EUR" in run("invoice", "show", "INV-1").stdout
    assert json.loads(run("invoice", "show", "INV-1", "--json").stdout)["number"] == "INV-1"
    names = {option: here / f"INV-1.{option}" for option in ("bundle", "html", "json", "sealed")}
    options = [word for option, path in names.items() for word in (f"--{option}", str(path))]
    exported = run("invoice", "export", "INV-1", *options)
    assert exported.exit_code == 0
    assert names["sealed"].read_bytes() == (here / "invoices" / "INV-1.ms").read_bytes()
    assert "<h1>Invoice</h1>" in names["html"].read_text(encoding="utf-8")
    trust = ["--trust", RECEIPT_KEY.public.words, "--trust", GATEWAY_KEY.public.words]
    assert verify_invoice([str(names["bundle"]), *trust]) == 0


def test_every_form_of_an_invoice_is_written_under_its_name(here: Path) -> None:
    assert run("billing", "run").exit_code == 0
    forms = [word for form in Form for word in ("--as", form.value)]
    assert run("invoice", "export", "INV-1", *forms, "--to", str(here)).exit_code == 0
    suffixes = "pdf html json ms factur-x.xml ubl.xml zip".split()
    assert all((here / f"INV-1.{suffix}").stat().st_size > 1000 for suffix in suffixes)
    with zipfile.ZipFile(here / "INV-1.zip") as bundle:
        assert bundle.read("invoice.pdf") == (here / "INV-1.pdf").read_bytes()
    trust = ["--trust", RECEIPT_KEY.public.words, "--trust", GATEWAY_KEY.public.words]
    assert verify_invoice([str(here / "INV-1.zip"), *trust]) == 0


def test_a_form_goes_to_standard_output(here: Path) -> None:
    del here
    run("billing", "run")
    done = run("invoice", "export", "INV-1", "--as", "ubl", "--to", "-")
    assert done.exit_code == 0
    assert done.stdout.startswith("<?xml")


def test_a_form_whose_libraries_are_absent_says_what_to_install(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    del here
    run("billing", "run")
    monkeypatch.setitem(sys.modules, "facturx", None)
    done = run("invoice", "export", "INV-1", "--as", "factur-x")
    assert done.exit_code == 1
    assert "pip install 'meterseal[einvoice]'" in done.stderr


def test_a_bundle_without_a_pdf_says_why_and_is_whole(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("billing", "run")
    monkeypatch.setitem(sys.modules, "typst", None)
    monkeypatch.setitem(sys.modules, "facturx", None)
    done = run("invoice", "export", "INV-1", "--bundle", str(here / "INV-1.zip"))
    assert done.exit_code == 0
    assert "the bundle has no invoice.pdf: The extra `einvoice` is not installed" in done.stderr
    trust = ["--trust", RECEIPT_KEY.public.words, "--trust", GATEWAY_KEY.public.words]
    assert verify_invoice([str(here / "INV-1.zip"), *trust]) == 0


def test_a_run_without_an_instant_is_never_of_the_future(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two looks at the clock a millisecond may pass."""
    del here
    times = iter(range(10**12, 10**12 + 1000))
    monkeypatch.setattr("cloud_collector.cli.billing.SystemClock.utc_ms", lambda _: next(times))
    assert run("billing", "run").exit_code == 0


def test_before_the_period_ends_nothing_is_due(here: Path) -> None:
    del here
    done = run("billing", "preview", "--as-of", "2026-10-31T21:59:59Z")
    assert (done.stdout, done.stderr) == ("", "nothing is due\n")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("billing", "preview", "--as-of", "yesterday"), 2, "write an instant with its zone"),
        (("billing", "run", "--as-of", "2199-01-01T00:00:00Z"), 2, "lies in the future"),
        (("billing", "run", "--contract", "acmee"), 3, "the catalog has no contract acmee; it has acme-chargers"),
        (("invoice", "show", "INV-9"), 3, "there is no invoice INV-9"),
        (("invoice", "export", "INV-9"), 2, "say what to write"),
        (("catalog", "check", "/nowhere/catalog.toml"), 2, "No such file"),
        (("billing", "run", "--store", "/nowhere/collector.db"), 3, "there is no store at /nowhere/collector.db"),
        (("billing", "run", "--key", "/nowhere/key.pem"), 2, "there is no receipt key at /nowhere/key.pem"),
    ],
)
def test_what_cannot_be_done_is_a_sentence_and_a_code(here: Path, words: tuple[str, ...], code: int, said: str) -> None:
    del here
    done = run(*words)
    assert done.exit_code == code, done.stderr
    assert said in done.stderr


def test_an_account_that_cannot_be_billed_is_parked_and_the_run_says_that_it_is_partly_done(here: Path) -> None:
    """P19."""
    changed = here / "changed.toml"
    changed.write_text(CATALOG.replace('country = "FI"\nlocale', "locale"), encoding="utf-8")
    assert "revision 2 is in force" in run("catalog", "apply", str(changed)).stdout
    done = run("billing", "run")
    assert done.exit_code == 5
    assert "accounts.acme.country" in done.stderr
    listed = run("billing", "list").stdout
    assert "acme-chargers  PARKED since" in listed


def test_a_catalog_is_checked_applied_and_listed(here: Path) -> None:
    catalog = here / "catalog.toml"
    assert "1 plan, 1 account, 1 contract, 2 devices" in run("catalog", "check", str(catalog)).stdout
    assert "nothing changed" in run("catalog", "apply", str(catalog)).stdout
    catalog.write_text(CATALOG + "# dearer soon\n", encoding="utf-8")
    assert "would apply" in run("catalog", "apply", str(catalog), "--dry-run").stdout
    applied = json.loads(run("catalog", "apply", str(catalog), "--effective", "2026-12-01", "--json").stdout)
    assert (applied["revision"], applied["effective_at"]) == (2, "2026-11-30T22:00:00Z")
    assert [row["revision"] for row in json.loads(run("catalog", "list", "--json").stdout)] == [1, 2]
    catalog.write_text(CATALOG.replace('settle = "48h"', 'setle = "48h"'), encoding="utf-8")
    refused = run("catalog", "check", str(catalog))
    assert refused.exit_code == 2
    assert f"{catalog}:18" in refused.stderr
    assert "settle" in refused.stderr
