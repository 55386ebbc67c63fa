"""Which faults a seed has, how often, and what was really injected: swarm testing, each seed another mix."""

import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from tests.simulation.several import COVERED

KINDS: Final = (
    "broker.loss",
    "broker.mute",
    "broker.duplicate",
    "broker.forgot_inflight",
    "broker.corrupt",
    "broker.overflow",
    "broker.slow",
    "broker.crash",
    "partition.agent",
    "partition.collector",
    "crash.agent",
    "crash.collector",
    "power_cut.agent",
    "disk.io_error.agent",
    "disk.io_error.collector",
    "disk.full.agent",
    "disk.full.collector",
    "spool.lost",
    "spool.image",
    "spool.clone",
    "spool.corrupt",
    "spool.full",
    "clock.step",
    "clock.leap",
    "clock.dark",
    "clock.drift",
    "clock.1970",
    "meter.reset",
    "meter.rollover",
    "meter.rollback",
    "meter.zero_glitch",
    "meter.high_glitch",
    "meter.two_glitches",
    "meter.two_readings",
    "meter.exchange",
    "source.down",
    "malice.hostile",
    "malice.unknown",
    "key.rotation",
    "key.revocation",
    "key.receipt",
    "site.logs",
)
VERDICTS: Final = ("accepted", "duplicate", "quarantined", "aside", "unmatched", "refused")
BILLED: Final = (
    "billing.first_use",
    "billing.grace",
    "billing.immediate",
    "billing.killed",
    "billing.late",
    "billing.parked",
    "billing.settled",
    "billing.unarchived",
    "billing.witnessed",
)
"""What billing met: starts, periods that did not wait any longer, late usage, deaths while issuing and before the
folder had it, and starts that the world itself saw."""
RULES: Final = (
    "rule.active",
    "rule.ended",
    "rule.fee",
    "rule.pool",
    "rule.ramp",
    "rule.state_price",
    "rule.suspended",
    "rule.true_up",
    "rule.true_up.devices",
    "rule.unused",
    "rule.window.off-peak",
    "rule.window.peak",
)
"""What contracts agree to, where it decided an amount: what operators did to devices, pools whose allowance was used
up, later steps of a ramp, commitments that were not met, seats that nobody used."""
FOLDED: Final = ("spool.folded", "spool.refolded")
"""What comes of full spools."""
SHARE_MIN: Final = 0.05
"""Every kind and every verdict occurs in at least this share of a seed set, or the set is toothless."""

_EVENTS_A_DAY: Final = {
    "broker.crash": 6.0,
    "partition.agent": 6.0,
    "partition.collector": 3.0,
    "crash.agent": 12.0,
    "crash.collector": 8.0,
    "power_cut.agent": 4.0,
    "disk.io_error.agent": 4.0,
    "disk.io_error.collector": 3.0,
    "disk.full.agent": 1.5,
    "disk.full.collector": 1.0,
    "spool.lost": 1.0,
    "spool.image": 1.8,
    "spool.corrupt": 0.7,
    "spool.full": 2.0,
    "clock.step": 4.0,
    "clock.leap": 2.0,
    "clock.dark": 0.8,
    "meter.reset": 1.0,
    "meter.rollback": 1.0,
    "meter.zero_glitch": 12.0,
    "meter.high_glitch": 12.0,
    "meter.two_glitches": 6.0,
    "meter.two_readings": 6.0,
    "meter.exchange": 1.0,
    "source.down": 3.0,
    "malice.hostile": 6.0,
    "malice.unknown": 4.0,
    "key.rotation": 3.0,
    "key.revocation": 0.8,
    "key.receipt": 1.5,
}
"""Events a virtual day at intensity one, for the whole world."""


@dataclass(slots=True)
class Mix:
    """A seed's faults: which kinds are on and how strongly."""

    intensity: dict[str, float] = field(default_factory=dict)

    def on(self, kind: str) -> bool:
        """Whether this seed may have such faults."""
        return self.intensity.get(kind, 0.0) > 0

    def share(self, kind: str, most: float) -> float:
        """A probability up to `most`."""
        return min(1.0, self.intensity.get(kind, 0.0)) * most


def draw_mix(seed: int, without: frozenset[str] = frozenset()) -> Mix:
    """Draw a seed's mix; one seed in twenty has no fault at all."""
    draw = random.Random(f"mix {seed}")
    if draw.random() < 0.05:
        return Mix()
    share = draw.choice((0.25, 0.5, 0.8))
    return Mix({kind: draw.uniform(0.2, 1.5) for kind in KINDS if draw.random() < share and kind not in without})


def schedule(mix: Mix, seed: int, seconds: float) -> list[tuple[float, str, int]]:
    """Every timed fault as (when, kind, its own random seed), in order of time."""
    draw = random.Random(f"schedule {seed}")
    found = []
    for kind in KINDS:
        rate = _EVENTS_A_DAY.get(kind, 0.0) * mix.intensity.get(kind, 0.0)
        when = 0.0
        while rate > 0:
            when += draw.expovariate(rate / 86_400)
            if when > seconds:
                break
            found.append((when, kind, draw.getrandbits(32)))
    return sorted(found)


@dataclass(slots=True)
class Coverage:
    """How often each fault was injected and each verdict fell, in one run."""

    counts: Counter[str] = field(default_factory=Counter)

    def note(self, kind: str, times: int = 1) -> None:
        """Count something that really happened."""
        self.counts[kind] += times


def toothless(runs: list[Counter[str]]) -> list[str]:
    """Faults and verdicts that occurred in too few of the runs."""
    names = [*KINDS, *(f"verdict.{name}" for name in VERDICTS), *BILLED, *RULES, *FOLDED, *COVERED]
    least = SHARE_MIN * len(runs)
    return [f"{name} in {n} of {len(runs)}" for name in names if (n := sum(1 for run in runs if run[name])) < least]
