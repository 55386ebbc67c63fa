"""Charging sessions from records that the charge point has signed (OCMF).

A charge point's backend drops records into a folder, or serves them by HTTP. Each is verified against the
public key that the configuration has for its meter, written to the evidence, and only then counted. A
channel is a counter: the total of what its transactions charged, as the evidence has it. Not an event, for
an event handed over before a crash and not committed would be lost or told twice; a total is neither (P1,
P5). Not the meter's own register, for what it counts between sessions was charged to nobody.
"""

import asyncio
import json
import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from decimal import ROUND_FLOOR, Decimal
from difflib import get_close_matches
from typing import Final

from edge_agent.reading import ChannelName, ChannelSpec, Kind, Reading, SourceDown
from edge_agent.sources.extra import library
from edge_agent.sources.ocmf_evidence import Entry, Evidence
from edge_agent.sources.ocmf_inbox import FILE_BYTES_MAX, Inbox, Quarantine, split
from edge_agent.sources.ocmf_record import OcmfRecord, decode_key, parse_record, verify_record
from edge_agent.sources.ocmf_sessions import Seen, Sessions, page_of
from edge_agent.sources.ocmf_settings import OcmfMeter, OcmfSettings
from shared.effects.clock import Clock
from shared.errors import Refused
from shared.limits import INTEGER_MAX

RECORDS_PER_READ_MAX: Final = 64
"""Records verified at a time, so that other sources get their turn."""
TOLD_MAX: Final = 1_000
"""Sentences that are remembered, so that each is said once."""
_LOG: Final = logging.getLogger(__name__)


class OcmfSource:
    """Takes records in, and says what was charged in all."""

    def __init__(self, settings: OcmfSettings, clock: Clock) -> None:
        self.name = settings.name
        self.poll_seconds = settings.poll_seconds
        self._settings = settings
        self._clock = clock
        self._meters = {meter.serial: meter for meter in settings.meters}
        self._inbox = None if settings.folder is None else Inbox(settings.folder)
        self._quarantine = Quarantine(settings.quarantine_path)
        self._evidence: Evidence | None = None
        self._sessions = Sessions()
        self._totals: dict[ChannelName, Decimal] = defaultdict(Decimal)
        self._keys: dict[str, bytes] = {}
        self._delivered = False
        self._settled = False
        """Whether totals from before the first record of this start are on the agent's disk."""
        self._handled: frozenset[str] = frozenset()
        """What the URL answered the last time, and needs no second look."""
        self._told: set[str] = set()
        self.channels: tuple[ChannelSpec, ...] = tuple(
            _spec(meter, settings) for meter in {meter.channel: meter for meter in settings.meters}.values()
        )

    def committed(self) -> None:
        """What was delivered is the baseline of what comes in from now on."""
        self._settled = self._settled or self._delivered

    async def read(self) -> Sequence[Reading]:
        """Take in what is there, then each channel's total; raises SourceDown."""
        evidence = self._opened()
        # P1: a first reading is a baseline. What comes in before one is on disk would be part of it, and lost.
        if self._settled:
            problem = await self._take_url(evidence)
            self._take_folder(evidence)
            if problem:
                raise SourceDown(problem)
        self._delivered = True
        at_ms = self._clock.boot_ms()
        return [
            Reading(
                device=name.device,
                meter=name.meter,
                value=_steps(self._totals[name], self._meters[serial].step),
                at_ms=at_ms,
                generation=evidence.identity,
            )
            for name, serial in {meter.channel: meter.serial for meter in self._settings.meters}.items()
        ]

    async def close(self) -> None:
        """Let go of the evidence."""
        if self._evidence is not None:
            self._evidence.close()
            self._evidence = None

    def _opened(self) -> Evidence:
        if self._evidence is not None:
            return self._evidence
        library("cryptography", "ocmf")
        self._load_keys()
        self._sessions = Sessions()
        self._totals.clear()
        evidence = Evidence(self._settings.evidence_path, bytes_max=self._settings.evidence_bytes_max)
        evidence.open(self._restore)
        self._evidence = evidence
        return evidence

    def _restore(self, entry: Entry) -> None:
        self._sessions.restore(entry.page)
        self._totals[ChannelName(entry.device, entry.meter)] += entry.watt_hours

    def _load_keys(self) -> None:
        for meter in self._settings.meters:
            try:
                text = meter.public_key
                if meter.public_key_file is not None:
                    raw = meter.public_key_file.read_bytes()
                    text = raw.decode("ascii") if raw.isascii() else raw.hex()
                self._keys[meter.serial] = decode_key(text)
            except (OSError, ValueError) as error:
                why = f"{meter.public_key_file}: {error}; records of {meter.serial} wait"
                if self._is_news(why):
                    _LOG.warning('event=key_unusable source=%s why="%s"', self.name, why)

    # -- taking in -----------------------------------------------------------------------------

    def _take_folder(self, evidence: Evidence) -> None:
        if self._inbox is None:
            return
        room = RECORDS_PER_READ_MAX
        try:
            for delivery in self._inbox.deliveries(self._clock.boot_ms()):
                if room <= 0:
                    break
                room -= len(delivery.texts)
                if delivery.too_large:
                    why = f"{delivery.path} is larger than {FILE_BYTES_MAX} bytes: split it"
                    if self._is_news(why):
                        _LOG.warning('event=file_left source=%s why="%s"', self.name, why)
                if self._take(delivery.texts, evidence, unfinished=not delivery.settled):
                    self._inbox.clear(delivery.path)
        except OSError as error:
            raise SourceDown(f"{error.filename or self._settings.folder} cannot be read: {error.strerror}") from error

    async def _take_url(self, evidence: Evidence) -> str:
        """Empty, or why nothing could be fetched."""
        settings = self._settings
        if not settings.url:
            return ""
        try:
            body = await asyncio.to_thread(_fetched, settings.url, settings.timeout_seconds)
            texts = _listed(body)
        except (OSError, ValueError) as error:
            return f"{settings.url} cannot be read: {getattr(error, 'reason', error)}"
        fresh = [text for text in texts if text not in self._handled][:RECORDS_PER_READ_MAX]
        handled = [text for text in fresh if self._take([text], evidence, unfinished=False)]
        self._handled = frozenset(text for text in texts if text in self._handled or text in handled)
        return ""

    def _take(self, texts: Sequence[str], evidence: Evidence, *, unfinished: bool) -> bool:
        """Whether every record is safe now, in the evidence or in quarantine; all that are new are counted."""
        parsed = [parse_record(text) for text in texts]
        if unfinished and (not parsed or any(isinstance(one, Refused) for one in parsed)):
            return False
        entries: list[Entry] = []
        safe = True
        for text, record in zip(texts, parsed, strict=True):
            if not evidence.has_room(
                sum(len(entry.to_bytes()) for entry in entries) + len(text.encode("utf-8", "replace"))
            ):
                self._count(entries, evidence)
                raise SourceDown(
                    f"{evidence.path} is full: raise evidence_bytes_max, or archive it and begin another; "
                    "records wait until then"
                )
            found = self._judged(record)
            if isinstance(found, Entry):
                entries.append(found)
            elif isinstance(found, Refused):
                safe = self._refuse(text, found.reason) and safe
            else:
                safe = found and safe
        self._count(entries, evidence)
        return safe

    def _judged(self, record: OcmfRecord | Refused) -> Entry | Refused | bool:
        """An entry for the evidence; a refusal; True where it was there before, False where it has to wait."""
        if isinstance(record, Refused):
            return record
        meter = self._meters.get(record.meter) or self._meters.get(record.gateway)
        if meter is None:
            return Refused(_stranger(record, self._meters))
        key = self._keys.get(meter.serial)
        if key is None:
            return False
        page = verify_record(record, key) or page_of(record, meter.obis)
        if isinstance(page, Refused):
            return Refused(f"{_title(record, meter)}: {page.reason}")
        taken = self._sessions.take(page, most_a_second=meter.rate_max * meter.step)
        if isinstance(taken, Refused):
            return Refused(f"{_title(record, meter)}: {taken.reason}")
        if isinstance(taken, Seen):
            return True
        if taken.waits:
            why = f"{_title(record, meter)}: it waits for {taken.waits}"
            if self._is_news(why):
                _LOG.warning('event=record_waits source=%s why="%s"', self.name, why)
        return Entry(
            at=self._clock.utc_ms() // 1_000,
            device=meter.device,
            meter=meter.meter,
            watt_hours=taken.watt_hours,
            page=page,
            text=record.text,
        )

    def _count(self, entries: Iterable[Entry], evidence: Evidence) -> None:
        """P2: on disk first, counted then."""
        new = list(entries)
        if not new:
            return
        try:
            evidence.append(new)
        except SourceDown:
            # What was noted of them is not so: the file says what is.
            self._evidence = None
            raise
        for entry in new:
            self._totals[ChannelName(entry.device, entry.meter)] += entry.watt_hours

    def _refuse(self, text: str, reason: str) -> bool:
        try:
            kept = self._quarantine.keep(text, reason)
        except OSError as error:
            why = f"{self._settings.quarantine_path}: {error.strerror}"
            if self._is_news(why):
                _LOG.warning('event=file_left source=%s why="%s"', self.name, why)
            return False
        if kept is None:
            why = f"{self._settings.quarantine_path} is full: look through it and empty it"
            if self._is_news(why):
                _LOG.warning('event=file_left source=%s why="%s"', self.name, why)
            return False
        why = f"{reason}; kept as {kept}"
        if self._is_news(why):
            _LOG.warning('event=record_refused source=%s why="%s"', self.name, why)
        return True

    def _is_news(self, why: str) -> bool:
        """Whether it has not been said yet."""
        if len(self._told) >= TOLD_MAX:
            self._told.clear()
        known = why in self._told
        self._told.add(why)
        return not known


def _spec(meter: OcmfMeter, settings: OcmfSettings) -> ChannelSpec:
    return ChannelSpec(
        device=meter.device,
        meter=meter.meter,
        unit=meter.unit,
        exponent=meter.exponent,
        kind=Kind.COUNTER,
        source=settings.name,
        log=settings.log,
        # A session comes in all at once; each record was judged by its own duration.
        rate_max=INTEGER_MAX,
        # P4: an evidence file from an old backup has a lower total, and what that holds was billed before.
        resets=False,
    )


def _steps(watt_hours: Decimal, step: Decimal) -> int:
    return int((watt_hours / step).to_integral_value(ROUND_FLOOR))


def _title(record: OcmfRecord, meter: OcmfMeter) -> str:
    return f"{meter.device} {record.context}{record.page}"


def _stranger(record: OcmfRecord, known: Iterable[str]) -> str:
    serial = record.meter or record.gateway
    near = get_close_matches(serial, list(known), n=1)
    return f"no meter with the serial {serial[:40]} is configured" + (f", the nearest is {near[0]}" if near else "")


def _fetched(url: str, seconds: float) -> str:
    import urllib.request  # noqa: PLC0415 - it loads megabytes, and most sites have a folder.

    request = urllib.request.Request(url, headers={"Accept": "application/json, text/plain"})  # noqa: S310 - checked.
    with urllib.request.urlopen(request, timeout=seconds) as answer:  # noqa: S310 - http or https, by the settings.
        raw: bytes = answer.read(FILE_BYTES_MAX + 1)
    if len(raw) > FILE_BYTES_MAX:
        raise ValueError(f"it answers with more than {FILE_BYTES_MAX} bytes")
    return raw.decode("utf-8")


def _listed(body: str) -> tuple[str, ...]:
    if not body.lstrip().startswith("["):
        return split(body)
    found = json.loads(body)
    if not all(isinstance(text, str) for text in found):
        raise ValueError("it answers with a list that holds something else than records")
    return tuple(text.strip() for text in found)
