"""Charging sessions become usage exactly once (P1, P5), from records on disk (P2), and nothing is guessed (P19)."""

import asyncio
import errno
import json
import logging
import os
import re
import subprocess
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import pytest

from edge_agent.config import load
from edge_agent.invalid import InvalidSetting
from edge_agent.reading import ChannelName, CommittedSource, Reading, SourceDown
from edge_agent.sources import ocmf_inbox
from edge_agent.sources.ocmf import RECORDS_PER_READ_MAX, OcmfSource
from edge_agent.sources.ocmf_inbox import FILE_BYTES_MAX, QUARANTINE_FILES_MAX, SETTLE_MS, split
from edge_agent.sources.ocmf_settings import EVIDENCE_BYTES_LEAST, METERS_MAX, OcmfMeter, OcmfSettings
from shared.effects.memory import SimpleClock
from shared.report import Gap, Verdict
from tests.metering_site import Bench
from tests.ocmf_station import Station
from tests.requirements import require
from tests.unit.test_agent import Site, running, used
from tests.wire import VirtualClock, run

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = ROOT / "docs" / "how-to" / "ev-charging.md"


OPEN: Final[list["Charging"]] = []


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    while OPEN:
        asyncio.run(OPEN.pop().source.close())


class Charging:
    """A folder, charge points that deliver into it, and a source that is begun again at will."""

    def __init__(self, folder: Path, *stations: Station, **more: Any) -> None:
        self.folder = folder / "inbox"
        self.folder.mkdir(exist_ok=True)
        self.quarantine = folder / "quarantine"
        self.evidence = folder / "charging.evidence"
        self.stations = stations or (Station(),)
        self.clock = SimpleClock(boot_ms=1_000_000, utc_ms=1_800_000_000_000)
        self.files = 0
        meters = tuple(
            OcmfMeter(serial=station.serial, public_key=station.public_key, device=f"charger-{number}", rate_max=7)
            for number, station in enumerate(self.stations, 1)
        )
        given: dict[str, Any] = {"folder": None if "only_url" in more else self.folder, "meters": meters}
        given |= {"url": more.pop("only_url")} if "only_url" in more else {}
        self.settings = OcmfSettings(evidence_path=self.evidence, quarantine_path=self.quarantine, **(given | more))
        self.source = OcmfSource(self.settings, self.clock)
        OPEN.append(self)

    def drop(self, *records: str, name: str = "") -> Path:
        self.files += 1
        path = self.folder / (name or f"{self.files:04d}.ocmf")
        path.write_text("\n".join(records), encoding="utf-8")
        return path

    async def restart(self) -> None:
        await self.source.close()
        self.source = OcmfSource(self.settings, self.clock)

    async def totals(self) -> list[int]:
        """In W.h, after everything in the folder was looked at."""
        if not self.source._settled:
            await self.source.read()
            self.source.committed()
        self.clock.advance(SETTLE_MS + 1)
        await self.source.read()
        self.clock.advance(SETTLE_MS + 1)
        return [reading.value for reading in await self.source.read()]

    async def total(self) -> int:
        return (await self.totals())[0]

    def waiting(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())

    def reasons(self) -> list[str]:
        return sorted(path.read_text(encoding="utf-8").strip() for path in self.quarantine.glob("*.txt"))


@pytest.fixture
def site(tmp_path: Path) -> Charging:
    return Charging(tmp_path)


async def test_a_session_is_what_its_meter_counted_between_begin_and_end(site: Charging) -> None:
    (station,) = site.stations
    site.drop(station.charge("29.5", minutes=90))
    assert await site.total() == 29_500
    station.register += Decimal(3)  # Between sessions somebody tested the socket: charged to nobody.
    site.drop(station.begin(), station.end("10.25"))
    assert await site.total() == 39_750
    assert site.waiting() == []


async def test_watt_hours_below_a_step_are_carried_to_the_next_session(site: Charging) -> None:
    """P1: ten sessions of 0.7 W.h are seven."""
    (station,) = site.stations
    for _ in range(10):
        site.drop(station.charge("0.0007"))
    assert await site.total() == 7


async def test_a_record_counts_once_however_often_it_is_seen(site: Charging) -> None:
    (station,) = site.stations
    records = [station.charge("5"), station.begin(), station.end("2")]
    for _ in range(3):
        for record in (*records, *reversed(records)):
            site.drop(record)
        assert await site.total() == 7_000
        await site.restart()
    signed_again = [station.sign(record.split("|")[1]) for record in records]
    site.drop(*signed_again)
    assert await site.total() == 7_000
    assert site.waiting() == []
    assert site.reasons() == []


async def test_a_session_that_one_record_and_two_records_tell_counts_once(site: Charging) -> None:
    """Some charge points sign the begin and the end, and then both together."""
    (station,) = site.stations
    first = station.reading("B")
    site.drop(station.begin(), station.end("8"), station.signed([first, station.reading("E")]))
    assert await site.total() == 8_000
    assert site.reasons() == []


@pytest.mark.parametrize("order", ["012", "021", "102", "120", "201", "210"])
async def test_records_count_in_any_order(site: Charging, order: str) -> None:
    (station,) = site.stations
    records = [station.begin(), station.go_on("3"), station.end("2")]
    for place in order:
        site.drop(records[int(place)])
        before = await site.total()
        await site.restart()
    assert before == 5_000
    assert await site.total() == 5_000


async def test_a_transaction_stays_open_over_a_restart(site: Charging) -> None:
    (station,) = site.stations
    site.drop(station.begin())
    assert await site.total() == 0
    await site.restart()
    site.drop(station.end("12"))
    assert await site.total() == 12_000


async def test_nothing_is_guessed_about_a_page_that_has_not_come(
    site: Charging, caplog: pytest.LogCaptureFixture
) -> None:
    """P19: between this begin and that end another transaction may have ended."""
    (station,) = site.stations
    begin, missing_end, missing_begin, end = station.begin(), station.end("1"), station.begin(), station.end("2")
    site.drop(begin, end)
    assert await site.total() == 0
    assert "charger-1 T4: it waits for the page T3 before it" in caplog.text
    site.drop(missing_begin)
    assert await site.total() == 2_000
    site.drop(missing_end)
    assert await site.total() == 3_000


async def test_an_end_whose_begin_was_never_signed_waits(site: Charging, caplog: pytest.LogCaptureFixture) -> None:
    (station,) = site.stations
    site.drop(station.charge("1"), station.end("4"))
    assert await site.total() == 1_000
    assert "charger-1 T2: it waits for its begin, which nobody has" in caplog.text


async def test_a_begin_that_another_follows_is_over(site: Charging) -> None:
    """A power cut ended it, and no record tells."""
    (station,) = site.stations
    site.drop(*[station.begin() for _ in range(5)], station.end("4"))
    assert await site.total() == 4_000
    assert len(site.source._sessions._loose[station.gateway, station.serial]) == 0


async def test_charge_points_behind_one_gateway_may_share_its_pages(tmp_path: Path) -> None:
    left, right = Station(serial="left"), Station(serial="right")
    site = Charging(tmp_path, left, right)
    begins = []
    for station, other in ((left, right), (right, left)):
        begins.append(station.begin())
        other.page = station.page
    left.page = 2
    ends = [left.end("3")]
    right.page = 3
    ends.append(right.end("4"))
    site.drop(*begins, *ends)
    assert await site.totals() == [3_000, 4_000]


async def test_a_wrong_signature_is_kept_aside_with_a_sentence_and_other_meters_go_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """P10, P21: who forges records harms nobody else."""
    good, bad = Station(serial="good"), Station(serial="bad")
    site = Charging(tmp_path, good, bad)
    genuine = bad.charge("5")
    forged = genuine.replace("2940.6", "2999.6")
    site.drop(good.charge("1"), forged, good.charge("2"))
    assert await site.totals() == [3_000, 0]
    assert site.reasons() == ["charger-2 T1: its signature is not that of the configured key"]
    (kept,) = site.quarantine.glob("*.ocmf")
    assert kept.read_text(encoding="utf-8").strip() == forged, "verbatim"
    assert "event=record_refused source=ocmf" in caplog.text
    assert forged.encode() not in site.evidence.read_bytes()
    site.drop(forged)
    site.drop(genuine)
    assert await site.totals() == [3_000, 5_000], "the genuine one still counts"
    assert len(site.reasons()) == 1


def _swap(text: str, old: str, new: str, station: Station) -> str:
    payload = text.split("|")[1]
    assert old in payload
    return station.sign(payload.replace(old, new))


async def test_what_is_signed_but_cannot_be_is_kept_aside(site: Charging) -> None:
    """P19: each with its reason; none is counted."""
    (station,) = site.stations
    backwards = station.charge("-1")
    station.register += 1
    fast = station.charge("50", minutes=60)
    at = station.minute
    early = _swap(station.charge("1", minutes=60), f"T{at // 60:02d}:00", f"T{at // 60 + 2:02d}:00", station)
    same_page = station.charge("2")
    twin = _swap(same_page, '"IT": "NONE"', '"IT": "LOCAL"', station)
    faulty = station.charge("1", ST="M")
    rows = [station.reading(letter, RV=Decimal(kwh), TM="") for letter, kwh in (("B", 2_985), ("E", 3_000))]
    overlapping = station.signed(rows)
    for record in (backwards, fast, early, same_page, twin, faulty, overlapping):
        site.drop(record)
    assert await site.total() == 2_000
    assert site.reasons() == [
        "charger-1 T1: its register 1-b:1.8.0 falls by 1000 Wh",
        "charger-1 T2: 50000 Wh in 3600 s are more than rate_max allows",
        "charger-1 T3: its transaction ends before it begins",
        "charger-1 T4: its page T4 was another record before",
        "charger-1 T5: its meter's status is M and not G (ST)",
        "charger-1 T6: others have told of a part of what its register counted, 2985000 to 3000000 Wh",
    ]


async def test_a_meter_that_is_not_configured_is_named_with_the_nearest(site: Charging) -> None:
    stranger = Station(serial="BQ27400330061")
    site.drop(stranger.charge("1"))
    assert await site.total() == 0
    assert site.reasons() == ["no meter with the serial BQ27400330061 is configured, the nearest is BQ27400330016"]


async def test_a_gateway_without_a_meters_serial_is_known_by_its_own(tmp_path: Path) -> None:
    station = Station(serial="", gateway="17619300")
    site = Charging(tmp_path, replace(station, serial="17619300"))
    site.settings = replace(site.settings, meters=(replace(site.settings.meters[0], public_key=station.public_key),))
    await site.restart()
    site.drop(station.charge("1"))
    assert await site.total() == 1_000


async def test_registers_that_start_anew_with_each_transaction_add_up(site: Charging) -> None:
    (station,) = site.stations
    for _ in range(3):
        station.register = Decimal(0)
        site.drop(station.charge("2", RI="01-00:B2.08.00*FF"))
    assert await site.total() == 6_000


async def test_a_meter_that_follows_another_goes_on_in_its_channel(tmp_path: Path) -> None:
    old, new = Station(serial="old"), Station(serial="new", register=Decimal(0))
    site = Charging(tmp_path, old, new)
    both = tuple(replace(meter, device="charger-1") for meter in site.settings.meters)
    site.settings = replace(site.settings, meters=both)
    await site.restart()
    site.drop(old.charge("1"), new.charge("2"))
    assert await site.totals() == [3_000]


async def test_what_was_counted_stays_counted_whatever_the_configuration_becomes(tmp_path: Path) -> None:
    """The total never falls: the evidence says what was decided, and by whom it was charged."""
    left, right = Station(serial="left"), Station(serial="right")
    site = Charging(tmp_path, left, right)
    site.drop(left.charge("1"), right.charge("2"))
    assert await site.totals() == [1_000, 2_000]
    site.settings = replace(site.settings, meters=site.settings.meters[:1])
    await site.restart()
    assert await site.totals() == [1_000]
    narrowed = replace(site.settings.meters[0], rate_max=1, obis="2.8.0")
    site.settings = replace(site.settings, meters=(narrowed,))
    await site.restart()
    assert await site.totals() == [1_000]


class TestTheEvidence:
    async def test_it_holds_every_record_verbatim_with_what_it_was_taken_to_mean(self, site: Charging) -> None:
        (station,) = site.stations
        records = [station.begin(), station.end("2.5")]
        site.drop(*records)
        await site.total()
        lines = site.evidence.read_text(encoding="utf-8").splitlines()
        assert [line for line in lines if line.startswith("OCMF")] == records
        heads = [json.loads(line) for line in lines if line.startswith('{"at"')]
        assert [(head["channel"], head["watt_hours"]) for head in heads] == [
            (["charger-1", "energy"], "0"),
            (["charger-1", "energy"], "2500"),
        ]

    async def test_a_record_of_several_lines_is_kept_as_it_is(self, site: Charging) -> None:
        (station,) = site.stations
        payload = json.dumps(
            json.loads(re.sub(r": (\d+\.\d+)", r': "\1"', station.charge("1").split("|")[1])), indent=2
        )
        record = station.sign(payload)
        site.drop(record, station.charge("1"))
        assert await site.total() == 2_000
        assert record.encode() in site.evidence.read_bytes()

    async def test_a_file_is_removed_only_when_its_records_are_on_disk(
        self, site: Charging, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """P2, P6: a disk that fails takes no record with it, and counts none."""
        (station,) = site.stations
        await site.total()
        path = site.drop(station.charge("3"))
        real = os.fsync

        def failing(_: int) -> None:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        monkeypatch.setattr(os, "fsync", failing)
        with pytest.raises(SourceDown, match=re.escape("charging.evidence cannot be written: Input/output error")):
            await site.total()
        assert path.exists()
        monkeypatch.setattr(os, "fsync", real)
        assert await site.total() == 3_000
        assert not path.exists()
        await site.restart()
        assert await site.total() == 3_000

    async def test_a_power_cut_tears_at_most_what_was_not_counted(self, site: Charging) -> None:
        """P2: whatever of the last record is on disk, the file opens, and the record counts when it comes again."""
        (station,) = site.stations
        site.drop(station.charge("1"))
        await site.total()
        whole = site.evidence.read_bytes()
        last = station.charge("2")
        site.drop(last)
        assert await site.total() == 3_000
        after = site.evidence.read_bytes()
        await site.source.close()
        for length in [*range(len(whole), len(after), 97), len(after) - 1]:
            torn = after[:length]
            for tail in (b"", bytes(len(after) - length)):
                site.evidence.write_bytes(torn + tail)
                await site.restart()
                assert await site.total() == 1_000
                site.drop(last)
                assert await site.total() == 3_000
                assert site.evidence.stat().st_size == len(after)
                await site.source.close()

    async def test_a_making_that_was_cut_short_is_begun_again(self, site: Charging) -> None:
        site.evidence.write_bytes(b'{"ocmf_evid')
        assert await site.total() == 0

    async def test_damage_before_the_end_stops_the_source(self, site: Charging) -> None:
        """P19: a total with a hole would be a guess."""
        (station,) = site.stations
        site.drop(station.charge("1"), station.charge("2"))
        await site.total()
        await site.source.close()
        raw = bytearray(site.evidence.read_bytes())
        raw[raw.index(b"OCMF|") + 20] ^= 1
        site.evidence.write_bytes(raw)
        await site.restart()
        with pytest.raises(SourceDown, match=r"is damaged at byte \d+: restore it from a backup"):
            await site.source.read()
        assert site.evidence.read_bytes() == raw, "nothing is cut off"

    async def test_another_file_is_not_overwritten(self, site: Charging) -> None:
        site.evidence.write_text("dear diary\n", encoding="utf-8")
        with pytest.raises(SourceDown, match="is no file of charging records: name another with evidence_path"):
            await site.source.read()
        assert site.evidence.read_text(encoding="utf-8") == "dear diary\n"

    async def test_two_sources_cannot_share_it(self, site: Charging) -> None:
        """Two would count each record twice."""
        await site.source.read()
        with pytest.raises(SourceDown, match="each needs its own"):
            await OcmfSource(site.settings, site.clock).read()

    async def test_at_its_bound_records_wait_and_nothing_is_lost(self, tmp_path: Path) -> None:
        """P9: and with room they count."""
        site = Charging(tmp_path, evidence_bytes_max=EVIDENCE_BYTES_LEAST)
        (station,) = site.stations
        records = [station.charge("1") for _ in range(300)]
        for record in records:
            site.drop(record)
        for _ in range(2):
            await site.total()
        with pytest.raises(SourceDown, match=r"is full: raise evidence_bytes_max"):
            await site.total()
        assert site.evidence.stat().st_size <= EVIDENCE_BYTES_LEAST
        assert site.waiting()
        site.settings = replace(site.settings, evidence_bytes_max=1024 * 1024)
        await site.restart()
        for _ in range(20):
            found = await site.total()
        assert found == 300_000
        assert site.waiting() == []

    async def test_a_new_file_is_a_new_register(self, site: Charging) -> None:
        (station,) = site.stations
        site.drop(station.charge("1"))
        await site.total()
        first = (await site.source.read())[0].generation
        await site.source.close()
        site.evidence.rename(site.evidence.with_suffix(".2026"))
        await site.restart()
        assert (await site.source.read())[0].generation != first


class TestTheInbox:
    async def test_a_file_that_is_being_written_is_left_alone(self, site: Charging) -> None:
        (station,) = site.stations
        await site.total()
        record = station.charge("1")
        path = site.drop(record[:200])
        for end in (300, 400):
            await site.source.read()
            site.clock.advance(SETTLE_MS - 1)
            assert path.exists()
            path.write_text(record[:end], encoding="utf-8")
        path.write_text(record, encoding="utf-8")
        assert [reading.value for reading in await site.source.read()] == [1_000]
        assert site.reasons() == []

    async def test_a_file_that_stays_unreadable_is_kept_aside(self, site: Charging) -> None:
        site.drop("hello", name="note.txt")
        (site.folder / "photo.jpg").write_bytes(b"\xff\xd8\xff\x00|\x80")
        assert await site.total() == 0
        assert site.waiting() == []
        assert site.reasons() == ["this is no OCMF record: OCMF|…|…", "this is no UTF-8 text"]

    async def test_drafts_and_folders_are_not_looked_at(self, site: Charging) -> None:
        for name in (".hidden", "half.tmp", "half.part"):
            site.drop("hello", name=name)
        (site.folder / "folder").mkdir()
        await site.total()
        assert site.waiting() == [".hidden", "folder", "half.part", "half.tmp"]

    async def test_a_folder_that_is_not_there_is_said(self, site: Charging) -> None:
        await site.total()
        site.folder.rmdir()
        with pytest.raises(SourceDown, match="inbox cannot be read: No such file or directory"):
            await site.total()

    async def test_a_file_beyond_the_bound_is_left_and_said(
        self, site: Charging, caplog: pytest.LogCaptureFixture
    ) -> None:
        """P9."""
        (station,) = site.stations
        record = station.charge("1")
        site.drop(record.ljust(FILE_BYTES_MAX), name="large.ocmf")
        site.drop("x" * (FILE_BYTES_MAX + 1), name="larger.ocmf")
        assert await site.total() == 1_000
        assert site.waiting() == ["larger.ocmf"]
        assert caplog.text.count("event=file_left") == 1

    async def test_many_records_are_taken_in_turns(self, site: Charging) -> None:
        """P9: one reading verifies a bounded number, so that other sources get their turn."""
        (station,) = site.stations
        for _ in range(RECORDS_PER_READ_MAX + 5):
            site.drop(station.charge("1"))
        await site.source.read()
        site.source.committed()
        found = [(await site.source.read())[0].value for _ in range(2)]
        assert found == [1_000 * RECORDS_PER_READ_MAX, 1_000 * (RECORDS_PER_READ_MAX + 5)]

    async def test_a_full_quarantine_leaves_files_where_they_are(
        self, site: Charging, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        """P9: what is refused is never thrown away."""
        assert QUARANTINE_FILES_MAX > 2
        monkeypatch.setattr(ocmf_inbox, "QUARANTINE_FILES_MAX", 2)
        for number in range(3):
            site.drop(f"junk {number}")
        (station,) = site.stations
        site.drop(station.charge("1"))
        assert await site.total() == 1_000
        assert site.waiting() == ["0003.ocmf"]
        assert "is full: look through it and empty it" in caplog.text

    def test_a_delivery_may_hold_many_records(self) -> None:
        assert split("OCMF|a|b\nOCMF|c\n |d\r\n\r\n  OCMF|e|f\n") == ("OCMF|a|b", "OCMF|c\n |d", "OCMF|e|f")
        assert split("OCMF|a OCMF|b|c") == ("OCMF|a OCMF|b|c",)
        assert split(" \n") == ()


async def test_a_key_that_cannot_be_read_keeps_its_meters_records_waiting(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A mistake in the configuration must not condemn genuine records."""
    good, other = Station(serial="good"), Station(serial="other")
    site = Charging(tmp_path, good, other)
    key = tmp_path / "other.key"
    meters = (site.settings.meters[0], replace(site.settings.meters[1], public_key="", public_key_file=key))
    site.settings = replace(site.settings, meters=meters)
    await site.restart()
    site.drop(good.charge("1"))
    site.drop(other.charge("2"))
    assert await site.totals() == [1_000, 0]
    assert site.waiting() == ["0002.ocmf"]
    assert "event=key_unusable" in caplog.text
    key.write_text(other.public_key, encoding="ascii")
    await site.restart()
    assert await site.totals() == [1_000, 2_000]
    assert site.waiting() == []


class Backend:
    """Serves what its test holds in its hand."""

    def __init__(self) -> None:
        self.body = b""
        self.status = 200
        backend = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(backend.status)
                self.end_headers()
                self.wfile.write(backend.body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name.
                logging.debug(format, *args)  # noqa: LOG015

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/records"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()


@pytest.fixture
def backend() -> Iterator[Backend]:
    found = Backend()
    yield found
    found.server.shutdown()
    found.thread.join()
    found.server.server_close()


class TestAnAddress:
    @pytest.mark.parametrize("as_json", [False, True])
    async def test_it_is_asked_for_records(self, tmp_path: Path, backend: Backend, as_json: bool) -> None:  # noqa: FBT001
        site = Charging(tmp_path, only_url=backend.url)
        (station,) = site.stations
        records: list[str] = []
        for count in range(1, 4):
            records.append(station.charge("1"))
            backend.body = (json.dumps(records) if as_json else "\n".join(records)).encode()
            assert await site.total() == 1_000 * count
        records.append("junk")
        backend.body = "\nOCMF|".join(records).encode() if not as_json else json.dumps(records).encode()
        assert await site.total() == 3_000
        await site.restart()
        assert await site.total() == 3_000
        assert len(site.reasons()) >= 1

    async def test_one_that_does_not_answer_is_said_and_the_folder_goes_on(
        self, tmp_path: Path, backend: Backend
    ) -> None:
        site = Charging(tmp_path, url=backend.url)
        (station,) = site.stations
        await site.total()
        site.drop(station.charge("1"))
        backend.status = 503
        with pytest.raises(SourceDown, match=r"records cannot be read: HTTP Error 503|Service Unavailable"):
            await site.source.read()
        assert site.waiting() == []
        for body in (b"[1]", b"[", b"x" * (FILE_BYTES_MAX + 1), b"\xff"):
            backend.status, backend.body = 200, body
            with pytest.raises(SourceDown, match="records cannot be read"):
                await site.source.read()
        backend.body = b""
        assert await site.total() == 1_000


class TestWithTheMetering:
    """P1: whatever is killed whenever, what was charged is metered once."""

    def observe(self, readings: Sequence[Reading], bench: Bench) -> None:
        bench.metering.observe([replace(one, at_ms=bench.ms) for one in readings], bench.tick)
        bench.seal()

    async def test_records_that_were_there_before_the_first_start_count(self, site: Charging) -> None:
        (station,) = site.stations
        site.drop(station.charge("40"))
        bench = Bench(*site.source.channels)
        for _ in range(4):
            self.observe(await site.source.read(), bench)
            site.source.committed()
            bench.wait(60)
        assert bench.register == 40_000

    async def test_nothing_is_taken_in_before_the_baseline_is_on_disk(self, site: Charging) -> None:
        (station,) = site.stations
        site.drop(station.charge("40"))
        site.source.committed()
        for _ in range(3):
            assert [one.value for one in await site.source.read()] == [0]
        assert site.waiting() == ["0001.ocmf"]
        site.source.committed()
        assert [one.value for one in await site.source.read()] == [40_000]
        assert isinstance(site.source, CommittedSource)

    async def test_an_old_evidence_file_under_a_newer_spool_bills_nothing_again(self, site: Charging) -> None:
        """P4: a total that falls is a rollback and no reset, whatever the rate would allow."""
        (station,) = site.stations
        bench = Bench(*site.source.channels)
        backup = b""
        for _ in range(2):
            site.drop(station.charge("2"))
            for _ in range(4):
                self.observe(await site.source.read(), bench)
                site.source.committed()
                bench.wait(60)
            backup = backup or site.evidence.read_bytes()
        await site.source.close()
        site.evidence.write_bytes(backup)
        await site.restart()
        for _ in range(3):
            self.observe(await site.source.read(), bench)
            bench.wait(60)
        bench.wait(900)
        assert bench.register == 4_000
        assert Verdict.ROLLBACK in bench.notes()

    @pytest.mark.parametrize("killed_after", range(8))
    async def test_a_crash_at_any_moment_neither_loses_nor_doubles_a_session(
        self, site: Charging, killed_after: int
    ) -> None:
        (station,) = site.stations
        bench = Bench(*site.source.channels)
        for step in range(16):
            if step % 3 == 0:
                site.drop(station.charge("2"))
            self.observe(await site.source.read(), bench)
            if step % 2:
                bench.commit()
                site.source.committed()
            if step == killed_after:
                await site.restart()
                bench.restart(down=30, lose=True)
            bench.wait(20)
        bench.wait(900)
        assert bench.register == 12_000
        assert sum(bench.reader.used.values()) == 12_000

    def test_sessions_go_through_the_agent_and_its_kills_to_the_wire(self, tmp_path: Path) -> None:
        async def story() -> None:
            charging = Charging(tmp_path)
            (station,) = charging.stations
            site = Site(tmp_path)
            for kwh in ("10", "20", "0"):
                charging.drop(station.charge(kwh, minutes=300))
                source = OcmfSource(charging.settings, VirtualClock())
                site.sources = (source,)
                async with running(site) as agent:
                    await asyncio.sleep(400)
                    registers = agent._metering.registers()
                await source.close()
            assert registers[ChannelName("charger-1", "energy")] == (30_000, 30_000)
            gaps = [row for report in site.reports() if isinstance(report, Gap) for row in report.rows]
            bridged = sum((row.after or 0) - (row.before or 0) for row in gaps)
            assert used(site.reports()) + bridged == 30_000

        run(story())


METER: Final = OcmfMeter(serial="m", public_key="00", device="charger-1", rate_max=7)


GIVEN: Final[dict[str, Any]] = {"folder": Path("x"), "meters": (METER,)}


class TestSettings:
    @pytest.mark.parametrize(
        ("changes", "key"),
        [
            ({"serial": ""}, "serial"),
            ({"public_key": ""}, "public_key"),
            ({"public_key": "no key!"}, "public_key"),
            ({"public_key_file": Path("k")}, "public_key"),
            ({"rate_max": 0}, "rate_max"),
            ({"device": "Ä"}, "device"),
        ],
    )
    def test_a_meter_that_cannot_be_is_refused_by_its_key(self, changes: dict[str, Any], key: str) -> None:
        with pytest.raises(InvalidSetting) as caught:
            replace(METER, **changes)
        assert caught.value.key == key

    @pytest.mark.parametrize(
        ("changes", "key"),
        [
            ({"folder": None}, "folder"),
            ({"url": "ftp://x"}, "url"),
            ({"meters": ()}, "meters"),
            ({"meters": (METER, METER)}, "meters"),
            ({"meters": (METER, replace(METER, serial="n", unit="kW.h"))}, "meters"),
            ({"meters": tuple(replace(METER, serial=f"m{number}") for number in range(METERS_MAX + 1))}, "meters"),
            ({"evidence_bytes_max": 1_000}, "evidence_bytes_max"),
            ({"timeout_seconds": 26.0}, "timeout_seconds"),
        ],
    )
    def test_a_source_that_cannot_be_is_refused_by_its_key(self, changes: dict[str, Any], key: str) -> None:
        with pytest.raises(InvalidSetting) as caught:
            OcmfSettings(**(GIVEN | changes))
        assert caught.value.key == key


class TestTheHowTo:
    async def test_its_example_meters_a_session(self, tmp_path: Path) -> None:
        example = re.findall(r"```toml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[0]
        station = Station()
        text = re.sub(r"^ {3}", "", example, flags=re.MULTILINE)
        text = re.sub(r'public_key = "[^"]*"', f'public_key = "{station.public_key}"', text)
        for place in ("inbox", "evidence", "quarantine"):
            text = re.sub(rf'"/var/lib/meterseal/([\w-]*\.?{place})"', rf'"{tmp_path}/\1"', text)
        file = tmp_path / "agent.toml"
        file.write_text(f'gateway = "gw-1"\n{text}', encoding="utf-8")
        (found,) = load(file, environment={}).settings.sources
        assert isinstance(found, OcmfSettings)
        assert found.folder is not None
        found.folder.mkdir(parents=True)
        (found.folder / "1.ocmf").write_text(station.charge("29.5", minutes=240), encoding="utf-8")
        source = OcmfSource(found, SimpleClock())
        await source.read()
        source.committed()
        assert [reading.value for reading in await source.read()] == [29_500]
        await source.close()

    def test_a_record_of_the_evidence_is_checked_with_openssl_as_it_says(self, tmp_path: Path) -> None:
        """P12: a customer needs nothing of ours."""
        openssl = require("openssl")
        script = re.findall(r"```sh\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[0]
        site = Charging(tmp_path)
        (station,) = site.stations
        site.drop(station.charge("1"))
        asyncio.run(site.total())
        script = script.replace("/var/lib/meterseal/charging.evidence", str(site.evidence))
        script = re.sub(r"key=\S+", f"key={station.public_key}", script)
        done = subprocess.run(["bash", "-euc", script], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (done.stdout.strip(), done.stderr) == ("Verified OK", ""), openssl
        (tmp_path / "payload").write_text("another", encoding="ascii")
        last = script.strip().splitlines()[-1]
        assert subprocess.run(["bash", "-c", last], cwd=tmp_path, capture_output=True, check=False).returncode == 1
