"""The collector's configuration: flags above environment, above conf.d/*.toml, above the file, above defaults.

An unknown key is an error with file, line and the nearest known key; relative paths are relative to
the file that names them.
"""

import dataclasses
import difflib
import tomllib
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from cloud_collector.settings import CollectorSettings
from shared.errors import InvalidRecord, MetersealError
from shared.mistake import wanted
from shared.places import places

ENVIRONMENT: Final = "METERSEAL_COLLECTOR__"
FILE_BYTES_MAX: Final = 1024 * 1024

Where = tuple[str, ...]
"""The keys that lead to a value."""


class ConfigInvalid(MetersealError):
    """The configuration is not usable."""


@dataclass(frozen=True, slots=True)
class Config:
    """Checked settings and where each value that is no default comes from."""

    settings: CollectorSettings
    origins: Mapping[Where, str]

    def origin(self, where: Where) -> str:
        """Where a value comes from, in words."""
        return self.origins.get(where, "default")


@dataclass(slots=True)
class _Merged:
    values: dict[Where, Any] = field(default_factory=dict)
    origins: dict[Where, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def put(self, where: Where, value: Any, origin: str) -> None:
        self.values[where] = value
        self.origins[where] = origin


def load(file: Path | None, *, environment: Mapping[str, str], flags: Sequence[str] = ()) -> Config:
    """Read and check everything; raises ConfigInvalid with all that is wrong, each with its place."""
    known = _known(CollectorSettings)
    merged = _Merged()
    if file is not None:
        for path in (file, *sorted((file.parent / "conf.d").glob("*.toml"))):
            _merge_file(merged, known, path)
    for name, text in sorted(environment.items()):
        if name.startswith(ENVIRONMENT):
            where = tuple(name.removeprefix(ENVIRONMENT).lower().split("__"))
            _merge(merged, known, where, _spelled(text), f"environment {name}")
    for flag in flags:
        key, equals, text = flag.partition("=")
        if not equals:
            raise ConfigInvalid(f"--set takes KEY=VALUE, such as broker.host=localhost; this is {flag!r}")
        _merge(merged, known, tuple(key.split(".")), _spelled(text), f"--set {key}")
    if merged.problems:
        raise ConfigInvalid("\n".join(merged.problems))
    return Config(_record(CollectorSettings, merged, ()), merged.origins)


def _merge_file(merged: _Merged, known: Mapping[Where, Any], path: Path) -> None:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ConfigInvalid(f"{path} cannot be read: {error.strerror}; name a file with --config") from error
    if len(raw) > FILE_BYTES_MAX:
        raise ConfigInvalid(f"{path} is larger than {FILE_BYTES_MAX} bytes: that is no configuration")
    try:
        text = raw.decode("utf-8").replace("\r\n", "\n")
        tree = tomllib.loads(text)
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigInvalid(f"{path}: this is not TOML: {error}") from error
    lines = places(text)

    def walk(tree: Mapping[str, Any], above: Where) -> None:
        for key, value in tree.items():
            where = (*above, key)
            origin = f"{path}:{lines.get(where, '?')}"
            if isinstance(value, dict) and known.get(where) is None and _is_table(known, where):
                walk(value, where)
            else:
                annotation = known.get(where)
                located = path.parent / value if isinstance(value, str) and _holds_path(annotation) else value
                _merge(merged, known, where, located, origin)

    walk(tree, ())


def _merge(merged: _Merged, known: Mapping[Where, Any], where: Where, value: Any, origin: str) -> None:
    if where not in known:
        merged.problems.append(f"{origin}: unknown key {'.'.join(where)}, {_advice(known, where)}")
        return
    try:
        found = TypeAdapter(known[where]).validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        merged.problems.append(
            f"{origin}: {'.'.join(where)}: {wanted(dict(first), value)}; this is {str(value)[:64]!r}"
        )
        return
    merged.put(where, found, origin)


def _known(cls: Any, above: Where = ()) -> dict[Where, Any]:
    """Every option by its keys, with its type."""
    found: dict[Where, Any] = {}
    hints = typing.get_type_hints(cls)
    for each in dataclasses.fields(cls):
        hint = hints[each.name]
        if dataclasses.is_dataclass(hint):
            found |= _known(hint, (*above, each.name))
        else:
            found[*above, each.name] = hint
    return found


def _record(cls: Any, merged: _Merged, above: Where) -> Any:
    hints = typing.get_type_hints(cls)
    values: dict[str, Any] = {}
    for each in dataclasses.fields(cls):
        where = (*above, each.name)
        if dataclasses.is_dataclass(hints[each.name]):
            values[each.name] = _record(hints[each.name], merged, where)
        elif where in merged.values:
            values[each.name] = merged.values[where]
    try:
        return cls(**values)
    except InvalidRecord as error:
        origin = merged.origins.get((*above, str(error).partition(" ")[0]), "the configuration")
        raise ConfigInvalid(f"{origin}: {error}") from error


def _advice(known: Mapping[Where, Any], where: Where) -> str:
    if _leads(known, where):
        return f"it is a table of {', '.join(each[-1] for each in known if each[: len(where)] == where)}"
    # The first level that is wrong: a table's name as well as an option's.
    level = next(at for at in range(len(where)) if not _leads(known, where[: at + 1]))
    here = sorted({each[level] for each in known if each[:level] == where[:level] and len(each) > level})
    near = difflib.get_close_matches(where[level], here, 1, 0.5)
    if near:
        return f"did you mean {near[0]}?"
    return f"known are {', '.join(here)}" if here else f"{'.'.join(where[:level])} is no table"


def _leads(known: Mapping[Where, Any], where: Where) -> bool:
    return any(each[: len(where)] == where for each in known)


def _is_table(known: Mapping[Where, Any], where: Where) -> bool:
    return any(each[: len(where)] == where and len(each) > len(where) for each in known)


def _holds_path(annotation: Any) -> bool:
    return annotation is Path or (isinstance(annotation, types.UnionType) and Path in annotation.__args__)


def _spelled(text: str) -> Any:
    """The value that a flag or a variable spells: tables as in TOML, everything else as it stands."""
    if not text.startswith("{"):
        return text
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
