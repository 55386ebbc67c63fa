"""Where the collector's things lie, for the commands that bill: store, receipt key, folder of issued invoices."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from cloud_collector.billing.archive import FolderArchive
from cloud_collector.settings import CollectorSettings
from cloud_collector.store.store import Store
from shared.effects.sqlite import SqliteDatabase
from shared.errors import DatabaseBusy, DatabaseError, DatabaseFull, InvalidRecord
from shared.key import SigningKey

StoreOption = Annotated[
    Path | None,
    typer.Option("--store", envvar="METERSEAL_COLLECTOR__STORE_PATH", help="The collector's database."),
]
KeyOption = Annotated[
    Path | None,
    typer.Option("--key", envvar="METERSEAL_COLLECTOR__KEY_FILE", help="The operator's receipt key (PEM)."),
]
FolderOption = Annotated[
    Path | None,
    typer.Option(
        "--invoices",
        envvar="METERSEAL_COLLECTOR__ARCHIVE_PATH",
        help="The append-only folder of issued invoices (default: `invoices` beside the store).",
    ),
]


def say(sentence: str) -> None:
    """A sentence on stderr, where progress and refusals go."""
    print(sentence, file=sys.stderr)


@contextmanager
def opened_store(path: Path | None) -> Iterator[Store]:
    """The store, closed afterwards; ends the command with 3 where there is none, 75 where it is busy or full."""
    place = path or CollectorSettings().store_path
    if not place.exists():
        say(f"there is no store at {place}: name it with --store, or start `cloud-collector run` once")
        raise typer.Exit(3)
    try:
        store = Store(SqliteDatabase(place))
        try:
            yield store
        finally:
            store.close()
    except (DatabaseBusy, DatabaseFull) as error:
        say(str(error))
        raise typer.Exit(75) from None
    except DatabaseError as error:
        say(str(error))
        raise typer.Exit(1) from None


def receipt_key(path: Path | None) -> SigningKey:
    """The operator's receipt key; ends the command with 2 where it cannot be read."""
    place = path or CollectorSettings().key_file
    try:
        return SigningKey.from_pem(place.read_text(encoding="ascii"))
    except OSError as error:
        say(f"the receipt key {place} cannot be read: {error.strerror}")
    except (InvalidRecord, UnicodeDecodeError) as error:
        say(f"{place}: {error}")
    raise typer.Exit(2)


def archive(folder: Path | None, store: Path | None) -> FolderArchive:
    """The folder of issued invoices."""
    return FolderArchive(folder or (store or CollectorSettings().store_path).with_name("invoices"))
