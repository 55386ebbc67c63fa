"""A PostgreSQL's dump before its schema changes, by the server's own tool: whole, read back, then under its name."""

import shutil
import subprocess
from pathlib import Path
from typing import Final

from shared.errors import DatabaseFailed

SECONDS_MAX: Final = 6 * 3600
"""How long a dump may take."""


def dump_schema(url: str, schema: str, path: Path) -> None:
    """The schema's tables and rows lie in the file, as `pg_restore` takes them; raises DatabaseFailed."""
    programs = {name: shutil.which(name) for name in ("pg_dump", "pg_restore")}
    if None in programs.values():
        raise DatabaseFailed(
            "the store is dumped before its schema changes, and pg_dump is not on this machine: install it (Debian: "
            "apt install postgresql-client), or dump the database yourself and set backup.before_upgrade = false"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.part")
    try:
        beside.touch(mode=0o600)
        _run(programs["pg_dump"], "--format=custom", f"--schema={schema}", f"--file={beside}", f"--dbname={url}")
        listed = _run(programs["pg_restore"], "--list", str(beside))
        if " TABLE DATA " not in listed:
            raise DatabaseFailed(f"{beside} holds no table: the store is not touched")
        beside.rename(path)
    finally:
        beside.unlink(missing_ok=True)


def _run(program: str | None, *words: str) -> str:
    assert program is not None
    try:
        done = subprocess.run(  # noqa: S603 (a fixed program; the URL comes from the operator's configuration)
            [program, *words], capture_output=True, text=True, check=False, timeout=SECONDS_MAX
        )
    except subprocess.TimeoutExpired as error:
        raise DatabaseFailed(f"{program} took longer than {SECONDS_MAX} s: the store is not touched") from error
    if done.returncode:
        why = done.stderr.strip().splitlines()[-1:] or [f"exit {done.returncode}"]
        raise DatabaseFailed(f"the store cannot be dumped before its schema changes, so it stays as it is: {why[0]}")
    return done.stdout
