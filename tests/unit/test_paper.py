"""The printed invoice: what stands on it, what is inside, and that it is the same bytes whenever it is made."""

import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import facturx
import pytest
from lxml import etree
from pypdf import PdfReader

from cloud_collector.invoice.einvoice import cii
from cloud_collector.invoice.pdf import PaperFailed, pdf
from cloud_collector.invoice.sheet import sheet
from cloud_collector.invoice.wording import language_of, languages
from tests.paper import CASES, GOLDEN, WORDS, Body, credit_note, long, regular, several_rates, unknown_seller, zero

XMP = re.compile(r"<\?xpacket begin.*?<\?xpacket end", re.DOTALL)


def made(body: Body) -> bytes:
    return pdf(body, key_words=WORDS)


def root(raw: bytes) -> Any:
    """The document's catalog."""
    return PdfReader(io.BytesIO(raw), strict=True).trailer["/Root"]


def text(raw: bytes) -> str:
    """Everything that is printed, in reading order."""
    return "\n".join(page.extract_text() for page in PdfReader(io.BytesIO(raw), strict=True).pages)


def test_the_sheet_of_a_regular_invoice_is_the_golden_one() -> None:
    """Changed only on purpose: METERSEAL_GOLDEN=write pytest tests/unit/test_paper.py."""
    golden = GOLDEN / "regular.sheet.json"
    fresh = json.dumps(sheet(regular(), key_words=WORDS, attached=True), indent=1, ensure_ascii=False) + "\n"
    if os.environ.get("METERSEAL_GOLDEN") == "write":
        golden.write_text(fresh, encoding="utf-8")
    assert fresh == golden.read_text(encoding="utf-8")


@pytest.mark.parametrize("case", CASES)
def test_a_pdf_can_be_read_and_holds_the_electronic_invoice(case: str) -> None:
    body = CASES[case]()
    raw = made(body)
    name, inside = facturx.get_facturx_xml_from_pdf(raw, check_xsd=True, check_schematron=False)
    assert name == "factur-x.xml"
    assert inside == cii(body)
    assert body["number"] in text(raw)


def test_it_is_the_same_bytes_a_second_later_and_in_another_process() -> None:
    """P15: every date in it, in its metadata and of its attachment is the time of issue."""
    first = made(regular())
    time.sleep(1.1)
    assert made(regular()) == first
    script = (
        "import hashlib; from tests.paper import WORDS, regular; from cloud_collector.invoice.pdf import pdf; "
        "print(hashlib.sha256(pdf(regular(), key_words=WORDS)).hexdigest())"
    )
    root = Path(__file__).parents[2]
    other = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True)
    assert other.stdout.strip() == hashlib.sha256(first).hexdigest()


def test_every_date_in_it_is_the_time_of_issue() -> None:
    raw = made(regular())
    info = PdfReader(io.BytesIO(raw), strict=True).metadata
    assert info is not None
    assert {str(info[key]) for key in ("/CreationDate", "/ModDate")} == {"D:20261031220005Z"}
    packet = root(raw)["/Metadata"].get_data().decode("utf-8")
    assert set(re.findall(r"\d{4}-\d\d-\d\dT[0-9:]{8}Z?", packet)) == {"2026-10-31T22:00:05Z"}
    years = set(re.findall(rb"D:\d{14}", raw))
    assert years == {b"D:20261031220005"}, "the attachment's too"


def test_its_metadata_name_pdf_a_3b_and_factur_x_at_the_level_en_16931() -> None:
    there = root(made(regular()))
    packet = there["/Metadata"].get_data()
    tree = etree.fromstring(packet[packet.index(b"?>") + 2 : packet.rindex(b"<?xpacket")])
    said = {etree.QName(node).localname: node.text for node in tree.iter() if isinstance(node.tag, str)}
    assert (said["part"], said["conformance"]) == ("3", "B")
    named = ("DocumentType", "DocumentFileName", "Version", "ConformanceLevel")
    assert [said[name] for name in named] == ["INVOICE", "factur-x.xml", "1.0", "EN 16931"]
    described = [node.text for node in tree.iter("{http://www.aiim.org/pdfa/ns/property#}name")]
    assert set(named) <= set(described), "PDF/A wants every property of a foreign schema described"
    attached = there["/AF"][0].get_object()
    assert attached["/AFRelationship"] == "/Alternative"


def test_the_table_of_offsets_points_at_every_object() -> None:
    raw = made(regular())
    table = int(raw[raw.rindex(b"startxref") :].split()[1])
    assert raw[table:].startswith(b"xref\n")
    rows = re.findall(rb"(\d{10}) \d{5} ([nf])", raw[table : raw.index(b"trailer", table)])
    used = [(number, int(at)) for number, (at, kind) in enumerate(rows) if kind == b"n"]
    assert len(used) > 50
    assert all(raw[at:].startswith(b"%d 0 obj" % number) for number, at in used)


def test_who_pays_finds_what_how_much_until_when_and_how_to_check() -> None:
    body = regular() | {"account": regular()["account"] | {"locale": "en_GB"}}
    said = " ".join(text(made(body)).split())
    for what in ("Please pay €401.89", "15 Nov 2026", "FI21 1234 5600 0007 85", "reference INV-1", "partly estimated"):
        assert what in said
    for why in (
        "12,345,961 13,329,031 983,070 Wh",
        "meter did not answer",
        "100 kWh × €0.30 = €30.00",
        "earlier period",
    ):
        assert why in said
    assert f"verify-invoice INV-1.zip --trust {WORDS}" in said


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ({"quantity": "120", "flat": "5.00", "amount": "5"}, "120 kWh at a flat price = 5,00\u00a0€"),
        ({"quantity": "80", "percent": "2.5", "amount": "2"}, "80 kWh × 2,5 % = 2,00\u00a0€"),
        (
            {"packages": "3", "size": "100", "price": "2.00", "amount": "6"},
            "packages 3, size 100 × 2,00\u00a0€ = 6,00\u00a0€",
        ),
        ({"fixed": "1.50", "amount": "1.5"}, "fixed 1.50  = 1,50\u00a0€"),
    ],
)
def test_every_kind_of_step_says_what_it_multiplies(step: Body, said: str) -> None:
    body = regular()
    body["lines"][2]["steps"] = [step]
    made_of = sheet(body, key_words=WORDS, attached=True)["lines"][2]["steps"][0]
    assert " ".join(made_of).replace("\u00a0kWh", " kWh") == said


def test_with_several_taxes_each_line_names_its_own() -> None:
    lines = sheet(several_rates(), key_words=WORDS, attached=True)["lines"]
    assert [line["when"].split(" · ")[1:] for line in lines] == [
        ["VAT 25,5 %", "Electricity tax 2,253 %"],
        ["VAT reduced 10 %"],
        ["VAT 25,5 %"],
        [],
    ]


def test_a_german_customer_reads_german() -> None:
    body = credit_note()
    body["account"]["locale"] = "de_AT"
    said = text(made(body))
    assert "Rechnungskorrektur" in said
    assert "Guthaben zu Ihren Gunsten" in said
    assert "Bitte zahlen" not in said


def test_a_credit_note_and_an_invoice_of_nothing_ask_for_no_money() -> None:
    assert "in your favour" in text(made(credit_note()))
    assert "Nothing to pay" in text(made(zero()))


def test_every_line_of_a_long_invoice_is_printed_and_pages_are_counted() -> None:
    reader = PdfReader(io.BytesIO(made(long())), strict=True)
    said = "\n".join(page.extract_text() for page in reader.pages)
    assert all(f"roof-1/sdm630-{device}\n" in said for device in range(100))
    assert f"Page {len(reader.pages)} of {len(reader.pages)}" in said
    assert "100 lines are partly estimated" in said


def test_text_from_outside_is_text_and_no_markup() -> None:
    body = regular()
    evil = '#panic("x") *b* = head $x$ <l> @r `c` // no'
    body["account"]["name"] = body["contract"] = body["lines"][0]["charge"] = body["lines"][0]["why"] = evil
    assert text(made(body)).replace("\n", " ").count('#panic("x") *b* = head $x$ <l> @r `c` // no') >= 3


def test_what_en_16931_cannot_say_is_printed_without_it() -> None:
    raw = made(unknown_seller())
    assert "/AF" not in root(raw)
    assert "EN 16931" not in text(raw)


def test_a_letter_that_no_font_has_is_named_with_what_to_do() -> None:
    body = regular()
    body["account"]["name"] = "株式会社メーター"
    with pytest.raises(PaperFailed, match=r"INV-1 cannot be printed: no font here has '株'.*documents.fonts_path"):
        made(body)


def test_an_own_font_adds_its_letters_and_changes_nothing_else(tmp_path: Path) -> None:
    found = sorted(Path("/usr/share/fonts").rglob("*.ttf")) if Path("/usr/share/fonts").exists() else []
    if not found:
        pytest.skip("no TrueType font on this machine")
    shutil.copy(found[0], tmp_path)
    assert pdf(regular(), key_words=WORDS, fonts=tmp_path) == made(regular())


def test_every_language_has_the_words_of_the_others() -> None:
    tables = languages()
    assert {language: set(words) for language, words in tables.items()} == {
        language: set(tables["en"]) for language in tables
    }
    holes = re.compile(r"{[a-z]+}")
    for name, sentence in tables["en"].items():
        assert {tuple(sorted(holes.findall(words[name]))) for words in tables.values()} == {
            tuple(sorted(holes.findall(sentence)))
        }, name


def test_a_language_that_documents_do_not_speak_reads_english() -> None:
    assert [language_of(locale) for locale in ("de_CH", "fi_FI", None)] == ["de", "en", "en"]
