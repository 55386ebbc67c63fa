"""`cloud-collector backup`: the store in one file, checked, and put back."""

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from cloud_collector.billing.confirmation import NotConfirmed, last_numbers, waits_for_confirmation
from cloud_collector.billing.confirmation import confirm as confirm_numbers
from cloud_collector.billing.reimport import Reimported
from cloud_collector.billing.reimport import reimport as reimport_documents
from cloud_collector.billing.run import complete_archive
from cloud_collector.cli.gateway import iso, show_rows
from cloud_collector.cli.ingest import ingest_folder
from cloud_collector.cli.opened import Json, archive, ending, opened, read_key, say, settings
from cloud_collector.intake.replay import audit as audit_store
from cloud_collector.settings import CollectorSettings
from cloud_collector.store.place import place_of
from cloud_collector.store.store import Store
from cloud_collector.upkeep import backup, restore
from cloud_collector.upkeep.manifest import BackupUnusable, Manifest
from cloud_collector.upkeep.surroundings import backup_folder
from cloud_collector.upkeep.vault import SqliteVault, Vault
from shared.effects.clock import SystemClock
from shared.effects.sqlite import SqliteDatabase
from shared.key import PublicKey

NOT_FOUND: Final = 3
REFUSED: Final = 4
KEYS_HERE: Final = "the private keys are in it: keep it as safe as they are"
NO_KEYS: Final = (
    "the private keys are not in it (--with-keys puts them there): keep a copy of the receipt key and of the folders "
    "pki_path and ingest_path elsewhere, for no gateway believes a collector without them"
)

app = typer.Typer(no_args_is_help=True, help="The store in one file: made while the collector runs, checked, put back.")

File = Annotated[Path, typer.Argument(metavar="FILE", help="A backup.")]
Keys = Annotated[
    bool, typer.Option("--with-keys", help="Private keys too: the receipt key, the CA's folder, logs' keys.")
]


@app.command()
@ending
def create(
    to: Annotated[
        Path | None,
        typer.Option("--to", metavar="FOLDER", help="Default: backup.path, else `backups` beside the store."),
    ] = None,
    with_keys: Keys = False,
    json_: Json = False,
) -> None:
    """Example: `cloud-collector backup create --to /mnt/backup`.

    Copy the store into one file while the collector goes on, read it back, check it; then remove the oldest but
    backup.keep.
    """
    known = settings()
    vault = vault_of(known)
    if not vault.exists():
        say(f"there is no store at {vault.where}, so there is nothing to back up")
        raise typer.Exit(NOT_FOUND)
    folder = to or backup_folder(known)
    path, manifest = backup.create(
        vault,
        folder,
        now_ms=SystemClock().utc_ms(),
        key=_key_id(known),
        secrets=dict(_secrets(known)) if with_keys else {},
    )
    gone = backup.thin_out(folder, known.backup.keep)
    if json_:
        print(json.dumps(_told(path, manifest) | {"removed": [str(each) for each in gone]}, indent=2))
        return
    print(f"{path}  {path.stat().st_size:,} bytes, {_counted(manifest)}")
    say(KEYS_HERE if manifest.secrets else NO_KEYS)
    if gone:
        say(f"removed {len(gone)} older than the newest {known.backup.keep}")


@app.command("list")
@ending
def list_(json_: Json = False) -> None:
    """Example: `cloud-collector backup list`.

    The backups in backup.path, the newest last.
    """
    folder = backup_folder(settings())
    rows = [
        {"file": str(path), "bytes": path.stat().st_size, "made_at": iso((backup.made_at_of(path) or 0) * 1000)}
        for path in backup.backups_in(folder)
    ]
    show_rows(rows, as_json=json_, empty=f"there is no backup in {folder}: `cloud-collector backup create`")


@app.command()
@ending
def verify(
    file: File,
    audit: Annotated[
        bool, typer.Option("--audit", help="Compute everything in it again as well; takes a while.")
    ] = False,
    json_: Json = False,
) -> None:
    """Example: `cloud-collector backup verify /mnt/backup/2026-11-21T03-00-00Z.meterseal-backup.zip --audit`.

    Every hash, the store's own integrity, and that it holds what the manifest says. Exit 6 where it does not.
    """
    known = settings()
    _require_file(file)
    try:
        with backup.taken_out(vault_of(known), file, Path(tempfile.gettempdir())) as (manifest, copy):
            different = _audit(known, copy) if audit else None
    except BackupUnusable as error:
        say(str(error))
        raise typer.Exit(6) from None
    if different is not None:
        say(f"{file}: {different}")
        raise typer.Exit(6)
    if json_:
        print(json.dumps(_told(file, manifest), indent=2))
    else:
        print(f"{file} is whole: {iso(manifest.made_at)}, {_counted(manifest)}")
        say(KEYS_HERE if manifest.secrets else NO_KEYS)


@app.command("restore")
@ending
def restore_(
    file: File,
    replace: Annotated[bool, typer.Option("--replace", help="Also over a newer or damaged store; it is kept.")] = False,
    with_keys: Annotated[bool, typer.Option("--with-keys", help="Also the private keys, where none lie yet.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Verify the backup, say what would happen.")] = False,
) -> None:
    """Example: `cloud-collector backup restore /mnt/backup/2026-11-21T03-00-00Z.meterseal-backup.zip`.

    Put a backup in place of the store, and take back what the folder of issued invoices knows besides. Stop the
    collector first. Billing waits for `backup confirm`; gateways send again what the backup lacks.
    """
    known = settings()
    _require_file(file)
    vault = vault_of(known)
    try:
        if dry_run:
            with backup.taken_out(vault, file, Path(tempfile.gettempdir())) as (manifest, _):
                say(f"would put {iso(manifest.made_at)}, {_counted(manifest)}, at {vault.where}")
            return
        done = restore.restore(vault, file, replace=replace, now_ms=SystemClock().utc_ms())
    except BackupUnusable as error:
        say(str(error))
        raise typer.Exit(6) from None
    except restore.StoreIsNewer as error:
        say(str(error))
        raise typer.Exit(REFUSED) from None
    say(f"{vault.where} is the backup of {iso(done.manifest.made_at)}: {_counted(done.manifest)}")
    if done.kept is not None:
        say(f"what was there is kept at {done.kept}")
    if with_keys:
        for path in _put_secrets(known, file, done.manifest):
            say(f"{path} was put back")
    with opened(known) as store:
        _take_back(known, store)
        say(waits_for_confirmation(store) or "nothing waits")


@app.command()
@ending
def reimport(
    restored: Annotated[
        bool,
        typer.Option("--restored", help="A database server has just put the store back by its own tools."),
    ] = False,
) -> None:
    """Example: `cloud-collector backup reimport`.

    Make facts of what the folder of issued invoices holds and the store does not know; the same again changes nothing.
    With --restored billing then waits for `backup confirm`.
    """
    known = settings()
    with opened(known) as store:
        if restored:
            with store.atomic():
                now_ms = SystemClock().utc_ms()
                store.run("restoration_add", now_ms, now_ms, "")
                store.run("archive_unknown")
        _take_back(known, store)
        if restored:
            say(waits_for_confirmation(store) or "nothing waits")


@app.command()
@ending
def confirm(
    numbers: Annotated[list[str] | None, typer.Argument(metavar="[NUMBER]...", help="The last of each series.")] = None,
    none: Annotated[bool, typer.Option("--none", help="No invoice was ever issued.")] = False,
    given_up: Annotated[
        list[str] | None,
        typer.Option(
            "--given-up", metavar="NUMBER", help="Its document is lost for good; the number is not used again."
        ),
    ] = None,
) -> None:
    """Example: `cloud-collector backup confirm INV-41 INV-CN-3`.

    After a restore: these are the last numbers that were ever given out, go on billing.
    """
    if bool(numbers) == none:
        say("name the last number of every series, or --none where no invoice was ever issued")
        raise typer.Exit(2)
    known = settings()
    with opened(known) as store:
        try:
            done = confirm_numbers(store, numbers or [], given_up or [], SystemClock().utc_ms())
        except NotConfirmed as error:
            say(str(error))
            raise typer.Exit(REFUSED) from None
        told = ", ".join(f"{series}{last}" for series, last in last_numbers(store).items()) or "none"
    say(f"confirmed: the last numbers are {told}; billing goes on" if done else "nothing waits for a confirmation")


def vault_of(known: CollectorSettings) -> Vault:
    """Where the store of this configuration lies; raises BackupUnusable where it is no file."""
    if known.store:
        raise BackupUnusable(
            "a store on PostgreSQL is kept by PostgreSQL's own backups, or copied into a file first: "
            f"cloud-collector store copy --from {place_of(known)} --to FILE. After its own tools have put it back: "
            "cloud-collector backup reimport --restored"
        )
    return SqliteVault(known.store_path)


def _take_back(known: CollectorSettings, store: Store) -> None:
    """Everything in the folder is in the store, and everything in the store is in the folder."""
    folder = archive(known)
    done: Reimported = reimport_documents(store, folder, lambda id_: _public(known, id_))
    complete_archive(store, folder)
    if done.catalogs:
        say(f"taken back: revision {', '.join(map(str, done.catalogs))} of the catalog")
    if done.numbers:
        say(f"taken back from the folder of issued invoices: {', '.join(sorted(done.numbers))}")
    if done.missing:
        say(f"given out before the backup was restored, and in no folder: {', '.join(done.missing)}")


def _public(known: CollectorSettings, id_: str) -> PublicKey | None:
    """The operator's key of this id: the present one, the next, or the last."""
    for path in _receipt_keys(known):
        key = read_key(path).public
        if key.id == id_:
            return key
    return None


def _receipt_keys(known: CollectorSettings) -> list[Path]:
    path = known.key_file
    return [
        each for each in (path, *(path.with_name(f"{path.name}.{name}") for name in ("next", "old"))) if each.exists()
    ]


def _key_id(known: CollectorSettings) -> str:
    return read_key(known.key_file).public.id if known.key_file.exists() else ""


def _secrets(known: CollectorSettings) -> Iterator[tuple[str, Path]]:
    for path in _receipt_keys(known):
        yield f"receipt/{path.name}", path
    for kind, folder in (("pki", known.pki_path), ("ingest", ingest_folder(known))):
        if folder.is_dir():
            for path in sorted(folder.iterdir()):
                if path.is_file() and not path.name.startswith("."):
                    yield f"{kind}/{path.name}", path


def _put_secrets(known: CollectorSettings, file: Path, manifest: Manifest) -> Iterator[Path]:
    folders = {"receipt": known.key_file.parent, "ingest": ingest_folder(known)}
    for name, content in backup.secrets_of(file, manifest):
        kind, _, inner = name.partition("/")
        folder = folders.get(kind, known.pki_path)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / Path(inner).name
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            continue  # A key is never replaced.
        with os.fdopen(handle, "wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        yield path


def _audit(known: CollectorSettings, copy: Path) -> str | None:
    """The first difference between the store in a backup and what its lines say."""
    held, scratch = Store(SqliteDatabase(copy)), Store(SqliteDatabase(copy.with_name("audit.db")))
    try:
        difference = audit_store(held, scratch, known)
    finally:
        held.close()
        scratch.close()
    if difference is None:
        return None
    return f"{difference.table}: the store has {difference.held}, its lines say {difference.computed}"


def _require_file(file: Path) -> None:
    if not file.is_file():
        say(f"there is no backup at {file}: `cloud-collector backup list` names those that are known")
        raise typer.Exit(NOT_FOUND)


def _counted(manifest: Manifest) -> str:
    return f"schema {manifest.schema}, {manifest.marks['lines']:,} lines, {manifest.marks['invoices']:,} invoices"


def _told(path: Path, manifest: Manifest) -> dict[str, Any]:
    return {
        "file": str(path),
        "made_at": iso(manifest.made_at),
        "engine": manifest.engine,
        "schema": manifest.schema,
        "keys": manifest.secrets,
        "series": dict(manifest.series),
        **manifest.marks,
    }
