"""`edge-agent config check` and `config show`."""

import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from edge_agent.cli.exits import Exit
from edge_agent.config import Config, load
from edge_agent.identity import KeyUnusable, read_public_key, read_signing_key
from edge_agent.plain import plain
from edge_agent.settings import AgentSettings

Where = tuple[str | int, ...]


def check(file: Path, flags: Sequence[str]) -> Exit:
    """Whether the configuration is right (2 where not) and all that it names is there (1 where not)."""
    settings = load(file, environment=os.environ, flags=flags).settings
    missing = list(_missing(settings))
    for sentence in missing:
        sys.stderr.write(f"{sentence}\n")
    if missing:
        return Exit.FAILED
    print(f"{file} is right: gateway {settings.gateway}, {len(settings.sources)} sources")
    return Exit.OK


def show(file: Path, flags: Sequence[str], *, origin: bool, as_json: bool) -> Exit:
    """Every option with its value, and where it comes from."""
    config = load(file, environment=os.environ, flags=flags)
    if as_json:
        rows = {_spelled(where): _entry(config, where, value, origin=origin) for where, value in _values(config)}
        print(json.dumps(rows, indent=2))
        return Exit.OK
    rows_text = [(f"{_spelled(where)} = {_toml(value)}", config.origin(where)) for where, value in _values(config)]
    width = max(len(text) for text, _ in rows_text)
    for text, place in rows_text:
        print(f"{text:<{width}}  # {place}" if origin else text)
    return Exit.OK


def _missing(settings: AgentSettings) -> Iterator[str]:
    """One sentence for everything that the configuration names and that cannot be used."""
    try:
        read_signing_key(settings.key_file)
    except KeyUnusable as error:
        yield str(error)
    if not settings.receipt_key_files:
        yield "receipt_key_files is empty: without the collector's key no receipt counts, and the spool only grows"
    for file in settings.receipt_key_files:
        try:
            read_public_key(file)
        except KeyUnusable as error:
            yield str(error)
    broker = settings.broker
    for name in ("password_file", "ca_file", "cert_file", "key_file"):
        path = getattr(broker, name)
        if path is not None and not os.access(path, os.R_OK):
            yield f"broker.{name} {path} is not there, or may not be read"
    if not os.access(settings.spool_path.parent, os.W_OK):
        yield f"the folder {settings.spool_path.parent} of spool_path is not there, or may not be written"
    if not settings.sources:
        yield "no source is configured: nothing will be metered"


def _values(config: Config) -> Iterator[tuple[Where, Any]]:
    def walk(value: Any, where: Where) -> Iterator[tuple[Where, Any]]:
        if isinstance(value, dict):
            for key, item in value.items():
                yield from walk(item, (*where, key))
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            for index, item in enumerate(value):
                yield from walk(item, (*where, index))
        else:
            yield where, value

    yield from walk(plain(config.settings), ())


def _entry(config: Config, where: Where, value: Any, *, origin: bool) -> Any:
    return {"value": value, "origin": config.origin(where)} if origin else value


def _spelled(where: Where) -> str:
    return ".".join(map(str, where))


def _toml(value: Any) -> str:
    return "(none)" if value is None else json.dumps(value, ensure_ascii=False)
