"""A new file for people: whole or not there, and never over another one."""

import errno
import os
from pathlib import Path
from typing import Final

from edge_agent.words import AS_ROOT
from shared.errors import MetersealError

_ADVICE: Final = {
    errno.ENOENT: "make its folder first, or name another",
    errno.EACCES: f"name a file in a folder of yours, or {AS_ROOT}",
    errno.EPERM: f"name a file in a folder of yours, or {AS_ROOT}",
    errno.ENOSPC: "make room on that disk, or name a file on another",
    errno.EISDIR: "name a file",
}


class FileThere(MetersealError):
    """There is such a file already: name another one, or remove it."""


class NotWritten(MetersealError):
    """The file cannot be written."""


def require_absent(path: Path) -> None:
    """Nothing lies there yet; raises FileThere."""
    if os.path.lexists(path):
        raise FileThere(f"{path} is there already, and is not written over: name another file, or remove it")


def put_new(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """The file holds this; raises FileThere or NotWritten, and then nothing lies there that did not before."""
    require_absent(path)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except OSError as error:
        raise _not_written(path, error) from error
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise _not_written(path, error) from error


def _not_written(path: Path, error: OSError) -> NotWritten:
    advice = _ADVICE.get(error.errno or 0, "name another file")
    return NotWritten(f"{path} cannot be written: {error.strerror}; {advice}")
