"""Meters that are known by name: one TOML file each in `edge_agent/templates/modbus`, inside the package.

A template says what a device's channels are, what it bears when it answers, and how it must be asked.
Its addresses count from 0, as they travel. Only templates that are named are read.
"""

import dataclasses
import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

from edge_agent.invalid import InvalidSetting
from edge_agent.sources.modbus_channel import ModbusChannel
from edge_agent.sources.modbus_plan import REGISTERS_MAX
from edge_agent.sources.modbus_values import text_of_registers

T = TypeVar("T")
FOLDER: Final = Path(__file__).parents[1] / "templates" / "modbus"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plate:
    """Registers that tell what a device is: its serial number, its type's code or name."""

    function: Literal[3, 4]
    address: int
    type: Literal["number", "hex", "text"]
    """How the registers are to be shown: as one number, by their hexadecimal digits, as characters."""
    count: int = 2
    """How many registers."""
    known: tuple[str, ...] = ()
    """What devices of this template say here; a text begins with one of these. None given: anything."""

    def shown(self, words: list[int]) -> str:
        """What the registers say; empty where they say nothing."""
        bits = [word for word in words if word not in (0, 0xFFFF)]
        if not bits:
            return ""
        match self.type:
            case "number":
                return str(int.from_bytes(b"".join(word.to_bytes(2) for word in words)))
            case "hex":
                return "".join(f"{word:04x}" for word in words)
            case "text":
                return text_of_registers(words)

    def fits(self, said: str) -> bool:
        """Whether a device of this template may say that."""
        if not self.known:
            return said != ""
        return said.startswith(self.known) if self.type == "text" else said in self.known


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A family of meters."""

    name: str
    """How configurations call it."""
    maker: str
    title: str
    models: tuple[str, ...]
    meters: tuple[str, ...]
    """What is metered where the configuration chooses nothing."""
    channels: Mapping[str, ModbusChannel]
    registers_max: int = REGISTERS_MAX
    """The most registers that it answers at once."""
    pause_ms: int = 0
    """The silence that it needs before a request."""
    serial: Plate | None = None
    """Where its serial number stands."""
    identity: Plate | None = None
    """By what it can be told from others."""


def template_names() -> tuple[str, ...]:
    """The names of all templates."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.toml")))


def list_templates() -> tuple[Template, ...]:
    """All templates: names, makers, models, and the registers by which a device is known."""
    return tuple(load_template(name) for name in template_names())


@cache
def load_template(name: str) -> Template:
    """The template of that name; raises InvalidSetting with the nearest name where there is none."""
    known = template_names()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        advice = f'did you mean "{near[0]}"?' if near else f"known are {', '.join(known)}"
        raise InvalidSetting("template", f'"{name[:48]}" is not known, {advice}')
    import tomllib  # noqa: PLC0415 - the running agent needs it for nothing else.

    tree = tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
    return _template(name, tree)


def _template(name: str, tree: dict[str, Any]) -> Template:
    defaults = tree.pop("defaults", {})
    channels = {
        meter: _record(ModbusChannel, {"meter": meter} | defaults | given)
        for meter, given in tree.pop("channels").items()
    }
    plates = {key: _record(Plate, tree.pop(key)) for key in ("serial", "identity") if key in tree}
    return _record(Template, tree | plates | {"name": name, "channels": channels})


def _record(cls: type[T], tree: Mapping[str, Any]) -> T:
    fields = {each.name for each in dataclasses.fields(cls)}  # type: ignore[arg-type]
    assert tree.keys() <= fields, f"a template has {sorted(tree.keys() - fields)}"
    return cls(**{key: tuple(value) if isinstance(value, list) else value for key, value in tree.items()})
