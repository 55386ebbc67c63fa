"""`cloud-collector config`: whether the configuration is right, and where each value comes from."""

import dataclasses
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from cloud_collector.cli.opened import Json, KeyUnusable, configuration, ending, read_key, say, settings
from cloud_collector.settings import CollectorSettings
from cloud_collector.store.place import is_there, place_of
from shared.errors import DatabaseError

app = typer.Typer(no_args_is_help=True, help="Check or show the collector's configuration.")


@app.command()
@ending
def check() -> None:
    """Example: `cloud-collector config check --config collector.toml`.

    Say whether the configuration is right (exit 2 where not) and all that it names is there (exit 1 where not).
    """
    known = settings()
    missing = list(_missing(known))
    for sentence in missing:
        say(sentence)
    if missing:
        raise typer.Exit(1)
    print(f"the configuration is right: store {place_of(known)}, broker {known.broker.host}:{known.broker.port}")


@app.command()
@ending
def show(
    origin: Annotated[bool, typer.Option("--origin", help="Say where each value comes from.")] = False,
    json_: Json = False,
) -> None:
    """Example: `cloud-collector config show --origin`.

    Show every option with its value.
    """
    found = configuration()
    values = dict(_values(found.settings, ()))
    if json_:
        rows = {".".join(where): _entry(value, found.origin(where), origin=origin) for where, value in values.items()}
        print(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    texts = {where: f"{'.'.join(where)} = {_toml(value)}" for where, value in values.items()}
    width = max(map(len, texts.values()))
    for where, text in texts.items():
        print(f"{text:<{width}}  # {found.origin(where)}" if origin else text)


def _missing(known: CollectorSettings) -> Iterator[str]:
    """One sentence for everything that the configuration names and that cannot be used."""
    try:
        read_key(known.key_file)
    except KeyUnusable as error:
        yield str(error)
    for name in ("password_file", "ca_file", "cert_file", "key_file"):
        path = getattr(known.broker, name)
        if path is not None and not os.access(path, os.R_OK):
            yield f"broker.{name} {path} is not there, or may not be read"
    if known.store:
        try:
            is_there(known)
        except DatabaseError as error:
            yield str(error)
    folder = known.store_path.absolute().parent
    if not known.store and folder.exists() and not os.access(folder, os.W_OK):
        yield f"the folder {folder} of store_path may not be written"


def _values(record: Any, above: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for each in dataclasses.fields(record):
        value, where = getattr(record, each.name), (*above, each.name)
        if dataclasses.is_dataclass(value):
            yield from _values(value, where)
        else:
            yield where, str(value) if isinstance(value, Path) else dict(value) if isinstance(value, Mapping) else value


def _entry(value: Any, place: str, *, origin: bool) -> Any:
    return {"value": value, "origin": place} if origin else value


def _toml(value: Any) -> str:
    return "(none)" if value is None else json.dumps(value, ensure_ascii=False)
