"""Check this bill, in a real browser: green while all holds, red with line, day and amount once a byte differs."""

import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from cloud_collector.invoice.locale import locale_named
from cloud_collector.proof.bundle import Bundle, from_zip, to_zip
from cloud_collector.proof.page import offline_page, page_with
from cloud_collector.proof.trust import Trust
from cloud_collector.proof.verify import verify
from shared.words import WORDS
from tests.chrome import ELSEWHERE, PHONE, Visit, visit
from tests.portal_site import Portal, running, spoil
from tests.unit.billing_samples import GATEWAY_KEY, RECEIPT_KEY

pytestmark = pytest.mark.system
CHECK = "/portal/acme/invoices/INV-1/check"
GREEN = (
    "The invoice INV-1 over 394,61\u00a0€ is as it was sealed, all 33 meter reports are as their gateways signed them"
)
RED = "Report 11 of roof-1 of 10 October 2026 was changed after the gateway signed it"
TRUST = Trust(fingerprints=frozenset({RECEIPT_KEY.public.sha256, GATEWAY_KEY.public.sha256}), words=frozenset())
OLD, NEW = b"[330,", b"[930,"


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    with running(tmp_path_factory.mktemp("check")) as found:
        yield found


@pytest.fixture(scope="module")
def bundle(portal: Portal, browser: Browser) -> bytes:
    """The evidence as the customer's browser downloads it."""
    with visit(browser, headers=portal.headers("acme")) as person:
        answer = person.context.request.get(portal.url("/portal/acme/invoices/INV-1/as/bundle"))
        assert answer.ok, answer.text()
        return answer.body()


def verdict(person: Visit) -> str:
    """What the page says in the end."""
    person.page.wait_for_selector("#check[data-verdict]", timeout=60_000)
    return person.page.inner_text("#check .verdict")


def offline(person: Visit, tmp_path: Path, bundle: bytes) -> str:
    """What the file in the bundle says of a bundle, from a disk and without a network."""
    with zipfile.ZipFile(BytesIO(bundle)) as opened:
        (tmp_path / "verify.html").write_bytes(opened.read("verify.html"))
    (tmp_path / "INV-1.zip").write_bytes(bundle)
    person.context.set_offline(True)
    person.page.goto(f"file://{tmp_path}/verify.html")
    person.page.set_input_files("#file", str(tmp_path / "INV-1.zip"))
    return verdict(person)


def tampered(bundle: bytes, row: int = 10, old: bytes = OLD, new: bytes = NEW) -> bytes:
    """The bundle with one byte of a line changed, and the zip around it made whole again."""
    opened = from_zip(bundle)
    assert isinstance(opened, Bundle)
    rows = list(opened.lines["roof-1", "main"])
    assert old in rows[row]
    rows[row] = rows[row].replace(old, new, 1)
    return to_zip(
        Bundle(
            invoice=opened.invoice,
            catalog=opened.catalog,
            lines={("roof-1", "main"): tuple(rows)},
            keys=opened.keys,
            readme=opened.readme,
            paper=opened.paper,
            page=opened.page,
        )
    )


def test_a_true_bill_is_green_on_the_portal(portal: Portal, browser: Browser) -> None:
    """P12: signatures, chain, counters and sums, in the browser that has no reason to trust the server."""
    with visit(browser, headers=portal.headers("acme"), size=PHONE) as person:
        person.open(portal.url(CHECK))
        assert GREEN in verdict(person)
        words = person.page.inner_text("#check .keys")
        assert RECEIPT_KEY.public.words.replace("-", " ") in words
        assert GATEWAY_KEY.public.words.replace("-", " ") in words
        assert "its own WebCrypto" in person.page.inner_text("#check")
        assert person.errors == []
        assert person.serious() == []
        assert person.weight <= 150_000, person.weights


def test_the_browser_writes_figures_as_the_invoice_does_digit_for_digit(portal: Portal, browser: Browser) -> None:
    """No figure goes through a floating number; what no browser knows is written plainly."""
    texts = ["0", "-0.15", "394.61", "1234.5", "12345678901234567890.10", "-1234567"]
    known = ["fi_FI", "sv_SE", "de_DE", "en_GB", "en_US", "es_ES", "fr_FR", "pl_PL", "ja_JP"]
    with visit(browser, headers=portal.headers("acme")) as person:
        person.open(portal.url("/portal/acme/invoices"))
        said = person.page.evaluate(
            """async ([locales, texts]) => {
              const { reader } = await import("/static/portal/check/people.js");
              return locales.map((locale) => {
                const people = reader({ account: { locale }, currency: "EUR" });
                return texts.map((text) => [people.money(text), people.number(text)]);
              });
            }""",
            [[*known, None, "zz_ZZ"], texts],
        )
    for locale, found in zip(known, said[:-2], strict=True):
        people = locale_named(locale)
        assert found == [[people.amount(text, "EUR"), people.number(text)] for text in texts], locale
    assert said[-2:] == [[[f"{text} EUR", text] for text in texts]] * 2


def test_a_true_bill_is_green_from_a_disk_without_a_network(browser: Browser, bundle: bytes, tmp_path: Path) -> None:
    assert verify(bundle, TRUST, page=offline_page()).ok
    with visit(browser) as person:
        assert GREEN in offline(person, tmp_path, bundle)
        assert person.errors == []
        assert person.serious() == []


def test_the_page_with_the_evidence_inside_checks_it_at_once(browser: Browser, bundle: bytes, tmp_path: Path) -> None:
    (tmp_path / "INV-1-verify.html").write_bytes(page_with(bundle))
    with visit(browser) as person:
        person.context.set_offline(True)
        person.page.goto(f"file://{tmp_path}/INV-1-verify.html")
        assert GREEN in verdict(person)
        assert person.errors == []


def test_one_byte_of_a_line_is_named_with_line_day_and_amount_without_a_network(
    browser: Browser, bundle: bytes, tmp_path: Path
) -> None:
    """P11: the form of the zip was repaired by who changed it, and does not help him."""
    with visit(browser) as person:
        told = offline(person, tmp_path, tampered(bundle))
        assert (
            f"{RED}. Line 3, Energy: it departs from the counters before and after it by 0,6 kWh, which is 0,15\u00a0€."
            in told
        )
        assert person.page.get_attribute("#check", "data-verdict") == "bad"
        assert person.errors == []


def test_a_byte_that_makes_a_line_unreadable_is_named_too(browser: Browser, bundle: bytes, tmp_path: Path) -> None:
    with visit(browser) as person:
        told = offline(person, tmp_path, tampered(bundle, old=b'"step":', new=b'"step"?'))
        assert "Report 11 of roof-1 of 10 October 2026" in told
        assert "Line 3, Energy: the 31,68 kWh in it, which are 7,92\u00a0€, are not proven" in told


def test_without_a_secure_context_the_vendored_code_says_the_same(
    portal: Portal, browser: Browser, bundle: bytes, tmp_path: Path
) -> None:
    """Over plain http under a name that is not localhost, browsers have no WebCrypto."""
    with visit(browser, headers=portal.headers("acme")) as person:
        person.open(portal.url(CHECK, host=ELSEWHERE))
        assert GREEN in verdict(person)
        assert person.page.evaluate("window.isSecureContext") is False
        assert person.page.evaluate("typeof crypto.subtle") == "undefined"
        assert "JavaScript (no WebCrypto here)" in person.page.inner_text("#check")
        assert person.errors == []
        assert person.weight <= 150_000, person.weights
    with visit(browser) as person:
        person.context.add_init_script("Object.defineProperty(crypto, 'subtle', {value: undefined})")
        assert RED in offline(person, tmp_path, tampered(bundle))
        assert "JavaScript (no WebCrypto here)" in person.page.inner_text("#check")


def test_one_byte_of_a_stored_line_turns_the_portal_red(portal: Portal, browser: Browser) -> None:
    """P11: the operator's own store is not believed either."""
    kept = spoil(portal, 11, OLD, NEW)
    try:
        with visit(browser, headers=portal.headers("acme"), dark=True) as person:
            person.open(portal.url(CHECK))
            told = verdict(person)
            assert RED in told
            assert "Line 3, Energy" in told
            assert "0,6 kWh, which is 0,15\u00a0€" in told
            link = person.page.locator("#check .findings a").first.get_attribute("href")
            assert link is not None
            assert link.startswith("/portal/acme/invoices/INV-1/dispute?line=3&why=Report")
            assert person.errors == []
            assert person.serious() == []
    finally:
        at = kept.index(OLD)
        spoil(portal, 11, kept[: at + len(OLD)].replace(OLD, NEW), kept[: at + len(OLD)])


def test_another_accounts_evidence_is_not_there(portal: Portal, browser: Browser) -> None:
    """P20."""
    with visit(browser, headers=portal.headers("bolt")) as person:
        for path in ("", ".json", ".csv", "/check", "/paper", "/evidence.zip", "/verify.html", "/as/pdf", "/as/bundle"):
            for account in ("acme", "bolt"):
                answer = person.context.request.get(portal.url(f"/portal/{account}/invoices/INV-1{path}"))
                assert answer.status == 404, path
                assert "394.61" not in answer.text()
                assert "Åke" not in answer.text()


def test_the_words_in_the_browser_are_those_of_every_other_place() -> None:
    text = (Path(__file__).parents[2] / "cloud_collector/web/static/portal/check/words.js").read_text(encoding="utf-8")
    assert " ".join("".join(text.split('"')[1::2]).split()).split() == list(WORDS)
