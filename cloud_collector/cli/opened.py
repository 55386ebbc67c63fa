"""What the collector's own commands share: the configuration that was named, the store, keys, exit codes."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Annotated, Final, ParamSpec, TypeVar

import typer

from cloud_collector.cli.place import say
from cloud_collector.config import ENVIRONMENT, ConfigInvalid, load
from cloud_collector.settings import CollectorSettings
from cloud_collector.store.store import Store
from shared.effects.sqlite import SqliteDatabase
from shared.errors import DatabaseBusy, DatabaseFull, InvalidRecord, MetersealError
from shared.key import SigningKey

CONFIG: Final = Path("/etc/meterseal/collector.toml")
CONFIG_VARIABLE: Final = "METERSEAL_COLLECTOR_CONFIG"
SET_VARIABLE: Final = "METERSEAL_COLLECTOR_SET"
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
EPILOG: Final = (
    "Exit codes: 0 ok, 1 failed, 2 usage or configuration, 3 not found, 4 refused, 5 partly done and resumable, "
    "6 verification failed, 75 try again."
)

P = ParamSpec("P")
T = TypeVar("T")


def use_config(file: Path | None, flags: list[str]) -> None:
    """From here on every command speaks of this configuration."""
    if file is not None:
        os.environ[CONFIG_VARIABLE] = str(file)
    if flags:
        os.environ[SET_VARIABLE] = "\n".join(flags)
    # The billing commands take their places from the environment, which ranks above the file.
    known = settings()
    places = {"STORE_PATH": known.store_path, "KEY_FILE": known.key_file, "ARCHIVE_PATH": known.archive_path}
    for name, place in places.items():
        if place is not None:
            os.environ.setdefault(ENVIRONMENT + name, str(place.absolute()))


def settings() -> CollectorSettings:
    """The settings of the configuration that was named; ends the command with 2 where they are not usable."""
    named = os.environ.get(CONFIG_VARIABLE)
    file = Path(named) if named else CONFIG if CONFIG.exists() else None
    flags = os.environ.get(SET_VARIABLE, "")
    try:
        return load(file, environment=os.environ, flags=flags.split("\n") if flags else ()).settings
    except ConfigInvalid as error:
        say(str(error))
        raise typer.Exit(2) from None


@contextmanager
def opened(known: CollectorSettings, *, make: bool = False) -> Iterator[Store]:
    """The store, closed afterwards; `make` lets it begin."""
    path = known.store_path
    if not path.exists() and not make:
        say(f"there is no store at {path}: add a gateway, or start `cloud-collector run` once")
        raise typer.Exit(3)
    if make:
        path.parent.mkdir(parents=True, exist_ok=True)
    store = Store(SqliteDatabase(path))
    try:
        yield store
    finally:
        store.close()


def signing_key(known: CollectorSettings) -> SigningKey:
    """The operator's receipt key; ends the command with 2 where it cannot be read."""
    try:
        return SigningKey.from_pem(known.key_file.read_text(encoding="ascii"))
    except FileNotFoundError:
        say(f"there is no receipt key at {known.key_file}: make one with `cloud-collector key new {known.key_file}`")
    except (OSError, UnicodeDecodeError, InvalidRecord) as error:
        say(f"the receipt key {known.key_file} cannot be read: {error}")
    raise typer.Exit(2)


def ending(command: Callable[P, T]) -> Callable[P, T]:
    """The command, its errors turned into a sentence and an exit code."""

    @wraps(command)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return command(*args, **kwargs)
        except (DatabaseBusy, DatabaseFull) as error:
            say(str(error))
            raise typer.Exit(75) from None
        except MetersealError as error:
            say(str(error))
            raise typer.Exit(1) from None

    return guarded
