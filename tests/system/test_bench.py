"""`make bench` runs: every room measures and prints its rows."""

import json
import subprocess
import sys

import pytest

from tests.processes import ROOT
from tests.requirements import require

pytestmark = [pytest.mark.system, pytest.mark.deep]
ROOMS = {
    "intake": ("live: lines", "live ÷ line floor", "live ÷ channel floor", "backlog ÷ live"),
    "fresh": ("published → cost visible, p99", "published → cost on the event stream, p99"),
    "wire": ("payload an interval reading, energy meters", "network, mixed site, lines and receipts"),
    "agent": (
        "resident memory, Modbus",
        "processor, Modbus",
        "start to first reading",
        "resident memory",
        "processor",
        "written a day, commit_seconds = 300",
    ),
    "offline": ("spool", "units that the account is off", "drained in"),
    "billing": ("issued invoices a second of a core",),
    "receipts": ("published → receipt, p99",),
    "several": ("two ÷ one, CPU a line",),
    "connected": ("connected at once",),
    "steady": ("memory grown",),
    "large": ("large ÷ empty, by CPU",),
    "documents": ("PDF/A-3 with EN 16931 a second of a core",),
    "pages": ("slowest page",),
}


def test_a_quick_bench_prints_every_row() -> None:
    require("mosquitto")
    require("postgres")
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench", "--quick", "--json"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
        timeout=400,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    figures = {(row["room"], row["name"]): row for row in json.loads(done.stdout)}
    for room, names in ROOMS.items():
        for name in names:
            row = figures[room, name]
            assert row["value"] >= 0 or name == "memory grown"
            assert row["met"] in (True, False), row
    assert figures["agent", "resident memory"]["value"] > 5
    assert figures["intake", "live: lines"]["value"] > 0
