"""The demo's processes: each logs into a file of its own and is ended in the reverse order."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

BIN: Final = Path(sys.executable).parent
"""The environment's own commands stand beside its Python."""


class DemoFailed(Exception):
    """The demo cannot go on."""


class Processes:
    """What runs, in the order in which it was started."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: list[tuple[str, subprocess.Popen[bytes]]] = []

    def start(self, name: str, command: Sequence[str | Path]) -> None:
        """Start it; what it says goes to `logs/NAME.log`."""
        log = self.log(name)
        log.parent.mkdir(exist_ok=True)
        with log.open("ab") as file:
            child = subprocess.Popen(
                [str(part) for part in command], stdout=file, stderr=subprocess.STDOUT, start_new_session=True
            )
        self._running.append((name, child))

    def log(self, name: str) -> Path:
        """Where a process's words go."""
        return self._folder / "logs" / f"{name}.log"

    def check(self) -> None:
        """Raise DemoFailed with the last words of whatever ended by itself."""
        for name, child in self._running:
            if (code := child.poll()) is not None:
                tail = "\n".join(self.log(name).read_text(encoding="utf-8", errors="replace").splitlines()[-12:])
                raise DemoFailed(f"{name} ended with exit code {code}:\n{tail}")

    def wait(self, holds: Callable[[], bool], seconds: float, what: str) -> None:
        """Return when it holds; raise DemoFailed when it does not in time or a process ended."""
        until = time.monotonic() + seconds
        while not holds():
            self.check()
            if time.monotonic() > until:
                raise DemoFailed(f"after {seconds:.0f} s still not so: {what}; see {self._folder / 'logs'}")
            time.sleep(0.2)

    def end(self) -> None:
        """SIGTERM in the reverse order, SIGKILL for what does not listen."""
        for _, child in reversed(self._running):
            if child.poll() is None:
                os.kill(child.pid, signal.SIGTERM)
                try:
                    child.wait(10)
                except subprocess.TimeoutExpired:
                    child.kill()
                    child.wait()


def run(*command: str | Path, ends: int = 0) -> str:
    """Run one of the project's commands to its end, with this exit code; raises DemoFailed with its own words."""
    name, *arguments = (str(part) for part in command)
    done = subprocess.run([str(BIN / name), *arguments], capture_output=True, text=True, check=False)
    if done.returncode != ends:
        raise DemoFailed(f"{name} {' '.join(arguments)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout
