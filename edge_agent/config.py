"""Configuration: files, environment and flags, merged, checked, and each value's origin known.

Flags go above the environment, that above conf.d/*.toml, those above the file, that above defaults.
pydantic checks single values, so the running agent never imports this module: it asks
`python -m edge_agent.config`, a child that prints plain JSON and is gone (tested).
"""

import dataclasses
import difflib
import json
import os
import sys
import tomllib
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from edge_agent.invalid import ConfigInvalid, InvalidSetting
from edge_agent.plain import element_of, members, plain, type_name
from edge_agent.settings import AgentSettings
from edge_agent.words import AS_ROOT
from shared.errors import InvalidRecord
from shared.mistake import wanted
from shared.places import places

ENVIRONMENT: Final = "METERSEAL_AGENT__"
FILE_BYTES_MAX: Final = 1024 * 1024

Where = tuple[str | int, ...]
"""The keys that lead to a value."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value comes from."""

    text: str
    """`agent.toml:14`, `environment METERSEAL_AGENT__…`, `flag --set …`."""
    folder: Path | None = None
    """What relative paths are relative to: the file's folder."""
    spelled: bool = False
    """Whether the value is text that still has to be read as its type."""


@dataclass(frozen=True, slots=True)
class Config:
    """A checked configuration."""

    settings: AgentSettings
    origins: Mapping[Where, Origin]

    def origin(self, where: Where) -> str:
        """Where a value comes from, in words."""
        found = self.origins.get(where)
        return "default" if found is None else found.text


@dataclass(slots=True)
class _Sources:
    """The merged tree, and where each part of it comes from."""

    tree: dict[str, Any] = field(default_factory=dict)
    origins: dict[Where, Origin] = field(default_factory=dict)


def load(file: Path, *, environment: Mapping[str, str], flags: Sequence[str] = (), required: bool = True) -> Config:
    """Read and check everything; raises ConfigInvalid with all that is wrong, each with its place."""
    merged = _Sources()
    first = (file,) if required or file.exists() else ()
    for path in (*first, *sorted((file.parent / "conf.d").glob("*.toml"))):
        _merge_file(merged, path, file.parent)
    for name, text in sorted(environment.items()):
        if name.startswith(ENVIRONMENT):
            keys = name.removeprefix(ENVIRONMENT).lower().split("__")
            _put(merged, keys, text, Origin(f"environment {name}", spelled=True))
    for flag in flags:
        key, equals, text = flag.partition("=")
        if not equals:
            raise ConfigInvalid(f"--set takes KEY=VALUE, such as broker.host=localhost; this is {flag!r}")
        _put(merged, key.split("."), text, Origin(f"flag --set {key}", spelled=True))
    return _Check(merged, file).config()


def _merge_file(merged: _Sources, path: Path, root: Path) -> None:
    shown = str(path.relative_to(root))
    try:
        raw = path.read_bytes()
    except FileNotFoundError as error:
        raise ConfigInvalid(
            f"there is no {path}: `edge-agent enrol URL CODE` writes one, or name another with --config"
        ) from error
    except OSError as error:
        advice = AS_ROOT if isinstance(error, PermissionError) else "name a file with --config"
        raise ConfigInvalid(f"{path} cannot be read: {error.strerror}; {advice}") from error
    if len(raw) > FILE_BYTES_MAX:
        raise ConfigInvalid(f"{path} is larger than {FILE_BYTES_MAX} bytes: that is no configuration")
    try:
        text = raw.decode("utf-8").replace("\r\n", "\n")
        tree = tomllib.loads(text)
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        what, found, line = str(error).partition(" (at line ")
        place = f"{shown}:{line.partition(',')[0]}" if found else shown
        raise ConfigInvalid(f"{place}: this is not TOML: {what}") from error
    lines = places(text)
    folder = path.parent.absolute()

    def walk(tree: Mapping[str, Any], into: dict[str, Any], read: Where, write: Where) -> None:
        for key, value in tree.items():
            here, there = (*read, key), (*write, key)
            merged.origins[there] = Origin(f"{shown}:{lines.get(here, '?')}", folder)
            if isinstance(value, dict) and isinstance(into.get(key, {}), dict):
                walk(value, into.setdefault(key, {}), here, there)
            elif isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
                # Lists of tables grow from file to file; every other value is replaced.
                rows = into[key] = into[key] if isinstance(into.get(key), list) else []
                for index, item in enumerate(value):
                    place = (*there, len(rows))
                    merged.origins[place] = Origin(f"{shown}:{lines.get((*here, index), '?')}", folder)
                    rows.append({})
                    walk(item, rows[-1], (*here, index), place)
            else:
                into[key] = value

    walk(tree, merged.tree, (), ())


def _put(merged: _Sources, keys: Sequence[str], text: str, origin: Origin) -> None:
    at: Any = merged.tree
    where: Where = ()
    for place, key in enumerate(keys):
        last = place == len(keys) - 1
        step: str | int = int(key) if isinstance(at, list) and key.isdecimal() else key
        if isinstance(at, list) and not (isinstance(step, int) and step < len(at)):
            raise ConfigInvalid(f"{origin.text}: there is no {'.'.join(map(str, (*where, key)))} to set a value in")
        where = (*where, step)
        if last:
            at[step] = text
        else:
            if isinstance(at, dict) and not isinstance(at.get(key), dict | list):
                at[key] = {}
                merged.origins[where] = origin
            at = at[step]
    merged.origins = {path: kept for path, kept in merged.origins.items() if path[: len(where)] != where}
    merged.origins[where] = origin


class _Check:
    """Turns the merged tree into settings and collects everything that is wrong with it."""

    def __init__(self, merged: _Sources, file: Path) -> None:
        self._tree = merged.tree
        self._origins = merged.origins
        self._file = file
        self._problems: list[str] = []

    def config(self) -> Config:
        """The checked configuration; raises ConfigInvalid."""
        settings = self._record(AgentSettings, self._tree, ())
        if self._problems or settings is None:
            raise ConfigInvalid("\n".join(self._problems))
        return Config(settings, self._origins)

    def _record(self, cls: Any, tree: Mapping[str, Any], where: Where) -> Any | None:
        hints = typing.get_type_hints(cls)
        before = len(self._problems)
        values: dict[str, Any] = {}
        for key, value in tree.items():
            if key not in hints:
                self._problem((*where, key), _unknown("key", key, hints))
                continue
            values[key] = self._value(hints[key], value, (*where, key))
        for each in dataclasses.fields(cls):
            required = each.default is dataclasses.MISSING and each.default_factory is dataclasses.MISSING
            if required and each.name not in tree:
                self._problem(where, f'"{each.name}" is missing')
        if len(self._problems) > before:
            return None
        try:
            return cls(**values)
        except InvalidSetting as error:
            self._problem((*where, error.key), str(error))
        except InvalidRecord as error:
            self._problem((*where, str(error).partition(" ")[0]), str(error))
        return None

    def _value(self, annotation: Any, value: Any, where: Where) -> Any:
        kinds = members(annotation)
        element = element_of(annotation)
        if element is not None and dataclasses.is_dataclass(members(element)[0]):
            if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
                self._problem(where, f"must be tables, each begun by [[{where[-1]}]]")
                return None
            return tuple(self._chosen(members(element), item, (*where, index)) for index, item in enumerate(value))
        if dataclasses.is_dataclass(kinds[0]):
            if not isinstance(value, dict):
                self._problem(where, f"must be a table, begun by [{where[-1]}]")
                return None
            return self._chosen(kinds, value, where)
        return self._single(annotation, value, where)

    def _chosen(self, kinds: Sequence[Any], tree: Mapping[str, Any], where: Where) -> Any | None:
        if len(kinds) == 1:
            return self._record(kinds[0], tree, where)
        by_type = {type_name(kind): kind for kind in kinds}
        chosen = tree.get("type")
        if chosen in by_type:
            return self._record(by_type[chosen], tree, where)
        if chosen is None:
            self._problem(where, f'"type" is missing: one of {", ".join(by_type)}')
        else:
            self._problem((*where, "type"), _unknown("type", str(chosen), by_type))
        return None

    def _single(self, annotation: Any, value: Any, where: Where) -> Any:
        origin = self._origin(where)
        checker: TypeAdapter[Any] = TypeAdapter(annotation)
        try:
            if origin is not None and origin.spelled and isinstance(value, str):
                found = checker.validate_python(_spelled(value), strict=False)
            else:
                found = checker.validate_json(json.dumps(value, default=str), strict=True)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            self._problem(where, f'"{where[-1]}": {wanted(dict(first), value)}; this is {_shown(value)}')
            return None
        return _located(found, None if origin is None else origin.folder)

    def _origin(self, where: Where) -> Origin | None:
        while where and where not in self._origins:
            where = where[:-1]
        return self._origins.get(where)

    def _problem(self, where: Where, reason: str) -> None:
        origin = self._origin(where)
        self._problems.append(f"{self._file.name if origin is None else origin.text}: {reason}")


def _unknown(what: str, name: str, known: Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f'unknown {what} "{name}", ' + (f'did you mean "{near[0]}"?' if near else f"known are {', '.join(known)}")


def _spelled(text: str) -> Any:
    """The value that a flag or an environment variable spells: lists as in TOML, everything else as it stands."""
    if not text.startswith("["):
        return text
    try:
        return tuple(tomllib.loads(f"value = {text}")["value"])
    except (tomllib.TOMLDecodeError, TypeError):
        return text


def _located(value: Any, folder: Path | None) -> Any:
    """Paths of a file are relative to its folder."""
    if isinstance(value, Path) and folder is not None:
        return folder / value
    return tuple(_located(item, folder) for item in value) if isinstance(value, tuple) else value


def _shown(value: Any) -> str:
    return json.dumps(value, default=str)[:64]


def main(arguments: Sequence[str]) -> int:
    """Print the settings as plain JSON for the parent that will run them; 2 where they cannot be."""
    try:
        config = load(Path(arguments[0]), environment=os.environ, flags=arguments[1:])
    except ConfigInvalid as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(json.dumps(plain(config.settings)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
