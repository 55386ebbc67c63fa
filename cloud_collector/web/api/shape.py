"""What other rooms tell as plain JSON becomes the records that the interface promises."""

from typing import Any, Final, TypeVar

from pydantic import TypeAdapter

T = TypeVar("T")
_ADAPTERS: Final[dict[type[Any], TypeAdapter[Any]]] = {}
"""One a record: making it costs more than using it."""


def shaped(kind: type[T], told: Any) -> T:
    """The record; what is told and not in it is left out. Raises ValidationError where anything is amiss."""
    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = TypeAdapter(kind)
    found: T = _ADAPTERS[kind].validate_python(told)
    return found
