"""What was found, and the piece of configuration that meters it. Pure."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from edge_agent.sources.mqtt_settings import name_of
from shared.limits import NAME_CHARS_MAX

Options = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Something that can be metered, and how."""

    where: str
    what: str
    reads: str = ""
    """What it says now, for people to compare with its display."""
    sure: bool = True
    """Whether it said what it is; a guess is proposed as comment."""
    source: Options = field(default_factory=dict)
    """The source that reads it, without what stands in `entry`."""
    list_name: str = ""
    """The source's list that `entry` belongs to: devices or channels."""
    entry: Options = field(default_factory=dict)
    more: tuple[Options, ...] = ()
    """Further entries of the same list."""


def toml_of(found: Iterable[Found]) -> str:
    """Ready configuration: one source for each line or connection, with everything that was found there."""
    sources: dict[str, tuple[Options, list[Found]]] = {}
    for each in found:
        sources.setdefault(json.dumps(each.source, sort_keys=True), (each.source, []))[1].append(each)
    return "\n".join(_source(source, members) for source, members in sources.values())


def name(text: str) -> str:
    """A name of what was found, by the letters that names may have."""
    return name_of(text)[:NAME_CHARS_MAX].strip("_") or "meter"


def _source(source: Options, members: list[Found]) -> str:
    sure = any(each.sure for each in members)
    lines = ["[[sources]]", *_table(source)]
    text = "".join(f"{line}\n" if sure else f"#{line}\n" for line in lines)
    for each in members:
        text += f"\n# {each.where}: {each.what}{', ' + each.reads if each.reads else ''}\n"
        for entry in (each.entry, *each.more):
            rows = [f"[[sources.{each.list_name}]]", *_table(entry)]
            text += "".join(f"{row}\n" if each.sure else f"#{row}\n" for row in rows)
    return text


def _table(options: Options) -> list[str]:
    return [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in options.items()]
