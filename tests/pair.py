"""A real agent and a real intake, wired together by hand: what the one publishes the other takes, and answers."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from random import Random

from cloud_collector.fleet.gateways import add_gateway
from cloud_collector.fleet.orders import give_order, told
from cloud_collector.intake.intake import Intake
from cloud_collector.intake.verdict import Verdict
from cloud_collector.settings import CollectorSettings
from cloud_collector.store.store import Store
from edge_agent.agent import Agent
from edge_agent.disk import FileDisk
from edge_agent.keyring import FileKeyring
from edge_agent.reading import ChannelSpec, Kind, Reading, Source
from edge_agent.settings import AgentSettings
from shared.command import Order
from shared.effects.sqlite import SqliteDatabase
from shared.key import PublicKey, SigningKey
from shared.topic import Leaf
from tests.spools import COLLECTOR_KEY, GATEWAY, KEY
from tests.wire import UTC_MS, VirtualClock, Wire

RECOVERY_KEY = SigningKey(b"r" * 32)


class Tap:
    """A meter that counts ten a second, in a log of its own."""

    def __init__(self, log: str = "main", *, base: int = 0) -> None:
        self.name = f"tap-{log}"
        spec = ChannelSpec(
            device=f"tap-{log}",
            meter="water",
            unit="L",
            exponent=0,
            kind=Kind.COUNTER,
            source="tap",
            log=log,
            rate_max=1_000,
        )
        self.channels: tuple[ChannelSpec, ...] = (spec,)
        self.poll_seconds = 10.0
        self.reads = 0
        self._base = base

    async def read(self) -> Sequence[Reading]:
        """What it shows now."""
        self.reads += 1
        now = asyncio.get_running_loop().time()
        value = self._base + int(now * 10)
        return [Reading(device=self.channels[0].device, meter="water", value=value, at_ms=int(now * 1_000))]

    async def close(self) -> None:
        """Nothing is held."""


class Pair:
    """One gateway's machine, and the collector that it speaks to."""

    def __init__(self, folder: Path, *logs: str) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.key_file = folder / "gateway.key"
        self.key_file.write_text(KEY.pem, encoding="ascii")
        self.taps = [Tap(log) for log in logs or ("main",)]
        self.wire = Wire()
        self.settings = AgentSettings(
            gateway=GATEWAY,
            key_file=self.key_file,
            step_seconds=60,
            interval_count=5,
            commit_seconds=60,
            drain_delay_seconds=0,
            spool_path=folder / "spool.db",
        )
        self.store = Store(SqliteDatabase(":memory:"))
        add_gateway(self.store, GATEWAY, KEY.public, 0)
        self.found: dict[str, SigningKey] = {}
        self.intake = Intake(self.store, CollectorSettings(), COLLECTOR_KEY, self.found.get)
        self.verdicts: list[Verdict] = []
        self.starts = 0
        self.pinned = False
        self.answers: list[bytes] = []
        self._taken = 0
        self._wires: list[Wire] = []

    def agent(self, *, disk: FileDisk | None = None) -> Agent:
        """An agent as after a start."""
        self.starts += 1
        sources: list[Source] = list(self.taps)
        return Agent(
            self.settings,
            key=KEY,
            receipt_keys=[COLLECTOR_KEY.public],
            sources=sources,
            clock=VirtualClock(),
            link=self.wire,
            disk=disk or FileDisk(self.settings.spool_path),
            random=Random(self.starts),
            recovery_keys=[RECOVERY_KEY.public],
            keyring=FileKeyring(self.key_file, self.settings.spool_path),
            interval_pinned=self.pinned,
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Agent]:
        """Within, an agent runs; then it is killed."""
        agent = self.agent()
        task = asyncio.create_task(agent.run())
        await asyncio.sleep(0.5)
        if task.done():
            task.result()
        try:
            yield agent
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def exchange(self, seconds: float, *, answers: bool = True) -> None:
        """Time passes; what is published is taken, and what the collector says is heard."""
        until = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < until:
            await asyncio.sleep(5)
            self.take(answers=answers)

    def take(self, *, answers: bool = True) -> None:
        """The collector takes what was published since, and publishes what it owes."""
        news = self.wire.published[self._taken :]
        self._taken = len(self.wire.published)
        now_ms = self.now_ms()
        messages = [(topic, payload) for _, topic, payload, _ in news if topic.endswith("/report")]
        if answers:
            messages += [(topic, payload) for _, topic, payload, _ in news if topic.endswith("/response")]
        self.answers += [payload for _, topic, payload, _ in news if topic.endswith("/response")]
        if messages:
            opened = self.intake.open(messages, self.intake.keys_for([topic for topic, _ in messages]))
            outcome = self.intake.commit(opened, now_ms)
            self.verdicts += outcome.verdicts
            for _, sealed in outcome.receipts:
                self.wire.deliver(sealed)
        for _, sealed in (*self.intake.answer_owed(now_ms), *self.intake.answer_holes(now_ms)):
            self.wire.deliver(sealed)
        for due in self.intake.take_commands(now_ms):
            self.wire.deliver(due.sealed, leaf=Leaf.COMMAND)

    def give(self, order: Order) -> int:
        """The operator gives an order."""
        return give_order(self.store, GATEWAY, order, self.now_ms())

    def states(self) -> list[str]:
        """What became of the orders, the first one first."""
        rows = reversed(told(self.store, GATEWAY, 50))
        return [f"{row['state']}: {row['why']}" if row["why"] else row["state"] for row in rows]

    def bounded(self, **changes: int) -> None:
        """The gateway's configuration says so from the next start on."""
        self.settings = replace(self.settings, **changes)  # type: ignore[arg-type]

    def keys_used(self) -> list[str]:
        """The keys that signed held lines, each once, in the order of arrival."""
        rows = self.store.rows("line_keys", GATEWAY)
        return list(dict.fromkeys(str(row[4]) for row in rows))

    def now_ms(self) -> int:
        """The collector's clock."""
        return UTC_MS + int(asyncio.get_running_loop().time() * 1_000)

    @property
    def present_key(self) -> PublicKey:
        """The key that the gateway's disk says signs now."""
        return FileKeyring(self.key_file, self.settings.spool_path).load().current.public
