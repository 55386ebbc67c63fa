"""A site of real processes in one folder: Mosquitto, a collector, agents that replay CSVs."""

import json
import sqlite3
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol

from tests.crash.feed import WRAPPING, Feed
from tests.processes import Process, command, free_port, mosquitto, run, wait_for_port, wait_until

Account = dict[tuple[str, str], int]
"""(gateway, device) → units."""


class Finished(Protocol):
    """What knows when its last reading is."""

    @property
    def last_at(self) -> int:
        """Unix seconds."""


class CrashSite:
    """Keys, configurations and processes; every file lies in one folder."""

    def __init__(
        self, folder: Path, gateways: Iterable[str], *, step: int, count: int, meters: int = 4, poll: float = 0.2
    ) -> None:
        self.folder = folder
        self.port = free_port()
        self._gateways = list(gateways)
        self._meters, self._poll = meters, poll
        (folder / "mosquitto").mkdir()
        self.broker = mosquitto(folder / "mosquitto", self.port)
        self.collector_config = folder / "collector.toml"
        self.store = folder / "collector.db"
        self._write(step, count)
        self.collector = Process(
            "collector",
            [*command("cloud-collector"), "--config", str(self.collector_config), "--log-level", "debug", "run"],
            folder / "collector.log",
        )
        self.agents = {
            name: Process(
                name,
                [*command("edge-agent"), "run", "--log-level", "debug", "--config", str(folder / name / "agent.toml")],
                folder / f"{name}.log",
            )
            for name in self._gateways
        }

    def readings(self, gateway: str) -> Path:
        """The CSV that a gateway replays."""
        return self.folder / gateway / "readings.csv"

    def feed(self, gateway: str, seed: int) -> "Feed":
        """What the gateway's meters will count."""
        return Feed(self.readings(gateway), seed, self._meters)

    def start(self) -> None:
        """Start the broker, then the collector, then the agents."""
        self.broker.start()
        wait_for_port(self.port)
        for collector in self.of("collector"):
            collector.start()
        for agent in self.agents.values():
            agent.start()

    @property
    def parties(self) -> tuple[str, ...]:
        """Who can be killed."""
        return ("agent", "collector", "broker")

    def of(self, party: str) -> list[Process]:
        """The processes of a party."""
        return {"agent": list(self.agents.values()), "collector": [self.collector], "broker": [self.broker]}[party]

    @property
    def processes(self) -> list[Process]:
        """Everything that runs until it is killed, agents first."""
        return [process for party in ("agent", "collector", "broker") for process in self.of(party)]

    def before(self, moment: str) -> None:
        """Whatever it takes for the moment to come."""

    def ended(self, process: Process) -> None:
        """What is done with one that ended by itself when nobody is killed any more: nothing ends here."""
        raise AssertionError(f"{process.name} ended by itself: {process.log.read_text()[-2000:]}")

    def finish(self, feeds: Mapping[str, Feed]) -> None:
        """No meter counts any more."""
        for feed in feeds.values():
            feed.finish()

    def stop(self) -> None:
        """End what still runs, agents first."""
        for process in self.processes:
            if process.alive():
                process.stop()

    def settle(self, finished: Mapping[str, Finished], *, seconds: float) -> int:
        """Wait until each gateway's last window but one has arrived without holes; returns the lines held."""

        def settled() -> bool:
            for process in self.processes:
                if not process.alive():
                    self.ended(process)
            return all(self._whole(name, finished[name].last_at) for name in self._gateways)

        wait_until(settled, seconds, "every sealed line has arrived")
        return self._count("select count(*) from line where aside = 0")

    def _whole(self, gateway: str, last_at: int) -> bool:
        rows = self._rows("select through, top from chain where gateway = ?", gateway)
        latest = self._rows(
            "select max(start + step * count) from span join channel on channel.id = span.channel where gateway = ?",
            gateway,
        )
        return bool(rows) and all(through == top for through, top in rows) and (latest[0][0] or 0) >= last_at - 600

    def _count(self, sql: str) -> int:
        return int(self._rows(sql)[0][0])

    def _rows(self, sql: str, *parameters: object) -> list[tuple[int, ...]]:
        if not self.store.exists():
            return []
        database = sqlite3.connect(f"file:{self.store}?mode=ro", uri=True, timeout=10)
        try:
            return database.execute(sql, parameters).fetchall()
        except sqlite3.OperationalError:  # killed before its first migration
            time.sleep(0.1)
            return []
        finally:
            database.close()

    def _where(self) -> str:
        return f'store_path = "{self.store}"\n'

    def _write(self, step: int, count: int) -> None:
        receipt_key, receipt_public = self.folder / "receipt.key", self.folder / "receipt.pub"
        run("cloud-collector", "key", "new", receipt_key)
        receipt_public.write_text(run("cloud-collector", "key", "show", receipt_key, "--pem").stdout)
        broker = f'[broker]\nhost = "127.0.0.1"\nport = {self.port}\ntls = false\n'
        self.collector_config.write_text(f'{self._where()}key_file = "{receipt_key}"\n{broker}')
        for name in self._gateways:
            folder = self.folder / name
            folder.mkdir()
            run("edge-agent", "key", "new", folder / "gateway.key")
            public = folder / "gateway.pub"
            public.write_text(run("edge-agent", "key", "show", folder / "gateway.key").stdout)
            run("cloud-collector", "--config", self.collector_config, "gateway", "add", name, "--key", public)
            channels = "".join(
                f'[[sources.channels]]\ndevice = "meter-{at}"\nmeter = "energy"\nunit = "Wh"\nrate_max = 100\n'
                + ("width_bits = 32\n" if at == WRAPPING else "")
                for at in range(self._meters)
            )
            (folder / "agent.toml").write_text(
                f'gateway = "{name}"\nkey_file = "{folder / "gateway.key"}"\nreceipt_key_files = ["{receipt_public}"]\n'
                f'spool_path = "{folder / "spool.db"}"\nstep_seconds = {step}\ninterval_count = {count}\n'
                f"commit_seconds = 1\ndrain_delay_seconds = 1\nreconnect_seconds_max = 2\n{broker}"
                f'[[sources]]\ntype = "replay"\nfollow = true\npoll_seconds = {self._poll}\n'
                f'path = "{self.readings(name)}"\n{channels}'
            )


def accounted(site: CrashSite) -> Account:
    """What the collector accounts for by channel: usage, quarantine and declared gaps together."""
    answer = run("cloud-collector", "--config", site.collector_config, "usage", "show", "--json").stdout
    return {(row["gateway"], row["device"]): row["units"] + row["quarantined"] for row in json.loads(answer)}
