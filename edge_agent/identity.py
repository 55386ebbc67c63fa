"""This gateway's key on disk: made once, kept for its owner alone, read at every start."""

import errno
import os
from pathlib import Path

from edge_agent.words import AS_ROOT
from shared.errors import InvalidRecord, MetersealError
from shared.key import PublicKey, SigningKey


class KeyUnusable(MetersealError):
    """A key file cannot be used."""


class KeyExists(MetersealError):
    """There is a key already: a gateway's key is made once."""


def make_key(file: Path) -> SigningKey:
    """A new key lies in the file, readable by its owner alone; never replaces one (KeyExists), or KeyUnusable."""
    key = SigningKey(os.urandom(32))
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except FileExistsError as error:
        raise KeyExists(f"{file} is there already: a gateway's key is made once, show it with `key show`") from error
    except OSError as error:
        raise _unwritable(file, error) from error
    try:
        with os.fdopen(handle, "w", encoding="ascii") as opened:
            opened.write(key.pem)
            opened.flush()
            os.fsync(opened.fileno())
    except OSError as error:
        file.unlink(missing_ok=True)  # Half a key would stand in the way of a whole one.
        raise _unwritable(file, error) from error
    fsync_folder(file.parent)
    return key


def read_signing_key(file: Path) -> SigningKey:
    """The private key of a file; raises KeyUnusable with what to do."""
    try:
        return SigningKey.from_pem(_text(file, "`edge-agent key new` makes one; one that was enrolled, bring back"))
    except InvalidRecord as error:
        raise KeyUnusable(f"{file}: {error}; bring its copy back, or move it away and enrol anew") from error


def read_public_key(file: Path) -> PublicKey:
    """The public key of a file, or the public half of a private one; raises KeyUnusable."""
    try:
        return PublicKey.from_pem(_text(file, "ask the collector's operator for it"))
    except InvalidRecord as error:
        raise KeyUnusable(f"{file}: {error}") from error


def _text(file: Path, advice: str) -> str:
    try:
        return file.read_text(encoding="ascii")
    except FileNotFoundError as error:
        raise KeyUnusable(f"the key file {file} is not there: {advice}") from error
    except OSError as error:
        advice = f"; {AS_ROOT}" if isinstance(error, PermissionError) else ""
        raise KeyUnusable(f"the key file {file} cannot be read: {error.strerror}{advice}") from error
    except UnicodeDecodeError as error:
        raise KeyUnusable(f"{file} is no PEM file") from error


def _unwritable(file: Path, error: OSError) -> KeyUnusable:
    advice = {errno.EACCES: AS_ROOT, errno.EPERM: AS_ROOT, errno.ENOSPC: "make room on the disk"}.get(error.errno or 0)
    return KeyUnusable(f"{file} cannot be written: {error.strerror}" + (f"; {advice}" if advice else ""))


def fsync_folder(folder: Path) -> None:
    """What was renamed or made in the folder is so on disk."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
