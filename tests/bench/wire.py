"""The wire: bytes an interval reading, of payloads alone and of everything that a connection carries."""

import asyncio
from typing import Final

from shared.effects.link import Session
from shared.effects.mqtt import MqttLink
from shared.payload import pack
from shared.topic import Leaf, topic_of
from tests.bench.counted import HEADER_BYTES, Carried, counted
from tests.bench.figure import Figure, Say
from tests.bench.intake import collector_config
from tests.bench.payloads import CHANNELS, INTERVALS, STEP, Gateway, fleet
from tests.bench.site import broker, queue, settings, workspace
from tests.processes import Process, command

READINGS: Final = CHANNELS * INTERVALS
PING_SECONDS: Final = 5
PING_BYTES: Final = 4
"""PINGREQ and PINGRESP. Source: MQTT 3.1.1, sections 3.12 and 3.13."""
QUIET_SECONDS: Final = 0.1
"""Between two lines, so that TCP's late acknowledgements fall where they fall at a line in a quarter of an hour."""


def wire(say: Say, *, lines: int, pings: int) -> list[Figure]:
    """Payloads of energy meters and of a mixed site; then one gateway's connection, line by line."""
    say("payload bytes")
    energy, mixed = payload_bytes(lines * 10, mixed=False), payload_bytes(lines * 10, mixed=True)
    carried, ping = asyncio.run(_one_gateway(say, lines, pings))
    shape = "20 channels × 15 intervals, deflated"
    how = (
        f"one gateway's connection as its kernel counted it (TCP_INFO): MQTT both ways, receipts among it, and "
        f"{HEADER_BYTES} B of IP and TCP headers for each of {carried.segments / lines:.1f} segments a line; no TLS"
    )

    def figure(name: str, value: float, most: float | None, note: str) -> Figure:
        return Figure(room="wire", name=name, value=value, unit="B", most=most, note=note)

    network = carried.network / lines / READINGS
    pings_a_line = INTERVALS * STEP // 60
    kept = f"{ping:.0f} B a ping, measured; {pings_a_line} of them in a line's window"
    return [
        figure("payload an interval reading, energy meters", energy, 3.0, shape),
        figure("payload an interval reading, mixed site", mixed, None, f"{shape}; every fourth channel counts bytes"),
        figure("network, mixed site, lines and receipts", network, 5.5, how),
        figure("network with a keep-alive of 60 s", network + ping * pings_a_line / READINGS, 5.5, kept),
    ]


def payload_bytes(lines: int, *, mixed: bool) -> float:
    """Bytes of payload an interval reading, over lines of usage, one a payload."""
    gateways = fleet(4, mixed=mixed)
    for gateway in gateways:
        gateway.birth()
    sizes = [len(pack([gateway.usage()])) for gateway in gateways for _ in range(max(1, lines // len(gateways)))]
    return sum(sizes) / len(sizes) / READINGS


async def _one_gateway(say: Say, lines: int, pings: int) -> tuple[Carried, float]:
    """What the connection carried for that many lines, and bytes a ping while it is idle."""
    (gateway,) = fleet(1, seed=3, mixed=True)
    with workspace() as folder, broker(folder) as port:
        config = collector_config(folder, port, {gateway.name: gateway.key.public})
        collector = Process("collector", [*command("cloud-collector"), "--config", str(config), "run"], folder / "log")
        await queue("_collector", port, [])
        collector.start()
        try:
            async with counted(port) as wires:
                link = MqttLink(settings(wires.port, keepalive_seconds=PING_SECONDS), gateway.name)
                async with link.session() as session:
                    await session.subscribe(topic_of(gateway.name, Leaf.RECEIPT))
                    say("one gateway, each line after the receipt of the one before")
                    await _send(session, gateway, gateway.birth())
                    before = wires.carried()
                    for _ in range(lines):
                        await _send(session, gateway, gateway.usage())
                    carried = wires.carried().since(before)
                    say(f"{pings} pings of the idle connection")
                    before = wires.carried()
                    await asyncio.sleep(PING_SECONDS * (pings + 0.6))
                    idle = wires.carried().since(before)
                    return carried, idle.network / (idle.data / PING_BYTES)
        finally:
            collector.kill()


async def _send(session: Session, gateway: Gateway, line: bytes) -> None:
    await session.publish(topic_of(gateway.name, Leaf.REPORT), pack([line]))
    session.acknowledge(await asyncio.wait_for(session.receive(), 30))
    await asyncio.sleep(QUIET_SECONDS)
