"""Where a value stands in a JSON document, and numbers as they are printed there: never a float in between (P1).

A path is keys with dots, and places of lists in brackets: `emeters[0].total`. Any key may be written in
brackets and quotes too, as one with a dot must be: `["a.b"].c`. The empty path is the document itself.
"""

import json
import re
from typing import Any, Final, NoReturn, TypeAlias

from shared.errors import InvalidRecord

PATH_CHARS_MAX: Final = 200
_STEP: Final = re.compile(r"""\.([^.\[\]"']+)|\[(\d{1,6})\]|\["([^"]+)"\]|\['([^']+)'\]""")

Step: TypeAlias = str | int
"""A key of an object, or a place of a list."""


class Printed(str):
    """A JSON number as it is printed."""

    __slots__ = ()


def steps_to(path: str) -> tuple[Step, ...]:
    """The steps of a path; raises InvalidRecord where it is none."""
    text = path if not path or path.startswith("[") else f".{path}"
    steps: list[Step] = []
    at = 0
    while at < len(text):
        found = _STEP.match(text, at)
        if found is None or len(path) > PATH_CHARS_MAX:
            raise InvalidRecord(f"{path[:48]!r} is no path; one looks like emeters[0].total")
        key, place, double, single = found.groups()
        steps.append(int(place) if place is not None else key or double or single)
        at = found.end()
    return tuple(steps)


def document(raw: bytes) -> Any:
    """The JSON document with its numbers as `Printed`; raises InvalidRecord."""
    try:
        text = raw.decode("utf-8-sig")
        return json.loads(text, parse_int=Printed, parse_float=Printed, parse_constant=_constant)
    except (ValueError, RecursionError):
        raise InvalidRecord(f"{raw[:40].decode('utf-8', 'replace').strip()!r} is no JSON") from None


def found_at(steps: tuple[Step, ...], value: Any) -> Any:
    """What stands at the end of the steps; None where nothing does.

    Place 0 of what is no list is the thing itself: some devices print a list only where they have two.
    """
    for step in steps:
        if isinstance(step, str):
            value = value.get(step) if isinstance(value, dict) else None
        elif isinstance(value, list):
            value = value[step] if step < len(value) else None
        else:
            value = value if step == 0 else None
    return value


def _constant(name: str) -> NoReturn:
    raise ValueError(name)  # NaN and Infinity are no JSON.
