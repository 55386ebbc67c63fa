"""A gateway in times past: the agent's own metering, spool and keys, with a clock that is set by hand.

What it seals is what an agent that ran then would have sealed; a real agent goes on from its spool.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from edge_agent.keyring import MemoryKeyring
from edge_agent.polling import remind
from edge_agent.sealing import Sealing
from edge_agent.settings import AgentSettings
from edge_agent.signing import Signing
from edge_agent.sources.replay import ReplaySettings, ReplaySource
from shared.effects.database import Database
from shared.effects.sqlite import SqliteDatabase
from shared.errors import DatabaseFailed
from shared.key import PublicKey, SigningKey
from shared.limits import PAYLOAD_LINES_MAX
from shared.line import Line, parse
from shared.payload import pack
from shared.receipt import Receipt, read_receipt
from shared.topic import Leaf, topic_of

LINES_AT_ONCE: Final = 4_096


class PastClock:
    """A clock that has always been right, and moves when it is told to."""

    def __init__(self, boot_id: str, booted: int) -> None:
        self._boot_id = boot_id
        self._booted_ms = booted * 1_000
        self.now_ms = self._booted_ms

    def boot_ms(self) -> int:
        """Milliseconds since it began."""
        return self.now_ms - self._booted_ms

    def utc_ms(self) -> int:
        """The moment that was set."""
        return self.now_ms

    def synchronised(self) -> bool:
        """Always."""
        return True

    def boot_id(self) -> str:
        """One boot."""
        return self._boot_id

    async def sleep(self, seconds: float) -> None:
        """It moves on."""
        self.now_ms += int(seconds * 1_000)


class PastDisk:
    """A spool in memory until it is written to its place: nobody cuts the power of a time that is past."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._database = SqliteDatabase(":memory:")

    def open(self) -> Database:
        """The spool."""
        return self._database

    def move_aside(self) -> None:
        """Nothing is ever damaged here."""
        raise DatabaseFailed(f"{self._path} is made anew with every story")

    def damaged(self) -> Sequence[Callable[[], Database]]:
        """Nothing."""
        return ()

    def write(self) -> None:
        """The file is at its place."""
        self._database.execute("vacuum into ?", (str(self._path),))


class PastGateway:
    """One gateway's agent without its link: lines are taken out and receipts put in by hand."""

    def __init__(
        self,
        settings: AgentSettings,
        key: SigningKey,
        receipt_key: PublicKey,
        *,
        disk: PastDisk,
        began: int,
        draw: random.Random,
    ) -> None:
        self.name: Final = settings.gateway
        self.topic: Final = topic_of(settings.gateway, Leaf.REPORT, settings.prefix)
        self._settings = settings
        self._receipt_key = receipt_key
        self._disk = disk
        self._clock = PastClock(f"{draw.getrandbits(32):08x}", began)
        self._sources = [
            ReplaySource(each, self._clock) for each in settings.sources if isinstance(each, ReplaySettings)
        ]
        self._specs = tuple(spec for source in self._sources for spec in source.channels)
        self._sealing = Sealing(
            settings,
            self._specs,
            signing=Signing(MemoryKeyring(key), draw, [receipt_key]),
            clock=self._clock,
            random=draw,
            interval_pinned=False,
            committed=lambda: None,
            sealed=lambda: None,
        )
        self._sealing.open(disk)
        self._sealing.start()
        remind(self._sources, self._sealing.metering)
        for source in self._sources:
            self._sealing.metering.caught_up(source.log)

    async def advance(self, now_ms: int) -> None:
        """Everything up to this moment is read, and sealed where a window has ended."""
        self._clock.now_ms = now_ms
        metering = self._sealing.metering
        for source in self._sources:
            while True:
                refused = metering.observe(await source.read(), self._sealing.tick())
                assert not refused, f"{self.name}: the story's readings are metered, all of them"
                if source.caught_up:
                    break
        if not self._sealing.seal_due():
            self._sealing.commit()

    def shorten(self, step: int, count: int) -> None:
        """Windows are cut like this from now on."""
        self._settings = replace(self._settings, step_seconds=step, interval_count=count)
        self._sealing.reconfigure(self._settings, self._specs)

    def payloads(self) -> Iterator[bytes]:
        """What waits for a receipt, as it would be published."""
        spool = self._sealing.spool
        lines = [raw for place in spool.waiting(LINES_AT_ONCE) if (raw := spool.raw(place)) is not None]
        for first in range(0, len(lines), PAYLOAD_LINES_MAX):
            yield pack(lines[first : first + PAYLOAD_LINES_MAX])

    def hear(self, raw: bytes) -> None:
        """What a receipt confirms may be forgotten one day."""
        line = parse(raw)
        assert isinstance(line, Line), "the collector seals lines"
        assert line.verified_by(self._receipt_key), "with its key"
        receipt = read_receipt(line)
        assert isinstance(receipt, Receipt), "what it publishes here is receipts"
        self._sealing.spool.receive(receipt)

    async def close(self) -> None:
        """A real agent may go on from here."""
        for source in self._sources:
            await source.close()
        self._sealing.commit()
        self._disk.write()
        self._sealing.spool.close()
