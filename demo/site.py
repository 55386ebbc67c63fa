"""The demo's files: keys, passwords, configurations, catalog, readings; everything under one folder."""

import random
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Final

from demo.broker import write_passwords
from demo.people import Calendar, gateways
from demo.readings import HOUR, ZONE, Course, Meter, write
from shared.key import SigningKey

LIVE: Final = "this-machine"
HISTORY_STEP: Final = HOUR
HISTORY_COUNT: Final = 6
"""Times past are sealed in windows of six hours, the last hours in windows of one."""
LIVE_STEP: Final = 60
WATCHED_DAYS: Final = frozenset({4, 8, 13, 18, 23, 28})
AHEAD_SECONDS: Final = 24 * HOUR
"""So far on the meters that do not exist are read after the demo has begun."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where everything of the demo lies, on which ports it listens, and when it is."""

    folder: Path
    seed: str
    now: int
    broker_port: int = 1883
    web_port: int = 8080

    @property
    def calendar(self) -> Calendar:
        """The days that matter."""
        return Calendar.of(self.now)

    @property
    def collector_config(self) -> Path:
        """The collector's configuration."""
        return self.folder / "collector.toml"

    @property
    def store(self) -> Path:
        """The collector's database."""
        return self.folder / "collector.db"

    @property
    def catalog_file(self) -> Path:
        """What the customers have agreed to."""
        return self.folder / "catalog.toml"

    @property
    def issued(self) -> Path:
        """The folder of issued invoices."""
        return self.folder / "issued"

    @property
    def passwords(self) -> Path:
        """The broker's password file."""
        return self.folder / "passwords"

    @property
    def receipt_key(self) -> Path:
        """The operator's private key."""
        return self.folder / "receipt.key"

    @property
    def receipt_public(self) -> Path:
        """The operator's public key."""
        return self.folder / "receipt.pub"

    def gateway_config(self, gateway: str) -> Path:
        """A gateway's configuration."""
        return self.folder / gateway / "agent.toml"

    def gateway_key(self, gateway: str) -> Path:
        """A gateway's private key."""
        return self.folder / gateway / "gateway.key"

    def gateways(self) -> dict[str, tuple[Meter, ...]]:
        """Each gateway and the meters that are replayed on it; the live one has none."""
        return {**gateways(self.calendar, self.seed), LIVE: ()}

    def key(self, name: str) -> SigningKey:
        """The same key for the same seed: a demo's keys keep nothing secret."""
        return SigningKey(random.Random(f"{self.seed}/key/{name}").randbytes(32))

    def begins(self, gateway: str) -> int:
        """When the gateway's first reading is."""
        by_contract = {"elm-street-5": self.calendar.oldest}
        first = by_contract.get(gateway, self.calendar.before)
        return int(datetime(first.year, first.month, first.day, tzinfo=ZONE).timestamp())

    def watched(self, at: int) -> bool:
        """Whether the story looks at thresholds on this day; a running collector looks every hour."""
        day = datetime.fromtimestamp(at, ZONE).date()
        this = self.calendar.this
        return (day >= this and day.day in WATCHED_DAYS) or (day.replace(day=1) == self.calendar.last and day.day == 20)

    @property
    def handover(self) -> int:
        """When the past ends: a full hour, and at least ten minutes ago."""
        return (self.now - 600) // HOUR * HOUR


def prepare(site: Site, interfaces: Sequence[str]) -> int:
    """Write everything; returns how many readings were written."""
    users = {name: secrets.token_urlsafe(24) for name in [*site.gateways(), "_collector"]}
    for name, password in users.items():
        folder = site.folder / name
        folder.mkdir(parents=True)
        _private(folder / "password", password)
    _write_keys(site)
    written = 0
    for gateway, meters in site.gateways().items():
        course = Course(start=site.begins(gateway), fine=site.handover, end=site.now + AHEAD_SECONDS)
        for log, members in by_log(meters).items():
            written += write(readings_file(site, gateway, log), members, course, site.seed)
        site.gateway_config(gateway).write_text(_agent(site, gateway, meters), encoding="utf-8")
    site.collector_config.write_text(_collector(site), encoding="utf-8")
    site.catalog_file.write_text(catalog(site, interfaces), encoding="utf-8")
    write_passwords(site.passwords, users)
    return written


def readings_file(site: Site, gateway: str, log: str) -> Path:
    """Where the readings of a log's meters stand."""
    return site.folder / gateway / f"{log}.csv"


def by_log(meters: Sequence[Meter]) -> Mapping[str, list[Meter]]:
    """The meters of each log."""
    found: dict[str, list[Meter]] = {}
    for meter in meters:
        found.setdefault(meter.log, []).append(meter)
    return found


def catalog(site: Site, interfaces: Sequence[str]) -> str:
    """What is agreed, with the dates of this story."""
    text = resources.files("demo").joinpath("catalog.toml").read_text(encoding="utf-8")
    head, _, body = text.partition("\n")
    assert head.startswith("#"), "the first line says what is filled in"
    days = site.calendar
    filled = {
        "oldest": days.oldest.isoformat(),
        "before": days.before.isoformat(),
        "this": days.this.isoformat(),
        "today": datetime.fromtimestamp(site.now, ZONE).date().isoformat(),
        "live_devices": ", ".join(f'"{LIVE}/{name}"' for name in [*interfaces, "processor"]),
    }
    for name, value in filled.items():
        body = body.replace(f"{{{name}}}", value)
    return body


def _write_keys(site: Site) -> None:
    receipt = site.key("receipt")
    _private(site.receipt_key, receipt.pem)
    site.receipt_public.write_text(receipt.public.pem, encoding="ascii")
    for gateway in site.gateways():
        _private(site.gateway_key(gateway), site.key(gateway).pem)


def _private(file: Path, text: str) -> None:
    file.touch(mode=0o600)
    file.write_text(text, encoding="ascii")


def _broker(site: Site, user: str) -> str:
    return (
        f'[broker]\nhost = "127.0.0.1"\nport = {site.broker_port}\ntls = false\n'
        f'username = "{user}"\npassword_file = "{site.folder / user / "password"}"\n'
    )


def _agent(site: Site, gateway: str, meters: Sequence[Meter]) -> str:
    folder = site.folder / gateway
    # Meters of the story are sealed by the minute now, the live machine twice a minute, so that one sees it move.
    step, count = (LIVE_STEP, 1) if meters else (5, 6)
    head = (
        f'gateway = "{gateway}"\nkey_file = "{site.gateway_key(gateway)}"\n'
        f'receipt_key_files = ["{site.receipt_public}"]\nspool_path = "{folder / "spool.db"}"\n'
        f"step_seconds = {step}\ninterval_count = {count}\ncommit_seconds = 10\n"
        # A container's kernel calls its clock unsynchronised; here the host keeps the time.
        f'wall_clock = "trusted"\n'
        f"drain_delay_seconds = 1\nreconnect_seconds_max = 5\n\n{_broker(site, gateway)}\n"
    )
    replays = [_replay(site, gateway, log, members) for log, members in by_log(meters).items()]
    return head + ("\n".join(replays) or _live())


def _replay(site: Site, gateway: str, log: str, meters: Sequence[Meter]) -> str:
    channels = "".join(
        f'[[sources.channels]]\ndevice = "{meter.device}"\nmeter = "{meter.meter}"\n'
        f'unit = "{meter.unit}"\nrate_max = {meter.rate_max}\n\n'
        for meter in meters
    )
    path = readings_file(site, gateway, log)
    return f'[[sources]]\ntype = "replay"\nname = "{log}"\nlog = "{log}"\npath = "{path}"\nfollow = true\n\n{channels}'


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
        f'store_path = "{site.store}"\nkey_file = "{site.receipt_key}"\n'
        f'archive_path = "{site.issued}"\ntick_seconds = 2\n\n'
        f"{_broker(site, '_collector')}\n"
        f'[web]\nhost = "127.0.0.1"\nport = {site.web_port}\n'
    )
