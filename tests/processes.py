"""Real processes for tests: started with their log on a pipe, watched, ended by pid."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

EVENT = re.compile(r"\bevent=([a-z0-9_.-]+)")
ROOT = Path(__file__).resolve().parents[1]


def free_port() -> int:
    """A TCP port on 127.0.0.1 that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def command(name: str) -> list[str]:
    """How this environment starts one of the project's commands."""
    modules = {
        "edge-agent": "edge_agent.cli.main",
        "cloud-collector": "cloud_collector.cli.main",
        "verify-invoice": "cloud_collector.proof.command",
    }
    return [sys.executable, "-c", f"import sys; from {modules[name]} import main; sys.exit(main())"]


def run(name: str, *arguments: object, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a command of the project to its end."""
    done = subprocess.run(
        [*command(name), *map(str, arguments)], capture_output=True, text=True, cwd=ROOT, check=False, timeout=300
    )
    if check and done.returncode:
        raise AssertionError(
            f"{name} {' '.join(map(str, arguments))}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        )
    return done


class Process:
    """A process that is started again and again; every line it writes is kept and watched."""

    def __init__(self, name: str, arguments: Sequence[str], log: Path) -> None:
        self.name, self.arguments, self.log = name, list(arguments), log
        self.events: deque[str] = deque(maxlen=64)
        """The events of the present run, newest last."""
        self.on_event: Callable[[str], None] | None = None
        self.starts = 0
        self._child: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None

    def start(self) -> None:
        """Start it, or start it again."""
        self.events.clear()
        self.starts += 1
        self._child = subprocess.Popen(
            self.arguments,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )
        self._reader = threading.Thread(target=self._read, args=(self._child,), daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """The running child's process id."""
        assert self._child is not None, "the process was never started"
        return self._child.pid

    @property
    def code(self) -> int | None:
        """How the child ended, or None while it runs."""
        return None if self._child is None else self._child.poll()

    def alive(self) -> bool:
        """Whether the child still runs."""
        return self._child is not None and self._child.poll() is None

    def kill(self) -> None:
        """SIGKILL, then wait until it is gone and its last output is read."""
        self._end(signal.SIGKILL)

    def stop(self, seconds: float = 20.0) -> int:
        """SIGTERM, then wait; returns the exit code."""
        return self._end(signal.SIGTERM, seconds)

    def _end(self, number: signal.Signals, seconds: float = 20.0) -> int:
        assert self._child is not None
        assert self._reader is not None
        if self._child.poll() is None:
            self._child.send_signal(number)
        code = self._child.wait(seconds)
        self._reader.join(5.0)
        return code

    def _read(self, child: subprocess.Popen[bytes]) -> None:
        assert child.stdout is not None
        with child.stdout, self.log.open("ab") as log:
            for raw in child.stdout:
                match = EVENT.search(raw.decode("utf-8", "replace"))
                if match is not None:
                    self.events.append(match[1])
                    if self.on_event is not None:
                        self.on_event(match[1])
                log.write(raw)


def mosquitto(folder: Path, port: int, *, extra: str = "") -> Process:
    """A Mosquitto broker on 127.0.0.1 that persists and queues without bound."""
    config = folder / "mosquitto.conf"
    config.write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence true\npersistence_location {folder}/\n"
        "autosave_interval 1\nautosave_on_changes false\nmax_queued_messages 0\nmax_inflight_messages 1000\n"
        f"user root\n{extra}",
        encoding="ascii",
    )
    return Process("mosquitto", ["/usr/sbin/mosquitto", "-c", str(config)], folder / "mosquitto.log")


def wait_for_port(port: int, seconds: float = 20.0) -> None:
    """Return when something listens there."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with socket.socket() as probe:
            probe.settimeout(0.5)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError(f"nothing listens on port {port} after {seconds} s")


def wait_until(holds: Callable[[], bool], seconds: float, what: str) -> None:
    """Return when it holds; fail with a sentence when it does not in time."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if holds():
            return
        time.sleep(0.1)
    raise AssertionError(f"after {seconds:.0f} s still not: {what}")
