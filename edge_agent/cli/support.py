"""`edge-agent support-bundle`: what somebody needs who helps, in one file, without anything that lets somebody in."""

import asyncio
import io
import json
import os
import platform
import sys
import zipfile
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from edge_agent import redaction
from edge_agent.cli.at_hand import settings_at_hand
from edge_agent.cli.doctor import examined
from edge_agent.cli.exits import Exit
from edge_agent.cli.fresh import put_new, require_absent
from edge_agent.cli.person import say
from edge_agent.cli.show import SpoolMissing, spool_backlog
from edge_agent.invalid import ConfigInvalid
from edge_agent.local import ask, door_of
from edge_agent.plain import plain
from edge_agent.settings import AgentSettings
from shared.errors import MetersealError
from shared.finding import plain as plain_findings

LOG_BYTES_MAX: Final = 1024 * 1024
"""The end of the log that goes in."""
SECRET_BYTES_MAX: Final = 64 * 1024
_README: Final = """\
What `edge-agent support-bundle` has put together. There is no key, password or token in it: options are masked by
their names, and the contents of every file of secrets wherever they stood. Look through it before you send it.

configuration.json  the options that apply         versions.json  program, libraries, system
status.json         how the agent stands           doctor.json    what was looked at, and what to do
spool.json          what waits, room, receipts     log.txt        the end of the log, where one was named
"""


def support_bundle(config: Path, flags: Sequence[str], *, out: Path, log: Path | None, as_json: bool) -> Exit:
    """The file is written, and was not there before."""
    require_absent(out)
    if log is not None and not os.access(log, os.R_OK):
        raise MetersealError(f"the log {log} is not there, or may not be read: name another one with --log")
    names = asyncio.run(_bundle(config, flags, out, log))
    if as_json:
        print(json.dumps({"file": str(out), "holds": names}))
    say(f"wrote {out}: {', '.join(names)}; no key, password or token is in it, but look before you send it")
    return Exit.OK


async def _bundle(config: Path, flags: Sequence[str], out: Path, log: Path | None) -> list[str]:
    parts: dict[str, Any] = {"versions.json": _versions()}
    secrets: tuple[str, ...] = tuple(value for name, value in os.environ.items() if "PASSW" in name or "TOKEN" in name)
    try:
        settings = settings_at_hand(config, flags)
    except ConfigInvalid as error:
        parts["configuration.json"] = {"broken": redaction.without_quotes(str(error)).splitlines()}
    else:
        options = plain(settings)
        secrets += redaction.secrets_in(filter(None, map(_content, _secret_files(options))))
        parts |= {"configuration.json": options} | await _of(settings)
    texts = {"README.txt": _README}
    for name, found in parts.items():
        texts[name] = json.dumps(redaction.redacted(found, secrets), indent=2, ensure_ascii=False) + "\n"
    if log is not None:
        texts["log.txt"] = redaction.text(_end_of(log), secrets)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in texts.items():
            archive.writestr(name, text)
    put_new(out, packed.getvalue(), mode=0o600)
    return list(texts)


async def _of(settings: AgentSettings) -> dict[str, Any]:
    status = await ask(door_of(settings.spool_path), "status") or {}
    try:
        spool = {key: status[key] for key in _SPOOL} if status else spool_backlog(settings)
    except (SpoolMissing, MetersealError) as error:
        spool = {"cannot be asked": str(error)}
    say("looking at everything, as `edge-agent doctor` does …")
    checks = [each async for each in examined(settings)]
    return {"status.json": status, "spool.json": spool, "doctor.json": plain_findings(checks)}


_SPOOL: Final = ("backlog_lines", "backlog_oldest", "spool_bytes", "spool_bytes_max", "last_receipt_ms")


def _secret_files(options: Any) -> list[Path]:
    files = [Path(each) for each in redaction.secret_files(options)]
    spool = Path(str(options["spool_path"]))
    return [*files, *(each for each in spool.parent.glob(f"{spool.name}.key-*"))]


def _content(path: Path) -> str:
    try:
        return path.read_bytes()[:SECRET_BYTES_MAX].decode("utf-8", "replace")
    except OSError:
        return ""


def _end_of(log: Path) -> str:
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - LOG_BYTES_MAX))
            return file.read().decode("utf-8", "replace")
    except OSError as error:
        return f"{log} cannot be read: {error.strerror}\n"


def _versions() -> dict[str, Any]:
    libraries = {each.metadata["Name"]: each.version for each in metadata.distributions()}
    return {
        "python": sys.version,
        "system": platform.platform(),
        "machine": platform.machine(),
        "libraries": dict(sorted(libraries.items())),
    }
