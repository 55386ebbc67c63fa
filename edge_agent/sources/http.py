"""Numbers on a web page: JSON by path, or Prometheus' text by metric; many from one response.

A counter of Prometheus' text that says when it was created tells its resets itself (`_created`). The start
of the process that prints is not taken for the counter's, as exporters print counters of others: whoever
knows that they begin together says so with `started`.
"""

import base64
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from edge_agent.reading import ChannelName, Reading, SourceDown
from edge_agent.sources.extra import library
from edge_agent.sources.http_settings import HttpChannel, HttpSettings
from edge_agent.sources.json_path import document, found_at, steps_to
from edge_agent.sources.lives import Lives
from edge_agent.sources.modbus_values import scale_of
from edge_agent.sources.number import steps_of, switch_of
from edge_agent.sources.printed_channel import Silence
from edge_agent.sources.prometheus import Sample, created_name, samples, selector_of, the_one
from edge_agent.sources.secret import secret_of
from shared.effects.clock import Clock
from shared.errors import InvalidRecord

GENERATION_CHARS_MAX: Final = 64

Find: TypeAlias = Callable[[str], Any]
"""What stands at a path, or under a metric's name; None where nothing does; raises InvalidRecord."""


class HttpSource:
    """Asks once for each round."""

    def __init__(self, settings: HttpSettings, clock: Clock) -> None:
        self.name = settings.name
        self.poll_seconds = settings.poll_seconds
        self._settings = settings
        self._clock = clock
        self._lives = Lives(clock)
        self._silence = Silence(settings.name)
        self._scales = {channel.name: scale_of(channel.scale) for channel in settings.channels}
        self._names = _names(settings.channels)
        self.channels = tuple(channel.spec(settings.name, settings.log) for channel in settings.channels)

    def remember(self, generations: Mapping[ChannelName, str]) -> None:
        """Go on from the lives that are known."""
        self._lives.remember(generations)

    async def read(self) -> Sequence[Reading]:
        """A reading for each number that the response has; raises SourceDown with one sentence."""
        settings = self._settings
        web = library("edge_agent.sources.http_get", "http")
        body = await web.get(
            web.Request(
                url=settings.url,
                headers=self._headers(),
                ca_file=settings.ca_file,
                timeout_seconds=settings.timeout_seconds,
                body_bytes_max=settings.body_bytes_max,
            )
        )
        at_ms = self._clock.boot_ms()
        try:
            find = self._finder(body)
        except InvalidRecord as error:
            raise SourceDown(f"{settings.url} answers with what cannot be read: {error}") from error
        readings, whys = [], {}
        for channel in settings.channels:
            try:
                readings.append(self._reading(channel, find, at_ms))
            except InvalidRecord as error:
                whys[channel.name] = f"{'.'.join(channel.name)} cannot be read from {settings.url}: {error}"
        self._silence.of(whys, all_of_it=not readings)
        return readings

    async def close(self) -> None:
        """Nothing is held: a connection ends with its response."""

    def _headers(self) -> Mapping[str, str]:
        settings = self._settings
        if settings.token_file is not None:
            return {"Authorization": f"Bearer {secret_of(settings.token_file)}"}
        if settings.username is not None and settings.password_file is not None:
            pair = f"{settings.username}:{secret_of(settings.password_file)}"
            return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
        return {}

    def _finder(self, body: bytes) -> Find:
        if self._names:
            found = list(samples(body.decode("utf-8", "replace"), self._names))
            return lambda text: _sampled(found, text)
        if not any(channel.path for channel in self._settings.channels):
            printed = body.decode("utf-8", "replace").strip()
            return lambda _: printed
        whole = document(body)
        return lambda text: found_at(steps_to(text), whole)

    def _reading(self, channel: HttpChannel, find: Find, at_ms: int) -> Reading:
        said = find(channel.metric or channel.path)
        if said is None:
            raise InvalidRecord(f"the response has no {channel.metric or channel.path}; look at it in a browser")
        if channel.kind == "state":
            said = switch_of(said)
        if not isinstance(said, str):
            raise InvalidRecord(f"{'an object or a list' if isinstance(said, dict | list) else said} is no number")
        return Reading(
            device=channel.device,
            meter=channel.meter,
            value=steps_of(said, channel.exponent, self._scales[channel.name]),
            at_ms=at_ms,
            serial=channel.serial,
            generation=self._generation(channel, find),
        )

    def _generation(self, channel: HttpChannel, find: Find) -> str:
        if channel.generation:
            said = find(channel.generation)
            return said[:GENERATION_CHARS_MAX] if isinstance(said, str) else ""
        if channel.started or channel.uptime:
            said = find(channel.started or channel.uptime)
            seconds = 0 if said is None else steps_of(str(said), 0)
            if said is None:
                return ""
            return (
                self._lives.since(channel.name, seconds) if channel.started else self._lives.up(channel.name, seconds)
            )
        if channel.metric and channel.kind == "counter":
            selector = selector_of(channel.metric)
            said = find(str(type(selector)(created_name(selector.name), selector.labels)))
            return said[:GENERATION_CHARS_MAX] if isinstance(said, str) else ""
        return ""


def _sampled(found: Sequence[Sample], text: str) -> str | None:
    sample = the_one(found, selector_of(text))
    return None if sample is None else sample.value


def _names(channels: Sequence[HttpChannel]) -> frozenset[str]:
    """Every metric that is looked at."""
    texts = [
        text
        for channel in channels
        if channel.metric
        for text in (channel.metric, channel.generation, channel.started, channel.uptime)
        if text
    ]
    names = {selector_of(text).name for text in texts}
    return frozenset(names | {created_name(name) for name in names})
