"""A charging record is what its charge point signed, byte for byte, or it is refused with a reason."""

import base64
import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.sources.ocmf_record import (
    READINGS_MAX,
    RECORD_BYTES_MAX,
    OcmfRecord,
    Register,
    decode_key,
    parse_record,
    verify_record,
)
from edge_agent.sources.ocmf_sessions import Page, Part, page_of
from shared.errors import Refused
from tests.ocmf_station import Station

FIELD: Final = json.loads((Path(__file__).parents[1] / "golden" / "ocmf.json").read_text(encoding="utf-8"))
"""Records of charge points in the field, with the keys printed on them."""


def parsed(text: str) -> OcmfRecord:
    record = parse_record(text)
    assert isinstance(record, OcmfRecord), record
    return record


def reason(text: str) -> str:
    record = parse_record(text)
    assert isinstance(record, Refused)
    return record.reason


def key_of(station: Station) -> bytes:
    return decode_key(station.public_key)


@pytest.mark.parametrize("case", FIELD["records"], ids=lambda case: case["name"])
def test_a_record_from_the_field_is_verified_and_read(case: dict[str, Any]) -> None:
    record = parsed(case["record"])
    assert verify_record(record, decode_key(case["public_key"])) is None
    page = page_of(record, case.get("obis", ""))
    assert isinstance(page, Page)
    found = {"part": str(page.part), "page": f"{page.context}{page.page}"}
    for name, register in (("begin", page.begin), ("end", page.end)):
        found[name] = None if register is None else f"{register.watt_hours.normalize():f}"  # type: ignore[assignment]
    assert found == case["means"]


@pytest.mark.parametrize("case", FIELD["records"], ids=lambda case: case["name"])
def test_no_character_of_its_payload_may_change(case: dict[str, Any]) -> None:
    """P10, P11: not even white space, which JSON would not mind."""
    head, payload, signature = case["record"].split("|")
    for forged in (payload.replace('"G"', '"G" ', 1), payload.replace(":", ": ", 1), payload.replace("20", "21", 1)):
        record = parsed(f"{head}|{forged}|{signature}")
        found = verify_record(record, decode_key(case["public_key"]))
        assert found == Refused("its signature is not that of the configured key")


@pytest.mark.parametrize(
    ("curve", "named"),
    [
        (ec.SECP192R1(), "ECDSA-secp192r1-SHA256"),
        (ec.SECP256K1(), "ECDSA-secp256k1-SHA256"),
        (ec.SECP256R1(), ""),
        (ec.SECP256R1(), "ECDSA-secp256r1-SHA256"),
        (ec.SECP384R1(), "ECDSA-secp384r1-SHA256"),
        (ec.SECP521R1(), "ECDSA-secp521r1-SHA256"),
        (ec.BrainpoolP256R1(), "ECDSA-brainpool256r1-SHA256"),
        (ec.BrainpoolP256R1(), "ECDSA-brainpoolP256r1-SHA256"),
        (ec.BrainpoolP384R1(), "ECDSA-brainpool384r1-SHA256"),
    ],
)
def test_every_curve_of_the_format_is_verified(curve: ec.EllipticCurve, named: str) -> None:
    station = Station(curve=curve)
    payload = parsed(station.charge("1")).payload
    text = station.sign(payload, named=named)
    record = parsed(text if named else text.replace('"SA": "ECDSA-secp256r1-SHA256", ', ""))
    assert verify_record(record, key_of(station)) is None
    other = Station(curve=curve)
    assert verify_record(record, key_of(other)) == Refused("its signature is not that of the configured key")


def test_a_curve_that_no_library_has_is_named() -> None:
    station = Station()
    record = parsed(station.sign(parsed(station.charge("1")).payload, named="ECDSA-secp192k1-SHA256"))
    assert verify_record(record, key_of(station)) == Refused(
        "its signature algorithm 'ECDSA-secp192k1-SHA256' is not supported"
    )


def test_a_key_of_another_curve_is_named() -> None:
    found = verify_record(parsed(Station().charge("1")), key_of(Station(curve=ec.SECP384R1())))
    assert found == Refused("it is signed on the curve secp256r1, and the configured key is one of secp384r1")


def test_a_key_that_is_none_of_a_curve_checks_nothing() -> None:
    record = parsed(Station().charge("1"))
    raw = Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    for key in (raw, b"", b"\x30\x03\x01\x01"):
        found = verify_record(record, key)
        assert isinstance(found, Refused)
        assert found.reason.startswith("the configured key cannot check it")


def test_a_key_is_read_in_every_form_that_charge_points_print() -> None:
    station = Station()
    record = parsed(station.charge("1"))
    public = station.key.public_key()
    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    point = public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    compressed = public.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    spaced = " ".join(re.findall(".{1,4}", der.hex().upper()))
    texts = [der.hex(), spaced, base64.b64encode(der).decode(), pem, point.hex(), point[1:].hex(), compressed.hex()]
    assert [verify_record(record, decode_key(text)) for text in texts] == [None] * len(texts)
    with pytest.raises(ValueError, match=r"."):
        decode_key("no key at all!")


def test_a_signature_may_be_base64() -> None:
    station = Station()
    record = parsed(station.charge("1"))
    head, payload, _ = station.sign(record.payload).split("|")
    raw = base64.b64encode(parsed(station.sign(payload)).signature).decode()
    signature = json.dumps({"SE": "base64", "SM": "application/x-der", "SD": raw})
    assert verify_record(parsed(f"{head}|{payload}|{signature}"), key_of(station)) is None


def test_a_field_that_a_reading_leaves_out_is_that_of_the_one_before() -> None:
    record = parsed(
        'OCMF|{"PG":"T1","MS":"m","RD":[{"TM":"2026-11-01T10:00:00,000+0100 S","TX":"B","RV":1.50,"RI":"1-b:1.8.0",'
        '"RU":"kWh","EF":"","ST":"G"},{"TX":"E","RV":"2.75"}]}|{"SD":"00"}'
    )
    at_ms = 1_793_523_600_000
    assert [reading.register for reading in record.readings] == [
        Register(Decimal(1_500), at_ms),
        Register(Decimal(2_750), at_ms),
    ]
    assert [reading.reason for reading in record.readings] == ["B", "E"]


GOOD: Final = '{"TM":"2026-11-01T10:00:00,000+0100 S","TX":"B","RV":1,"RI":"1-b:1.8.0","RU":"Wh","ST":"G"}'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "this is no OCMF record"),
        ("OCMF|{}", "this is no OCMF record"),
        ("OCMF|{}|{}|{}", "this is no OCMF record"),
        ("XCMF|{}|{}", "this is no OCMF record"),
        ("OCMF|[]|{}", "the payload is no JSON object"),
        ("OCMF|{|{}", "the payload is no JSON"),
        ("OCMF|" + "[" * 30_000 + "|{}", "the payload is no JSON"),
        ('OCMF|{"PG":"T1","PG":"T2"}|{}', "a key stands twice"),
        ('OCMF|{"PG":"T1","RV":NaN}|{}', "NaN is no number"),
        ('OCMF|{"PG":"1"}|{}', "PG is no page"),
        ('OCMF|{"PG":"T1","MS":7.5,"RD":[]}|{}', "RD is no list of readings"),
        ('OCMF|{"PG":"T1","MS":{}}|{}', "MS is no plain text"),
        ('OCMF|{"PG":"T1","MS":"a\\nb"}|{}', "MS is no plain text"),
        ('OCMF|{"PG":"T1"}|{}', "neither a meter (MS) nor a gateway (GS)"),
        (f'OCMF|{{"PG":"T1","MS":"m","RD":[{GOOD}]}}|{{"SD":"xx"}}', "SD is not hex"),
        (f'OCMF|{{"PG":"T1","MS":"m","RD":[{GOOD}]}}|{{"SE":"rot13","SD":"00"}}', "SE is neither hex nor base64"),
        (f'OCMF|{{"PG":"T1","MS":"m","RD":[{GOOD}]}}|{{"SM":"text/xml","SD":"00"}}', "SM is not application/x-der"),
        ('OCMF|{"PG":"T1","MS":"m","RD":[1]}|{"SD":"00"}', "a reading is no object"),
        (f'OCMF|{{"PG":"T1","MS":"m","RD":[{GOOD.replace(":1,", ":1e3,")}]}}|{{"SD":"00"}}', "is no plain number"),
        (f'OCMF|{{"PG":"T1","MS":"m","RD":[{GOOD.replace(":1,", ":true,")}]}}|{{"SD":"00"}}', "is no plain number"),
        ("OCMF|\udc80|{}", "this is no UTF-8 text"),
    ],
)
def test_what_is_no_record_is_refused_with_a_reason(text: str, said: str) -> None:
    assert said in reason(text)


def test_records_and_their_readings_have_bounds() -> None:
    """P9: on both sides of each."""
    rows = ",".join([GOOD] + ["{}"] * (READINGS_MAX - 1))
    assert len(parsed(f'OCMF|{{"PG":"T1","MS":"m","RD":[{rows}]}}|{{"SD":"00"}}').readings) == READINGS_MAX
    assert "RD is no list" in reason(f'OCMF|{{"PG":"T1","MS":"m","RD":[{rows},{{}}]}}|{{"SD":"00"}}')
    text = f'OCMF|{{"PG":"T1","MS":"m","RD":[{GOOD}]}}|{{"SD":"00","X":"'
    assert parsed(f'{text}{"x" * (RECORD_BYTES_MAX - len(text) - 2)}"}}')
    assert "is larger than" in reason(f'{text}{"x" * (RECORD_BYTES_MAX - len(text) - 1)}"}}')


@given(st.text(max_size=200), st.text(max_size=100))
def test_no_text_breaks_the_reader(payload: str, signature: str) -> None:
    """P8: poison is answered, never raised."""
    for text in (payload, f"OCMF|{payload}|{signature}", f'OCMF|{{"PG":"T1","MS":{json.dumps(payload)}}}|{{}}'):
        assert isinstance(parse_record(text), Refused)


class TestWhatARecordMeans:
    def page(self, text: str, obis: str = "") -> Page | Refused:
        return page_of(parsed(text), obis)

    @pytest.mark.parametrize("letter", "ELRAP")
    def test_every_letter_that_ends_a_transaction_does(self, letter: str) -> None:
        page = self.page(Station().end("1", letter))
        assert isinstance(page, Page)
        assert page.part is Part.END

    @pytest.mark.parametrize("letter", "CSTX")
    def test_the_others_stand_in_its_middle(self, letter: str) -> None:
        page = self.page(Station().go_on("1", letter))
        assert isinstance(page, Page)
        assert page.part is Part.MIDDLE

    def test_a_reading_outside_of_transactions_means_nothing_for_them(self) -> None:
        station = Station()
        page = self.page(station.signed([station.reading("")], page="F7"))
        assert isinstance(page, Page)
        assert (page.part, page.context) == (Part.NONE, "F")

    @pytest.mark.parametrize(
        ("more", "said"),
        [
            ({"ST": "T"}, "its meter's status is T and not G (ST)"),
            ({"ST": ""}, "its meter's status is missing and not G (ST)"),
            ({"EF": "E"}, "its meter flags the energy as unusable (EF)"),
            ({"EF": "Et"}, "its meter flags the energy as unusable (EF)"),
        ],
    )
    def test_energy_that_its_meter_disowns_is_not_billed(self, more: dict[str, Any], said: str) -> None:
        station = Station()
        assert self.page(station.charge("1", **more)) == Refused(said)
        assert self.page(station.begin(**more)) == Refused(said)
        assert self.page(station.go_on("1", "X", **more)) == Refused(f"during the transaction {said}")

    def test_a_time_that_its_meter_disowns_does_not_touch_the_energy(self) -> None:
        assert isinstance(self.page(Station().charge("1", EF="t")), Page)

    def test_an_error_between_begin_and_end_spoils_the_record(self) -> None:
        station = Station()
        rows = [station.reading("B"), station.reading("X", EF="E"), station.reading("E", EF="")]
        assert self.page(station.signed(rows)) == Refused("its meter flags the energy as unusable (EF)")

    def test_among_several_registers_the_configuration_chooses(self) -> None:
        station = Station()
        rows = [station.reading(letter, RI=code) for code in ("1-b:1.8.0", "01-00:B2.08.00*FF") for letter in "BE"]
        text = station.signed(rows)
        assert self.page(text) == Refused(
            "its transaction has the registers 01-00:B2.08.00*FF, 1-b:1.8.0: "
            "say in the configuration which one is billed, with obis"
        )
        for obis, code in (("1.8.0", "1-b:1.8.0"), ("1-b:1.8.0", "1-b:1.8.0"), ("B2.08.00", "01-00:B2.08.00*FF")):
            page = self.page(text, obis)
            assert isinstance(page, Page)
            assert page.obis == code
        assert isinstance(self.page(text, "2.8.0"), Refused)

    def test_a_register_that_only_ends_is_not_the_transactions(self) -> None:
        station = Station()
        rows = [station.reading("B"), station.reading("E"), station.reading("E", RI="1-b:1.9.0")]
        page = self.page(station.signed(rows))
        assert isinstance(page, Page)
        assert (page.part, page.obis) == (Part.WHOLE, "1-b:1.8.0")

    def test_a_record_of_two_transactions_is_refused(self) -> None:
        station = Station()
        rows = [station.reading(letter) for letter in "BEBE"]
        assert self.page(station.signed(rows)) == Refused("it holds more than one begin or end of a transaction")

    def test_a_resistance_is_no_energy(self) -> None:
        assert isinstance(self.page(Station().charge("1", RU="mOhm")), Refused)

    def test_what_it_means_survives_the_way_through_json(self) -> None:
        for text in (Station().charge("1.25"), Station().begin(), Station().go_on("1")):
            page = self.page(text)
            assert isinstance(page, Page)
            assert Page.from_json(json.loads(json.dumps(page.to_json()))) == page
