"""One seed's world: three gateways and more, a collector, a broker, and everything that goes wrong between them."""

import asyncio
import hashlib
import random
import shutil
import tempfile
from collections import Counter, deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cloud_collector.settings import CollectorSettings
from edge_agent.settings import AgentSettings
from shared.effects.sqlite import SqliteDatabase
from shared.key import SigningKey
from tests.simulation import full_spool, times
from tests.simulation.bill_checkers import judge_bills
from tests.simulation.billing import Billing
from tests.simulation.broker import Broker, Nastiness
from tests.simulation.checkers import Checkers, enrol
from tests.simulation.clocks import Machine
from tests.simulation.faults import Coverage, Mix, draw_mix, schedule
from tests.simulation.keys import KeyFaults
from tests.simulation.malice import Rogue
from tests.simulation.meters import Meter, Style, make_site
from tests.simulation.party import AgentParty, CollectorParty, Imaged, Stage
from tests.simulation.several import Second, has_two
from tests.simulation.simloop import SimLoop

DAY: Final = 86_400.0
TROUBLE_SECONDS: Final = 2.5 * DAY
CALM_SECONDS: Final = 0.75 * DAY
QUIET_SECONDS: Final = 0.5 * DAY
"""After so much of the calm, meters stop: the rest seals and delivers the last unit."""
EVENTS_KEPT: Final = 400
MEMORY: Final = Path("/dev/shm")


@dataclass(slots=True, kw_only=True)
class Result:
    """What one seed came to."""

    seed: int
    trace: str
    problems: list[str]
    events: list[str]
    counts: Counter[str]
    stats: dict[str, float] = field(default_factory=dict)


class World:
    """Builds, runs and judges one seed."""

    def __init__(self, seed: int, *, without: frozenset[str] = frozenset(), hasty: bool = False) -> None:
        self.seed = seed
        self.hasty = hasty
        """Whether the first problem ends the run."""
        self._over: asyncio.Future[None] | None = None
        self.draw = random.Random(f"world {seed}")
        self.loop = SimLoop(seed)
        self.coverage = Coverage()
        self.problems: list[str] = []
        self.quiet = False
        """Whether the last hours have begun, in which nothing is used."""
        self.events: deque[str] = deque(maxlen=EVENTS_KEPT)
        self.trace = hashlib.sha256()
        self.mix: Mix = draw_mix(seed, without)
        self.folder = Path(tempfile.mkdtemp(prefix="meterseal-sim-", dir=MEMORY if MEMORY.is_dir() else None))
        self.broker = Broker(self.loop, random.Random(f"broker {seed}"), self._nastiness(), self.note)
        self.stage = Stage(seed, self.loop, self.broker, self.folder, self.note, self.problem)
        operator = SigningKey(random.Random(f"operator {seed}").randbytes(32))
        two = has_two(seed)
        known = CollectorSettings(
            tick_seconds=600, holes_seconds=120, rates_max={"W.h": 2_000}, shared_subscription=two
        )
        self.collector = CollectorParty(self.stage, Machine(self.loop), known, operator)
        self.second = (
            Second(self, lambda name, machine: CollectorParty(self.stage, machine, known, operator, name))
            if two
            else None
        )
        self.collectors = [self.collector] if self.second is None else [self.collector, self.second.party]
        self.agents = [self._agent(f"gw-{number}", operator) for number in range(self.draw.choice((3, 3, 4)))]
        self.hostile = Rogue("mallory", seed, self.loop, self._send_rogue)
        self.stranger = Rogue("gw-x", seed, self.loop, self._send_rogue)
        self.checkers = Checkers(self)
        self.keys = KeyFaults(self)
        self.billing = Billing(self)

    def run(self) -> Result:
        """Run the trouble, then the calm, then judge."""
        try:
            return self._run()
        finally:
            for party in (*self.collectors, *self.agents):
                if party.power is not None and party.power.on:
                    party.power.on = False
                    party.drive.release()
                    self.loop.abandon(party.power)
            self.loop.close()
            shutil.rmtree(self.folder, ignore_errors=True)

    def note(self, kind: str, detail: str = "") -> None:
        """Enter an event in the trace, and count it if it is a fault's."""
        entry = f"{self.loop.now:.6f} {kind} {detail}"
        self.trace.update(entry.encode() + b"\n")
        self.events.append(entry)
        self.coverage.note(kind)

    def problem(self, text: str) -> None:
        """A promise is broken."""
        self.note("PROBLEM", text)
        self.problems.append(f"[{self.loop.now / 3600:.2f} h] {text}")
        if self.hasty and self._over is not None and not self._over.done():
            self._over.set_result(None)

    def _run(self) -> Result:
        self._prepare_store()
        self.billing.agree()
        self.broker.taps.append(self._trace_publication)
        for kind in ("broker.slow", "clock.drift", "site.logs"):
            if self.mix.on(kind):
                self.note(kind)
        self.collector.boot()
        if self.second is not None:
            self.second.begin(TROUBLE_SECONDS)
        for agent in self.agents:
            self.loop.later(self.draw.uniform(0, 300), agent.boot)
        for when, kind, number in schedule(self.mix, self.seed, TROUBLE_SECONDS):
            self.loop.later(when, self._inject, kind, random.Random(number))
        if self.mix.on("broker.crash"):
            self._snapshot_broker()
        self.loop.later(TROUBLE_SECONDS, self._calm)
        self.loop.later(TROUBLE_SECONDS + QUIET_SECONDS, self._quiet)
        self.loop.run_until_complete(self._until(TROUBLE_SECONDS + CALM_SECONDS))
        for collector in self.collectors:
            collector.take_verdicts()
        if not (self.hasty and self.problems):
            self.checkers.judge()
        if not (self.hasty and self.problems):
            judge_bills(self)
        self.billing.close()
        self.problems += [f"the loop caught {error}" for error in self.loop.errors]
        self._count_rollovers()
        verdicts = sum((collector.verdicts for collector in self.collectors), Counter[str]())
        for name, count in sorted(verdicts.items()):
            self.coverage.note(f"verdict.{name}", count)
            self.trace.update(f"{name} {count}".encode())
        return Result(
            seed=self.seed,
            trace=self.trace.hexdigest(),
            problems=self.problems,
            events=list(self.events),
            counts=self.coverage.counts,
            stats={"callbacks": self.loop.callbacks, "messages": self.broker.taken},
        )

    async def _until(self, when: float) -> None:
        over = self._over = self.loop.create_future()
        self.loop.later(when - self.loop.now, _resolve, over)
        await over

    def _nastiness(self) -> Nastiness:
        mix, draw = self.mix, self.draw
        return Nastiness(
            loss=mix.share("broker.loss", draw.uniform(0.01, 0.3)),
            mute=mix.share("broker.mute", draw.uniform(0.005, 0.1)),
            duplicate=mix.share("broker.duplicate", draw.uniform(0.01, 0.5)),
            forget_inflight=mix.share("broker.forgot_inflight", draw.uniform(0.1, 1.0)),
            corrupt=mix.share("broker.corrupt", draw.uniform(0.005, 0.05)),
            delay_seconds=draw.choice((0.05, 0.5, 5.0)),
            slow=mix.share("broker.slow", draw.uniform(0.01, 0.1)),
            queue_max=draw.choice((1, 3, 8)) if mix.on("broker.overflow") else 1_000,
        )

    def _agent(self, name: str, operator: SigningKey) -> AgentParty:
        draw = random.Random(f"agent {name} {self.seed}")
        site = make_site(name, self.seed, channels=draw.choice((4, 4, 5)))
        if self.mix.on("site.logs"):
            site.logs = {"d1": "flat-2"}
        drift = draw.choice((-80, 30, 150)) if self.mix.on("clock.drift") else 0
        machine = Machine(self.loop, drift_ppm=drift, has_rtc=not self.mix.on("clock.1970"))
        step, count = draw.choice(((300, 12), (900, 4), (600, 6), (300, 6)))
        settings = AgentSettings(
            gateway=name,
            step_seconds=step,
            interval_count=count,
            commit_seconds=draw.choice((300, 450, 600)),
        )
        if self.mix.on(full_spool.KIND):
            settings = full_spool.small(settings, random.Random(f"small {name} {self.seed}"))
        party = AgentParty(self.stage, site, machine, settings, operator.public)
        party.seen = full_spool.watch
        return party

    def _prepare_store(self) -> None:
        database = SqliteDatabase(self.collector.drive.path)
        keys = [(agent.name, agent.key.public) for agent in self.agents]
        enrol(database, [*keys, (self.hostile.name, self.hostile.key.public)])
        database.close()

    def _send_rogue(self, topic: str, payload: bytes) -> None:
        self.loop.later(self.broker.delay(), self._arrive, topic, payload)

    def _arrive(self, topic: str, payload: bytes) -> None:
        if self.broker.up:
            self.broker.accept(topic, payload, retain=False)

    def _trace_publication(self, client: str, topic: str, payload: bytes) -> None:
        self.trace.update(f"{self.loop.now:.6f} {client} {topic} ".encode() + payload)
        if not topic.endswith("/health"):
            self.events.append(f"{self.loop.now:.6f} publish {topic} {hashlib.sha256(payload).hexdigest()[:8]}")

    def _snapshot_broker(self) -> None:
        if self.broker.up:
            self.broker.snapshot()
        self.loop.later(self.draw.uniform(60, 3_600), self._snapshot_broker)

    def _calm(self) -> None:
        """The last fault is over: everything is switched on, reachable and on time."""
        self.note("calm")
        self.broker.calm()
        for collector in self.collectors:
            collector.drive.before = lambda *_: None
        for party in (*self.collectors, *self.agents):
            party.drive.full, party.drive.fail_in = False, None
            if party.power is not None:
                party.power.fuse = None
        for agent in self.agents:
            agent.site.unreadable_until.clear()
            agent.machine.synchronise()
            for meter in agent.site.meters:
                meter.glitch = None

    def _quiet(self) -> None:
        self.note("quiet")
        self.quiet = True
        for agent in self.agents:
            agent.site.stop_counting(self.loop.now)

    def _count_rollovers(self) -> None:
        for agent in self.agents:
            for meter in agent.site.meters:
                if any(broken.kind == "rollover" for broken in meter.breaks):
                    self.coverage.note("meter.rollover")

    def _inject(self, kind: str, draw: random.Random) -> None:
        if self.loop.now >= TROUBLE_SECONDS:
            return
        agent = draw.choice(self.agents)
        collector = self.collector if self.second is None else draw.choice(self.collectors)
        match kind.split("."):
            case ["broker", "crash"]:
                self._crash_broker(draw)
            case ["partition", who]:
                name = agent.name if who == "agent" else collector.name
                self.note(kind, name)
                self.broker.partition(name)
                self.loop.later(draw.expovariate(1 / 3_600) + 60, self.broker.heal, name)
            case ["crash", who]:
                party = agent if who == "agent" else collector
                party.crash(kind, pause=draw.uniform(2, 1_800), fuse=draw.choice((1, 0, draw.randrange(1, 60))))
            case ["power_cut", _]:
                self._cut_power(agent, draw)
            case ["disk", "io_error", who]:
                party = agent if who == "agent" else collector
                party.drive.fail_in = draw.randrange(1, 40)
            case ["disk", "full", who]:
                party = agent if who == "agent" else collector
                party.drive.full = True
                self.loop.later(draw.uniform(300, 7_200), self._make_room, party)
            case ["spool", _]:
                self._harm_spool(kind, agent, draw)
            case ["clock", _]:
                times.harm(self, kind, agent, draw)
            case ["source", "down"]:
                device = draw.choice(sorted({meter.device for meter in agent.site.meters}))
                self.note(kind, f"{agent.name} {device}")
                agent.site.unreadable_until[device] = self.loop.now + draw.uniform(300, 8 * 3_600)
            case ["meter", what]:
                self._harm_meter(kind, what, agent, draw)
            case ["key" | "malice", what]:
                self._mean_harm(kind, what, agent, draw)

    def _mean_harm(self, kind: str, what: str, agent: AgentParty, draw: random.Random) -> None:
        if kind.startswith("key."):
            self.keys.inject(what, agent, draw)
            return
        self.note(kind)
        (self.hostile if what == "hostile" else self.stranger).act()

    def _cut_off(self, kind: str, draw: random.Random) -> None:
        small = [agent for agent in self.agents if full_spool.is_small(agent)]
        if small:
            agent = draw.choice(small)
            seconds = draw.uniform(*full_spool.HOURS) * 3_600
            self.note(kind, agent.name)
            agent.apart_until = max(agent.apart_until, self.loop.now + seconds)
            self.broker.partition(agent.name)
            self.loop.later(seconds, self.broker.heal, agent.name)

    def _crash_broker(self, draw: random.Random) -> None:
        if self.broker.up:
            self.note("broker.crash")
            self.broker.crash()
            self.loop.later(draw.expovariate(1 / 900) + 5, self._raise_broker)

    def _raise_broker(self) -> None:
        self.broker.up = True

    def _make_room(self, party: AgentParty | CollectorParty) -> None:
        party.drive.full = False

    def _cut_power(self, agent: AgentParty, draw: random.Random) -> None:
        lost_time = self.mix.on("clock.1970") and draw.random() < 0.6

        def reboot() -> None:
            agent.boots += 1
            agent.machine.power_on(f"{agent.draw.getrandbits(32):08x}", synchronised=not lost_time)
            if lost_time:
                self.note("clock.1970", agent.name)
                self.loop.later(draw.uniform(60, 6 * 3_600), agent.machine.synchronise)

        agent.crash("power_cut.agent", pause=draw.uniform(5, 3_600), then=reboot, fuse=draw.randrange(0, 60))

    def _harm_spool(self, kind: str, agent: AgentParty, draw: random.Random) -> None:
        if kind == full_spool.KIND:
            self._cut_off(kind, draw)
            return
        if kind == "spool.corrupt" and full_spool.is_small(agent):
            return  # What lies beyond a destroyed line rests on disk for ever, and fills it.
        if not self.checkers.knows(agent.name):
            return  # A loss before the first line was ever accepted has no register to bridge from.
        if kind == "spool.image":
            if agent.running and agent.epochs and agent.drive.take_image():
                agent.imaged = Imaged(len(agent.epochs), len(agent.lives), agent.lives[-1].committed_look)
                self.loop.later(draw.uniform(600, 10 * 3_600), self._restore, agent, draw)
            return

        def harm() -> None:
            self.note(kind, agent.name)
            for meter in agent.site.meters:
                meter.glitch = None
            if kind == "spool.lost":
                agent.drive.lose()
            else:
                agent.spoils += 1
                agent.drive.corrupt(draw)

        agent.crash("power_cut.agent", pause=draw.uniform(60, 3_600), then=harm)

    def _restore(self, agent: AgentParty, draw: random.Random) -> None:
        if self.loop.now >= TROUBLE_SECONDS or not agent.drive.image.exists():
            return
        if self.loop.now < agent.apart_until + 3_600:
            return  # What the collector has never seen tells nobody that it was undone.

        def harm() -> None:
            self.note("spool.image", agent.name)
            # An image of an epoch that has a successor already: its second successor is a clone, and parked.
            if agent.imaged.epochs < len(agent.epochs):
                self.note("spool.clone", agent.name)
                agent.cloned = True
            agent.drive.restore_image()
            agent.remember()
            for meter in agent.site.meters:
                meter.glitch = None

        agent.crash("crash.agent", pause=draw.uniform(60, 1_800), then=harm)

    def _harm_meter(self, kind: str, what: str, agent: AgentParty, draw: random.Random) -> None:
        meter = draw.choice(agent.site.meters)
        # A first value that is wrong, with nothing before it, is nobody's to find out.
        since = max(agent.lives[-1].first_look, agent.epochs[-1][1] if agent.epochs else 0) if agent.lives else 0
        settled = len(meter.looks) > 8 and all(look.good and look.number > since for look in meter.looks[-4:])
        fresh = [broken for broken in meter.breaks if broken.at > self.loop.now - 3_600]
        if not settled or fresh or meter.glitch or not agent.running or not _suits(meter, what):
            return
        if what in ("zero_glitch", "high_glitch", "two_glitches"):
            if len(meter.breaks) == 0 or meter.looks[-4].at > meter.breaks[-1].at:
                self.note(kind, f"{meter.gateway} {meter.device} {meter.name}")
                # Two that are unlike each other: two alike would be a reset, and nobody could tell.
                two = draw.choice(("zero high", "high zero"))
                meter.glitch = two if what == "two_glitches" else what.removesuffix("_glitch")
        elif what == "two_readings":
            self.note(kind, f"{meter.gateway} {meter.device} {meter.name}")
            meter.doubled = True
        elif what == "exchange":
            self.note(kind, f"{meter.gateway} {meter.device} {meter.name}")
            meter.exchange(self.loop.now, draw.randrange(900_000_000))
        elif what == "reset":
            self.note(kind, f"{meter.gateway} {meter.device} {meter.name}")
            meter.reset(self.loop.now)
        elif what == "rollback":
            self.note(kind, f"{meter.gateway} {meter.device} {meter.name}")
            meter.rollback(self.loop.now, draw.randrange(1_000_000, 50_000_000))


def _resolve(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)


def _suits(meter: Meter, what: str) -> bool:
    """Whether such a thing can be told from others at this meter at all; what nobody could tell is not injected."""
    match what:
        case "reset":
            return meter.style is Style.GENERATION or (meter.style is Style.PLAIN and meter.display > 350_000_000)
        case "rollback":
            return meter.style is Style.PLAIN and meter.display > 450_000_000
        case "exchange":
            return meter.style is Style.PLAIN
        case "two_readings":
            return True
        case "zero_glitch" | "high_glitch" | "two_glitches":
            return meter.style is not Style.WIDTH32
        case _:
            return False
