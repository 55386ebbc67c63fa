"""A source of telegrams, whatever their language: its channels, and what the newest telegram says of them."""

import asyncio
from collections.abc import Mapping, Sequence

from edge_agent.reading import Reading, SourceDown
from edge_agent.sources.newest import NewestTelegram
from edge_agent.sources.obis_channel import ObisChannel, reading_of


class TelegramSource:
    """Reads the configured channels off each telegram that arrives."""

    def __init__(
        self,
        newest: NewestTelegram,
        channels: Sequence[ObisChannel],
        *,
        name: str,
        log: str,
        device: str,
        poll_seconds: float,
    ) -> None:
        self.name = name
        self.poll_seconds = poll_seconds
        self.channels = tuple(channel.spec(device, name, log) for channel in channels)
        self._wanted = tuple(channels)
        self._newest = newest
        self._turn = asyncio.Lock()
        self._absent: Mapping[str, str] = {}

    async def read(self) -> Sequence[Reading]:
        """The newest telegram's readings, under the time at which it came; none while the next is not yet due."""
        # People who look and the metering may ask at once: each gets a telegram of its own.
        async with self._turn:
            arrived = await self._newest.next()
        if arrived is None:
            return ()
        pairs = zip(self._wanted, self.channels, strict=True)
        found = [reading_of(arrived.telegram, channel, spec, arrived.at_ms) for channel, spec in pairs]
        readings = [each for each in found if isinstance(each, Reading)]
        named = zip(self.channels, found, strict=True)
        self._absent = {".".join(spec.name): each for spec, each in named if isinstance(each, str)}
        if not readings:
            raise SourceDown("the telegram has none of the channels: " + "; ".join(self._absent.values()))
        return readings

    def absent(self) -> Mapping[str, str]:
        """The channels that the last telegram did not have, each with the reason."""
        return self._absent

    async def close(self) -> None:
        """No longer listens."""
        await self._newest.close()
