"""verify-invoice: what follows from its evidence is verified, and whatever does not is named with its money."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from cloud_collector.billing.export import NotHandedOut, as_bundle, invoice
from cloud_collector.billing.run import Biller, bill_due
from cloud_collector.fleet.decisions import revoke_key
from cloud_collector.intake.replay import rejudge
from cloud_collector.proof.bundle import Bundle, from_zip, to_zip, write_keys, write_readme
from cloud_collector.proof.command import main
from cloud_collector.proof.findings import Finding, Stage
from cloud_collector.proof.trust import Trust, read_trust
from cloud_collector.proof.verify import verify
from cloud_collector.settings import CollectorSettings
from cloud_collector.store.store import Store
from shared.errors import Refused
from shared.key import SigningKey
from shared.line import parse, read_body, seal
from shared.report import Clock, read
from tests.unit.billing_samples import (
    CATALOG,
    COUNT,
    GATEWAY_KEY,
    NOVEMBER,
    OCTOBER,
    RECEIPT_KEY,
    STEP,
    Gateway,
    new_store,
    october,
    receive,
    store_biller,
)

DAY = STEP * COUNT
LATER = NOVEMBER + 3 * 86_400
TRUST = Trust(fingerprints=frozenset({RECEIPT_KEY.public.sha256, GATEWAY_KEY.public.sha256}), words=frozenset())


def bundle(store: Store, biller: Biller, number: str = "INV-1") -> bytes:
    return as_bundle(store, invoice(store, biller.archive, number), RECEIPT_KEY.public)


def billed(gateway: Gateway, *, at: int = LATER, catalog: str = CATALOG) -> tuple[Store, Biller]:
    store, biller = new_store(catalog=catalog), store_biller()
    receive(store, gateway.lines, at=at)
    assert [each.state for each in bill_due(store, at * 1000, biller).outcomes] == ["issued"]
    return store, biller


def plain() -> Gateway:
    return october(Gateway())


def with_gaps() -> Gateway:
    gateway = Gateway()
    gateway.birth(OCTOBER - 3_600)
    for day in range(33):
        start = OCTOBER + day * DAY
        if day == 9:
            gateway.gap(start, start + DAY, "sdm630-1", 30_001)
            gateway.gap(start, start + DAY, "sdm630-2", None)
        else:
            gateway.day(start, {"sdm630-1": 330, "sdm630-2": 7})
    return gateway


def with_a_lost_spool() -> Gateway:
    gateway = Gateway()
    gateway.birth(OCTOBER - 3_600)
    for day in range(33):
        if day == 12:
            gateway.registers = {device: register + 5_000 for device, register in gateway.registers.items()}
            gateway.lose_spool("00c0ffee", OCTOBER + 12 * DAY + 7_200)
        elif day != 11:
            gateway.day(OCTOBER + day * DAY + (7_200 if day > 11 else 0), {"sdm630-1": 330, "sdm630-2": 7})
    return gateway


def with_a_boot_that_learns_the_time() -> Gateway:
    gateway = Gateway()
    gateway.birth(OCTOBER - 3_600)
    for day in range(33):
        if day == 10:
            gateway.reboot("aaaaaaaa", clock=Clock.RELATIVE, shift=OCTOBER + 10 * DAY - 60)
        if day == 14:
            gateway.tell_time(OCTOBER + 14 * DAY)
            gateway.clock, gateway.shift = Clock.SYNCHRONISED, 0
        gateway.day(OCTOBER + day * DAY, {"sdm630-1": 330, "sdm630-2": 7})
    return gateway


def with_a_boot_that_never_learns_the_time() -> Gateway:
    gateway = Gateway()
    gateway.birth(OCTOBER - 3_600)
    for day in range(33):
        if day == 10:
            gateway.reboot("aaaaaaaa", clock=Clock.RELATIVE, shift=OCTOBER + 10 * DAY - 60)
        if day == 12:
            gateway.reboot("bbbbbbbb", clock=Clock.SYNCHRONISED)
        gateway.day(OCTOBER + day * DAY, {"sdm630-1": 330, "sdm630-2": 7})
    return gateway


def started_by_grace() -> Gateway:
    gateway = Gateway()
    gateway.birth(OCTOBER - 3_600)
    for day in range(33):
        gateway.day(OCTOBER + day * DAY, {"sdm630-1": 330})
    return gateway


@pytest.mark.parametrize(
    "world",
    [
        plain,
        with_gaps,
        with_a_lost_spool,
        with_a_boot_that_learns_the_time,
        with_a_boot_that_never_learns_the_time,
        started_by_grace,
    ],
)
def test_an_invoice_is_verified_from_its_bundle_alone(world: Callable[[], Gateway]) -> None:
    """P12."""
    outcome = verify(bundle(*billed(world())), TRUST)
    assert outcome.findings == ()
    assert outcome.reports > 25


def test_the_same_invoice_makes_the_same_bundle() -> None:
    """P15."""
    assert bundle(*billed(plain())) == bundle(*billed(plain()))


def test_an_invoice_over_a_hole_is_verified_also_when_the_hole_is_filled_later() -> None:
    gateway = plain()
    store, biller = new_store(), store_biller()
    receive(store, [*gateway.lines[:9], *gateway.lines[12:]], at=LATER)
    bill_due(store, LATER * 1000, biller)
    before = bundle(store, biller)
    assert verify(before, TRUST).ok
    receive(store, gateway.lines[9:12], at=LATER + 60)
    assert bundle(store, biller) == before


def test_an_invoice_whose_gateway_fell_silent_is_verified() -> None:
    gateway = october(Gateway(), days=20)
    outcome = verify(bundle(*billed(gateway)), TRUST)
    assert outcome.ok
    assert outcome.body is not None
    assert len(outcome.body["gaps"]) == 2


def test_an_invoice_of_a_clock_that_runs_ahead_is_verified() -> None:
    """P13: what was moved to its receipt is told by the invoice."""
    gateway = october(Gateway(), days=35)
    store, biller = new_store(), store_biller()
    received = NOVEMBER - 3_600
    receive(store, gateway.lines, at=received)
    bill_due(store, LATER * 1000, biller)
    outcome = verify(bundle(store, biller), TRUST)
    assert outcome.findings == ()
    assert outcome.body is not None
    assert outcome.body["cutoff"]["moved"]
    assert any("no trustworthy clock" in note for note in outcome.notes)


def test_an_invoice_with_late_usage_of_the_period_before_is_verified() -> None:
    gateway = october(Gateway(), days=62)
    store, biller = new_store(), store_biller()
    receive(store, gateway.lines[:21], at=OCTOBER + 21 * 86_400)
    bill_due(store, LATER * 1000, biller)
    december = NOVEMBER + 31 * 86_400
    receive(store, gateway.lines[21:], at=december)
    bill_due(store, december * 1000, biller)
    for number in ("INV-1", "INV-2"):
        outcome = verify(bundle(store, biller, number), TRUST)
        assert outcome.findings == ()
    assert any("INV-1" in note for note in outcome.notes)


# --- what is changed is found, and named in a sentence --------------------------------------------


def remade(raw: bytes, change: Callable[[list[bytes]], object]) -> bytes:
    """The bundle with other lines, everything around them written again by a forger who has no key."""
    opened = from_zip(raw)
    assert isinstance(opened, Bundle)
    lines = {name: list(rows) for name, rows in opened.lines.items()}
    change(lines["roof-1", "main"])
    return to_zip(
        Bundle(
            invoice=opened.invoice,
            catalog=opened.catalog,
            older=opened.older,
            lines={name: tuple(rows) for name, rows in lines.items()},
            keys=opened.keys,
            readme=opened.readme,
        )
    )


def only(findings: tuple[Finding, ...], stage: Stage) -> Finding:
    (found,) = [finding for finding in findings if finding.stage is stage]
    return found


def test_an_edited_reading_is_named_with_the_money_that_it_changes() -> None:
    def edit(lines: list[bytes]) -> None:
        lines[10] = lines[10].replace(b"[330,", b"[930,", 1)

    findings = verify(remade(bundle(*billed(plain())), edit), TRUST).findings
    signature = only(findings, Stage.LINES)
    assert signature.place == "lines/roof-1.main.ms row 11"
    assert "report 11 of epoch 5f2c91aa of roof-1 was changed after the gateway signed it" in signature.sentence
    amounts = [finding.sentence for finding in findings if finding.stage is Stage.QUANTITIES]
    assert any("kWh" in sentence and "EUR" in sentence for sentence in amounts)


def test_a_removed_report_is_named() -> None:
    findings = verify(remade(bundle(*billed(plain())), lambda lines: lines.pop(10)), TRUST).findings
    assert "report 11 of epoch 5f2c91aa, which had been received, is missing" in only(findings, Stage.LINES).sentence


def test_reports_in_another_order_are_named() -> None:
    def swap(lines: list[bytes]) -> None:
        lines[10], lines[11] = lines[11], lines[10]

    findings = verify(remade(bundle(*billed(plain())), swap), TRUST).findings
    assert any("does not stand in its order" in finding.sentence for finding in findings)


def test_a_report_of_another_history_is_named_although_its_signature_is_right() -> None:
    """P11: the gateway's own key does not help against its own chain."""
    other = Gateway()
    other.birth(OCTOBER - 3_600)
    for day in range(33):
        other.day(OCTOBER + day * DAY, {"sdm630-1": 330 + (day == 8), "sdm630-2": 140 if day >= 13 else 0})

    def graft(lines: list[bytes]) -> None:
        lines[9] = other.lines[9]

    findings = verify(remade(bundle(*billed(plain())), graft), TRUST).findings
    assert any("follows another report 10 than the one that stands here" in finding.sentence for finding in findings)


def test_a_report_that_the_invoice_does_not_rest_on_is_named() -> None:
    gateway = plain()
    raw = bundle(*billed(gateway))
    findings = verify(remade(raw, lambda lines: lines.append(gateway.lines[33])), TRUST).findings
    assert any("does not belong here" in finding.sentence for finding in findings)


@pytest.mark.parametrize(
    ("change", "stage", "words"),
    [
        (lambda body: body["lines"][2].update(amount="299.78"), Stage.PRICES, "a difference of 1.00 EUR"),
        (lambda body: body["lines"][2].update(quantity="1226.13"), Stage.QUANTITIES, "a difference of 1.00 kWh"),
        (lambda body: body["lines"][2].update(estimated=True), Stage.QUANTITIES, "no amount changes"),
        (lambda body: body["lines"].pop(0), Stage.PRICES, "the evidence gives 9.90 EUR that the invoice does not have"),
        (lambda body: body["lines"].append(body["lines"][0]), Stage.PRICES, "9.90 EUR too much"),
        (lambda body: body.update(total="394.62"), Stage.TOTALS, "a difference of 0.01 EUR"),
        (lambda body: body["taxes"][0].update(amount="80.19"), Stage.TOTALS, "VAT 25.5 % = 80.18"),
        (lambda body: body["activations"][1].update(at="2026-10-01T00:00:00Z"), Stage.STARTS, "2026-10-13T21:45:00Z"),
        (lambda body: body["activations"].pop(), Stage.STARTS, "does not say that its billing began"),
        (lambda body: body["account"].update(name="Bolt"), Stage.INVOICE, "of its account is not what follows"),
        (lambda body: body.update(due="2026-01-01"), Stage.INVOICE, "of its due is not what follows"),
        (lambda body: body.update(extra=1), Stage.INVOICE, "of its extra is not what follows"),
        (lambda body: body.pop("rated"), Stage.INVOICE, "does not say what an invoice says"),
        (lambda body: body["rated"][0].update(plans=7), Stage.INVOICE, "does not say what an invoice says"),
        (lambda body: body["cutoff"].update(skew_seconds=True), Stage.INVOICE, "does not say what an invoice says"),
        (lambda body: body["catalog"][0].update(sha256="0" * 64), Stage.CATALOG, "it was changed"),
    ],
)
def test_an_operator_who_seals_something_else_is_found(
    change: Callable[[dict[str, object]], object], stage: Stage, words: str
) -> None:
    """P12: the seal is genuine, and the operator is not believed."""
    opened = from_zip(bundle(*billed(plain())))
    assert isinstance(opened, Bundle)
    parsed = parse(opened.invoice)
    assert not isinstance(parsed, Refused)
    body = read_body(parsed)
    assert not isinstance(body, Refused)
    change(body)
    forged = Bundle(
        invoice=seal("MI1", body, RECEIPT_KEY),
        catalog=opened.catalog,
        older={},
        lines=opened.lines,
        keys=opened.keys,
        readme=write_readme(body),
    )
    findings = verify(to_zip(forged), TRUST).findings
    assert any(finding.stage is stage and words in finding.sentence for finding in findings), findings


def test_an_operator_who_changes_a_price_afterwards_is_found() -> None:
    opened = from_zip(bundle(*billed(plain())))
    assert isinstance(opened, Bundle)
    forged = Bundle(
        invoice=opened.invoice,
        catalog=opened.catalog.replace(b"0.25", b"0.24"),
        older={},
        lines=opened.lines,
        keys=opened.keys,
        readme=opened.readme,
    )
    (finding,) = verify(to_zip(forged), TRUST).findings
    assert (finding.stage, finding.place) == (Stage.CATALOG, "catalog.toml")


def test_an_operator_who_signs_readings_with_his_own_key_is_found() -> None:
    """The receipt key is trusted for invoices, never for readings."""
    opened = from_zip(bundle(*billed(plain())))
    assert isinstance(opened, Bundle)
    headers, lines = [], []
    for raw in opened.lines["roof-1", "main"]:
        parsed = parse(raw)
        assert not isinstance(parsed, Refused)
        body = read_body(parsed)
        assert not isinstance(body, Refused)
        lines.append(seal("MS1", body | {"key": RECEIPT_KEY.public.id}, RECEIPT_KEY))
        report = read(parse(lines[-1]))  # type: ignore[arg-type]
        assert not isinstance(report, Refused)
        headers.append(report.header)
    from cloud_collector.proof.bundle import GatewayKey  # noqa: PLC0415

    keys = write_keys(RECEIPT_KEY.public, [GatewayKey(gateway="roof-1", key=RECEIPT_KEY.public)], headers)
    forged = Bundle(
        invoice=opened.invoice,
        catalog=opened.catalog,
        older={},
        lines={("roof-1", "main"): tuple(lines)},
        keys=keys,
        readme=opened.readme,
    )
    findings = verify(to_zip(forged), TRUST).findings
    assert any("the operator's own key signs for a gateway" in finding.sentence for finding in findings)


def test_untrusted_keys_are_named_with_their_words() -> None:
    raw = bundle(*billed(plain()))
    findings = verify(raw, Trust(fingerprints=frozenset(), words=frozenset())).findings
    assert [finding.stage for finding in findings] == [Stage.KEYS, Stage.KEYS]
    assert RECEIPT_KEY.public.words in findings[0].sentence
    assert GATEWAY_KEY.public.words in findings[1].sentence


SECOND_KEY, THIRD_KEY = SigningKey(b"2" * 32), SigningKey(b"3" * 32)


def rotated(*, lost_spool: bool = False) -> Gateway:
    """Its key changes on the fifth day and on the ninth, and its epoch in between where its spool is lost."""
    gateway = Gateway()
    gateway.birth(OCTOBER - 3_600)
    for day in range(33):
        start = OCTOBER + day * DAY
        if day == 5:
            gateway.rotate(start, SECOND_KEY)
        if day == 7 and lost_spool:
            gateway.lose_spool("00c0ffee", start)
        if day == 9:
            gateway.rotate(start, THIRD_KEY)
        gateway.day(start, {"sdm630-1": 330, "sdm630-2": 7})
    return gateway


@pytest.mark.parametrize("lost_spool", [False, True])
def test_trust_in_the_first_key_is_enough_where_rotate_lines_lead_to_the_later_ones(*, lost_spool: bool) -> None:
    """P12."""
    store, biller = billed(rotated(lost_spool=lost_spool))
    raw = bundle(store, biller)
    assert verify(raw, TRUST).findings == ()
    opened = from_zip(raw)
    assert isinstance(opened, Bundle)
    signs = {row["key"]: row["signs"] for row in json.loads(opened.keys)["gateways"]}
    assert signs.keys() == {key.public.id for key in (GATEWAY_KEY, SECOND_KEY, THIRD_KEY)}
    assert signs[SECOND_KEY.public.id][0]["from"] == (1 if lost_spool else 8)


def test_the_evidence_of_november_leads_back_to_the_first_key_in_an_epoch_before() -> None:
    gateway = Gateway()
    gateway.birth(OCTOBER - 3_600)
    gateway.day(OCTOBER, {"sdm630-1": 330, "sdm630-2": 7})
    gateway.rotate(OCTOBER + DAY, SECOND_KEY)
    gateway.lose_spool("00c0ffee", OCTOBER + DAY)
    for day in range(1, 66):
        gateway.day(OCTOBER + day * DAY, {"sdm630-1": 330, "sdm630-2": 7})
    store, biller = new_store(), store_biller()
    receive(store, gateway.lines, at=LATER + 31 * DAY)
    bill_due(store, (LATER + 31 * DAY) * 1000, biller)
    raw = bundle(store, biller, "INV-2")
    assert verify(raw, TRUST).findings == ()
    without = remade(raw, lambda lines: lines.remove(next(line for line in lines if b'"kind":"rotate"' in line)))
    assert any(SECOND_KEY.public.words in finding.sentence for finding in verify(without, TRUST).findings)


def test_a_later_key_alone_does_not_speak_for_the_first() -> None:
    store, biller = billed(rotated())
    trust = Trust(fingerprints=frozenset({RECEIPT_KEY.public.sha256, THIRD_KEY.public.sha256}), words=frozenset())
    findings = verify(bundle(store, biller), trust).findings
    assert {finding.stage for finding in findings} == {Stage.KEYS}
    assert any(GATEWAY_KEY.public.words in finding.sentence for finding in findings)


def test_a_report_that_a_replaced_key_has_signed_is_named() -> None:
    """P10: whoever has stolen the old key can forge nothing behind it, though the reader trusts it."""

    def forge(lines: list[bytes]) -> None:
        line = parse(lines[-1])
        assert not isinstance(line, Refused)
        body = read_body(line)
        assert not isinstance(body, Refused)
        lines[-1] = seal("MS1", body | {"key": GATEWAY_KEY.public.id}, GATEWAY_KEY)

    store, biller = billed(rotated())
    findings = verify(remade(bundle(store, biller), forge), TRUST).findings
    assert any("signed by a key that is not valid there" in finding.sentence for finding in findings)


def test_evidence_that_would_show_another_accounts_readings_is_not_handed_out() -> None:
    """P20."""
    catalog = CATALOG.replace('devices = ["roof-1/sdm630-1", "roof-1/sdm630-2"]', 'devices = ["roof-1/sdm630-1"]') + (
        '[accounts.bolt]\nname = "Bolt"\ncountry = "FI"\n'
        '[contracts.bolt]\naccount = "bolt"\nplan = "charger"\nstart = 2026-10-01\ndevices = ["roof-1/sdm630-2"]\n'
    )
    store, biller = new_store(catalog=catalog), store_biller()
    receive(store, plain().lines, at=LATER)
    bill_due(store, LATER * 1000, biller)
    with pytest.raises(NotHandedOut, match="also holds readings of roof-1/sdm630-2, which is another account's"):
        bundle(store, biller)


# --- the command ------------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "INV-1.zip"
    path.write_bytes(bundle(*billed(plain())))
    return path


def test_the_command_verifies_by_words_and_by_fingerprints(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words, digits = RECEIPT_KEY.public.words, GATEWAY_KEY.public.sha256.upper()
    assert main([str(file), "--trust", words, "--trust", digits]) == 0
    said = capsys.readouterr().out
    assert said.startswith("VERIFIED  INV-1, 394.61 EUR\n")
    assert "no checkpoints" in said
    assert "the bundle has no invoice.pdf" in said


def test_the_command_says_what_fails_and_exits_with_six(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw = bytearray(file.read_bytes())
    raw[raw.index(b"[330,330") + 1] ^= 1
    file.write_bytes(bytes(raw))
    assert main([str(file), "--trust", RECEIPT_KEY.public.words, "--json"]) == 6
    assert json.loads(capsys.readouterr().out)["verified"] is False
    assert main([str(file), "--trust", RECEIPT_KEY.public.words]) == 6
    assert capsys.readouterr().out.startswith("NOT VERIFIED")


def test_the_command_refuses_what_is_no_fingerprint_and_what_is_no_file(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(file), "--trust", "abc"]) == 2
    assert "64 hex digits" in capsys.readouterr().err
    assert main([str(file.with_name("none.zip")), "--trust", RECEIPT_KEY.public.sha256]) == 3
    with pytest.raises(SystemExit) as usage:
        main([str(file)])
    assert usage.value.code == 2


def test_a_short_fingerprint_is_no_fingerprint() -> None:
    """A key id of 16 digits can be forged; only the whole hash, or its words, is taken."""
    assert isinstance(read_trust([RECEIPT_KEY.public.id]), Refused)
    assert isinstance(read_trust(["acid-acorn"]), Refused)
    assert isinstance(read_trust(["-".join(["nosuchword"] * 8)]), Refused)


def test_an_invoice_of_any_shape_is_answered_and_never_raises() -> None:
    """P8: a genuine seal over nonsense is a sentence, not a stack trace."""
    opened = from_zip(bundle(*billed(plain())))
    assert isinstance(opened, Bundle)
    parsed = parse(opened.invoice)
    assert not isinstance(parsed, Refused)
    body = read_body(parsed)
    assert not isinstance(body, Refused)
    shapes: tuple[object, ...] = (None, 1, "x", [], {}, [1], [[]], [None], {"x": 1}, [{}], 2**60)
    # The operator's own words, which no evidence can tell.
    stated = {("number", "x"), ("engine", "x"), ("tzdata", "x"), ("revision", 2**60)}
    for key in body:
        for nonsense in shapes:
            if body[key] == nonsense or (isinstance(nonsense, str | int) and (key, nonsense) in stated):
                continue
            forged = Bundle(
                invoice=seal("MI1", body | {key: nonsense}, RECEIPT_KEY),
                catalog=opened.catalog,
                older={},
                lines=opened.lines,
                keys=opened.keys,
                readme=opened.readme,
            )
            assert not verify(to_zip(forged), TRUST).ok, (key, nonsense)


def test_what_a_key_says_of_gaps_where_it_is_not_valid_stands_on_no_invoice() -> None:
    """P10, P12."""
    gateway = Gateway()
    gateway.birth(OCTOBER - 3_600)
    for day in range(30):
        gateway.day(OCTOBER + day * DAY, {"sdm630-1": 330})
    gateway.gap(OCTOBER + 30 * DAY, OCTOBER + 31 * DAY, "sdm630-1", None)
    gateway.day(OCTOBER + 31 * DAY, {"sdm630-1": 330})
    store, biller = new_store(), store_biller()
    receive(store, gateway.lines, at=LATER)
    revoke_key(store, "roof-1", GATEWAY_KEY.public.id, {"main": (gateway.epoch, 31)}, LATER * 1000)
    rejudge(store, CollectorSettings())
    bill_due(store, LATER * 1000, biller)
    assert all(gap[5] == "not_received" for gap in invoice(store, biller.archive, "INV-1").body["gaps"])
    assert verify(bundle(store, biller), TRUST).ok
