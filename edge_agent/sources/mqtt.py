"""What the site's devices publish by MQTT: smart plugs, sensors, home automation.

A reading is taken when its message arrives, and only then: a retained message is what somebody said
once, so it is no reading unless it tells when, and the session leaves no queue behind that would bring
old messages as new ones. A device that publishes on changes only still says what it said last, as long
as nobody has called it offline and the connection has not been lost since.
Source: MQTT 3.1.1, 3.3.1.3 (retain); the pages named in mqtt_presets.toml.
"""

import asyncio
import contextlib
import os
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from fractions import Fraction
from typing import Any, Final

from edge_agent.reading import ChannelName, Reading, SourceDown
from edge_agent.sources.json_path import Step, document, found_at, steps_to
from edge_agent.sources.lives import Lives
from edge_agent.sources.modbus_values import scale_of
from edge_agent.sources.mqtt_presets import filled
from edge_agent.sources.mqtt_settings import Feed, MqttSettings, feeds_of
from edge_agent.sources.number import steps_of, switch_of
from edge_agent.sources.printed_channel import Silence
from shared.effects.clock import Clock
from shared.effects.link import Link, Message, Session
from shared.effects.mqtt import MqttLink
from shared.errors import InvalidRecord, LinkError

PAYLOAD_BYTES_MAX: Final = 64 * 1024
"""A message that is longer is no meter's."""
PENDING_MAX: Final = 64
"""Readings of a channel that wait to be metered; beyond, the oldest goes: a counter's next one includes it."""
FIRST_SECONDS: Final = 5.0
"""How long the first read waits for the first messages."""
RETRY_SECONDS_MAX: Final = 60.0
RETAINED_SECONDS_MAX: Final = 60
"""A retained message of a device that publishes at intervals is fresh for so long."""
GENERATION_CHARS_MAX: Final = 64
_NOTHING: Final = frozenset({"", "unavailable", "unknown", "none", "null", "nan"})
"""What a device says that has no reading now."""


class Tap:
    """One channel while it is listened to."""

    def __init__(self, feed: Feed, client: str) -> None:
        self.feed = feed
        self.scale = None if feed.scale == "1" else scale_of(feed.scale)
        own = steps_to(feed.path)
        self.places: dict[str, tuple[tuple[Step, ...], tuple[Step, ...]]] = {}
        """By topic: the path of what belongs to the number, and the path of the number."""
        for topic, root in feed.places:
            below = steps_to(root)
            self.places[filled(topic, {"client": client})] = (below, below + own)
        self.topics = tuple(self.places)
        self.pending: deque[Reading] = deque(maxlen=PENDING_MAX)
        self.last: Reading | None = None
        """What it said last, while that stands."""
        self.heard_ms: int | None = None
        """When it last said something that could be read."""
        self.problem: str | None = None
        """What was wrong with what it said last."""

    def forget(self) -> None:
        """The connection was lost: what was said while it was away is unknown."""
        self.last = None
        self.heard_ms = None


class MqttSource:
    """Listens from its first read on, and connects again whenever it must."""

    def __init__(self, settings: MqttSettings, clock: Clock, link: Link | None = None) -> None:
        self.name = settings.name
        self.poll_seconds = settings.poll_seconds
        self._settings = settings
        self._clock = clock
        self._client = f"meterseal-{os.urandom(4).hex()}"
        self._link = link or MqttLink(settings.broker(), self._client, durable=False)
        self._taps = tuple(Tap(feed, self._client) for feed in feeds_of(settings))
        self._by_topic: dict[str, list[Tap]] = {}
        for tap in self._taps:
            for topic in tap.topics:
                self._by_topic.setdefault(topic, []).append(tap)
        self._offline: dict[str, bool] = {}
        """What the topics that tell have told."""
        self._watched = {topic: tap.feed.offline for tap in self._taps for topic in tap.feed.availability}
        self._listening: asyncio.Task[None] | None = None
        self._since_ms: int | None = None
        """When the present session began."""
        self._why = "not connected yet"
        self._silence = Silence(settings.name)
        self._lives = Lives(clock)
        self._arrival = asyncio.Event()
        self.channels = tuple(tap.feed.spec(settings.name, settings.log) for tap in self._taps)

    def remember(self, generations: Mapping[ChannelName, str]) -> None:
        """Go on from the lives that are known."""
        self._lives.remember(generations)

    async def read(self) -> Sequence[Reading]:
        """What has arrived since the last read, and what stands; raises SourceDown when nothing can be heard."""
        await self._connected()
        if self._since_ms is None and not any(tap.pending for tap in self._taps):
            raise SourceDown(self._why)
        readings: list[Reading] = []
        for tap in self._taps:
            readings += tap.pending or self._standing(tap)
            tap.pending.clear()
        self._name_the_silent(readings)
        return readings

    async def peek(self) -> Sequence[Reading]:
        """What each channel said last, while that is not too long ago; nothing is taken from the metering."""
        await self._connected()
        if self._since_ms is None:
            raise SourceDown(self._why)
        readings = [tap.last for tap in self._taps if tap.last is not None and self._why_not(tap) is None]
        self._name_the_silent(readings)
        return readings

    async def close(self) -> None:
        """The connection is over."""
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.wait([self._listening])

    # -- the connection ------------------------------------------------------------------------

    async def _connected(self) -> None:
        if self._listening is None:
            self._listening = asyncio.ensure_future(self._listen())
            await self._first()
        elif self._listening.done():
            listening, self._listening = self._listening, None
            listening.result()

    async def _listen(self) -> None:
        rest = 1.0
        while True:
            try:
                async with self._link.session() as session:
                    for topic in sorted({*self._by_topic, *self._watched}):
                        await session.subscribe(topic, qos=0)
                    rest, self._since_ms = 1.0, self._clock.boot_ms()
                    self._arrival.set()
                    asking = asyncio.ensure_future(self._ask(session))
                    try:
                        while True:
                            self._take(await session.receive())
                    finally:
                        asking.cancel()
            except LinkError as error:
                self._why = str(error)
            finally:
                self._since_ms = None
                self._arrival.set()
                for tap in self._taps:
                    tap.forget()
                self._offline.clear()
            await self._clock.sleep(rest)
            rest = min(2 * rest, RETRY_SECONDS_MAX)

    async def _ask(self, session: Session) -> None:
        asked = {tap.feed.ask for tap in self._taps if tap.feed.ask}
        messages = [tuple(filled(part, {"client": self._client}) for part in ask) for ask in sorted(asked)]
        with contextlib.suppress(LinkError):
            while self._settings.ask_seconds:
                for topic, payload in messages:
                    await session.publish(topic, payload.encode(), qos=0)
                await self._clock.sleep(self._settings.ask_seconds)

    async def _first(self) -> None:
        """Wait for every channel's first word, or for what keeps them from being heard; not for long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FIRST_SECONDS):
                while self._why == "not connected yet" and any(tap.heard_ms is None for tap in self._taps):
                    self._arrival.clear()
                    await self._arrival.wait()

    # -- messages ------------------------------------------------------------------------------

    def _take(self, message: Message) -> None:
        self._arrival.set()
        topic, at_ms = message.topic, self._clock.boot_ms()
        if topic in self._watched:
            self._offline[topic] = _word(message.payload) == self._watched[topic].lower()
        parsed: list[Any] = []
        for tap in self._by_topic.get(topic, ()):
            try:
                reading = self._reading(tap, message, at_ms, parsed)
            except InvalidRecord as error:
                tap.problem = f"{topic}: {error}"
                continue
            if reading is not None:
                tap.problem = None
                tap.heard_ms = reading.at_ms
                tap.last = reading
                tap.pending.append(reading)

    def _reading(self, tap: Tap, message: Message, at_ms: int, parsed: list[Any]) -> Reading | None:
        """What the message says of the channel; None: nothing that counts; raises InvalidRecord."""
        feed = tap.feed
        root, path = tap.places[message.topic]
        if len(message.payload) > PAYLOAD_BYTES_MAX:
            raise InvalidRecord(f"the message is longer than {PAYLOAD_BYTES_MAX} bytes")
        if not path:
            found: Any = message.payload.decode("utf-8", "replace").strip()
        else:
            if not parsed:
                parsed.append(document(message.payload))
            found = found_at(path, parsed[0])
            if found is None:
                raise InvalidRecord(f"the message has no {feed.path}")
        if isinstance(found, str) and found.lower() in _NOTHING:
            tap.last = None
            raise InvalidRecord(f"it says {found or 'nothing'!r}")
        facts = found_at(root, parsed[0]) if parsed else None
        if message.retained:
            age_ms = self._age_ms(feed, facts)
            if age_ms is None:
                return None
            at_ms -= age_ms
        return Reading(
            device=feed.device,
            meter=feed.meter,
            value=_value(feed, tap.scale, found),
            at_ms=at_ms,
            serial=feed.serial,
            generation=self._generation(feed, facts),
        )

    def _age_ms(self, feed: Feed, facts: Any) -> int | None:
        """How old a retained message is, where it tells and that is not too old."""
        seen = _instant_ms(found_at(steps_to(feed.seen), facts)) if feed.seen else None
        if seen is None or not self._clock.synchronised():
            return None
        age_ms = self._clock.utc_ms() - seen
        return age_ms if 0 <= age_ms <= (feed.stands_seconds or RETAINED_SECONDS_MAX) * 1_000 else None

    def _generation(self, feed: Feed, facts: Any) -> str:
        if feed.generation:
            said = found_at(steps_to(feed.generation), facts)
            return said[:GENERATION_CHARS_MAX] if isinstance(said, str) else ""
        said = found_at(steps_to(feed.uptime), facts) if feed.uptime else None
        return "" if said is None else self._lives.up(feed.name, steps_of(str(said), 0))

    # -- silence -------------------------------------------------------------------------------

    def _standing(self, tap: Tap) -> list[Reading]:
        """What a device that publishes on changes said last, read once more."""
        now = self._clock.boot_ms()
        if tap.last is None or tap.heard_ms is None or self._told_offline(tap) is not None:
            return []
        return [replace(tap.last, at_ms=now)] if now - tap.heard_ms <= tap.feed.stands_seconds * 1_000 else []

    def _told_offline(self, tap: Tap) -> str | None:
        return next((topic for topic in tap.feed.availability if self._offline.get(topic)), None)

    def _why_not(self, tap: Tap) -> str | None:
        """Why a channel cannot be read now; None where it can, or may soon."""
        device = tap.feed.device
        told = self._told_offline(tap)
        if told is not None:
            return f"{device} is offline, says {told}: is it plugged in, and in reach of the network?"
        silent_ms = max(self._settings.silent_seconds, tap.feed.stands_seconds) * 1_000
        now = self._clock.boot_ms()
        if tap.last is not None and tap.heard_ms is not None and now - tap.heard_ms <= silent_ms:
            return None
        if tap.problem is not None:
            return f"{device} cannot be read: {tap.problem}; does it measure this, and is the path right?"
        since_ms = now if self._since_ms is None else self._since_ms
        if tap.heard_ms is None and now - since_ms <= silent_ms:
            return None
        return (
            f"nothing has come from {device} on {tap.topics[0]} for {silent_ms // 60_000} minutes: "
            "compare the topic with what the device is set to, letter by letter"
        )

    def _name_the_silent(self, readings: Sequence[Reading]) -> None:
        """Raise SourceDown where nothing can be heard; log what cannot where the rest can."""
        whys = {tap.feed.name: why for tap in self._taps if (why := self._why_not(tap)) is not None}
        self._silence.of(whys, all_of_it=len(whys) == len(self._taps) and not readings)


def _word(payload: bytes) -> str:
    """What a topic that tells whether a device is there says: a word, or JSON with a `state`."""
    try:
        found = found_at(("state",), document(payload))
    except InvalidRecord:
        found = None
    return str(payload.decode("utf-8", "replace").strip() if found is None else found).lower()


def _value(feed: Feed, scale: Fraction | None, found: Any) -> int:
    if feed.kind == "state":
        found = switch_of(found)
    if not isinstance(found, str):
        raise InvalidRecord(f"{'an object or a list' if isinstance(found, dict | list) else found} is no number")
    return steps_of(found, feed.exponent, scale)


def _instant_ms(said: Any) -> int | None:
    """A printed moment in Unix milliseconds: ISO 8601 with a zone, or Unix seconds or milliseconds."""
    if not isinstance(said, str):
        return None
    try:
        at = datetime.fromisoformat(said)
    except ValueError:
        at = None
    if at is not None and at.tzinfo is not None:
        return round(at.timestamp() * 1_000)
    try:
        number = steps_of(said, 0)
    except InvalidRecord:
        return None
    return number if number > 10**11 else number * 1_000
