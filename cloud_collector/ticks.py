"""The clock's hand: APScheduler calls the collector's tick, and nothing else ever does in a running process.

What is due is derived from the store, so a missed, doubled or late tick changes nothing.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from cloud_collector.collector import Collector
from shared.effects.clock import Clock


@contextmanager
def ticking(collector: Collector, clock: Clock, *, seconds: int) -> Iterator[None]:
    """Within, the collector is ticked this often, never twice at a time."""
    scheduler = AsyncIOScheduler(timezone="UTC")

    async def tick() -> None:
        await collector.tick(clock.utc_ms())

    scheduler.add_job(tick, "interval", seconds=seconds, max_instances=1, coalesce=True, misfire_grace_time=None)
    scheduler.start()
    try:
        yield
    finally:
        scheduler.shutdown(wait=False)
