"""`edge-agent config check` and `config show`."""

import asyncio
import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from edge_agent import kept
from edge_agent.cli.exits import Exit
from edge_agent.cli.run import interval_pinned
from edge_agent.config import Config, load
from edge_agent.disk import FileDisk
from edge_agent.identity import KeyUnusable, read_public_key, read_signing_key
from edge_agent.local import ask, door_of
from edge_agent.orders import not_allowed
from edge_agent.plain import plain
from edge_agent.settings import AgentSettings
from edge_agent.statements import statements
from edge_agent.words import count
from shared.command import SetInterval
from shared.errors import DatabaseError
from shared.unit import parse

Where = tuple[str | int, ...]
_COMMON: Final = ("kW.h", "W.h", "MW.h", "kvar.h", "kVA.h", "m3", "L", "By", "GBy", "MBy", "GJ", "MJ", "h", "min", "s")


def check(file: Path, flags: Sequence[str]) -> Exit:
    """Whether the configuration is right (2 where not) and all that it names is there (1 where not)."""
    config = load(file, environment=os.environ, flags=flags)
    settings = config.settings
    missing = [*_missing(settings), *_units(config)]
    for sentence in missing:
        sys.stderr.write(f"{sentence}\n")
    if missing:
        return Exit.FAILED
    print(f"{file} is right: gateway {settings.gateway}, {count(len(settings.sources), 'source')}")
    return Exit.OK


def show(file: Path, flags: Sequence[str], *, origin: bool, as_json: bool) -> Exit:
    """Every option with its value, and where it comes from."""
    config = load(file, environment=os.environ, flags=flags)
    rows = list(_applied(config, flags))
    if as_json:
        print(
            json.dumps({_spelled(where): _entry(value, place, origin=origin) for where, value, place in rows}, indent=2)
        )
        return Exit.OK
    rows_text = [(f"{_spelled(where)} = {_toml(value)}", place) for where, value, place in rows]
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
        yield "no source is configured, so nothing would be metered: `edge-agent probe` proposes what it finds"


def _units(config: Config) -> Iterator[str]:
    """One sentence for each unit that no bill can convert: it would be sealed as it stands."""
    for where, value in _values(config):
        if where[-1] != "unit" or not isinstance(value, str) or value.startswith("{") or parse(value) is not None:
            continue
        near = next((each for each in _COMMON if each.lower().replace(".", "") == value.lower().replace("³", "3")), "")
        yield (
            f'{config.origin(where)}: "{value}" is no unit that a bill can convert, '
            + (
                f'did you mean "{near}"?'
                if near
                else 'see https://ucum.org; what is counted stands in braces, "{wash}"'
            )
        )


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


def _applied(config: Config, flags: Sequence[str]) -> Iterator[tuple[Where, Any, str]]:
    """Every option with the value that applies and its origin; a command's interval ranks above the file."""
    settings = config.settings
    asked = None if interval_pinned(flags, os.environ) else kept_interval(settings.spool_path)
    if asked and not_allowed(SetInterval(step=asked[0], count=asked[1]), settings, pinned=False):
        asked = None
    for where, value in _values(config):
        if asked and where in (("step_seconds",), ("interval_count",)):
            yield where, asked[where == ("interval_count",)], "command set_interval, kept in the spool"
        else:
            yield where, value, config.origin(where)


def kept_interval(spool: Path) -> tuple[int, int] | None:
    """The interval that a command has set, asked of the running agent, or found in its spool."""
    answer = asyncio.run(ask(door_of(spool), "status"))
    if answer is not None:
        asked = answer.get("interval_asked")
        return (asked[0], asked[1]) if asked else None
    if not spool.exists():
        return None
    try:
        database = FileDisk(spool).open()
        try:
            found = kept.get(database, kept.INTERVAL) if database.execute(statements()["has_kept"]) else None
        finally:
            database.close()
    except DatabaseError:
        return None  # `status` says what is wrong with it.
    return (found[0], found[1]) if found else None


def _entry(value: Any, place: str, *, origin: bool) -> Any:
    return {"value": value, "origin": place} if origin else value


def _spelled(where: Where) -> str:
    return ".".join(map(str, where))


def _toml(value: Any) -> str:
    return "(none)" if value is None else json.dumps(value, ensure_ascii=False)
