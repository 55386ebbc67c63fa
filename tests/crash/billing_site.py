"""A collector's folder with contracts that are due, and the real command in processes that die at a named moment.

The command is the product's own; handed in are a clock that stands still, so that the time of issue is one, how many
periods make a transaction, and at which commit the process ends by SIGKILL.
"""

import contextlib
import os
import random
import shutil
import signal
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

from cloud_collector.billing.revisions import apply
from cloud_collector.billing.run import Biller
from cloud_collector.cli.main import main as collector_command
from cloud_collector.contracts.read import load_catalog
from cloud_collector.fleet.gateways import add_gateway
from cloud_collector.intake.intake import Intake
from cloud_collector.settings import CollectorSettings
from cloud_collector.store.store import Store
from shared.effects.clock import SystemClock
from shared.effects.database import Parameters, Row
from shared.effects.sqlite import SqliteDatabase
from shared.key import SigningKey
from shared.report import Birth, Cause, Channel, Usage, UsageRow
from shared.topic import Leaf, topic_of
from tests.unit.billing_samples import OCTOBER, RECEIPT_KEY, Gateway

DAY: Final = 86_400
NOW: Final = OCTOBER + 64 * DAY
"""October and November are over, and what was waited for has come."""
STEP: Final = 21_600
COUNT: Final = 28
"""Seven days a line."""
CONTRACTS_A_GATEWAY: Final = 10
CONFIG: Final = 'store_path = "collector.db"\nkey_file = "receipt.key"\n[broker]\nhost = "127.0.0.1"\n'
HEAD: Final = """
[operator]
name = "Northwind Metering Oy"
currency = "EUR"
timezone = "Europe/Helsinki"
country = "FI"
address = ["Esimerkkikatu 1"]
vat_id = "FI12345678"
[meters.energy]
unit = "kWh"
aggregate = "sum"
"""
PLAN: Final = """
[plans.{name}]
cycle = "month"
settle = "1h"
{more}
[[plans.{name}.charges]]
name = "Seat"
type = "subscription"
price = 9.99
{seat}
[[plans.{name}.charges]]
name = "Energy"
type = "usage"
meter = "energy"
per = "device"
model = "graduated"
tiers = [{{ up_to = 30, price = 0.333 }}, {{ price = 0.25 }}]
{pool}
{commitment}
[[plans.{name}.taxes]]
name = "VAT"
percent = 25.5
category = "S"
"""
FIRST_USE: Final = '[plans.{0}.activation]\nrule = "first_use"\nany = [{{ meter = "energy", at_least = 40 }}]'
PLANS: Final = {
    "plain": PLAN.format(name="plain", more="", seat="", pool="", commitment=""),
    "pooled": PLAN.format(name="pooled", more="", seat="", pool='pool = "contract"\nincluded = 20', commitment=""),
    "ahead": PLAN.format(name="ahead", more="", seat='due = "advance"', pool="", commitment=""),
    "waits": PLAN.format(name="waits", more=FIRST_USE.format("waits"), seat="", pool="", commitment=""),
    "least": PLAN.format(
        name="least", more="", seat="", pool="", commitment="[plans.least.commitment]\namount = 90\ntrue_up = 'period'"
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fuse:
    """The process ends by SIGKILL at this commit of its own after the one that enters its command in the audit log."""

    commit: int
    before: bool


def make(folder: Path, contracts: int, seed: int) -> None:
    """A store in which two months of every contract are due, and what the command needs beside it."""
    folder.mkdir(parents=True)
    (folder / "collector.toml").write_text(CONFIG, encoding="ascii")
    (folder / "receipt.key").write_text(RECEIPT_KEY.pem, encoding="ascii")
    store = Store(SqliteDatabase(folder / "collector.db"))
    catalog = HEAD + "".join(PLANS.values()) + "".join(_contract(number) for number in range(contracts))
    apply(store, load_catalog(catalog), now_ms=(OCTOBER - DAY) * 1000)
    intake = Intake(store, CollectorSettings(), RECEIPT_KEY)
    for first in range(0, contracts, CONTRACTS_A_GATEWAY):
        name = f"gw-{first // CONTRACTS_A_GATEWAY}"
        draw = random.Random(f"{seed} {name}")
        key = SigningKey(draw.randbytes(32))
        add_gateway(store, name, key.public, NOW * 1000)
        topic = topic_of(name, Leaf.REPORT)
        raws = [(topic, line) for line in _lines(name, key, draw, min(CONTRACTS_A_GATEWAY, contracts - first))]
        intake.commit(intake.open(raws, intake.keys_for([topic])), (NOW - DAY) * 1000)
    store.close()


def _contract(number: int) -> str:
    gateway, place = divmod(number, CONTRACTS_A_GATEWAY)
    account = f'[accounts.a{number:04}]\nname = "Customer {number}"\ncountry = "FI"\n'
    plan = list(PLANS)[number % len(PLANS)]
    devices = f'devices = ["gw-{gateway}/d{place}a", "gw-{gateway}/d{place}b"]'
    return (
        f'{account}[contracts.c{number:04}]\naccount = "a{number:04}"\nplan = "{plan}"\nstart = 2026-10-01\n{devices}\n'
    )


def _lines(name: str, key: SigningKey, draw: random.Random, contracts: int) -> list[bytes]:
    gateway = Gateway(name=name, key=key)
    registers = {f"d{place}{which}": draw.randrange(10**6) for place in range(contracts) for which in "ab"}
    gateway._seal(
        Birth(
            header=gateway._header(OCTOBER - 3_600),
            agent="meterseal 0.1.0",
            config="t5YG-zr-pb0WCe1AtiIULxyYElq8_omnamYbDo40ORA",
            cause=Cause.START,
            previous=None,
            channels=tuple(
                Channel(device, "energy", "Wh", 0, "modbus", f"SN-{device}", register, register)
                for device, register in registers.items()
            ),
        )
    )
    for start in range(OCTOBER, NOW - DAY, STEP * COUNT):
        rows = []
        for device, register in registers.items():
            deltas = tuple(draw.choice((0, 7, 400, 1_999)) for _ in range(COUNT))
            rows.append(UsageRow(device, "energy", "Wh", 0, register, deltas, {}))
            registers[device] = register + sum(deltas)
        header = gateway._header(start + STEP * COUNT)
        gateway._seal(Usage(header=header, start=start, step=STEP, count=COUNT, rows=tuple(rows)))
    return gateway.lines


def copy(pristine: Path, folder: Path) -> Path:
    """The same folder once more."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(pristine, folder)
    return folder


def begin(
    folder: Path, words: Sequence[str], *, together: int, fuse: Fuse | None = None, tell: Path | None = None
) -> int:
    """Begin the command in a process of its own; returns its id. `tell` is written when it first commits a result."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        with (folder / "said.log").open("a", encoding="utf-8") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
            code = _command(folder, words, together=together, fuse=fuse, tell=tell)
    finally:
        os._exit(code)


def ended(child: int) -> int:
    """How a process ended: its exit code, or less than zero by a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _command(folder: Path, words: Sequence[str], *, together: int, fuse: Fuse | None, tell: Path | None) -> int:
    arguments = ["cloud-collector", "--config", str(folder / "collector.toml"), *words]
    with (
        patch.object(sys, "argv", arguments),
        patch.object(SystemClock, "utc_ms", lambda _: NOW * 1000),
        patch("cloud_collector.cli.billing.Biller", partial(Biller, together=together)),
        _armed(fuse, tell),
    ):
        try:
            collector_command()
        except SystemExit as exit_:
            sys.stdout.flush()
            return exit_.code if isinstance(exit_.code, int) else 1
    return 0


@contextlib.contextmanager
def _armed(fuse: Fuse | None, tell: Path | None) -> Iterator[None]:
    execute = SqliteDatabase.execute
    # Before a command does anything, it is entered in the audit log: who always died there would never get further.
    commits = -1

    def counted(self: SqliteDatabase, sql: str, parameters: Parameters = ()) -> list[Row]:
        nonlocal commits
        if sql != "commit":
            return execute(self, sql, parameters)
        commits += 1
        if fuse is not None and fuse.before and commits == fuse.commit:
            os.kill(os.getpid(), signal.SIGKILL)
        found = execute(self, sql, parameters)
        if commits == 1 and tell is not None:
            tell.touch()
        if fuse is not None and commits == fuse.commit:
            os.kill(os.getpid(), signal.SIGKILL)
        return found

    with patch.object(SqliteDatabase, "execute", counted):
        yield


def books(folder: Path) -> dict[str, list[Any]]:
    """Everything that billing has made: what the store holds of it, and every finished file in the folder."""
    database = sqlite3.connect(folder / "collector.db")
    asked = {
        "invoices": "select number, line, hash, inputs, total from invoice order by id",
        "series": "select series, last from invoice_series order by series",
        "periods": "select contract, period_start, period_end, closed_at, invoice, plans_revision from period_closed"
        " order by contract, period_start",
        "bookings": "select invoice, place, contract, period_start, charge, line from booking order by invoice, place",
        "starts": "select invoice, device, at, rule, why from activation_used order by invoice, device",
        "archived": "select invoice from invoice_archived order by invoice",
        "parked": "select contract, reason from parked order by contract",
    }
    found: dict[str, list[Any]] = {name: database.execute(sql).fetchall() for name, sql in asked.items()}
    database.close()
    # What begins with a point is what a killed process had not finished writing: no name of an invoice.
    files = sorted(path for path in (folder / "invoices").rglob("[!.]*") if path.is_file())
    found["files"] = [(path.relative_to(folder).as_posix(), path.read_bytes()) for path in files]
    return found


def ordinals(folder: Path) -> list[int]:
    """The numbers of the first series as they were given out."""
    return sorted(int(row[0].rpartition("-")[2]) for row in books(folder)["invoices"] if "CN-" not in row[0])
