"""Backups: one file that holds the store as it was at one moment, and the hash of everything in it (P22).

A zip, so that anyone can look into it. It is whole under its name or not there at all, and is read back, checked and
compared with the manifest before anyone is told that it exists.
"""

import hashlib
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Final

from cloud_collector.store.store import migrations
from cloud_collector.upkeep.manifest import (
    MANIFEST_BYTES_MAX,
    NAME,
    BackupUnusable,
    Manifest,
    Member,
    marks_of,
    read_manifest,
    series_of,
)
from cloud_collector.upkeep.vault import Vault
from shared.effects.sqlite import sync

STORE: Final = "store"
SECRETS: Final = "keys/"
SUFFIX: Final = ".meterseal-backup.zip"
_CHUNK_BYTES: Final = 1024 * 1024


def create(
    vault: Vault, folder: Path, *, now_ms: int, key: str, secrets: Mapping[str, Path], name: str | None = None
) -> tuple[Path, Manifest]:
    """A backup that was read back and found whole lies in the folder; raises BackupUnusable and DatabaseError.

    `key` is the id of the receipt key, `secrets` are private files by the name they get in the backup.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / (name or f"{stamp_of(now_ms)}{SUFFIX}")
    beside = path.with_name(f".{path.name}.part")
    with _scratch(folder) as scratch:
        copy = scratch / STORE
        vault.copy(copy)
        with vault.look(copy) as store:
            schema = store.rows("backup_schema")[0][0]
            marks, series = marks_of(store), series_of(store)
        try:
            with zipfile.ZipFile(beside, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as out:
                beside.chmod(0o600)
                files = {STORE: _put(out, STORE, copy, now_ms)}
                for inner, file in sorted(secrets.items()):
                    files[SECRETS + inner] = _put(out, SECRETS + inner, file, now_ms)
                manifest = Manifest(
                    made_at=now_ms,
                    engine=vault.engine,
                    schema=schema,
                    marks=marks,
                    series=series,
                    key=key,
                    secrets=bool(secrets),
                    files=files,
                )
                out.writestr(_info(NAME, now_ms), manifest.to_json())
            sync(beside)
            verify(vault, beside)
            beside.rename(path)
        finally:
            beside.unlink(missing_ok=True)
    sync(folder)
    return path, manifest


def verify(vault: Vault, file: Path) -> Manifest:
    """What the backup says of itself, all of it true; raises BackupUnusable."""
    with taken_out(vault, file) as (manifest, _):
        return manifest


@contextmanager
def taken_out(vault: Vault, file: Path, into: Path | None = None) -> Iterator[tuple[Manifest, Path]]:
    """A verified backup and the copy of the store that was in it, in a folder that is removed afterwards.

    Raises BackupUnusable where anything in it is not what its manifest says.
    """
    with _opened(file) as held, _scratch(into or file.parent) as scratch:
        manifest = read_manifest(_manifest_bytes(held))
        names = {info.filename for info in held.infolist()} - {NAME}
        if names != set(manifest.files):
            odd = sorted(names ^ set(manifest.files))
            raise BackupUnusable(f"{file}: {', '.join(odd)}: the manifest and what is there differ")
        if manifest.engine != vault.engine:
            raise BackupUnusable(f"{file} is of a store on {manifest.engine}, and this one is on {vault.engine}")
        newest = max(version for version, _ in migrations("sqlite"))
        if manifest.schema > newest:
            raise BackupUnusable(
                f"{file} has schema {manifest.schema}, and this program knows up to {newest}: use a newer version of it"
            )
        for name, member in manifest.files.items():
            with held.open(name) as source, (scratch / STORE if name == STORE else Path("/dev/null")).open("wb") as to:
                if _copy(file, source, to) != member:
                    raise BackupUnusable(f"{file}: {name} is not what was backed up: its hash differs")
        copy = scratch / STORE
        found = vault.faults(copy)
        if found:
            raise BackupUnusable(f"{file}: the store in it is damaged: {found[0]}")
        with vault.look(copy) as store:
            if marks_of(store) != manifest.marks or series_of(store) != manifest.series:
                raise BackupUnusable(f"{file}: the store in it holds something else than the manifest says")
        yield manifest, copy


def manifest_bytes(file: Path) -> bytes:
    """The manifest as it stands in the backup; raises BackupUnusable."""
    with _opened(file) as held:
        return _manifest_bytes(held)


def secrets_of(file: Path, manifest: Manifest) -> Iterator[tuple[str, bytes]]:
    """The private files of a verified backup."""
    with _opened(file) as held:
        for name in manifest.files:
            if name.startswith(SECRETS):
                yield name.removeprefix(SECRETS), held.read(name)


def backups_in(folder: Path) -> list[Path]:
    """The backups that lie in a folder, the newest last: their names are their times."""
    return sorted(folder.glob(f"[0-9]*{SUFFIX}")) if folder.is_dir() else []


def made_at_of(path: Path) -> int | None:
    """When a backup was made, Unix seconds, by its name."""
    try:
        return int(
            datetime.strptime(path.name.removesuffix(SUFFIX), "%Y-%m-%dT%H-%M-%SZ").replace(tzinfo=UTC).timestamp()
        )
    except ValueError:
        return None


def thin_out(folder: Path, keep: int) -> list[Path]:
    """Of the folder's backups the newest `keep` are left; those that are gone."""
    old = backups_in(folder)[:-keep] if keep else []
    for path in old:
        path.unlink()
    return old


def stamp_of(now_ms: int) -> str:
    """An instant as file names bear it."""
    return datetime.fromtimestamp(now_ms // 1000, UTC).strftime("%Y-%m-%dT%H-%M-%SZ")


@contextmanager
def _opened(file: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(file) as held:
            yield held
    except (zipfile.BadZipFile, EOFError) as error:
        raise BackupUnusable(f"{file} is no backup, or not a whole one: {error}") from error


def _manifest_bytes(held: zipfile.ZipFile) -> bytes:
    if NAME not in held.namelist():
        raise BackupUnusable(f"{held.filename} is no backup: it has no {NAME}")
    if held.getinfo(NAME).file_size > MANIFEST_BYTES_MAX:
        raise BackupUnusable(f"{held.filename}: its {NAME} is larger than {MANIFEST_BYTES_MAX} bytes")
    return held.read(NAME)


def _put(out: zipfile.ZipFile, name: str, source: Path, now_ms: int) -> Member:
    with source.open("rb") as taken, out.open(_info(name, now_ms), "w", force_zip64=True) as to:
        return _copy(source, taken, to)


def _copy(file: Path, source: IO[bytes], to: IO[bytes]) -> Member:
    digest, count = hashlib.sha256(), 0
    try:
        while chunk := source.read(_CHUNK_BYTES):
            digest.update(chunk)
            count += len(chunk)
            to.write(chunk)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise BackupUnusable(f"{file} is damaged: {error}") from error
    return Member(bytes=count, sha256=digest.hexdigest())


def _info(name: str, now_ms: int) -> zipfile.ZipInfo:
    at = datetime.fromtimestamp(now_ms // 1000, UTC)
    info = zipfile.ZipInfo(name, (at.year, at.month, at.day, at.hour, at.minute, at.second))
    info.compress_type = zipfile.ZIP_DEFLATED
    info.external_attr = 0o600 << 16
    return info


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """On the same disk, so that a copy becomes the store by a rename."""
    made = Path(tempfile.mkdtemp(prefix=".backup-", dir=folder))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)
