"""What an `ocmf` source is told: where records come from, whose they are, and which keys sign them."""

from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Final, Literal

from edge_agent.invalid import InvalidSetting, require_channel, require_source, require_within
from edge_agent.reading import ChannelName
from edge_agent.sources.ocmf_record import decode_key

METERS_MAX: Final = 256
EVIDENCE_BYTES_LEAST: Final = 256 * 1024
TIMEOUT_SECONDS_MAX: Final = 25.0
_WATT_HOURS: Final = {"W.h": Decimal(1), "kW.h": Decimal(1_000)}


@dataclass(frozen=True, slots=True, kw_only=True)
class OcmfMeter:
    """A meter whose records are billed, and the key that signs them."""

    serial: str
    """As the records have it: MS, the meter's, or GS, the gateway's where the meter has none."""
    public_key: str = ""
    """As the charge point prints it: hex, base64 or PEM; this or `public_key_file`."""
    public_key_file: Path | None = None
    """A file that holds it."""
    device: str
    meter: str = "energy"
    unit: Literal["W.h", "kW.h"] = "W.h"
    exponent: int = 0
    """The register counts steps of 10^exponent units."""
    rate_max: int
    """The most steps a second that the charge point can deliver; a record that says more is refused."""
    obis: str = ""
    """Which register is billed where a record has several, such as "1.8.0"."""

    def __post_init__(self) -> None:
        require_channel(self.device, self.meter, self.unit, self.exponent, self.rate_max)
        if not self.serial:
            raise InvalidSetting("serial", "must be the meter's serial number, as its records have it")
        if bool(self.public_key) == (self.public_key_file is not None):
            raise InvalidSetting("public_key", "or public_key_file must hold the key, one of the two")
        if self.public_key:
            try:
                decode_key(self.public_key)
            except ValueError as error:
                raise InvalidSetting("public_key", "must be hex, base64 or PEM") from error

    @property
    def channel(self) -> ChannelName:
        """Where its usage goes; a meter that follows another may have the same."""
        return ChannelName(self.device, self.meter)

    @property
    def step(self) -> Decimal:
        """Watt hours of a step of the register."""
        return _WATT_HOURS[self.unit].scaleb(self.exponent)


@dataclass(frozen=True, slots=True, kw_only=True)
class OcmfSettings:
    """Where records come from, and whose they are."""

    type: Literal["ocmf"] = "ocmf"
    name: str = "ocmf"
    """The source's name in messages; unique in a configuration."""
    log: str = "main"
    """The log that its channels are sealed in."""
    poll_seconds: float = 5.0
    """How often records are looked for."""
    folder: Path | None = None
    """Where a backend drops them; taken ones are removed. This, `url` or both."""
    url: str = ""
    """An address that answers with records, one a line, or a JSON list of them."""
    timeout_seconds: float = 10.0
    """How long that may take."""
    evidence_path: Path = Path("/var/lib/meterseal/ocmf.evidence")
    """The append-only file of all records that were taken."""
    evidence_bytes_max: int = 64 * 1024 * 1024
    """The most that it may hold; then records wait in the folder."""
    quarantine_path: Path = Path("/var/lib/meterseal/ocmf-quarantine")
    """The folder of records that cannot be billed, each with its reason."""
    meters: tuple[OcmfMeter, ...]
    """At least one."""

    def __post_init__(self) -> None:
        require_source(self.name, self.log, self.poll_seconds)
        require_within("timeout_seconds", self.timeout_seconds, 0.1, TIMEOUT_SECONDS_MAX)
        require_within("evidence_bytes_max", self.evidence_bytes_max, EVIDENCE_BYTES_LEAST, 1 << 40)
        if self.folder is None and not self.url:
            raise InvalidSetting("folder", "or url must say where records come from")
        if self.url and not self.url.startswith(("http://", "https://")):
            raise InvalidSetting("url", "must begin with http:// or https://")
        if not 1 <= len(self.meters) <= METERS_MAX:
            raise InvalidSetting("meters", f"must be 1 to {METERS_MAX}")
        serials = [meter.serial for meter in self.meters]
        for meter in self.meters:
            if serials.count(meter.serial) > 1:
                raise InvalidSetting("meters", f"has the serial {meter.serial} twice")
            if any(other.channel == meter.channel and other.step != meter.step for other in self.meters):
                raise InvalidSetting("meters", f"has {meter.device}.{meter.meter} in two units")
