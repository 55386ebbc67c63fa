"""The running agent's door for people on the same machine: a Unix socket beside the spool, one question a call.

A socket and not a file, because a file renamed every few seconds would write more flash in a day than
the metering itself. Only the agent's own user may knock (mode 0600).
"""

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, Final

QUESTION_BYTES_MAX: Final = 1_024
ANSWER_BYTES_MAX: Final = 4 * 1024 * 1024
ANSWER_SECONDS_MAX: Final = 40.0
FIT: Final = "fit "
"""How a question begins that tells the agent something of a meter: see `edge_agent.fitting`."""

Answer = Callable[[str], Awaitable[dict[str, Any]]]


def door_of(spool: Path) -> Path:
    """Where the agent of this spool listens."""
    return spool.with_name(f"{spool.name}.sock")


@contextlib.asynccontextmanager
async def answering(door: Path, answer: Answer) -> AsyncIterator[None]:
    """Answer questions while inside; raises OSError where no socket can be made."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(ANSWER_SECONDS_MAX):
                question = (await reader.readline()).decode("ascii", "replace").strip()
                writer.write(json.dumps(await answer(question)).encode() + b"\n")
                await writer.drain()
        except (OSError, ValueError, TimeoutError):
            pass  # Who asked has gone, or asks what is no question.
        finally:
            writer.close()

    listener = _bound(door)
    server = await asyncio.start_unix_server(serve, sock=listener, limit=QUESTION_BYTES_MAX)
    own = _identity(door)
    try:
        yield
    finally:
        server.close()
        if own == _identity(door):
            _remove(door)


async def ask(door: Path, question: str) -> dict[str, Any] | None:
    """The running agent's answer; None where none is running."""
    try:
        with _short(door) as path:
            reader, writer = await asyncio.open_unix_connection(path, limit=ANSWER_BYTES_MAX)
    except (FileNotFoundError, ConnectionRefusedError):
        return None
    try:
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            writer.write(f"{question}\n".encode("ascii"))
            await writer.drain()
            raw = await reader.readline()
    except (OSError, TimeoutError):
        return None
    finally:
        writer.close()
    found = json.loads(raw) if raw else None
    return found if isinstance(found, dict) else None


def _bound(door: Path) -> socket.socket:
    # Who holds the spool's lock owns the door: one left behind by a killed agent is only in the way.
    _remove(door)
    listener = socket.socket(socket.AF_UNIX)
    with _short(door) as path:
        listener.bind(path)
    door.chmod(0o600)
    return listener


def _identity(door: Path) -> int | None:
    try:
        return door.stat().st_ino
    except OSError:
        return None


def _remove(door: Path) -> None:
    door.unlink(missing_ok=True)


@contextlib.contextmanager
def _short(door: Path) -> Iterator[str]:
    """A path of the socket that fits into 108 bytes, however deep its folder lies."""
    folder = os.open(door.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{door.name}"
    finally:
        os.close(folder)
