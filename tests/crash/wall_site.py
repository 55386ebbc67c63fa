"""The same site as it hangs on a wall: meters on Modbus TCP, gateways that have enrolled, TLS 1.3 with certificates.

The meters run on the wall clock and are killed like everybody else. They stand still until every gateway has
read them once, so that what the CSV says first is the baseline.
"""

import random
import sys
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from tests.crash.feed import Feed
from tests.crash.site import CrashSite
from tests.enrolled_site import Gateway, Site
from tests.processes import Process, free_port, wait_for_port, wait_until

METERS: Final = 4
COUNT: Final = 1
"""Intervals a line: a line a second."""
STILL_SECONDS: Final = 12
"""How long the meters stand still at first."""
OUTAGE_SECONDS: Final = 3.0
HOURS: Final = 2
TEMPLATE: Final = "schneider-iem3000"
AGENT: Final = """
key_file = "state/gateway.key"
spool_path = "state/spool.db"
wall_clock = "trusted"
step_seconds = {step}
interval_count = {count}
commit_seconds = 1
drain_delay_seconds = 1
reconnect_seconds_max = 2
[[sources]]
type = "modbus"
poll_seconds = 0.5
host = "127.0.0.1"
port = {port}
"""


class MeterFeed(Feed):
    """What a gateway's meters show, second by second; the CSV is written when they begin."""

    def __init__(self, path: Path, seed: int) -> None:
        self.path = path
        self._draw = random.Random(seed)

    @property
    def last_at(self) -> int:
        """The time of the last row, Unix seconds."""
        return int(_instant(self.path.read_text(encoding="ascii").splitlines()[-1]))

    def begin(self) -> None:
        """Write hours of it, standing still at first."""
        displays = [self._draw.randrange(10**6) for _ in range(METERS)]
        since = int(time.time())
        with self.path.open("w", encoding="ascii") as file:
            file.write("at,device,meter,value\n")
            for second in range(-60, HOURS * 3_600):
                if second > STILL_SECONDS:
                    displays = [display + self._draw.randrange(0, 5) for display in displays]
                at = datetime.fromtimestamp(since + second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
                file.writelines(f"{at},meter-{place},energy,{display}\n" for place, display in enumerate(displays))

    def append(self, readings: int, *, idle: bool = False) -> None:
        """Meters on the wall clock need no feeding."""

    def finish(self) -> None:
        """From the next second on nothing is counted."""
        head, *rows = self.path.read_text(encoding="ascii").splitlines(keepends=True)
        self.path.write_text(head + "".join(row for row in rows if _instant(row) <= time.time() + 1), encoding="ascii")


class WallSite(CrashSite):
    """Every gateway has enrolled, and a peer that answers for its own four meters."""

    def __init__(self, folder: Path, gateways: Iterable[str]) -> None:
        self._certified = Site(folder)
        self._enrolled: dict[str, Gateway] = {}
        self._ports: dict[str, int] = {}
        self._feeds: dict[str, MeterFeed] = {}
        super().__init__(folder, gateways, step=1, count=COUNT)
        self.port = self._certified.port
        self.broker = self._certified.broker()
        self.store = folder / "collector" / "collector.db"
        self.meters = {name: self._peer(name) for name in self._gateways}

    @property
    def parties(self) -> tuple[str, ...]:
        """The meters fail as well."""
        return (*super().parties, "meters")

    def of(self, party: str) -> list[Process]:
        """The processes of a party."""
        return list(self.meters.values()) if party == "meters" else super().of(party)

    def feed(self, gateway: str, seed: int) -> MeterFeed:
        """What the gateway's meters will count."""
        self._feeds[gateway] = MeterFeed(self.readings(gateway), seed)
        return self._feeds[gateway]

    def start(self) -> None:
        """Broker and collector; the gateways enrol; the meters begin, and everybody has read them once."""
        self.broker.start()
        wait_for_port(self.port)
        self.collector.start()
        wait_for_port(self._certified.enrolment_port)
        for name, gateway in self._enrolled.items():
            done = gateway.enrol(self._certified.told("gateway", "invite", name)["code"])
            assert done.returncode == 0, done.stderr
            self._certified.cloud("gateway", "accept", name, gateway.words)
            gateway.edge("renew")
        for name, feed in self._feeds.items():
            feed.begin()
            self.meters[name].start()
            wait_for_port(self._ports[name])
        began = time.monotonic()
        for agent in self.agents.values():
            agent.start()
        wait_until(self._all_read, STILL_SECONDS, "every gateway has committed a first reading")
        time.sleep(max(0.0, STILL_SECONDS - (time.monotonic() - began)))

    def before(self, moment: str) -> None:
        """There is something to drain after an outage."""
        if moment == "drain":
            self.broker.kill()
            time.sleep(OUTAGE_SECONDS)
            self.broker.start()

    def finish(self, feeds: Mapping[str, Feed]) -> None:
        """The meters start again from what their CSVs now say."""
        for name, meter in self.meters.items():
            feeds[name].finish()
            meter.kill()
            meter.start()

    def stop(self) -> None:
        """End what still runs, meters last."""
        super().stop()
        for meter in self.meters.values():
            if meter.alive():
                meter.kill()

    def _all_read(self) -> bool:
        return all(self._rows("select 1 from chain where gateway = ? and top > 1", name) for name in self._gateways)

    def _write(self, step: int, count: int) -> None:
        self._certified.begin()
        for name in self._gateways:
            self._ports[name] = free_port()
            self._enrolled[name] = self._certified.gateway(name)
            devices = "".join(
                f'[[sources.devices]]\ntemplate = "{TEMPLATE}"\nunit_id = {at + 1}\ndevice = "meter-{at}"\n'
                for at in range(METERS)
            )
            config = AGENT.format(step=step, count=count, port=self._ports[name]) + devices
            (self.folder / name / "agent.toml").write_text(config, encoding="ascii")

    def _peer(self, name: str) -> Process:
        devices = [f"--device=meter-{at}={at + 1}:{TEMPLATE}" for at in range(METERS)]
        where = [f"--port={self._ports[name]}", f"--readings={self.readings(name)}"]
        program = [sys.executable, "-m", "tests.modbus_peer", *where, *devices]
        return Process(f"{name}'s meters", program, self.folder / f"{name}.peer")


def _instant(row: str) -> float:
    return datetime.fromisoformat(row.partition(",")[0]).timestamp()
