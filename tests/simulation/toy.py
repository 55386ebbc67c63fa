"""A sender and a receiver of a few lines each: what the broker's nastiness does to whoever trusts it.

They are no part of the product: they prove that the machinery can tell a right rule from a wrong one
before the product's rules are run on it.
"""

import asyncio
import random

from shared.errors import LinkLost, LinkRefused
from tests.simulation.broker import Broker, Nastiness
from tests.simulation.simloop import Power, SimLoop


class Toy:
    """A sender of numbered messages, which forgets either on PUBACK or on receipt, and a receiver."""

    def __init__(self, seed: int, *, forget_on_puback: bool) -> None:
        self.loop = SimLoop(seed)
        self.draw = random.Random(f"toy {seed}")
        nasty = Nastiness(loss=0.1, mute=0.05, duplicate=0.2, forget_inflight=0.3, slow=0.05)
        self.events: list[str] = []
        self.broker = Broker(self.loop, random.Random(f"broker {seed}"), nasty, self._note)
        self.forget_on_puback = forget_on_puback
        self.disk: dict[int, bytes] = {number: b"%d" % number for number in range(200)}
        """What the sender keeps over its crashes."""
        self.received: list[int] = []
        self.powers: dict[str, Power] = {}

    def run(self) -> set[int]:
        """Return the messages that are lost for ever."""
        asyncio.set_event_loop(None)
        self._start("sender")
        self._start("receiver")
        for hour in range(1, 8):
            self.loop.later(hour * 900, self._mischief)
        self.loop.later(7_000, self.broker.calm)
        try:
            self.loop.run_until_complete(asyncio.sleep(20_000))
        finally:
            for power in self.powers.values():
                power.lose()
                self.loop.abandon(power)
            self.loop.close()
        return set(range(200)) - set(self.received) - set(self.disk)

    def _note(self, kind: str, detail: str) -> None:
        self.events.append(f"{self.loop.now:.3f} {kind} {detail}")

    def _start(self, name: str) -> None:
        power = Power(name)
        self.powers[name] = power
        work = self._send(power) if name == "sender" else self._receive(power)
        self.loop.start(power, work)

    def _mischief(self) -> None:
        if self.loop.now > 6_500:
            return
        name = self.draw.choice(("sender", "receiver", "broker"))
        if name == "broker":
            self.broker.crash()
            self.loop.later(60, self._broker_up)
            return
        self.powers[name].lose()
        self.loop.later(0, self.loop.abandon, self.powers[name])
        self.loop.later(30, self._start, name)

    def _broker_up(self) -> None:
        self.broker.up = True

    async def _send(self, power: Power) -> None:
        while True:
            try:
                async with self.broker.link("sender", power).session() as session:
                    await session.subscribe("toy/receipt")
                    async with asyncio.TaskGroup() as tasks:
                        tasks.create_task(self._forget(session))
                        tasks.create_task(self._push(session))
            except* (LinkLost, LinkRefused):
                pass
            await asyncio.sleep(self.draw.uniform(1, 30))

    async def _push(self, session: object) -> None:
        while True:
            for number in sorted(self.disk)[:8]:
                await session.publish("toy/report", b"%d" % number)  # type: ignore[attr-defined]
                if self.forget_on_puback:
                    self.disk.pop(number, None)
            await asyncio.sleep(30)

    async def _forget(self, session: object) -> None:
        while True:
            message = await session.receive()  # type: ignore[attr-defined]
            self.disk.pop(int(message.payload), None)
            session.acknowledge(message)  # type: ignore[attr-defined]

    async def _receive(self, power: Power) -> None:
        while True:
            try:
                async with self.broker.link("receiver", power).session() as session:
                    await session.subscribe("toy/report")
                    while True:
                        message = await session.receive()
                        self.received.append(int(message.payload))
                        session.acknowledge(message)
                        await session.publish("toy/receipt", message.payload)
            except (LinkLost, LinkRefused):
                await asyncio.sleep(self.draw.uniform(1, 30))
