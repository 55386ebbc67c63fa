"""What the collector's commands share: the configuration that was named, the store, the key, exit codes.

Where things lie is decided in one place, `settings`: `--store`, `--key` and `--invoices` are options of the
configuration that rank above it, as `--set` does.
"""

import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import wraps
from os import environ
from pathlib import Path
from typing import Annotated, Final, ParamSpec, TypeVar

import typer

from cloud_collector.billing.archive import FolderArchive
from cloud_collector.cli.deeds import logged
from cloud_collector.cli.dump import dump_schema
from cloud_collector.config import Config, ConfigInvalid, load
from cloud_collector.settings import CollectorSettings
from cloud_collector.store.place import is_there, is_url, open_database, place_of
from cloud_collector.store.store import Store
from shared.effects.database import Database
from shared.effects.sqlite import copy_database
from shared.errors import DatabaseBusy, DatabaseFull, InvalidRecord, MetersealError, SchemaNewer
from shared.key import SigningKey

CONFIG: Final = Path("/etc/meterseal/collector.toml")
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
StoreOption = Annotated[
    str | None,
    typer.Option("--store", metavar="FILE|URL", help="The collector's database (default: store, else store_path)."),
]
KeyOption = Annotated[
    Path | None, typer.Option("--key", metavar="FILE", help="The operator's receipt key (default: key_file).")
]
FolderOption = Annotated[
    Path | None,
    typer.Option("--invoices", metavar="FOLDER", help="The folder of issued invoices (default: archive_path)."),
]

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Named:
    """The configuration that a command line names."""

    file: Path | None = None
    flags: tuple[str, ...] = ()


_NAMED: ContextVar[Named | None] = ContextVar("named", default=None)


def use_config(file: Path | None, flags: Sequence[str]) -> None:
    """From here on this command speaks of this configuration."""
    _NAMED.set(Named(file, tuple(flags)))


def configuration(*flags: str) -> Config:
    """The configuration that was named, with its origins; ends the command with 2 where it is not usable."""
    named = _NAMED.get() or Named()
    file = named.file or (CONFIG if CONFIG.exists() else None)
    try:
        return load(file, environment=environ, flags=(*named.flags, *flags))
    except ConfigInvalid as error:
        say(str(error))
        raise typer.Exit(2) from None


def settings(*, store: str | None = None, key: Path | None = None, folder: Path | None = None) -> CollectorSettings:
    """The settings of the configuration that was named, below the options that a command was given."""
    given: dict[str, object] = {"key_file": key, "archive_path": folder}
    if store is not None:
        given |= {"store": store} if is_url(store) else {"store": "", "store_path": store}
    return configuration(*(f"{name}={path}" for name, path in given.items() if path is not None)).settings


@contextmanager
def opened(known: CollectorSettings, *, make: bool = False) -> Iterator[Store]:
    """The store, closed afterwards; `make` lets it begin, else the command ends with 3 where there is none."""
    if not make and not is_there(known):
        say(f"there is no store at {place_of(known)}: add a gateway, or start `cloud-collector run` once")
        raise typer.Exit(3)
    if make and not known.store:
        known.store_path.parent.mkdir(parents=True, exist_ok=True)
    database = open_database(known)
    try:
        store = Store(database, before=lambda schema: _before_upgrade(known, database, schema))
        with logged(store):
            yield store
    finally:
        database.close()


def _before_upgrade(known: CollectorSettings, database: Database, schema: int) -> None:
    """The store as the last version left it lies beside it, or in the folder of backups, until the next upgrade."""
    if not known.backup.before_upgrade:
        return
    if known.store:
        folder = known.backup.path or known.store_path.with_name("backups")
        kept = folder / f"store.schema-{schema}.dump"
        dump_schema(known.store, str(database.execute("select current_schema()::text")[0][0]), kept)
        _keep_newest(kept, folder.glob("store.schema-*.dump"))
        return
    path = known.store_path
    room, needed = shutil.disk_usage(path.parent).free, path.stat().st_size
    if room < needed:
        raise DatabaseFull(
            f"the store is copied before its schema changes, and {path.parent} has room for {room:,} of {needed:,} "
            "bytes: make room, or make a backup elsewhere and set backup.before_upgrade = false"
        )
    kept = path.with_name(f"{path.name}.schema-{schema}")
    copy_database(path, kept)
    _keep_newest(kept, path.parent.glob(f"{path.name}.schema-*"))


def _keep_newest(kept: Path, all_: Iterable[Path]) -> None:
    for older in all_:
        if older != kept:
            older.unlink()
    say(f"the store gets a newer schema; as it was, it is kept at {kept}")


class KeyUnusable(MetersealError):
    """The receipt key cannot be used."""


def signing_key(known: CollectorSettings) -> SigningKey:
    """The operator's receipt key; ends the command with 2 where it cannot be read."""
    try:
        return read_key(known.key_file)
    except KeyUnusable as error:
        say(str(error))
        raise typer.Exit(2) from None


def read_key(path: Path) -> SigningKey:
    """The private key of a file; raises KeyUnusable with what to do."""
    try:
        return SigningKey.from_pem(path.read_text(encoding="ascii"))
    except FileNotFoundError:
        advice = f"make one with `cloud-collector key new {path}`"
        raise KeyUnusable(f"there is no receipt key at {path}: {advice}") from None
    except OSError as error:
        raise KeyUnusable(f"the receipt key {path} cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, InvalidRecord) as error:
        raise KeyUnusable(f"the receipt key {path} cannot be used: {error}") from error


def archive(known: CollectorSettings) -> FolderArchive:
    """The append-only folder of issued invoices: what is set, else `invoices` beside the store."""
    return FolderArchive(known.archive_path or known.store_path.with_name("invoices"))


def say(sentence: str) -> None:
    """A sentence on stderr, where progress and refusals go."""
    print(sentence, file=sys.stderr)


def write_file(path: Path, content: bytes) -> None:
    """The bytes in a file, or on standard output where it is `-`; ends the command with 1 where that fails."""
    if str(path) == "-":
        typer.get_binary_stream("stdout").write(content)
        return
    try:
        path.write_bytes(content)
    except OSError as error:
        say(f"{path}: {error.strerror}")
        raise typer.Exit(1) from None


def ending(command: Callable[P, T]) -> Callable[P, T]:
    """The command, its errors turned into a sentence and an exit code."""

    @wraps(command)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return command(*args, **kwargs)
        except (DatabaseBusy, DatabaseFull) as error:
            say(str(error))
            raise typer.Exit(75) from None
        except SchemaNewer as error:
            say(str(error))
            raise typer.Exit(4) from None
        except MetersealError as error:
            say(str(error))
            raise typer.Exit(1) from None
        except BrokenPipeError:
            # Whoever read has read enough; typer ends quietly.
            raise
        except OSError as error:
            say(f"{error.filename}: {error.strerror}" if error.filename else str(error))
            raise typer.Exit(1) from None

    return guarded
