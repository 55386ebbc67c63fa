"""Usage over HTTP: each event counted once and for good, sealed by the collector, billed, and proven like any other."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from cloud_collector.access.viewer import LOCAL_OPERATOR
from cloud_collector.billing.audit import Books, audit_invoices
from cloud_collector.billing.export import as_bundle, as_html, invoice
from cloud_collector.billing.run import bill_due
from cloud_collector.ingest.event import units_of
from cloud_collector.ingest.taking import _decimal
from cloud_collector.intake.verdict import Accepted, Duplicate
from cloud_collector.invoice.sheet import sheet
from cloud_collector.limits import INGEST_LATE_SECONDS_MAX, INGEST_WAITING_MAX
from cloud_collector.proof.bundle import Bundle, from_zip, to_zip
from cloud_collector.proof.trust import Trust
from cloud_collector.proof.verify import verify
from shared.line import Line, parse, seal
from shared.report import Birth, Usage, Verdict, read
from tests.ingest_world import ACME, BATCH, EVERYONE, LOG_KEY, STRUCTURED, Shop, order
from tests.unit.billing_samples import RECEIPT_KEY, store_biller

TRUST = Trust(fingerprints=frozenset({RECEIPT_KEY.public.sha256, LOG_KEY.public.sha256}), words=frozenset())

HEADERS = {
    "content-type": "application/json",
    "ce-specversion": "1.0",
    "ce-id": "o-1",
    "ce-source": "https://shop.example/checkout",
    "ce-type": "orders",
    "ce-subject": "shop-1/till-1",
    "ce-time": "2026-10-31T21:01:00Z",
}


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("shop") / "collector.db"
    Shop.begin(path)
    return path


@pytest.fixture
def shop(begun: Path, tmp_path: Path) -> Shop:
    shutil.copyfile(begun, tmp_path / "collector.db")
    return Shop(tmp_path / "collector.db")


def reports(shop: Shop, gateway: str = "shop-1") -> list[Any]:
    """What intake holds of a log, in order."""
    with shop.site.open_store() as store:
        rows = store._database.execute(
            "select l.raw from line l join chain c on c.id = l.chain where c.gateway = ? order by l.seq", (gateway,)
        )
    return [read(line) for (raw,) in rows if isinstance(line := parse(bytes(raw)), Line)]


def test_an_event_is_sealed_and_taken_in_like_a_gateways_line(shop: Shop) -> None:
    told = shop.send(order(value="3"))
    assert told["accepted"] == 1
    assert told["events"][0]["counted_from"] == "2026-10-31T21:01:00Z"
    assert shop.tick() is None, "its window is not over"
    shop.pass_time(359)
    assert shop.tick() is None, "others may be on their way"
    shop.pass_time(1)
    outcome = shop.tick()
    assert outcome is not None
    assert [type(each) for each in outcome.verdicts] == [Accepted] * 4, "a birth and a window of each log"
    birth, usage = reports(shop)
    assert isinstance(birth, Birth)
    assert isinstance(usage, Usage)
    assert [row.source for row in birth.channels] == ["cloudevents"]
    assert usage.rows[0].deltas == (0, 3, 0, 0, 0)
    assert shop.registers() == {"shop-1/till-1 orders": 3}
    assert shop.count("ingest_outbox", "shop-1") == 0, "P7: the receipt says that it is held"


def test_a_window_without_events_is_sealed_too(shop: Shop) -> None:
    """Zero and no data are different things."""
    shop.pass_time(3_600)
    assert shop.tick() is not None
    kinds = [type(each).__name__ for each in reports(shop)]
    assert kinds == ["Birth", *["Usage"] * 11]


@pytest.mark.parametrize("when", ["at once", "after it is sealed"])
def test_the_same_event_again_is_counted_once(shop: Shop, when: str) -> None:
    shop.send(order(value="1.50", type="energy", unit="kWh"))
    if when == "after it is sealed":
        shop.pass_time(400)
        shop.tick()
    # Another spelling of the same instant and the same amount is the same event.
    again = shop.send(order(value=1.5, type="energy", unit="kWh", at="2026-10-31T23:01:00.0+02:00"))
    assert (again["accepted"], again["duplicates"], again["events"][0]["state"]) == (0, 1, "duplicate")
    shop.pass_time(400)
    shop.tick()
    assert shop.registers() == {"shop-1/till-1 energy": 1_500}


def test_the_same_id_with_other_content_is_refused_and_names_the_first(shop: Shop) -> None:
    shop.send(order(value="1.5", type="energy", unit="kWh"))
    told = shop.send(order(value="2.5", type="energy", unit="kWh"), status=409)
    assert "1.500 kWh of shop-1/till-1 energy at 2026-10-31T21:01:00Z" in told["detail"]
    twice = [order("o-2"), order("o-3"), order("o-2", value="2")]
    told = shop.send(twice, BATCH, status=409)
    assert told["detail"].startswith("body.2.id: the id o-2")
    assert shop.send(order("o-3"))["accepted"] == 1, "nothing of the batch was taken"
    shop.send(order(value="2", source="https://other.example"))


def test_a_batch_and_binary_mode_are_read(shop: Shop) -> None:
    told = shop.send([order("o-2"), order("o-3", subject="shop-1/till-2")], BATCH)
    assert told["accepted"] == 2
    told = shop.send(b'{"value": 4, "unit": "1"}', HEADERS)
    assert told["events"][0]["id"] == "o-1"
    assert shop.send([], BATCH)["accepted"] == 0
    shop.pass_time(400)
    shop.tick()
    assert shop.registers() == {"shop-1/till-1 orders": 5, "shop-1/till-2 orders": 1}


@pytest.mark.parametrize("dies", ["before it is taken in", "after it is taken in"])
def test_a_crash_between_sealing_and_intake_neither_loses_nor_doubles(shop: Shop, dies: str) -> None:
    """P5, P6: the outbox is taken in again."""
    shop.send(order(value="7"))
    shop.pass_time(400)
    with shop.site.writing() as store:
        raw = shop.seal(store)
        assert len(raw) == 4
        if dies == "after it is taken in":
            forgotten = replace(shop.take_in(store, raw), receipts=())
            store.run_many("ingest_outbox_put", _rows(raw))
            assert len(forgotten.verdicts) == 4
    shop.pass_time(30)
    outcome = shop.tick()
    assert outcome is not None
    wanted = Accepted if dies == "before it is taken in" else Duplicate
    assert {type(each) for each in outcome.verdicts} == {wanted}
    assert shop.count("ingest_outbox", "shop-1") == 0
    shop.pass_time(300)
    shop.tick()
    assert shop.registers() == {"shop-1/till-1 orders": 7}


def _rows(raw: Any) -> list[tuple[object, ...]]:
    found: list[tuple[object, ...]] = []
    for _, line in raw:
        parsed = parse(line)
        assert isinstance(parsed, Line)
        header = read(parsed).header  # type: ignore[union-attr]
        found.append((header.gateway, header.epoch, header.seq, line))
    return found


def test_a_late_event_is_counted_in_the_open_interval_and_marked(shop: Shop) -> None:
    """P3: a sealed line is never amended, and nothing is lost."""
    shop.pass_time(1_000)
    shop.tick()
    told = shop.send(order(value="2"))
    assert told["events"][0]["late"] is True
    assert told["events"][0]["counted_from"] == "2026-10-31T21:16:00Z"
    assert shop.send(order(value="2"))["duplicates"] == 1, "the same late event again"
    shop.pass_time(400)
    shop.tick()
    last = reports(shop)[-1]
    assert last.rows[0].deltas == (0, 2, 0, 0, 0)
    assert last.rows[0].notes == {1: Verdict.ESTIMATED}


def test_a_new_meter_is_stated_by_a_birth_before_its_first_line(shop: Shop) -> None:
    shop.send(order())
    shop.pass_time(400)
    shop.tick()
    shop.send(order("o-2", type="energy", unit="kWh", value="0.001", at="2026-10-31T21:06:00Z"))
    shop.pass_time(300)
    shop.tick()
    first, _, second, last = reports(shop)
    assert [row.meter for row in first.channels] == ["orders"]
    assert [(row.meter, row.register) for row in second.channels] == [("energy", 0), ("orders", 1)]
    assert [row.register for row in last.rows] == [0, 1]


BAD: Mapping[str, tuple[dict[str, Any], str]] = {
    "no id": ({"id": None}, "body.id: it is missing"),
    "an id of control characters": ({"id": "a\nb"}, "body.id: it must be 1 to 200 printable characters"),
    "half a character": ({"id": "\ud800"}, "body.id: it must be"),
    "another version": ({"specversion": "0.3"}, "body.specversion: it is '0.3'"),
    "no device": ({"subject": "till-1"}, "body.subject: name the device as the catalog does"),
    "a device of no contract": ({"subject": "shop-1/till-9"}, 'did you mean "shop-1/till-'),
    "an unknown meter": ({"type": "order"}, 'did you mean "orders"?'),
    "a meter that is none": ({"type": "com.Example"}, "body.type: it names the meter"),
    "no time": ({"time": None}, "body.time: it is missing"),
    "a time without zone": ({"time": "2026-10-31T21:01:00"}, "RFC 3339"),
    "a 30th of February": ({"time": "2026-02-30T21:01:00Z"}, "RFC 3339"),
    "the future": ({"time": "2026-10-31T22:01:00Z"}, "it lies in the future: here it is 2026-10-31T21:00:00Z"),
    "long ago": ({"time": "2026-09-30T20:59:59Z"}, "more than 31 days back"),
    "no data": ({"data": 5}, "body.data: it must be an object"),
    "data in base64": ({"data_base64": "e30="}, "body.data_base64: write `data`"),
    "data of another type": ({"datacontenttype": "text/xml"}, "body.datacontenttype: it is 'text/xml'"),
    "no value": ({"data": {"unit": "1"}}, "body.data.value: it is missing"),
    "true": ({"data": {"value": True, "unit": "1"}}, "body.data.value: it is missing, or no number"),
    "a word": ({"data": {"value": "much", "unit": "1"}}, "body.data.value: 'much' is no decimal number"),
    "1e999999999 of it": ({"data": {"value": 10.0**300, "unit": "1"}}, "body.data.value: it is too large"),
    "next to nothing": ({"data": {"value": 5e-324, "unit": "1"}}, "body.data.value: it is finer than the meter"),
    "the year 9999": ({"time": "9999-10-31T21:01:00Z"}, "it lies in the future"),
    "less than nothing": ({"data": {"value": "-1", "unit": "1"}}, "body.data.value: it is negative"),
    "finer than the meter": ({"data": {"value": "0.5", "unit": "1"}}, "which counts in whole numbers"),
    "more than a line can say": ({"data": {"value": "9007199254740992", "unit": "1"}}, "beyond what a line can say"),
    "no unit": ({"data": {"value": "1"}}, "body.data.unit: it is missing"),
    "another unit": ({"data": {"value": "1", "unit": "kWh"}}, "it is 'kWh', and orders is counted in 1"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_event_is_refused_with_its_place_and_what_to_do(shop: Shop, name: str) -> None:
    change, said = BAD[name]
    told = shop.send({key: value for key, value in (order() | change).items() if value is not None}, status=422)
    assert said in told["detail"]
    batch = (
        shop.send([order("o-9"), {**order(), **{k: v for k, v in change.items() if v is not None}}], BATCH, status=422)
        if None not in change.values()
        else told
    )
    assert batch["errors"]
    assert shop.send(order("o-9"))["accepted"] == 1, "of a batch all is taken, or nothing"


@pytest.mark.parametrize(
    ("body", "headers", "status", "said"),
    [
        (b"{", STRUCTURED, 422, "body: it is no JSON: "),
        (b"\xff", STRUCTURED, 422, "body: it is no UTF-8"),
        (b"[" * 100_000, STRUCTURED, 422, "body: it is nested too deeply"),
        (b'{"id": 1, "id": 2}', STRUCTURED, 422, "body: a name stands twice"),
        (b'{"id": NaN}', STRUCTURED, 422, "body: NaN is no number"),
        (b'{"id": 1e9999999999999999999}', STRUCTURED, 422, "the number 1e9999999999999999999 is beyond every meter"),
        (b'{"id": ' + b"1" * 5_000 + b"}", STRUCTURED, 422, "is beyond every meter"),
        (b"{}", BATCH, 422, "body: a batch is a list"),
        (b"[" + b"1," * 1_000 + b"1]", BATCH, 422, "a batch has at most 1,000 events"),
        (b"[1]", BATCH, 422, "body.0: an event is an object"),
        (b"{}", {"Content-Type": "application/json"}, 415, "content-type says application/json: send"),
        (b"{}", {"Content-Type": "text/plain"}, 415, "application/cloudevents+json"),
        (b"{}", {"Content-Type": "application/cloudevents+json; charset=latin-1"}, 415, "send UTF-8"),
        (b"{}", HEADERS | {"ce-id": ""}, 422, "header.ce-id: it must be"),
        (b"{}", HEADERS, 422, "body.unit: it is missing"),
        (b"{}", HEADERS | {"ce-subject": "%"}, 422, "header.ce-subject: name the device"),
    ],
)
def test_a_body_that_cannot_be_read_is_refused_in_a_sentence(
    shop: Shop, body: bytes, headers: Mapping[str, str], status: int, said: str
) -> None:
    assert said in shop.send(body, headers, status=status)["detail"]


def test_what_is_anothers_is_as_what_there_is_not(shop: Shop) -> None:
    """P20."""
    foreign = shop.send(order(subject="shop-2/till-1"), status=404)
    absent = shop.send(order(subject="shop-9/till-1"), status=404)
    assert foreign == absent
    assert shop.send([order(), order("o-2", subject="shop-2/till-1")], BATCH, status=404) == absent
    assert shop.send(order())["accepted"] == 1, "nothing of that batch was taken"
    shop.send(order(subject="shop-2/till-1"), who=EVERYONE)


def test_it_takes_the_scope(shop: Shop) -> None:
    reader = replace(ACME, scopes=frozenset())
    assert "it takes the scope ingest" in shop.send(order(), who=reader, status=403)["detail"]


def test_a_device_of_another_account_under_the_logs_name_is_refused(shop: Shop) -> None:
    """P20: evidence of one log never shows another account's rows."""
    shop.open("shop-3", "acme")
    told = shop.send(order(subject="shop-3/till-1"), status=422)
    assert "no contract of acme has the device shop-3/till-1" in told["detail"]


def test_a_request_under_a_name_is_answered_as_before(shop: Shop) -> None:
    headers = STRUCTURED | {"Idempotency-Key": "one"}
    first = shop.ask("POST", "/events", content=json.dumps(order()), headers=headers)
    again = shop.ask("POST", "/events", content=json.dumps(order()), headers=headers)
    assert first.content == again.content
    assert again.headers["Idempotency-Replayed"] == "true"


def test_a_log_that_nobody_seals_refuses_in_time(shop: Shop) -> None:
    """P9."""
    with shop.site.writing() as store:
        store.run("ingest_log_taken", INGEST_WAITING_MAX, "shop-1")
    assert "come again" in shop.send(order(), status=503)["detail"]


def test_a_log_whose_key_is_missing_waits_and_its_neighbour_goes_on(shop: Shop) -> None:
    shop.send(order())
    key = shop.keys.pop("shop-1")
    shop.pass_time(400)
    outcome = shop.tick()
    assert outcome is not None
    assert len(outcome.verdicts) == 2
    assert reports(shop) == []
    shop.keys["shop-1"] = key
    shop.tick()
    assert shop.registers() == {"shop-1/till-1 orders": 1}


def test_after_a_restore_no_position_is_given_twice(shop: Shop) -> None:
    """P22: what was sealed after the backup may be in somebody's hands."""
    shop.send(order(value="5"))
    shop.pass_time(400)
    shop.tick()
    with shop.site.writing() as store:
        store.run("restoration_add", shop.clock.utc_ms() + 1, 0, "0")
    shop.pass_time(300)
    shop.send(order("o-2", value="2", at="2026-10-31T21:11:00Z"))
    shop.pass_time(400)
    shop.tick()
    births = [each for each in reports(shop) if isinstance(each, Birth)]
    assert len({each.header.epoch for each in births}) == 2
    assert shop.registers() == {"shop-1/till-1 orders": 7}, "P1: the register goes on"


def test_values_are_exact_and_never_rounded() -> None:
    assert units_of(Decimal("1.5"), -3) == 1_500
    assert units_of(Decimal("1E+3"), 0) == 1_000
    assert units_of(Decimal("0.0"), 0) == 0
    assert units_of(Decimal("123456789012.345678901234"), -12) == 123456789012345678901234
    assert isinstance(units_of(Decimal("0.0001"), -3), str)
    assert isinstance(units_of(Decimal("1E+64"), 0), str)
    assert _decimal(5, -3) == "0.005"
    assert INGEST_LATE_SECONDS_MAX == 31 * 86_400
    assert LOCAL_OPERATOR.accounts is None


def test_from_events_to_an_invoice_that_verifies_and_says_how_it_was_measured(shop: Shop) -> None:
    """P12, P13: who checks it is told that the operator's own key sealed what was sent."""
    shop.send(order(value="30"))
    shop.send(order("o-2", type="energy", unit="kWh", value="1.25", at="2026-10-31T21:04:00Z"))
    for _ in range(2):
        shop.pass_time(2_000)
        shop.tick()
    with shop.site.writing() as store:
        outcomes = bill_due(store, shop.clock.utc_ms(), store_biller(shop.archive), contracts=["acme-shop"]).outcomes
        assert [each.state for each in outcomes] == ["issued"], outcomes
        found = invoice(store, shop.archive, "INV-1")
        raw = as_bundle(store, found, RECEIPT_KEY.public)
        assert list(audit_invoices(store, shop.archive, [RECEIPT_KEY.public], (), Books())) == []
    assert found.body["sent"] == ["shop-1"]
    assert (found.body["net"], found.body["channels"][0][:3]) == ("1.75", ["shop-1", "till-1", "energy"])
    outcome = verify(raw, TRUST)
    assert outcome.findings == ()
    assert found.body["cutoff"]["moved"] == [], "its clock is the collector's own"
    assert any("sealed with a key that the operator holds" in note for note in outcome.notes)
    distrusted = verify(raw, Trust(fingerprints=frozenset({RECEIPT_KEY.public.sha256}), words=frozenset()))
    assert not distrusted.ok, "its key is to be trusted like a gateway's"
    page = as_html(found, RECEIPT_KEY.public)
    assert (
        "Line 1, 2: this usage was sent to the operator over HTTP and sealed with a key that the operator holds" in page
    )
    printed = json.dumps(sheet(found.body, key_words="words", attached=False))
    assert "not at a meter" in printed
    hidden = {key: value for key, value in found.body.items() if key != "sent"}
    line = seal("MI1", hidden, RECEIPT_KEY)
    bundle = from_zip(raw)
    assert isinstance(bundle, Bundle)
    lied = verify(to_zip(replace(bundle, invoice=line)), TRUST)
    assert "what it says of its sent is not what follows from the evidence" in [each.sentence for each in lied.findings]
