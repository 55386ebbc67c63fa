"""`make demo ONCE=1`: from an empty folder to verified invoices, and real processes that go on where the past ends."""

import io
import json
import sqlite3
import subprocess
import sys
import zipfile
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from demo.readings import ZONE
from tests.requirements import require
from tests.system.conformance.bundle import recheck
from tests.system.conformance.lines import NotConforming

pytestmark = pytest.mark.system
CONTRACTS = 6
SETTLED_DAYS = 5
"""So long after a month's end a period may wait for what is late, or for a silent gateway."""


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """The demo's folder, what it printed, and what it said meanwhile."""
    require("amqtt")
    folder = tmp_path_factory.mktemp("demo") / "data"
    done = subprocess.run(
        [sys.executable, "-m", "demo", "--once", "--seed", "5", "--folder", str(folder)],
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder, done.stdout, done.stderr


def test_the_invoices_of_the_past_months_are_issued_and_verified(demo: tuple[Path, str, str]) -> None:
    folder, printed, _ = demo
    bundles = sorted(folder.glob("DEMO-*.zip"))
    # Two months; where the clocks last changed longer ago, the house has more.
    months = 2 if datetime.now(ZONE).day > SETTLED_DAYS else 1
    assert printed.count("VERIFIED") == len(bundles) >= months * CONTRACTS
    assert printed.startswith("DEMO-1  regular"), "what was asked for is on stdout, and nothing else"
    assert "NOT VERIFIED" not in printed


def test_once_it_has_ended_it_sends_nobody_to_a_server_that_is_gone(demo: tuple[Path, str, str]) -> None:
    _, printed, said = demo
    assert "http://" not in printed + said
    assert "make demo without ONCE=1" in said


def test_real_agents_go_on_from_the_past_and_the_collector_accepts_every_line(demo: tuple[Path, str, str]) -> None:
    folder, _, _ = demo
    log = (folder / "logs" / "collector.log").read_text(encoding="utf-8")
    (taken,) = [row for row in log.splitlines() if "event=collector_stopped" in row]
    counts = dict(word.split("=") for word in taken.split() if "=" in word)
    assert int(counts["accepted"]) > 0
    assert {"quarantined", "unmatched", "refused", "aside"}.isdisjoint(counts), taken
    with closing(sqlite3.connect(f"file:{folder / 'collector.db'}?mode=ro", uri=True)) as database:
        logs = database.execute("select count(distinct chain) from line").fetchone()[0]
        boots = database.execute(
            "select count(*) from (select chain from line group by chain having count(distinct boot) = 2)"
        ).fetchone()[0]
        since = database.execute(
            "select cast(l.raw as text) from line l"
            " where exists (select 1 from line e where e.chain = l.chain and e.seq < l.seq and e.boot <> l.boot)"
        ).fetchall()
    assert boots == logs - LIVE_LOGS, "every log of the past goes on with another boot of its gateway"
    # What was metered before they were started: how punctually they are served afterwards is the machine's affair.
    began = datetime.fromisoformat(log.split(" ", 1)[0]).timestamp()
    before = [body for body in (json.loads(raw.split("|")[1]) for (raw,) in since) if _until(body) <= began]
    assert {body["kind"] for body in before} == {"birth", "usage"}, "nothing was missed between past and present"
    assert not any("missing" in json.dumps(body["rows"]) for body in before if body["kind"] == "usage"), "each minute"


LIVE_LOGS = 1


def _until(body: dict[str, Any]) -> int:
    """Up to when a line speaks of usage; a birth speaks of none."""
    match body["kind"]:
        case "usage":
            return int(body["start"] + body["step"] * body["count"])
        case "gap":
            return max(int(row[3]) for row in body["rows"])
        case _:
            return 0


def test_somebodys_lie_is_named_with_its_day_and_its_money(demo: tuple[Path, str, str]) -> None:
    """P11."""
    _, _, said = demo
    assert "cloud-collector audit says" in said
    assert "is not what was signed" in said
    assert "Which bill is a lie?" in said


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_strangers_code_comes_to_the_same_totals(demo: tuple[Path, str, str], number: int) -> None:
    """P12: written from the wire's description alone, without a line of ours."""
    folder, printed, _ = demo
    bundle = (folder / f"DEMO-{number}.zip").read_bytes()
    found = recheck(bundle)
    assert found.invoice["total"] in printed
    assert found.lines > 100
    assert found.units > 0
    line = bundle.index(b'"kind":"usage"')
    with pytest.raises(NotConforming, match="signature"):
        recheck(rewritten(bundle, line + 200))


def test_openssl_verifies_a_line_with_the_key_in_the_bundle(demo: tuple[Path, str, str], tmp_path: Path) -> None:
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
