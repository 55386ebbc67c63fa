"""A smart meter's P1 port: DSMR 2.2, 3, 4, 5, and the Belgian, Luxembourg, Hungarian and Swedish variants."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from edge_agent.invalid import require_source
from edge_agent.reading import SourceDown
from edge_agent.sources.newest import Framer, NewestTelegram
from edge_agent.sources.obis_channel import ObisChannel, require_channels
from edge_agent.sources.p1_cipher import KEY_BYTES, SealedTelegrams
from edge_agent.sources.p1_telegram import P1Telegrams
from edge_agent.sources.telegram_source import TelegramSource
from edge_agent.sources.wire_stream import WireSettings, WireStream, require_wire
from shared.effects.clock import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class DsmrSettings(WireSettings):
    """Where the P1 port is, and which of its registers are metered."""

    type: Literal["dsmr"] = "dsmr"
    name: str = "dsmr"
    """The source's name in messages; unique in a configuration."""
    log: str = "main"
    """The log that its channels are sealed in."""
    poll_seconds: float = 10.0
    """How often the newest telegram is taken."""
    baud_rate: int = 115_200
    """The serial device's speed: 115200 since DSMR 4, 9600 before."""
    device: str
    """The electricity meter, as the catalog calls it."""
    key_file: Path | None = None
    """A file that holds the decryption key (32 hexadecimal digits) of a meter that encrypts, as in Luxembourg."""
    channels: tuple[ObisChannel, ...]
    """What is metered."""

    def __post_init__(self) -> None:
        require_source(self.name, self.log, self.poll_seconds)
        require_wire(self)
        require_channels(self.channels, self.device)


def dsmr_source(settings: DsmrSettings, clock: Clock) -> TelegramSource:
    """The source that listens to the P1 port."""
    framer: Framer = (
        P1Telegrams() if settings.key_file is None else SealedTelegrams(partial(read_key, settings.key_file))
    )
    newest = NewestTelegram(WireStream(settings), framer, clock, poll_seconds=settings.poll_seconds)
    return TelegramSource(
        newest,
        settings.channels,
        name=settings.name,
        log=settings.log,
        device=settings.device,
        poll_seconds=settings.poll_seconds,
    )


def read_key(file: Path) -> bytes:
    """The decryption key that a file holds in hexadecimal digits; raises SourceDown, never showing it."""
    try:
        key = bytes.fromhex(file.read_text(encoding="ascii").strip())
    except OSError as error:
        raise SourceDown(f"the decryption key {file} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise SourceDown(f"{file} holds no hexadecimal digits: the key is what the grid operator sent") from error
    if len(key) != KEY_BYTES:
        raise SourceDown(f"{file} holds {len(key)} bytes, a decryption key has {KEY_BYTES}")
    return key
