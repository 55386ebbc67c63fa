"""An application describes some hundred types when it is first asked; tests that make one each describe them once.

What a type adapter does follows from the annotation alone, so that one may serve every application of a process.
"""

from typing import Any, Final, get_args

import fastapi._compat.v2 as fields
from pydantic import ConfigDict, TypeAdapter

_known: Final[dict[Any, TypeAdapter[Any]]] = {}


def remembered(annotation: Any, *, config: ConfigDict | None = None) -> TypeAdapter[Any]:
    """The adapter of that annotation."""
    try:
        key = (get_args(annotation)[0], repr(get_args(annotation)[1:]), repr(config))
        known = _known.get(key)
    except (TypeError, IndexError):
        return TypeAdapter(annotation, config=config)
    if known is None:
        known = _known[key] = TypeAdapter(annotation, config=config)
    return known


def share() -> None:
    """From now on, in this process."""
    fields.TypeAdapter = remembered  # type: ignore[assignment,attr-defined]
