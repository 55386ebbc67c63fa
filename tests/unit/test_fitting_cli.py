"""`edge-agent commission` and `exchange` as the person at the meter meets them (P4)."""

import json
import os
import pty
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from shared.key import SigningKey
from tests.processes import ROOT, Process, command, free_port, wait_until

AGENT = command("edge-agent")


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A gateway with one meter, whose display is a file."""
    (tmp_path / "gw.key").write_text(SigningKey(b"\1" * 32).pem, encoding="ascii")
    (tmp_path / "receipt.pem").write_text(SigningKey(b"\2" * 32).public.pem, encoding="ascii")
    (tmp_path / "agent.toml").write_text(
        f"""gateway = "gw-1"
key_file = "gw.key"
receipt_key_files = ["receipt.pem"]
spool_path = "spool.db"
step_seconds = 1
interval_count = 2
commit_seconds = 1
[broker]
host = "127.0.0.1"
port = {free_port()}
tls = false
[[sources]]
type = "exec"
poll_seconds = 0.2
device = "main"
meter = "energy"
unit = "W.h"
command = ["cat", "{tmp_path}/display"]
rate_max = 1000
""",
        encoding="utf-8",
    )
    (tmp_path / "display").write_text("12345640\n", encoding="ascii")
    return tmp_path


@pytest.fixture
def agent(site: Path) -> Iterator[Process]:
    """A running agent that has metered."""
    process = Process("agent", [*AGENT, "run", "--config", str(site / "agent.toml")], site / "agent.log")
    process.start()
    wait_until(lambda: (site / "spool.db.sock").exists() or not process.alive(), 60, "the door is open")
    wait_until(lambda: register(site) == 12_345_640, 20, "the meter was read")
    yield process
    if process.alive():
        process.kill()


def run(site: Path, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [*AGENT, *arguments, "--config", str(site / "agent.toml")],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done


def status(site: Path) -> Any:
    return json.loads(run(site, "status", "--json").stdout)


def register(site: Path) -> int | None:
    """The meter's lifetime register as the running agent has it."""
    found = next(row for row in status(site)["channels"] if row[0] == "main")
    return None if found[5] is None else int(found[5])


def spoken(
    site: Path, *arguments: str, answers: list[tuple[str, str]], before: Callable[[str], None] = lambda _: None
) -> tuple[int, str]:
    """A command in a terminal, its questions answered one after another; its exit code and what the screen showed."""
    child, screen = pty.fork()
    if child == 0:
        os.environ["NO_COLOR"] = "1"
        os.chdir(ROOT)
        os.execvp(AGENT[0], [*AGENT, *arguments, "--config", str(site / "agent.toml")])
    shown, heard, ends = "", 0, time.monotonic() + 50
    while time.monotonic() < ends:
        try:
            shown += os.read(screen, 4_096).decode()
        except OSError:
            break
        if answers and answers[0][0] in shown[heard:]:
            question, answer = answers.pop(0)
            before(question)
            heard = len(shown)
            os.write(screen, f"{answer}\n".encode())
    os.close(screen)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), shown


@pytest.mark.usefixtures("agent")
def test_a_display_that_agrees_is_stated_by_a_birth_and_shown_by_status(site: Path) -> None:
    code, shown = spoken(site, "commission", "main.energy", answers=[("is that so?", "y")])
    assert code == 0, shown
    assert "display shows 12 345.6 kWh" in shown
    kept = status(site)["commissioned"]["main.energy"]
    assert kept["display"] == "12 345.6 kWh"
    assert kept["raw"] == 12_345_640
    assert "display of main.energy compared" in run(site, "status").stdout
    said = json.loads(run(site, "commission", "main.energy", "--display", "12345,6", "--json").stdout)["rows"][0]
    assert said["outcome"] == "confirmed"
    assert said["seq"] > kept["seq"]


@pytest.mark.usefixtures("agent")
@pytest.mark.deep
def test_a_display_that_differs_is_not_sealed_and_the_reason_is_guessed_aloud(site: Path) -> None:
    done = run(site, "commission", "main.energy", "--display", "12.3", code=1)
    assert "1/1000 of what is read" in done.stderr
    assert status(site)["commissioned"] == {}
    assert "there is no channel" in run(site, "commission", "other.energy", "--display", "1", code=3).stderr


@pytest.mark.usefixtures("agent")
def test_a_meter_is_exchanged_in_a_terminal_and_the_register_goes_on_exactly(site: Path) -> None:
    """P1: what the old display adds, and what the new one shows more than at first."""
    run(site, "commission", "main.energy", "--display", "12345.6")

    def connect(question: str) -> None:
        if "connected" in question:
            (site / "display").write_text("300\n", encoding="ascii")
            time.sleep(1.0)

    answers = [
        ("[number, or unknown]", "4"),
        ("less than what is read now", "n"),
        ("[number, or unknown]", "12345.9"),
        ("Enter when it is connected", ""),
        ("serial number?", "s-2"),
        ("What does its display show?", "0.3"),
        ("Seal this?", "y"),
    ]
    code, shown = spoken(site, "exchange", "main.energy", answers=answers, before=connect)
    assert code == 0, shown
    assert register(site) == 12_345_900
    (site / "display").write_text("320\n", encoding="ascii")
    wait_until(lambda: register(site) == 12_345_920, 20, "the new meter is metered")
    assert status(site)["commissioned"] == {}, "what was compared was the other one"


@pytest.mark.deep
def test_an_exchange_is_sealed_on_the_spool_of_an_agent_that_does_not_run(site: Path, agent: Process) -> None:
    agent.stop()
    (site / "display").write_text("5\n", encoding="ascii")
    arguments = ("--old-display", "12345.7", "--new-serial", "s-2", "--new-display", "0.0", "--yes")
    found = json.loads(run(site, "exchange", "main.energy", *arguments, "--json").stdout)
    assert found["old_display"] == 12_345_700
    agent.start()
    wait_until((site / "spool.db.sock").exists, 60, "the door is open")
    wait_until(lambda: register(site) == 12_345_705, 20, "the new meter is metered")


@pytest.mark.usefixtures("agent")
def test_what_cannot_be_is_refused_and_nobody_is_asked_without_a_terminal(site: Path) -> None:
    impossible = ("--old-display", "90000", "--new-serial", "s-2", "--new-display", "0", "--yes")
    assert "cannot have counted" in run(site, "exchange", "main.energy", *impossible, code=4).stderr
    assert "no terminal to ask on" in run(site, "exchange", "main.energy", code=2).stderr
    (site / "display").write_text("12345650\n", encoding="ascii")
    wait_until(lambda: register(site) == 12_345_650, 20, "the channel is metered again")


def test_without_a_spool_there_is_nothing_to_exchange(site: Path) -> None:
    arguments = ("--old-display", "1", "--new-serial", "s", "--new-display", "1", "--yes")
    assert "no agent has run" in run(site, "exchange", "main.energy", *arguments, code=3).stderr
