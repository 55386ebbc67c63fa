"""What the source `http` is told."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

from edge_agent.invalid import InvalidSetting, require_source, require_within
from edge_agent.sources.json_path import steps_to
from edge_agent.sources.printed_channel import PrintedChannel, require_distinct
from edge_agent.sources.prometheus import selector_of
from shared.errors import InvalidRecord
from shared.limits import LINE_ROWS_MAX

URL_CHARS_MAX: Final = 2_000
BODY_BYTES_MOST: Final = 16 * 1024 * 1024
TIMEOUT_SECONDS_MAX: Final = 25.0
"""Below the time after which the agent itself takes a source for down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpChannel(PrintedChannel):
    """A number in the response."""

    path: str = ""
    """Where it stands in the response's JSON; empty, without `metric`: the response is the number."""
    metric: str = ""
    """Its name in Prometheus' text, with labels where there are several: name{label="value"}."""
    generation: str = ""
    """Path or metric of what changes when the counter begins anew, and never otherwise."""
    started: str = ""
    """Path or metric of the Unix second at which the counter began, where both begin together."""
    uptime: str = ""
    """Path or metric of the seconds since the device's start, where the counter begins at zero with it."""

    def __post_init__(self) -> None:
        PrintedChannel.__post_init__(self)  # With slots, super() does not find it.
        if self.kind in ("pulse", "event"):
            raise InvalidSetting("kind", "must be counter, gauge or state: a page read twice says the same twice")
        if self.path and self.metric:
            raise InvalidSetting("metric", "excludes path: a response is JSON or Prometheus' text")
        for key in ("path", "metric", "generation", "started", "uptime"):
            text = getattr(self, key)
            try:
                if self.metric and text:
                    selector_of(text)
                else:
                    steps_to(text)
            except InvalidRecord as error:
                raise InvalidSetting(key, f"is wrong: {error}") from error
        if len([key for key in ("generation", "started", "uptime") if getattr(self, key)]) > 1:
            raise InvalidSetting("generation", "started and uptime say the same thing: give one of them")


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSettings:
    """Which address is read, and which numbers its response holds."""

    type: Literal["http"] = "http"
    name: str = "http"
    """The source's name in messages; unique in a configuration."""
    log: str = "main"
    """The log that its channels are sealed in."""
    poll_seconds: float = 60.0
    """How often it is read."""
    url: str
    """http:// or https://, without user and password."""
    timeout_seconds: float = 10.0
    """How long the whole response may take."""
    body_bytes_max: int = 1024 * 1024
    """The longest response that is read."""
    username: str | None = None
    """For HTTP's basic authentication, with `password_file`."""
    password_file: Path | None = None
    """A file that holds the password alone."""
    token_file: Path | None = None
    """A file that holds a bearer token alone."""
    ca_file: Path | None = None
    """The certificate authority (PEM) to trust; without it, the system's own."""
    channels: tuple[HttpChannel, ...]

    def __post_init__(self) -> None:
        require_source(self.name, self.log, self.poll_seconds)
        require_within("timeout_seconds", self.timeout_seconds, 0.1, TIMEOUT_SECONDS_MAX)
        require_within("body_bytes_max", self.body_bytes_max, 1, BODY_BYTES_MOST)
        _require_url(self.url)
        if (self.username is None) is not (self.password_file is None):
            raise InvalidSetting("password_file", "and username belong together")
        if self.token_file is not None and self.username is not None:
            raise InvalidSetting("token_file", "excludes username and password_file")
        require_distinct("channels", (channel.name for channel in self.channels), LINE_ROWS_MAX)
        if len({bool(channel.metric) for channel in self.channels}) > 1:
            raise InvalidSetting("channels", "mix metric and path: a response is JSON or Prometheus' text")

    @property
    def logs(self) -> frozenset[str]:
        """Every log that its channels are sealed in."""
        return frozenset(channel.log or self.log for channel in self.channels)


def _require_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        named = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        named = False
    if not named or len(url) > URL_CHARS_MAX or not url.isascii() or any(letter <= " " for letter in url):
        raise InvalidSetting("url", f"must look like http://10.0.0.7/status, in ASCII; this is {url[:48]!r}")
    if parts.username is not None or parts.password is not None:
        raise InvalidSetting("url", "must not hold a password: give username and password_file")
