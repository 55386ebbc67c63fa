"""The machine itself: its clock, its disk, the spool on it, who may open which file."""

import grp
import os
import pwd
import shutil
import stat
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from edge_agent import tables
from edge_agent.disk import FileDisk
from edge_agent.settings import AgentSettings
from edge_agent.timekeeping import UTC_PLAUSIBLE_MS
from edge_agent.words import AS_ROOT, count, span
from shared.effects.clock import Clock
from shared.errors import DatabaseBusy, DatabaseCorrupt, DatabaseError
from shared.finding import Finding, bad, good, look

_RECEIPT_GRACE_SECONDS: Final = 900
_MEBI: Final = 1024 * 1024
_OTHERS: Final = 0o077


def clock_of(clock: Clock) -> Finding:
    """Whether this machine knows what time it is: everything else rests on that (P13)."""
    now = datetime.fromtimestamp(clock.utc_ms() // 1_000, tz=UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    if clock.utc_ms() < UTC_PLAUSIBLE_MS:
        return bad(
            "clock",
            f"this machine believes that it is {now}",
            "let it reach a time server (UDP port 123): `timedatectl` shows whether one answers",
        )
    if not clock.synchronised():
        return bad(
            "clock",
            f"{now}, and no time server has confirmed it",
            "`timedatectl set-ntp true`, and open UDP port 123: what is metered waits for its invoice until then; in a "
            'container or virtual machine whose host keeps the time, set wall_clock = "trusted"',
        )
    return good("clock", f"{now}, synchronised")


def disk_of(settings: AgentSettings) -> Finding:
    """Whether the spool may grow to its bound."""
    folder = settings.spool_path.parent
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return bad("disk", f"{folder}: {error.strerror}", f"make the folder: `sudo mkdir -p {folder}`")
    if not os.access(folder, os.W_OK):
        return bad("disk", f"{folder} may not be written", _as_owner(folder))
    held = settings.spool_path.stat().st_size if settings.spool_path.exists() else 0
    needed = settings.spool_bytes_max - held
    says = f"{free // _MEBI} MiB free in {folder}, the spool may grow by {max(0, needed) // _MEBI} MiB"
    if free < needed:
        return bad("disk", says, "make room, or lower spool_bytes_max: on a full disk metering stops")
    if free < 2 * needed:
        return look("disk", says, "make room while there is time: logs are often what grows")
    return good("disk", says)


def spool_of(settings: AgentSettings, status: Mapping[str, Any]) -> Finding:
    """Whether everything in the spool is what was sealed; one that an agent holds was checked when it started."""
    path = settings.spool_path
    if status:
        used = f"{status['spool_bytes'] / _MEBI:.1f} of {status['spool_bytes_max'] / _MEBI:.0f} MiB"
        if status["making_room"]:
            return bad("spool", f"full, {used}", "bring the link up: nothing is metered until lines are confirmed")
        return good("spool", f"{used}, {count(status['backlog_lines'], 'line')} waiting")
    if not path.exists():
        return look(
            "spool", f"there is none at {path} yet", "`edge-agent run` makes it, or `systemctl start edge-agent`"
        )
    try:
        database = FileDisk(path).open()
        try:
            tables.check(database)
        finally:
            database.close()
    except DatabaseBusy:
        return look("spool", f"{path} is held by another process", "stop it, or look whether an agent is just starting")
    except DatabaseCorrupt as error:
        return bad("spool", str(error), "`edge-agent run` moves it aside and sends what can still be read")
    except DatabaseError as error:
        return bad("spool", str(error), f"look at the disk and at who owns {path}: `ls -l {path.parent}`")
    return good("spool", f"{path} is sound, no agent holds it")


def agent_of(status: Mapping[str, Any]) -> Finding:
    """Whether the agent runs, by the configuration that is meant."""
    if not status:
        return look("agent", "it does not run", "`sudo systemctl start edge-agent`, or `edge-agent run`")
    if status["config_problem"]:
        first = str(status["config_problem"]).splitlines()[0]
        return bad("agent", f"runs by its last good configuration: {first}", "mend that line, then `edge-agent reload`")
    return good("agent", f"runs as process {status['pid']}, metering {count(len(status['channels']), 'channel')}")


def files_of(settings: AgentSettings) -> Iterator[Finding]:
    """Whether secrets are there and only their owner's to read."""
    broker = settings.broker
    secrets = {settings.key_file, broker.key_file, broker.password_file} - {None}
    for path in sorted(each for each in secrets if each is not None):
        name = f"file {path.name}"
        try:
            mode = path.stat().st_mode
        except OSError as error:
            made = (
                "`edge-agent enrol` or `edge-agent key new` makes it" if path == settings.key_file else "put it there"
            )
            yield bad(name, f"{path}: {error.strerror}", made)
            continue
        if not os.access(path, os.R_OK):
            yield bad(name, f"{path} may not be read", _as_owner(path))
        elif mode & _OTHERS:
            yield bad(name, f"{path} may be read by others ({stat.filemode(mode)})", f"`sudo chmod 600 {path}`")
        else:
            yield good(name, f"{stat.filemode(mode)}, {_owner(path)}")


def ports_of(settings: AgentSettings) -> Iterator[Finding]:
    """Whether each configured serial port is there, and the agent's user may open it."""
    user = _owner(settings.spool_path.parent)
    ports = {getattr(source, "serial_port", None) for source in settings.sources} - {None}
    for port in sorted(each for each in ports if isinstance(each, Path)):
        name = f"port {port.name}"
        try:
            found = port.stat()
        except OSError:
            yield bad(name, f"{port} is not there", "plug the adapter in, or find its name: `ls /dev/serial/by-id`")
            continue
        group = _group(found.st_gid)
        if found.st_mode & 0o006 == 0o006 or _may(user, found):
            yield good(name, f"{port} may be opened by {user}")
        else:
            yield bad(name, f"{port} may not be opened by {user}", f"`sudo usermod -aG {group} {user}`, start it again")


def collector_of(status: Mapping[str, Any], receipt_ms: int | None, waiting: int, now_ms: int) -> Finding:
    """Whether the collector confirms what is sent: the last receipt is the only proof (P6, P7)."""
    lines = f"{count(waiting, 'line')} waiting"
    if receipt_ms is None:
        step = "`cloud-collector gateway list` shows whether it knows this gateway and its key"
        if not waiting and not status:
            return look("collector", "nothing was sealed yet, so nothing was confirmed", "start the agent, look again")
        return bad("collector", f"has never confirmed anything, {lines}", step)
    age = max(0, (now_ms - receipt_ms) // 1_000)
    says = f"last receipt {span(age)} ago, {lines}"
    window = 0 if not status else status["interval"][0] * status["interval"][1]
    if age > 2 * window + _RECEIPT_GRACE_SECONDS:
        step = "is it running, and is its broker this one? `cloud-collector gateway list` says when it last heard it"
        return bad("collector", says, step) if status else look("collector", says, "start the agent, look again")
    return good("collector", says)


def _may(user: str, found: os.stat_result) -> bool:
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        return False
    groups = os.getgrouplist(user, entry.pw_gid)
    owner = found.st_uid == entry.pw_uid and found.st_mode & 0o600 == 0o600
    return entry.pw_uid == 0 or owner or (found.st_gid in groups and found.st_mode & 0o060 == 0o060)


def _as_owner(path: Path) -> str:
    owner = _owner(path)
    return AS_ROOT if owner == "root" else f"{AS_ROOT}, or as {owner}"


def _owner(path: Path) -> str:
    uid = path.stat().st_uid
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
