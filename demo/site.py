"""The demo's files: keys, passwords, configurations, catalog, readings; everything under one folder."""

import secrets
from dataclasses import dataclass
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Final

from demo.broker import write_passwords
from demo.readings import ZONE, Meter, garage, laundry, month_before, write

LIVE: Final = "this-machine"
UNITS: Final = {"energy": "Wh", "water": "L"}
RATES: Final = {"energy": 50, "water": 50}
"""Steps a second that these meters cannot exceed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where everything of the demo lies, and on which ports it listens."""

    folder: Path
    broker_port: int
    web_port: int
    seed: str
    now: datetime

    @property
    def collector_config(self) -> Path:
        """The collector's configuration."""
        return self.folder / "collector.toml"

    @property
    def catalog(self) -> Path:
        """What the customers have agreed to."""
        return self.folder / "catalog.toml"

    @property
    def passwords(self) -> Path:
        """The broker's password file."""
        return self.folder / "passwords"

    def gateway_config(self, gateway: str) -> Path:
        """A gateway's configuration."""
        return self.folder / gateway / "agent.toml"

    def gateway_key(self, gateway: str) -> Path:
        """A gateway's private key."""
        return self.folder / gateway / "gateway.key"

    @property
    def receipt_key(self) -> Path:
        """The operator's private key."""
        return self.folder / "receipt.key"

    @property
    def receipt_public(self) -> Path:
        """The operator's public key."""
        return self.folder / "receipt.pub"

    def gateways(self) -> dict[str, list[Meter]]:
        """Each gateway and the meters that are replayed on it; the live one has none."""
        start = month_before(self.now)
        return {
            "harbour-garage": garage(start, self.seed),
            "pine-laundry": laundry(start, self.seed),
            LIVE: [],
        }


def prepare(site: Site, interfaces: list[str]) -> int:
    """Write everything but the keys; returns how many readings were written."""
    users = {name: secrets.token_urlsafe(24) for name in [*site.gateways(), "_collector"]}
    for name, password in users.items():
        folder = site.folder / name
        folder.mkdir(parents=True)
        file = folder / "password"
        file.write_text(password, encoding="ascii")
        file.chmod(0o600)
    write_passwords(site.passwords, users)
    start = month_before(site.now)
    written = 0
    for gateway, meters in site.gateways().items():
        readings = site.folder / gateway / "readings.csv"
        if meters:
            written += write(readings, meters, start, site.now, site.seed)
        site.gateway_config(gateway).write_text(_agent(site, gateway, meters), encoding="utf-8")
    site.collector_config.write_text(_collector(site), encoding="utf-8")
    site.catalog.write_text(_catalog(site, interfaces), encoding="utf-8")
    return written


def _broker(site: Site, user: str) -> str:
    return (
        f'[broker]\nhost = "127.0.0.1"\nport = {site.broker_port}\ntls = false\n'
        f'username = "{user}"\npassword_file = "{site.folder / user / "password"}"\n'
    )


def _agent(site: Site, gateway: str, meters: list[Meter]) -> str:
    folder = site.folder / gateway
    # History is sealed by the hour; the live machine every half minute, so that one sees it move.
    step, count = (900, 4) if meters else (5, 6)
    head = (
        f'gateway = "{gateway}"\nkey_file = "{site.gateway_key(gateway)}"\n'
        f'receipt_key_files = ["{site.receipt_public}"]\nspool_path = "{folder / "spool.db"}"\n'
        f"step_seconds = {step}\ninterval_count = {count}\ncommit_seconds = 10\n"
        # A container's kernel calls its clock unsynchronised; here the host keeps the time.
        f'wall_clock = "trusted"\n'
        f"drain_delay_seconds = 1\nreconnect_seconds_max = 5\n\n{_broker(site, gateway)}\n"
    )
    return head + (_replay(folder, meters) if meters else _live())


def _replay(folder: Path, meters: list[Meter]) -> str:
    channels = "".join(
        f'[[sources.channels]]\ndevice = "{meter.device}"\nmeter = "{meter.meter}"\n'
        f'unit = "{UNITS[meter.meter]}"\nrate_max = {RATES[meter.meter]}\n\n'
        for meter in meters
    )
    return f'[[sources]]\ntype = "replay"\npath = "{folder / "readings.csv"}"\n\n{channels}'


def _live() -> str:
    # The kernel counts jiffies of 1/100 s over all processors: user, nice, system, irq, softirq, steal.
    sums = '/^cpu /{printf \\"%.2f\\", ($2+$3+$4+$7+$8+$9)/100}'
    return (
        '[[sources]]\ntype = "netdev"\npoll_seconds = 1.0\n\n'
        '[[sources]]\ntype = "exec"\nname = "cpu"\npoll_seconds = 2.0\ndevice = "processor"\nmeter = "cpu"\n'
        f'unit = "s"\nexponent = -2\nrate_max = 100000\ncommand = ["awk", "{sums}", "/proc/stat"]\n'
    )


def _collector(site: Site) -> str:
    return (
        f'store_path = "{site.folder / "collector.db"}"\nkey_file = "{site.receipt_key}"\n'
        f'archive_path = "{site.folder / "issued"}"\ntick_seconds = 2\n\n'
        f"{_broker(site, '_collector')}\n"
        f'[web]\nhost = "127.0.0.1"\nport = {site.web_port}\n'
    )


def _catalog(site: Site, interfaces: list[str]) -> str:
    text = resources.files("demo").joinpath("catalog.toml").read_text(encoding="utf-8")
    head, _, body = text.partition("\n")
    assert head.startswith("#"), "the first line says what is filled in"
    devices = ", ".join(f'"{LIVE}/{name}"' for name in [*interfaces, "processor"])
    return (
        body.replace("{last_month}", month_before(site.now).date().isoformat())
        .replace("{today}", site.now.astimezone(ZONE).date().isoformat())
        .replace("{live_devices}", devices)
    )
