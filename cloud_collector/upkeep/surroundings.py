"""What a collector lives on besides its store: its disk, its backups, its certificates."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cloud_collector.fleet.authority import Issued
from cloud_collector.settings import CollectorSettings
from cloud_collector.upkeep.backup import backups_in, made_at_of
from shared.errors import MetersealError


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """As they are at this moment; times are Unix seconds, 0 where there is nothing."""

    disk_bytes_free: int = 0
    """Where the store lies, else where its folder of invoices does."""
    store_bytes: int = 0
    """Of the file and what SQLite keeps beside it; 0 where a server keeps the store."""
    backup_at: int = 0
    """When the newest backup in backup.path was made."""
    certificate_ends_at: int = 0
    """When the first certificate in pki_path ends."""


def surroundings(known: CollectorSettings) -> Surroundings:
    """Look at them."""
    folder = known.store_path.parent
    return Surroundings(
        disk_bytes_free=shutil.disk_usage(folder).free if folder.is_dir() else 0,
        store_bytes=0 if known.store else sum(path.stat().st_size for path in _files(known.store_path)),
        backup_at=max(backups_made(backup_folder(known)), default=0),
        certificate_ends_at=min((ends_at for _, ends_at in certificates(known.pki_path)), default=0),
    )


def backup_folder(known: CollectorSettings) -> Path:
    """Where backups lie: what is set, else `backups` beside the store."""
    return known.backup.path or known.store_path.with_name("backups")


def backups_made(folder: Path) -> list[int]:
    """When each backup in the folder was made, a server's dumps (which have no manifest) among them."""
    if not folder.is_dir():
        return []
    own = [at for path in backups_in(folder) if (at := made_at_of(path)) is not None]
    return own + [int(path.stat().st_mtime) for path in folder.glob("[0-9]*.dump")]


def certificates(folder: Path) -> Iterator[tuple[str, int]]:
    """Each certificate in the folder of the CA, by its file's name, and when it ends."""
    for path in sorted(folder.glob("*.pem")) if folder.is_dir() else ():
        if path.name == "crl.pem":
            continue
        try:
            yield path.name, Issued.from_pem(path.read_text(encoding="ascii")).ends_at
        except (OSError, UnicodeDecodeError, ValueError, MetersealError):
            # What is no certificate has no end; `doctor` says so.
            continue


def _files(path: Path) -> Iterator[Path]:
    for suffix in ("", "-wal", "-shm"):
        file = path.with_name(path.name + suffix)
        if file.exists():
            yield file
