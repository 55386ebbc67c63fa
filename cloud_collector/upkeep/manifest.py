"""What a backup says of itself: when it was made, of what, and the hash of everything in it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from cloud_collector.store.store import Store
from shared.errors import MetersealError

FORMAT: Final = 1
NAME: Final = "manifest.json"
MANIFEST_BYTES_MAX: Final = 16 * 1024 * 1024
MARKS: Final = (
    "lines",
    "gateway_keys",
    "catalog_revisions",
    "invoices",
    "periods_closed",
    "commands",
    "decisions",
    "sendings",
)
"""What is counted of a store: a store with more of any of these than a backup is newer than it."""


class BackupUnusable(MetersealError):
    """The backup cannot be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One file of a backup."""

    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What the backup holds."""

    made_at: int
    """Unix milliseconds."""
    engine: str
    schema: int
    marks: Mapping[str, int]
    series: Mapping[str, int]
    """Of each series of numbers the last one given out."""
    key: str
    """The id of the receipt key that the collector signed with."""
    secrets: bool
    """Whether private keys are in it."""
    files: Mapping[str, Member]

    def to_json(self) -> bytes:
        """As it stands in the backup; the same manifest, the same bytes."""
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=1, sort_keys=True).encode() + b"\n"


def read_manifest(raw: bytes) -> Manifest:
    """A backup's manifest; raises BackupUnusable."""
    try:
        told: dict[str, Any] = json.loads(raw)
        if told.pop("format") != FORMAT:
            raise BackupUnusable("the backup was made by a newer version: restore it with that one")
        files = {str(name): Member(**member) for name, member in told.pop("files").items()}
        return Manifest(files=files, **told)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise BackupUnusable(f"its {NAME} cannot be read: {error}") from error


def fingerprint(raw: bytes) -> str:
    """SHA-256 of a manifest's bytes: it stands for the whole backup."""
    return hashlib.sha256(raw).hexdigest()


def marks_of(store: Store) -> dict[str, int]:
    """How much of everything a store holds."""
    return dict(zip(MARKS, store.rows("backup_marks")[0], strict=True))


def series_of(store: Store) -> dict[str, int]:
    """Of each series of numbers the last one that the store has given out."""
    return {series: last for series, last in store.rows("series_all") if last}


def ahead(held: Mapping[str, int], backup: Mapping[str, int]) -> list[str]:
    """What a store holds more of than a backup, in words."""
    told = {name: (count, backup.get(name, 0)) for name, count in held.items()}
    return [f"{count} {name.replace('_', ' ')}, not {less}" for name, (count, less) in told.items() if count > less]
