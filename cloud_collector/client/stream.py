"""Server-sent events out of lines of text, as the HTML standard reads them (section 9.2.6)."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """One event of a stream."""

    id: str
    """By which the stream is taken up again."""
    kind: str
    """`cost`, `warning`, `gateway`, `alarm` or `reset`."""
    data: dict[str, Any] = field(default_factory=dict)


def happenings(lines: Iterable[str]) -> Iterator[Happening]:
    """The events in these lines; comments and what is cut off at the end are none."""
    last, kind, data = "", "message", list[str]()
    for line in lines:
        if not line:
            if data:
                yield Happening(id=last, kind=kind, data=json.loads("\n".join(data)))
            kind, data = "message", []
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "id":
                last = value
            case "event":
                kind = value
            case "data":
                data.append(value)
            case _:
                continue
