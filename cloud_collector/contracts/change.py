"""A catalog with some values replaced, for trying out what would come of it: `plans.charger.activation.grace=60d`."""

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NoReturn

from cloud_collector.contracts.node import CatalogError, nearest


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One value in the place of another; without one the key is taken out."""

    path: tuple[str, ...]
    value: Any
    said: str
    """As it was written."""


def read_change(text: str) -> Change:
    """Read `KEY=VALUE`: the key dotted as in TOML, the value as in TOML or as plain text; raises CatalogError."""
    key, equals, value = text.partition("=")
    try:
        path = _path(tomllib.loads(f"{key} = 0"))
    except tomllib.TOMLDecodeError:
        path = ()
    if not equals or len(path) < 2:
        raise CatalogError(
            f"{text[:64]!r} changes nothing: write KEY=VALUE, such as plans.charger.activation.grace=60d"
        )
    return Change(path=path, value=_value(value.strip()), said=text)


def change_all(roots: Sequence[dict[str, Any]], changes: Iterable[Change]) -> None:
    """The parsed files say what the changes say; raises CatalogError for a place that is not there."""
    for change in changes:
        _change(roots, change)


def _change(roots: Sequence[dict[str, Any]], change: Change) -> None:
    section, *rest = change.path
    here = [root[section] for root in roots if isinstance(root.get(section), dict)]
    if not here:
        _refuse(change, f'the catalog has no "{section}"{nearest(section, {key for root in roots for key in root})}')
    if section == "operator":
        _put(here[0], rest, change)
        return
    name = rest[0]
    holding = [table for table in here if name in table]
    if not holding:
        _refuse(change, f"the catalog has no {section}.{name}{nearest(name, {key for table in here for key in table})}")
    _put(holding[0], rest, change)


def _put(inside: Any, path: Sequence[str], change: Change) -> None:
    *above, last = path
    for step in above:
        inside = _element(inside, step, change) if isinstance(inside, list) else _table(inside, step, change)
    if isinstance(inside, list):
        _element(inside, last, change)
        _refuse(change, f'"{last}" is a table: name one of its keys')
    elif not isinstance(inside, dict):
        _refuse(change, f'"{last}" would stand in what is no table')
    elif change.value is None:
        inside.pop(last, None)
    else:
        inside[last] = change.value


def _table(inside: Any, step: str, change: Change) -> Any:
    """What a key holds; a table that is not there yet begins, so that the catalog's reader judges what is in it."""
    if not isinstance(inside, dict):
        _refuse(change, f'"{step}" would stand in what is no table')
    return inside.setdefault(step, {})


def _element(inside: list[Any], step: str, change: Change) -> Any:
    """One of a list: by its name, as a charge or a window has one, or by its place from 0."""
    named = {each["name"]: each for each in inside if isinstance(each, Mapping) and isinstance(each.get("name"), str)}
    if step in named:
        return named[step]
    if not step.isdecimal() or int(step) >= len(inside):
        _refuse(change, f'there is no "{step}"{nearest(step, named) or f": it has {len(inside)} elements, from 0"}')
    return inside[int(step)]


def _refuse(change: Change, why: str) -> NoReturn:
    raise CatalogError(f"--set {change.said}: {why}")


def _path(parsed: Mapping[str, Any]) -> tuple[str, ...]:
    key, value = next(iter(parsed.items()))
    return (key, *_path(value)) if isinstance(value, dict) else (key,)


def _value(text: str) -> Any:
    if not text:
        return None
    try:
        return tomllib.loads(f"value = {text}", parse_float=Decimal)["value"]
    except tomllib.TOMLDecodeError:
        return text
