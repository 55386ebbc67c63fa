"""`python -m tests.bench.feed PORT GATEWAYS LINES RATE START`: a fleet's lines, published at an even rate.

They are sealed first; then it says `ready` and waits for a line on standard input.
"""

import asyncio
import sys
import time
from collections.abc import Sequence
from typing import Final

from shared.effects.mqtt import MqttLink
from tests.bench.payloads import Gateway, fleet, live
from tests.bench.site import Payloads, settings

BEAT_SECONDS: Final = 0.02
SEED: Final = 3
STEP: Final = 1
"""Intervals of a second, so that many lines lie in little time."""


def feeders(gateways: int, start: int) -> list[Gateway]:
    """The fleet, the same for whoever asks."""
    found = fleet(gateways, seed=SEED)
    for gateway in found:
        gateway.step, gateway.start = STEP, start
    return found


async def feed(port: int, payloads: Payloads, rate: float) -> float:
    """Publish them all, so many a second; the rate that was reached."""
    async with MqttLink(settings(port), "bench-feeder").session() as session:
        began, sent = time.monotonic(), 0
        while sent < len(payloads):
            due = min(int((time.monotonic() - began) * rate) + 1, len(payloads))
            await asyncio.gather(*(session.publish(topic, payload) for topic, payload in payloads[sent:due]))
            sent = due
            await asyncio.sleep(BEAT_SECONDS)
        return sent / (time.monotonic() - began)


def main(arguments: Sequence[str]) -> None:
    """Seal, wait, publish."""
    port, gateways, lines, start = (int(arguments[at]) for at in (0, 1, 2, 4))
    rate = float(arguments[3])
    payloads = list(live(feeders(gateways, start), lines // gateways))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    sys.stdout.write(f"{asyncio.run(feed(port, payloads, rate)):.1f}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
