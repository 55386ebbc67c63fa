"""What the service manager is told of a running collector: ready, how it stands, the watchdog's beat, the end."""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, Protocol

from cloud_collector.collector import Collector
from shared.effects.notify import Notifier
from shared.liveness import Liveness, Pulse

_log = logging.getLogger(__name__)
STATUS_SECONDS: Final = 10.0
"""How often the manager is told; its watchdog's beat comes at least three times in its time."""
ROUND_SECONDS_MAX: Final = 900.0
"""How long the store may be busy with one thing, such as a large billing run, before the beat stops."""


@asynccontextmanager
async def told(collector: Collector, notifier: Notifier) -> AsyncIterator[None]:
    """Within, the service manager is told that the collector runs, and how."""
    telling = asyncio.ensure_future(_tell(collector, notifier))
    try:
        yield
    finally:
        notifier.stopping()
        telling.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await telling


class Standing(Protocol):
    """What is asked of a collector."""

    connected: bool
    verdicts: Counter[str]


def summary(collector: Standing) -> str:
    """How it stands, in one line."""
    link = "taking reports" if collector.connected else "no link to the broker"
    counted = ", ".join(f"{count:,} {verdict.lower()}" for verdict, count in sorted(collector.verdicts.items()))
    return f"{link}; since the start: {counted or 'nothing arrived'}"


async def _tell(collector: Collector, notifier: Notifier) -> None:
    if not notifier.listened_to:
        return
    notifier.ready(summary(collector))
    liveness = Liveness()
    watched = notifier.watchdog_seconds
    pause = STATUS_SECONDS if watched is None else min(STATUS_SECONDS, watched / 3)
    loop = asyncio.get_running_loop()
    while True:
        if liveness.stuck({"store": Pulse(collector.rounds, ROUND_SECONDS_MAX)}, loop.time()):
            # Without a beat the manager ends this process; what is committed is safe, and is taken up again.
            _log.error("event=stuck seconds=%d", ROUND_SECONDS_MAX)
        else:
            notifier.beat()
        notifier.status(summary(collector))
        await asyncio.sleep(pause)
