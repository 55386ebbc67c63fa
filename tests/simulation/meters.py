"""The world's meters and its own ledger of what they counted: the oracle of P1, never a figure of the product's.

A meter counts in quanta of virtual time, so that its total at any moment does not depend on who
looks. Its display may be reset, rolled back, roll over or be misread; its total never is.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from edge_agent.reading import ChannelSpec, Kind, Reading, SourceDown
from tests.simulation.clocks import SimClock
from tests.simulation.simloop import Power, SimLoop

QUANTUM_SECONDS: Final = 30
RATE_MAX: Final = 2_000
"""Units a second that the channel is configured to allow; meters count far less."""
QUANTUM_UNITS_MAX: Final = 4_000
GLITCH_HIGH: Final = 10**9


class Style(StrEnum):
    """What kind of counter a meter is."""

    PLAIN = "plain"
    """Large display; a reset shows as a lower value."""
    GENERATION = "generation"
    """Says by its generation that it began anew, even where its value is higher."""
    WIDTH32 = "width32"
    """32 bits wide and about to roll over."""


@dataclass(frozen=True, slots=True)
class Look:
    """One reading that was handed to the agent."""

    number: int
    """Counts all looks at the gateway, so that looks and commits have one order."""
    at: float
    total: int
    display: int
    good: bool


@dataclass(frozen=True, slots=True)
class Break:
    """Something that happened to a display: what was counted around it may be hidden."""

    at: float
    kind: str
    total: int


@dataclass(slots=True)
class Meter:
    """One channel in the world."""

    gateway: str
    device: str
    name: str
    style: Style
    draw: random.Random
    base: int
    """Display minus total, before rollover."""
    width_bits: int | None = None
    generation: int = 1
    total: int = 0
    counting: bool = True
    quantum: int = 0
    rate: int = QUANTUM_UNITS_MAX // 4
    looks: list[Look] = field(default_factory=list)
    breaks: list[Break] = field(default_factory=list)
    glitch: str | None = None
    """What the next readings will show instead of the truth: zero, high, or one after the other."""
    doubled: bool = False
    """Whether the next look brings two readings of the same moment."""
    serial: str = ""

    def advance(self, now: float) -> None:
        """Count up to now."""
        target = int(now) // QUANTUM_SECONDS
        while self.quantum < target:
            self.quantum += 1
            if self.quantum % 40 == 0:
                self.rate = self.draw.choice((0, 7, 100, QUANTUM_UNITS_MAX // 4, QUANTUM_UNITS_MAX))
            if self.counting and self.rate:
                before = self.display
                self.total += self.draw.randrange(self.rate + 1)
                if self.display < before:
                    self.breaks.append(Break(self.quantum * QUANTUM_SECONDS, "rollover", self.total))

    @property
    def display(self) -> int:
        """What the meter shows."""
        shown = self.base + self.total
        return shown if self.width_bits is None else shown % (1 << self.width_bits)

    def reset(self, now: float) -> None:
        """The display begins again at zero."""
        self.advance(now)
        self.breaks.append(Break(now, "reset", self.total))
        self.base = -self.total
        self.generation += 1

    def exchange(self, now: float, display: int) -> None:
        """Another meter takes its place, and shows what it shows."""
        self.advance(now)
        self.breaks.append(Break(now, "exchange", self.total))
        self.base = display - self.total
        self.serial = f"s-{len(self.breaks)}"

    def rollback(self, now: float, units: int) -> None:
        """The display goes back to an earlier value and counts on from there."""
        self.advance(now)
        self.breaks.append(Break(now, "rollback", self.total))
        self.base -= units


class Site:
    """A gateway's meters and everything that anybody read from them."""

    def __init__(self, gateway: str, meters: Sequence[Meter]) -> None:
        self.gateway = gateway
        self.meters = tuple(meters)
        self.looks = 0
        self.unreadable_until: dict[str, float] = {}
        """By device: its source raises until then."""
        self.logs: dict[str, str] = {}
        """By device: the log that it is sealed in, where that is not `main`."""

    def stop_counting(self, now: float) -> None:
        """From now on totals stand still."""
        for meter in self.meters:
            meter.advance(now)
            meter.counting = False


class SimSource:
    """A source that reads one device's meters, for one process."""

    def __init__(
        self, site: Site, device: str, *, clock: SimClock, power: Power, loop: SimLoop, poll_seconds: float
    ) -> None:
        self.name = f"sim-{device}"
        self.poll_seconds = poll_seconds
        self._site = site
        self._device = device
        self._meters = [meter for meter in site.meters if meter.device == device]
        self._clock = clock
        self._power = power
        self._loop = loop
        log = site.logs.get(device, "main")
        self.channels = tuple(replace(spec_of(meter, self.name), log=log) for meter in self._meters)

    async def read(self) -> Sequence[Reading]:
        """Read every meter of the device; each reading is entered in the ledger's book of looks."""
        self._power.use()
        now = self._loop.now
        if self._site.unreadable_until.get(self._device, 0.0) > now:
            raise SourceDown(f"{self._device} does not answer (injected)")
        at_ms = self._clock.boot_ms()
        self._site.looks += 1
        readings = []
        for meter in self._meters:
            meter.advance(now)
            value = meter.display
            glitch, _, rest = (meter.glitch or "").partition(" ")
            if glitch:
                value = 0 if glitch == "zero" else value + GLITCH_HIGH
            meter.looks.append(Look(self._site.looks, now, meter.total, meter.display, not glitch))
            meter.glitch = rest or None
            reading = Reading(
                device=meter.device,
                meter=meter.name,
                value=value,
                at_ms=at_ms,
                serial=meter.serial,
                generation=f"g{meter.generation}" if meter.style is Style.GENERATION else "",
            )
            readings += [reading, reading] if meter.doubled else [reading]
            meter.doubled = False
        return readings

    async def close(self) -> None:
        """Nothing is held."""


def spec_of(meter: Meter, source: str) -> ChannelSpec:
    """The channel as the gateway's configuration describes the meter."""
    return ChannelSpec(
        device=meter.device,
        meter=meter.name,
        unit="W.h",
        exponent=0,
        kind=Kind.COUNTER,
        source=source,
        rate_max=RATE_MAX,
        width_bits=meter.width_bits,
    )


def make_site(gateway: str, seed: int, channels: int) -> Site:
    """A gateway's meters, drawn from the seed: two a device, of every style."""
    draw = random.Random(f"site {gateway} {seed}")
    meters = []
    for number in range(channels):
        style = (Style.PLAIN, Style.GENERATION, Style.WIDTH32, Style.PLAIN)[number % 4]
        base = {
            Style.PLAIN: draw.randrange(500_000_000, 900_000_000),
            Style.GENERATION: draw.randrange(5_000),
            Style.WIDTH32: (1 << 32) - draw.randrange(10_000, 4_000_000),
        }[style]
        meters.append(
            Meter(
                gateway=gateway,
                device=f"d{number // 2}",
                name=("energy", "water")[number % 2],
                style=style,
                draw=random.Random(f"meter {gateway} {number} {seed}"),
                base=base,
                width_bits=32 if style is Style.WIDTH32 else None,
                serial="s-0" if style is Style.PLAIN else "",
            )
        )
    return Site(gateway, meters)
