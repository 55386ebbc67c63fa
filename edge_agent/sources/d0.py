"""Meters that print OBIS text after IEC 62056-21: optical heads (D0), current loops, RS-485.

A meter that sends by itself is listened to. One that must be asked is greeted at 300 baud (`/?!`),
answers with its greeting and the speed that it can do, and sends after the acknowledgement (mode C);
modes A and B send at once. Over TCP the speed cannot follow, so the meter is asked to stay at its first.
Source: IEC 62056-21:2002, 5.2 to 5.4 (modes A to C), 6.3.1 to 6.3.3 (messages), 6.4.3 (times).
"""

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal

from edge_agent.invalid import InvalidSetting, require_source
from edge_agent.reading import SourceDown
from edge_agent.sources.d0_telegram import D0Telegrams, Greeting, greeting_in
from edge_agent.sources.newest import NewestTelegram
from edge_agent.sources.obis_channel import ObisChannel, require_channels
from edge_agent.sources.telegram_source import TelegramSource
from edge_agent.sources.wire_stream import WireSettings, WireStream, require_wire
from shared.effects.clock import Clock
from shared.grammar import PLAIN_TEXT

GREETING_SECONDS_MAX: Final = 3.0
"""A meter answers within 1.5 s; a greeting of 20 characters takes 0.7 s at 300 baud."""
GREETING_BYTES_MAX: Final = 256
TURN_SECONDS: Final = 0.3
"""Between two messages at least 200 ms pass."""
ADDRESS_CHARS_MAX: Final = 32
FIRST_BAUD: Final = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class D0Settings(WireSettings):
    """Where the meter is, whether it must be asked, and which of its registers are metered."""

    type: Literal["d0"] = "d0"
    name: str = "d0"
    """The source's name in messages; unique in a configuration."""
    log: str = "main"
    """The log that its channels are sealed in."""
    poll_seconds: float = 60.0
    """How often the newest telegram is taken, or the meter asked."""
    baud_rate: int = 9_600
    """The speed at which the meter sends by itself; one that is asked is greeted at 300."""
    ask: bool = False
    """Whether the meter only sends when it is asked."""
    address: str = ""
    """The meter's address where several share a line; it is part of the question."""
    device: str
    """The meter, as the catalog calls it."""
    channels: tuple[ObisChannel, ...]
    """What is metered."""

    def __post_init__(self) -> None:
        require_source(self.name, self.log, self.poll_seconds)
        require_wire(self)
        require_channels(self.channels, self.device)
        plain = PLAIN_TEXT.fullmatch(self.address) is not None and not set(self.address) & set("/!?")
        if len(self.address) > ADDRESS_CHARS_MAX or not plain:
            raise InvalidSetting("address", f"must be at most {ADDRESS_CHARS_MAX} letters and digits")


def d0_source(settings: D0Settings, clock: Clock) -> TelegramSource:
    """The source that listens to the meter, or asks it."""
    newest = NewestTelegram(
        WireStream(settings),
        D0Telegrams(asked=settings.ask),
        clock,
        poll_seconds=settings.poll_seconds,
        ask=partial(sign_on, settings.address, clock) if settings.ask else None,
    )
    return TelegramSource(
        newest,
        settings.channels,
        name=settings.name,
        log=settings.log,
        device=settings.device,
        poll_seconds=settings.poll_seconds,
    )


async def sign_on(address: str, clock: Clock, wire: WireStream) -> None:
    """The meter sends its data block next, at the speed to which the wire is set; raises SourceDown."""
    wire.set_baud(FIRST_BAUD)
    await wire.write(even(f"/?{address}!\r\n"))
    greeting = await _greeting(wire)
    fast = greeting.baud is not None and wire.serial
    if greeting.acknowledged:
        await clock.sleep(TURN_SECONDS)
        reply = even(f"\x060{greeting.letter if fast else 0}0\r\n")
        await wire.write(reply)
        # The last bit must have left before the speed changes: ten bits a character.
        await clock.sleep(len(reply) * 10 / FIRST_BAUD if wire.serial else 0)
    if fast and greeting.baud is not None:
        wire.set_baud(greeting.baud)


def even(text: str) -> bytes:
    """The characters with even parity in the eighth bit, as a 7E1 line has them."""
    return bytes(byte | (byte.bit_count() % 2 << 7) for byte in text.encode("ascii"))


async def _greeting(wire: WireStream) -> Greeting:
    heard = b""
    try:
        async with asyncio.timeout(GREETING_SECONDS_MAX):
            while len(heard) <= GREETING_BYTES_MAX:
                heard += await wire.read()
                greeting = greeting_in(heard)
                if greeting is not None:
                    return greeting
    except TimeoutError:
        pass
    if not heard:
        raise SourceDown(f"{wire.name}: the meter does not answer: look at the reading head's place, and the address")
    raise SourceDown(f"{wire.name}: the meter answers {len(heard)} bytes that are no greeting: check the reading head")
