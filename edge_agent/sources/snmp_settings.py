"""What the source `snmp` is told."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias

from edge_agent.invalid import InvalidSetting, require_fits, require_source, require_within
from edge_agent.reading import ChannelName
from edge_agent.sources.mqtt_settings import name_of
from edge_agent.sources.printed_channel import PrintedChannel, require_distinct
from shared.grammar import require_plain
from shared.limits import INTEGER_MAX, LINE_ROWS_MAX, SERIAL_CHARS_MAX

INTERFACE_CHARS_MAX: Final = 64
OID_CHARS_MAX: Final = 200
WHOLE_SECONDS_MAX: Final = 25.0
"""All attempts together stay below the time after which the agent itself takes a source for down."""
Value: TypeAlias = int | str
"""What a device says: a number, or octets as text."""
_OID: Final = re.compile(r"\.?[012](\.\d{1,10})+", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class SnmpInterface:
    """An interface of the device: octets in and out, by its 64-bit counters."""

    interface: str
    """Its ifName, as the device's own command line calls it: `Gi1/0/3`, `eth0`."""
    device: str = ""
    """What is metered, as the catalog calls it; empty: the interface's name in small letters."""
    faces_customer: bool = False
    """Whether a customer is at the other end: then what comes in is the customer's upload."""
    rate_max: int = 12_500_000_000
    """The most bytes a second that can be true of one direction."""
    serial: str = ""
    """The device's serial number, where it is known; a change is sealed as an exchange."""
    log: str | None = None
    """The log that it is sealed in, where it is another than the source's: one a customer."""

    def __post_init__(self) -> None:
        if not 0 < len(self.interface) <= INTERFACE_CHARS_MAX or not self.interface.isprintable():
            raise InvalidSetting("interface", f"must be an ifName of at most {INTERFACE_CHARS_MAX} characters")
        require_fits("device", self.called)
        require_within("rate_max", self.rate_max, 1, INTEGER_MAX)
        require_plain(self.serial, "serial", SERIAL_CHARS_MAX)
        if self.log is not None:
            require_fits("log", self.log)

    @property
    def called(self) -> str:
        """The device's name."""
        return self.device or name_of(self.interface)

    @property
    def directions(self) -> tuple[str, str]:
        """The meters of what comes in and of what goes out."""
        return ("data_up", "data_down") if self.faces_customer else ("data_down", "data_up")


@dataclass(frozen=True, slots=True, kw_only=True)
class SnmpChannel(PrintedChannel):
    """A number of the device by its object identifier."""

    oid: str
    """With its instance: 1.3.6.1.4.1.318.1.1.12.1.16.0."""
    begins_with_device: bool = False
    """Whether it is a counter that begins at zero when the device starts."""

    def __post_init__(self) -> None:
        PrintedChannel.__post_init__(self)  # With slots, super() does not find it.
        if self.kind in ("pulse", "event"):
            raise InvalidSetting("kind", "must be counter, gauge or state: what is asked twice says the same twice")
        if len(self.oid) > OID_CHARS_MAX or _OID.fullmatch(self.oid) is None:
            raise InvalidSetting("oid", f"must be numbers with dots, ending in the instance; this is {self.oid[:48]!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SnmpSettings:
    """Which device is asked, as whom, and for what."""

    type: Literal["snmp"] = "snmp"
    name: str = "snmp"
    """The source's name in messages; unique in a configuration."""
    log: str = "main"
    """The log that its channels are sealed in."""
    poll_seconds: float = 60.0
    """How often it is asked."""
    host: str
    port: int = 161
    version: Literal["2c", "3"] = "2c"
    community_file: Path | None = None
    """Version 2c: a file that holds the community alone; without it, it is `public`."""
    username: str | None = None
    """Version 3: the user."""
    auth: Literal["md5", "sha", "sha224", "sha256", "sha384", "sha512"] = "sha256"
    auth_file: Path | None = None
    """A file that holds the authentication passphrase alone."""
    privacy: Literal["des", "aes128", "aes192", "aes256"] = "aes128"
    privacy_file: Path | None = None
    """A file that holds the privacy passphrase alone; without it, nothing is encrypted."""
    timeout_seconds: float = 2.0
    """How long each attempt may take."""
    retries: int = 2
    """How often an unanswered request is sent again."""
    interfaces: tuple[SnmpInterface, ...] = ()
    channels: tuple[SnmpChannel, ...] = ()

    def __post_init__(self) -> None:
        require_source(self.name, self.log, self.poll_seconds)
        if not self.host:
            raise InvalidSetting("host", "must name the device")
        require_within("port", self.port, 1, 65_535)
        require_within("timeout_seconds", self.timeout_seconds, 0.1, 10)
        require_within("retries", self.retries, 0, 5)
        if self.timeout_seconds * (self.retries + 1) > WHOLE_SECONDS_MAX:
            raise InvalidSetting("timeout_seconds", f"with its retries must stay within {WHOLE_SECONDS_MAX:g} s")
        strangers = {
            "2c": ("username", "auth_file", "privacy_file"),
            "3": ("community_file",),
        }[self.version]
        for key in strangers:
            if getattr(self, key) is not None:
                raise InvalidSetting(key, f"means nothing in version {self.version}: set version, or leave it out")
        if self.version == "3" and not self.username:
            raise InvalidSetting("username", "is needed in version 3")
        if self.privacy_file is not None and self.auth_file is None:
            raise InvalidSetting("auth_file", "is needed where privacy_file is given")
        names = [
            *(ChannelName(each.called, meter) for each in self.interfaces for meter in each.directions),
            *(channel.name for channel in self.channels),
        ]
        require_distinct("interfaces", names, LINE_ROWS_MAX)

    @property
    def logs(self) -> frozenset[str]:
        """Every log that its channels are sealed in."""
        own = [*(each.log for each in self.interfaces), *(channel.log for channel in self.channels)]
        return frozenset(log or self.log for log in own)
