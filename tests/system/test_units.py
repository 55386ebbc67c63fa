"""The units in config/systemd/: systemd itself reads them, and says how much they lock in."""

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest

from tests.processes import ROOT
from tests.requirements import require

UNITS: Final = ROOT / "config" / "systemd"
NAMES: Final = ("edge-agent", "cloud-collector")
EXPOSURE_MAX: Final = 20
"""Tenths: `systemd-analyze security` calls 2.0 and less OK."""


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [require("systemd-analyze"), *map(str, arguments)], capture_output=True, text=True, check=False
    )


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A root with systemd's own units, ours, and the commands that they start."""
    require("systemd-analyze")
    shutil.copytree("/usr/lib/systemd/system", tmp_path / "usr/lib/systemd/system", symlinks=True)
    for name in NAMES:
        program = tmp_path / "usr/bin" / name
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text("#!/bin/sh\n", encoding="ascii")
        program.chmod(0o755)
    return tmp_path


def install(machine: Path, name: str, *, text: str = "", drop_ins: Sequence[Path] = ()) -> Path:
    folder = machine / "etc/systemd/system"
    folder.mkdir(parents=True, exist_ok=True)
    unit = folder / f"{name}.service"
    unit.write_text(text or (UNITS / unit.name).read_text(encoding="utf-8"), encoding="utf-8")
    for drop_in in drop_ins:
        target = folder / f"{name}.service.d" / drop_in.name.removesuffix(".example")
        target.parent.mkdir(exist_ok=True)
        shutil.copy(drop_in, target)
    return unit


def verified(machine: Path, name: str) -> str:
    done = analyze("verify", "--recursive-errors=no", f"--root={machine}", f"{name}.service")
    return done.stderr + ("" if done.returncode == 0 else f"exit {done.returncode}")


@pytest.mark.parametrize("name", NAMES)
def test_systemd_finds_nothing_wrong_with_a_unit(machine: Path, name: str) -> None:
    install(machine, name)
    assert verified(machine, name) == ""


def test_systemd_would_say_what_is_wrong(machine: Path) -> None:
    text = (UNITS / "edge-agent.service").read_text(encoding="utf-8")
    install(machine, "edge-agent", text=text.replace("WatchdogSec", "WatchdogSecs"))
    assert "WatchdogSecs" in verified(machine, "edge-agent")


@pytest.mark.parametrize("drop_in", sorted((UNITS / "edge-agent.service.d").iterdir()), ids=lambda path: path.name)
def test_systemd_finds_nothing_wrong_with_a_drop_in(machine: Path, drop_in: Path) -> None:
    version = int(re.findall(r"\d+", analyze("--version").stdout)[0])
    install(machine, "edge-agent", drop_ins=[drop_in])
    unknown = verified(machine, "edge-agent")
    if "254" in drop_in.read_text(encoding="utf-8") and version < 254:
        assert re.findall(r"Unknown key '(\w+)'", unknown) == ["RestartSteps", "RestartMaxDelaySec"]
        assert unknown.count("ignoring") == 2, "older systemd says so and goes on"
    else:
        assert unknown == ""


@pytest.mark.parametrize("name", NAMES)
def test_a_unit_locks_its_program_in(machine: Path, name: str) -> None:
    unit = install(machine, name)
    done = analyze("security", "--offline=yes", f"--threshold={EXPOSURE_MAX}", unit)
    assert done.returncode == 0, done.stdout[-300:]


@pytest.mark.parametrize("name", NAMES)
def test_a_unit_lets_the_kernel_be_asked_for_the_clock(name: str) -> None:
    """P13: `ProtectClock` forbids adjtimex(2) even to ask, and then an unsynchronised clock would be believed."""
    text = (UNITS / f"{name}.service").read_text(encoding="utf-8")
    settings = [line for line in text.splitlines() if not line.startswith("#")]
    assert not any(line.startswith("ProtectClock") for line in settings)
    filters = [line.removeprefix("SystemCallFilter=") for line in settings if line.startswith("SystemCallFilter=")]
    assert "~@privileged" in filters[-2], "which forbids it too"
    assert filters[-1].split() == ["adjtimex", "clock_adjtime", "clock_adjtime64"], "so it is allowed after that"
    assert "RestartPreventExitStatus=2" in settings


def test_systemd_finds_nothing_wrong_with_the_backups_service_and_timer(machine: Path) -> None:
    unit = install(machine, "cloud-collector-backup")
    shutil.copy(UNITS / "cloud-collector-backup.timer", unit.parent)
    assert verified(machine, "cloud-collector-backup") == ""
    assert analyze("verify", f"--root={machine}", "cloud-collector-backup.timer").stderr == ""
