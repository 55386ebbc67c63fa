"""Settings as plain JSON values, and back; every type that a setting may have is known here and no other.

The same walk serves the configuration's validation and the running agent, which trusts what a
validating child has handed over: only the treatment of single values differs.
"""

import dataclasses
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin

T = TypeVar("T")


def plain(value: Any) -> Any:
    """A settings record as JSON can say it."""
    if dataclasses.is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Path):
        return str(value)
    return [plain(item) for item in value] if isinstance(value, tuple) else value


def record(cls: type[T], tree: Mapping[str, Any]) -> T:
    """The record that `plain` was made of; trusts the tree."""
    hints = typing.get_type_hints(cls)
    return cls(**{key: _of_type(hints[key], value) for key, value in tree.items()})


def members(annotation: Any) -> tuple[Any, ...]:
    """The alternatives of a union, without None; of anything else, itself."""
    if get_origin(annotation) in (Union, types.UnionType):
        return tuple(each for each in get_args(annotation) if each is not types.NoneType)
    return (annotation,)


def element_of(annotation: Any) -> Any | None:
    """What a `tuple[X, ...]` holds, or None for what is no such tuple."""
    return get_args(annotation)[0] if get_origin(annotation) is tuple else None


def type_name(cls: Any) -> str:
    """The value of `type` that chooses a kind of source."""
    return str(next(field.default for field in dataclasses.fields(cls) if field.name == "type"))


def _of_type(annotation: Any, value: Any) -> Any:
    element = element_of(annotation)
    if element is not None:
        return tuple(_of_type(element, item) for item in value)
    kinds = members(annotation)
    if isinstance(value, dict):
        return record(next(kind for kind in kinds if len(kinds) == 1 or type_name(kind) == value["type"]), value)
    return Path(value) if value is not None and Path in kinds else value
