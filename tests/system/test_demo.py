"""`make demo ONCE=1`: from an empty folder to verified invoices, every row over MQTT."""

import json
import sqlite3
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.requirements import require

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The demo's folder and what it printed."""
    require("amqtt")
    folder = tmp_path_factory.mktemp("demo") / "data"
    done = subprocess.run(
        [sys.executable, "-m", "demo", "--once", "--seed", "5", "--folder", str(folder)],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder, done.stdout


def test_last_months_invoices_are_issued_and_verified(demo: tuple[Path, str]) -> None:
    folder, said = demo
    assert said.count("VERIFIED") == 2
    assert sorted(path.name for path in folder.glob("DEMO-*.zip")) == ["DEMO-1.zip", "DEMO-2.zip"]


def test_one_device_starts_by_first_use_in_mid_month_and_one_by_grace(demo: tuple[Path, str]) -> None:
    """P18: the invoice names the rule and the report."""
    folder, _ = demo
    with zipfile.ZipFile(folder / "DEMO-1.zip") as bundle:
        text = bundle.read("invoice.ms").decode("ascii")
    body = json.loads(text[4 : text.rindex("|")])
    causes = {each["device"]: each["rule"] for each in body["activations"]}
    assert causes == {
        "harbour-garage/charger-1": "first_use",
        "harbour-garage/charger-2": "first_use",
        "harbour-garage/charger-3": "grace",
    }


def test_no_row_enters_the_store_but_through_mqtt(demo: tuple[Path, str]) -> None:
    """Every usage row lies in a line that a gateway has signed, and every line was received from the broker."""
    folder, _ = demo
    database = sqlite3.connect(f"file:{folder / 'collector.db'}?mode=ro", uri=True)
    lines, rows = (
        database.execute(sql).fetchone()[0]
        for sql in ("select count(*) from line", "select count(*) from span where kind = 4")
    )
    carried = sum(
        len(json.loads(bytes(raw)[4:-87])["rows"])
        for (raw,) in database.execute("select raw from line where kind = 'usage'")
    )
    database.close()
    assert rows == carried > 0
    log = (folder / "logs" / "collector.log").read_text(encoding="utf-8")
    taken = [row for row in log.splitlines() if "event=collector_stopped" in row]
    assert taken, log[-500:]
    assert f"accepted={lines}" in taken[-1], taken[-1]
