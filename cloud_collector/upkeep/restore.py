"""Putting a backup in place of the store: not over a newer one unasked, not over a running one, never half (P22)."""

from dataclasses import dataclass
from pathlib import Path

from cloud_collector.upkeep.backup import manifest_bytes, stamp_of, taken_out
from cloud_collector.upkeep.manifest import Manifest, ahead, fingerprint, marks_of
from cloud_collector.upkeep.vault import Vault
from shared.errors import DatabaseBusy, DatabaseError, MetersealError


class StoreIsNewer(MetersealError):
    """The store that is there holds what the backup does not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What was put in place."""

    manifest: Manifest
    kept: Path | None
    """Where the store that was there lies now."""


def restore(vault: Vault, file: Path, *, replace: bool, now_ms: int) -> Restored:
    """The backup is the store, and what was there is kept beside it; billing waits for a confirmation.

    Raises BackupUnusable, StoreIsNewer, DatabaseBusy and DatabaseError, and then nothing was changed.
    """
    vault.beside.mkdir(parents=True, exist_ok=True)
    with taken_out(vault, file, vault.beside) as (manifest, copy):
        if vault.exists():
            vault.require_idle()
            if not replace:
                _refuse_newer(vault, manifest)
        with vault.change(copy) as store, store.atomic():
            store.run("restoration_add", now_ms, manifest.made_at, fingerprint(manifest_bytes(file)))
            # The folder of issued invoices may be lost as well: each is written there again.
            store.run("archive_unknown")
        kept = vault.put(copy, stamp_of(now_ms))
    return Restored(manifest=manifest, kept=kept)


def _refuse_newer(vault: Vault, manifest: Manifest) -> None:
    try:
        with vault.look() as store:
            more = ahead(marks_of(store), manifest.marks)
    except DatabaseBusy:
        raise
    except DatabaseError as error:
        raise StoreIsNewer(
            f"{vault.where} cannot be read, so nobody knows what it holds ({error}): add --replace; it is kept aside"
        ) from error
    if more:
        raise StoreIsNewer(
            f"{vault.where} is newer than the backup, it holds {'; '.join(more)}: add --replace to put the backup in "
            "its place; what is there is kept aside"
        )
