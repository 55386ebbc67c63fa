"""A real PostgreSQL for the tests: the system's own, on a socket in a temporary folder, durable as in production."""

import atexit
import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from functools import cache
from pathlib import Path
from typing import Final

from tests.requirements import require

_USER: Final = "postgres"
_CONF: Final = """
listen_addresses = ''
unix_socket_directories = '{folder}'
max_connections = 60
shared_buffers = 64MB
max_wal_size = 512MB
autovacuum = off
logging_collector = off
log_min_messages = fatal
"""


class Server:
    """One cluster, made in a second, gone with its folder."""

    def __init__(self) -> None:
        self._bin = Path(require("postgres")).parent
        self.folder = Path(tempfile.mkdtemp(prefix="meterseal-pg-"))
        self._as_user: list[str] = []
        if os.geteuid() == 0:
            # initdb refuses root.
            self._as_user = ["runuser", "-u", _USER, "--"]
            shutil.chown(self.folder, _USER, _USER)
        data = self.folder / "data"
        self._run("initdb", "-D", data, "-U", _USER, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        with (data / "postgresql.conf").open("a", encoding="ascii") as conf:
            conf.write(_CONF.format(folder=self.folder))
        self.start()

    def start(self) -> None:
        """The server answers."""
        self._run("pg_ctl", "-D", self.folder / "data", "-w", "-l", self.folder / "log", "start")

    def stop(self, mode: str = "immediate") -> None:
        """The server is gone; `immediate` is what a kill is to it."""
        self._run("pg_ctl", "-D", self.folder / "data", "-w", "-m", mode, "stop")

    def kill(self) -> None:
        """SIGKILL for the server; its backends find out by themselves, and nothing of it runs any more."""
        os.kill(self.pid, signal.SIGKILL)
        until = time.monotonic() + 20
        # It starts again only when nobody holds its memory any more.
        while self._held() and time.monotonic() < until:
            time.sleep(0.02)
        # Where nobody collects the dead, the killed one's number still looks alive to its successor.
        for lock in (self.folder / "data" / "postmaster.pid", *self.folder.glob(".s.PGSQL.*.lock")):
            lock.unlink(missing_ok=True)

    def _held(self) -> bool:
        folders = [each for each in Path("/proc").iterdir() if each.name.isdecimal()]
        return any(_cwd(each) == str(self.folder / "data") for each in folders)

    def remove(self) -> None:
        """Nothing of it is left."""
        with contextlib.suppress(AssertionError):
            self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def pid(self) -> int:
        """The process that a kill -9 meets."""
        return int((self.folder / "data" / "postmaster.pid").read_text(encoding="ascii").split("\n", 1)[0])

    def url(self, database: str, schema: str = "") -> str:
        """Where a store lies."""
        options = f"&options=-csearch_path%3D{schema}" if schema else ""
        return f"postgresql:///{database}?host={self.folder}&user={_USER}{options}"

    def _run(self, command: str, *arguments: object) -> None:
        done = subprocess.run(
            [*self._as_user, str(self._bin / command), *map(str, arguments)],
            capture_output=True, text=True, check=False, cwd="/", env={**os.environ, "LC_ALL": "C"},
        )  # fmt: skip
        assert done.returncode == 0, f"{command}: {done.stdout[-600:]} {done.stderr[-600:]}"


def _cwd(process: Path) -> str:
    try:
        return str((process / "cwd").readlink())
    except OSError:
        return ""


@cache
def server() -> Server:
    """This test process's cluster, begun when the first test asks for it."""
    made = Server()
    atexit.register(made.remove)
    return made


def new_schema(database: str = "postgres") -> str:
    """The URL of an empty schema of its own."""
    import psycopg  # noqa: PLC0415 (only where a PostgreSQL is at hand)

    schema = f"t_{uuid.uuid4().hex}"
    with psycopg.connect(server().url(database), autocommit=True) as connection:
        connection.execute(f"create schema {schema}")
    return server().url(database, schema)
