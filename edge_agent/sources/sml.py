"""A German meter's SML interface: the optical head on its front, or its wired port."""

from dataclasses import dataclass
from typing import Literal

from edge_agent.invalid import require_source
from edge_agent.sources.newest import NewestTelegram
from edge_agent.sources.obis_channel import ObisChannel, require_channels
from edge_agent.sources.sml_telegram import SmlTelegrams
from edge_agent.sources.telegram_source import TelegramSource
from edge_agent.sources.wire_stream import WireSettings, WireStream, require_wire
from shared.effects.clock import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class SmlSettings(WireSettings):
    """Where the reading head is, and which of the meter's registers are metered."""

    type: Literal["sml"] = "sml"
    name: str = "sml"
    """The source's name in messages; unique in a configuration."""
    log: str = "main"
    """The log that its channels are sealed in."""
    poll_seconds: float = 10.0
    """How often the newest telegram is taken."""
    baud_rate: int = 9_600
    """The serial device's speed."""
    crc: Literal["x25", "kermit"] = "x25"
    """How the meter computes its CRC: by the standard, or as some Holley meters do."""
    device: str
    """The meter, as the catalog calls it."""
    channels: tuple[ObisChannel, ...]
    """What is metered."""

    def __post_init__(self) -> None:
        require_source(self.name, self.log, self.poll_seconds)
        require_wire(self)
        require_channels(self.channels, self.device)


def sml_source(settings: SmlSettings, clock: Clock) -> TelegramSource:
    """The source that listens to the meter."""
    newest = NewestTelegram(WireStream(settings), SmlTelegrams(settings.crc), clock, poll_seconds=settings.poll_seconds)
    return TelegramSource(
        newest,
        settings.channels,
        name=settings.name,
        log=settings.log,
        device=settings.device,
        poll_seconds=settings.poll_seconds,
    )
