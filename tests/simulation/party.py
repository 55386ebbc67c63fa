"""Agents and the collector as processes: started, crashed, restarted from disk; each life has its own power."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from cloud_collector.collector import Chore, Collector
from cloud_collector.settings import CollectorSettings
from cloud_collector.store.store import Store
from edge_agent.agent import Agent
from edge_agent.keyring import Keys
from edge_agent.settings import AgentSettings
from edge_agent.spool import SpoolFull
from shared.effects.workers import InlineWorkers
from shared.errors import DatabaseError
from shared.key import PublicKey, SigningKey
from tests.simulation.broker import Broker
from tests.simulation.clocks import Machine, SimClock
from tests.simulation.disk import Drive, SimDatabase, SpoolDisk
from tests.simulation.ledger import Life
from tests.simulation.meters import SimSource, Site
from tests.simulation.several import Election, SharedStore
from tests.simulation.simloop import Power, PowerLost, SimLoop

TICK_SECONDS: Final = 300.0
TIGHT_BYTES: Final = 2**20
RESTART_SECONDS: Final = 30.0
"""What a supervisor waits before it starts a process that has ended by itself."""


@dataclass(slots=True)
class Stage:
    """What every party stands on."""

    seed: int
    loop: SimLoop
    broker: Broker
    folder: Path
    note: Callable[[str, str], None]
    problem: Callable[[str], None]


class Party:
    """One program on one machine: what survives its processes, and its present one."""

    def __init__(self, stage: Stage, name: str, machine: Machine) -> None:
        self.stage = stage
        self.name = name
        self.machine = machine
        self.draw = random.Random(f"party {name} {stage.seed}")
        self.drive = Drive(stage.folder / f"{name}.db")
        self.power: Power | None = None
        self.starts = 0
        self.boots = 0
        self._while_down: list[Callable[[], None]] = []
        self._pause: float | None = None
        self._ending = ""
        self.drive.on_failed = lambda: self._failing(f"disk.io_error.{self.kind}")
        self.drive.on_full = lambda: stage.note(f"disk.full.{self.kind}", self.name)

    @property
    def kind(self) -> str:
        """Agent or collector."""
        return "agent" if isinstance(self, AgentParty) else "collector"

    @property
    def is_tight(self) -> bool:
        """Whether receipted lines and births alone, which are kept, may fill its spool."""
        return isinstance(self, AgentParty) and self.settings.spool_bytes_max < TIGHT_BYTES

    @property
    def running(self) -> bool:
        """Whether a process of it has power."""
        return self.power is not None and self.power.on

    def boot(self, *, synchronised: bool = True) -> None:
        """Switch the machine on and start the program."""
        self.boots += 1
        self.machine.power_on(f"{self.draw.getrandbits(32):08x}", synchronised=synchronised)
        self.start()

    def start(self) -> None:
        """Start a process, unless there is one."""
        if self.running:
            return
        for change in self._while_down:
            change()
        self._while_down.clear()
        self.starts += 1
        self.power = Power(self.name, self._lost)
        self._born()
        self.stage.note("start", f"{self.name} #{self.starts}")
        self.stage.loop.start(self.power, self._main(self.power))

    def crash(self, kind: str, *, pause: float, then: Callable[[], None] | None = None, fuse: int = 0) -> None:
        """Take the power away, at once or with one of the next steps; `then` happens before the next start."""
        if then is not None:
            self._while_down.append(then)
        self._pause = pause
        self._ending = kind
        if self.power is not None and self.power.on:
            if fuse:
                self.power.fuse = fuse
            else:
                self.power.lose()

    def rest(self, seconds: float) -> None:
        """After its next end it starts again so much later."""
        self._pause = seconds

    def _failing(self, kind: str) -> None:
        power = self.power
        self.stage.note(kind, self.name)
        self.stage.loop.later(300, self._still_running, power)

    def _still_running(self, power: Power) -> None:
        if power.on:
            self.stage.problem(f"{self.name} went on for 5 minutes after an I/O error instead of ending")

    def _lost(self, power: Power) -> None:
        loop = self.stage.loop
        self.stage.note(self._ending or "end", self.name)
        self._died()
        self.drive.release()
        loop.later(0, loop.abandon, power)
        inbox = self.stage.broker.inboxes.get(self.name)
        if inbox is not None and inbox.connection is not None:
            # The broker finds out by its keepalive; until then it writes into the dead session.
            loop.later(self.draw.uniform(0, 90), inbox.connection.sever)
        pause = self.draw.uniform(1, 10) * RESTART_SECONDS if self._pause is None else self._pause
        loop.later(pause, self.start)
        self._pause, self._ending = None, ""

    async def _main(self, power: Power) -> None:
        try:
            await self._run(power)
            why = "returned"
        except PowerLost:
            raise
        except Exception as error:  # noqa: BLE001 - the supervisor sees every way in which a program ends.
            why = self._explain(error, power)
        if power.on:
            self.stage.note("exit", f"{self.name}: {why}")
            self.stage.loop.later(0, power.lose)
            await asyncio.Event().wait()

    def _explain(self, error: BaseException, power: Power) -> str:
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        injected = self.drive.failed is power or self.drive.full or self.may_fail()
        injected |= isinstance(error, SpoolFull) and self.is_tight
        if not (isinstance(error, DatabaseError | SpoolFull) and injected):
            trace = error.__traceback__
            while trace is not None and trace.tb_next is not None:
                trace = trace.tb_next
            where = "" if trace is None else f" at {trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
            self.stage.problem(f"{self.name} died of {type(error).__name__}: {error}{where}")
        return f"{type(error).__name__}: {error}"

    def may_fail(self) -> bool:
        """Whether an earlier fault explains a failing database."""
        return False

    def _born(self) -> None:
        """A process begins."""

    def _died(self) -> None:
        """A process has ended."""

    async def _run(self, power: Power) -> None:
        raise NotImplementedError


class SimKeyring:
    """A gateway's keys on its disk: they survive its processes, and a spool that is lost or restored."""

    def __init__(self, first: SigningKey) -> None:
        self.keys = Keys(current=first)
        self.power: Power | None = None
        self.on_change: Callable[[Keys, Keys], None] = lambda *_: None
        self.on_key: Callable[[SigningKey], None] = lambda _: None

    def load(self) -> Keys:
        """The keys as they were last kept."""
        return self.keys

    def keep(self, keys: Keys) -> None:
        """The keys are durable, unless the power goes before; it may go after, too."""
        assert self.power is not None, "kept by a process"
        if not self.power.step():
            raise PowerLost(self.power.name)
        before, self.keys = self.keys, keys
        for key in (keys.current, keys.next):
            if key is not None:
                self.on_key(key)
        self.on_change(before, keys)
        if not self.power.step():
            raise PowerLost(self.power.name)

    def begin(self, first: SigningKey) -> None:
        """People give the gateway another first key; what is pinned stays."""
        former = (self.keys.current.public, *self.keys.former)
        self.keys = Keys(current=first, former=former, trusted=self.keys.trusted)
        self.on_key(first)


class Imaged(NamedTuple):
    """How many epochs and lives there had been, and up to which look the last had committed."""

    epochs: int
    lives: int
    look: int


class AgentParty(Party):
    """A gateway's agent with its meters."""

    def __init__(
        self, stage: Stage, site: Site, machine: Machine, settings: AgentSettings, receipt_key: PublicKey
    ) -> None:
        super().__init__(stage, site.gateway, machine)
        self.site = site
        self.settings = settings
        self.key = SigningKey(self.draw.randbytes(32))
        self.publics: dict[str, PublicKey] = {self.key.public.id: self.key.public}
        """Every key that it has ever had."""
        self.ring = SimKeyring(self.key)
        self.ring.on_key = self._has_key
        self.agent: Agent | None = None
        self.revoked = 0
        """How often its key was revoked."""
        self.cut_back = False
        """Whether a revocation has set apart what was accepted before."""
        self.poll_seconds = float(self.draw.choice((120, 180, 240, 300)))
        self.receipt_key = receipt_key
        self.lives: list[Life] = []
        self.epochs: list[tuple[str, int]] = []
        """Each epoch that its disk has committed, with the number of the last look before."""
        self.imaged = Imaged(0, 0, 0)
        """Of when the image of its spool is."""
        self.rewound = False
        """Whether its spool is an image whose epoch goes on: what it seals may never be taken."""
        self.spoils = 0
        self.seen: Callable[[AgentParty, SimDatabase], None] = lambda _, __: None
        """Called with every commit of its spool."""
        self.apart_until = 0.0
        """Until when a long outage keeps it from the broker."""
        self.folded = False
        """Whether its spool was ever full, so that it knows hours only."""
        self.folded_seq = 0
        self.cloned = False
        """Whether an image has made it speak as two: the collector parks it until a human decides."""
        self.lied = False
        """Whether its clock has ever been wrong while it was called synchronised."""
        self.drive.on_commit = self._committed

    async def _run(self, power: Power) -> None:
        loop = self.stage.loop
        clock = SimClock(self.machine, power)
        devices = sorted({meter.device for meter in self.site.meters})
        sources = [
            SimSource(self.site, device, clock=clock, power=power, loop=loop, poll_seconds=self.poll_seconds)
            for device in devices
        ]
        self.ring.power = power
        self.agent = Agent(
            self.settings,
            key=self.key,
            keyring=self.ring,
            receipt_keys=(self.receipt_key,),
            sources=sources,
            clock=clock,
            link=self.stage.broker.link(self.name, power),
            disk=SpoolDisk(self.drive, power),
            random=random.Random(f"agent {self.name} {self.starts} {self.stage.seed}"),
        )
        await self.agent.run()

    def _born(self) -> None:
        self.agent = None
        self.lives.append(Life(self.stage.loop.now, self.site.looks + 1, self.machine.boot))

    def _died(self) -> None:
        self.lives[-1].ended = self.stage.loop.now

    def _has_key(self, key: SigningKey) -> None:
        self.publics[key.public.id] = key.public

    def _committed(self, database: SimDatabase) -> None:
        self.seen(self, database)
        self.lives[-1].committed_look = self.site.looks
        if database.inner.execute("select 1 from sqlite_master where name = 'identity'"):
            for (epoch,) in database.inner.execute("select epoch from identity"):
                if not self.epochs or self.epochs[-1][0] != epoch:
                    self.epochs.append((epoch, self.site.looks))
                    self.rewound = False
                    self.stage.note("epoch", f"{self.name} {epoch}")

    def remember(self) -> None:
        """Its spool is the image: of the lives since then it knows nothing."""
        self.rewound = True
        for number, life in enumerate(self.lives, 1):
            if number >= self.imaged.lives:
                life.image_look = min(self.imaged.look if number == self.imaged.lives else 0, life.sure_look)

    def may_fail(self) -> bool:
        """A corrupted spool may show itself late."""
        return self.spoils > 0


class CollectorParty(Party):
    """A collector with its store."""

    def __init__(
        self,
        stage: Stage,
        machine: Machine,
        settings: CollectorSettings,
        key: SigningKey,
        name: str = "collector",
    ) -> None:
        super().__init__(stage, name, machine)
        self.number = 1
        self.share: Election | None = None
        """Who does what is due, where another collector is on the same store."""
        self.settings = settings
        self.key = key
        self.next_key = SigningKey(self.draw.randbytes(32))
        """The receipt key that replaces the first, gateway by gateway."""
        self.verdicts: Counter[str] = Counter()
        self.collector: Collector | None = None
        self.chores: Callable[[Power], Sequence[Chore]] = lambda _: ()
        """What a process does with each tick beside its own."""

    async def _run(self, power: Power) -> None:
        store = self._store(power)
        self.collector = Collector(
            self.settings,
            key=self.key,
            store=store,
            clock=SimClock(self.machine, power),
            link=self.stage.broker.link(self.name, power),
            workers=InlineWorkers(),
            random=random.Random(f"{self.name} {self.starts} {self.stage.seed}"),
            chores=self.chores(power),
            # No other process has it, whenever it runs.
            holder=self.number + 2 * self.starts,
            find_key={self.next_key.public.id: self.next_key}.get,
        )
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(self.collector.run())
            ticking = tasks.create_task(self._tick(self.collector, SimClock(self.machine, power)))
            if self.share is not None:
                running.add_done_callback(lambda _: ticking.cancel())

    def _store(self, power: Power) -> Store:
        database = self.drive.connect(power, exclusive=False)
        return Store(database) if self.share is None else SharedStore(database, power, self.share, self.stage.note)

    async def _tick(self, collector: Collector, clock: SimClock) -> None:
        """What APScheduler does in the real process."""
        while True:
            await clock.sleep(TICK_SECONDS)
            await collector.tick(clock.utc_ms())

    def _died(self) -> None:
        self.take_verdicts()

    def take_verdicts(self) -> None:
        """Add what the present process counted."""
        if self.collector is not None:
            self.verdicts += Counter({name.lower(): count for name, count in self.collector.verdicts.items()})
            self.collector = None
