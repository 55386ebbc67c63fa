"""`make demo ONCE=1`: from an empty folder to verified invoices, every row over MQTT."""

import io
import json
import sqlite3
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.requirements import require
from tests.system.conformance.bundle import recheck
from tests.system.conformance.lines import NotConforming

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


@pytest.mark.parametrize("number", [1, 2])
def test_a_strangers_code_comes_to_the_same_totals(demo: tuple[Path, str], number: int) -> None:
    """P12: written from the wire's description alone, without a line of ours."""
    folder, said = demo
    bundle = (folder / f"DEMO-{number}.zip").read_bytes()
    found = recheck(bundle)
    assert found.invoice["total"] in said
    assert found.lines > 700
    assert found.units > 0
    line = bundle.index(b'"kind":"usage"')
    with pytest.raises(NotConforming, match="signature"):
        recheck(rewritten(bundle, line + 200))


def test_openssl_verifies_a_line_with_the_key_in_the_bundle(demo: tuple[Path, str], tmp_path: Path) -> None:
    """The wire's section 1: `cut`, `base64` and `openssl` are enough."""
    openssl = require("openssl")
    with zipfile.ZipFile(demo[0] / "DEMO-1.zip") as bundle:
        keys = json.loads(bundle.read("keys.json"))["gateways"]
        (name,) = (name for name in bundle.namelist() if name.startswith("lines/"))
        (tmp_path / "line").write_bytes(bundle.read(name).split(b"\n")[3])
    (tmp_path / "key.pem").write_text(keys[0]["pem"], encoding="ascii")
    script = f"""
        cut -d'|' -f1,2 line | tr -d '\\n' > signed
        (cut -d'|' -f3 line | tr -d '\\n' | tr -- '-_' '+/'; echo '==') | base64 -d > signature
        {openssl} pkeyutl -verify -pubin -inkey key.pem -rawin -in signed -sigfile signature
    """
    done = subprocess.run(["sh", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "Signature Verified Successfully"), done.stderr


def rewritten(bundle: bytes, at: int) -> bytes:
    """The bundle with one digit changed, and its zip sound again."""
    changed = bytearray(bundle)
    while not chr(changed[at]).isdigit():
        at += 1
    changed[at] ^= 1
    with zipfile.ZipFile(io.BytesIO(bundle)) as old:
        sizes = {each.filename: (each.header_offset, each.file_size) for each in old.infolist()}
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as new:
            for name, (offset, size) in sizes.items():
                body = offset + 30 + int.from_bytes(changed[offset + 26 : offset + 28], "little")
                body += int.from_bytes(changed[offset + 28 : offset + 30], "little")
                new.writestr(name, bytes(changed[body : body + size]))
    return out.getvalue()
