"""The machine's clock, sampled for the pure rooms that keep time."""

from edge_agent.timekeeping import Tick
from shared.effects.clock import Clock


def tick_of(clock: Clock) -> Tick:
    """What the clock says now, all of it of one moment."""
    return Tick(
        boot_ms=clock.boot_ms(),
        utc_ms=clock.utc_ms(),
        synchronised=clock.synchronised(),
        boot_id=clock.boot_id(),
    )
