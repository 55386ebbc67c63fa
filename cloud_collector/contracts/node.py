"""A value of the catalog with the place it stands at, so that every refusal names file and line."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from difflib import get_close_matches
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final, NoReturn, TypeVar
from zoneinfo import ZoneInfo, available_timezones

from cloud_collector.contracts.duration import Duration, DurationUnit
from cloud_collector.contracts.money import CURRENCIES
from shared.errors import MetersealError
from shared.places import Path

_Choice = TypeVar("_Choice", bound=StrEnum)
_Read = TypeVar("_Read")
_DURATION: Final = re.compile(r"([1-9][0-9]{0,5})(mo|m|h|d)")
_COUNTRY: Final = re.compile(r"[A-Z]{2}")
_CLOSE: Final = 0.6
"""How like a known name an unknown one must be to be offered."""
NUMBER_DIGITS_MAX: Final = 24
"""Digits of any number in a catalog, before and after the point."""
TEXT_CHARS_MAX: Final = 256
EARLIEST: Final = date(1970, 1, 1)
LATEST_START: Final = date(2999, 12, 31)
DURATIONS_MAX: Final = {DurationUnit.DAY: 36_600, DurationUnit.MONTH: 1_200}
"""A hundred years; minutes and hours are bounded by their six digits."""


class CatalogError(MetersealError):
    """The catalog breaks a rule; the message begins with file and line. Exit code 2."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A value as tomllib gives it, its path, and the text's line of every path."""

    value: Any
    path: Path
    file: str
    lines: Mapping[Path, int]

    @property
    def place(self) -> str:
        """`catalog.toml:41`: the nearest key above that has a line of its own."""
        path = self.path
        while path and path not in self.lines:
            path = path[:-1]
        return f"{self.file}:{self.lines.get(path, 1)}"

    @property
    def name(self) -> str:
        """The key as people say it, such as `plans.charger.charges[0].price`."""
        return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in self.path).lstrip(".")

    def refuse(self, why: str) -> NoReturn:
        """Raise CatalogError with this place."""
        raise CatalogError(f"{self.place}: {self.name}: {why}")

    def table(self) -> dict[str, "Node"]:
        """Its keys."""
        if not isinstance(self.value, dict):
            self.refuse(f"must be a table, not {_kind(self.value)}")
        return {key: self._child(key, value) for key, value in self.value.items()}

    def elements(self) -> "list[Node]":
        """Its elements."""
        if not isinstance(self.value, list):
            self.refuse(f"must be a list, not {_kind(self.value)}")
        return [self._child(index, value) for index, value in enumerate(self.value)]

    def _child(self, step: str | int, value: Any) -> "Node":
        return Node(value=value, path=(*self.path, step), file=self.file, lines=self.lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fields:
    """A table whose keys are all known; what is taken out of it is read and checked."""

    node: Node
    """For what is missing."""
    nodes: Mapping[str, Node]

    @classmethod
    def of(cls, node: Node, known: Iterable[str]) -> "Fields":
        """Check the keys of a table; raises CatalogError for an unknown one."""
        return cls.of_nodes(node, node.table(), known)

    @classmethod
    def of_nodes(cls, node: Node, nodes: Mapping[str, Node], known: Iterable[str]) -> "Fields":
        """Check keys that stand at several places."""
        known = list(known)
        for key, child in nodes.items():
            if key not in known:
                raise CatalogError(f'{child.place}: unknown key "{key}" ({child.name}){nearest(key, known)}')
        return cls(node=node, nodes=nodes)

    def __contains__(self, key: str) -> bool:
        return key in self.nodes

    def __getitem__(self, key: str) -> Node:
        return self.nodes[key]

    def get(self, key: str, read: Callable[[Node], _Read]) -> _Read | None:
        """The key's value, or None where it is absent."""
        return read(self.nodes[key]) if key in self.nodes else None

    def default(self, key: str, read: Callable[[Node], _Read], default: _Read) -> _Read:
        """The key's value, or the default where it is absent."""
        return read(self.nodes[key]) if key in self.nodes else default

    def need(self, key: str, read: Callable[[Node], _Read]) -> _Read:
        """The key's value; raises CatalogError where it is absent."""
        if key not in self.nodes:
            raise CatalogError(f'{self.node.place}: {self.node.name or "the catalog"} lacks "{key}"')
        return read(self.nodes[key])


def nearest(name: str, known: Iterable[str]) -> str:
    """A clause that offers the nearest known name, or lists what there is."""
    names = sorted(known)
    close = get_close_matches(name, names, n=1, cutoff=_CLOSE)
    if close:
        return f'; did you mean "{close[0]}"?'
    return f"; known here: {', '.join(names)}" if names else ""


def text(node: Node) -> str:
    """A string that is not empty."""
    if not isinstance(node.value, str) or not node.value.strip() or len(node.value) > TEXT_CHARS_MAX:
        node.refuse(f"must be a text of 1 to {TEXT_CHARS_MAX} characters, not {_kind(node.value)}")
    return node.value


def texts(node: Node) -> tuple[str, ...]:
    """A list of strings."""
    return tuple(text(child) for child in node.elements())


def integer(node: Node) -> int:
    """A whole number ≥ 1."""
    if type(node.value) is not int or not 1 <= node.value <= 10**9:
        node.refuse(f"must be a whole number of at least 1, not {_kind(node.value)}")
    return node.value


def whole(node: Node) -> int:
    """A whole number ≥ 0."""
    return 0 if type(node.value) is int and node.value == 0 else integer(node)


def number(node: Node) -> Decimal:
    """A finite number ≥ 0, exactly as written."""
    value = node.value
    if type(value) is int:
        value = Decimal(value)
    if not isinstance(value, Decimal) or not value.is_finite():
        node.refuse(f"must be a number, not {_kind(node.value)}")
    if value < 0:
        node.refuse(f"is {value}, and may not be negative")
    exponent = int(value.as_tuple().exponent)
    if len(value.as_tuple().digits) + abs(exponent) > NUMBER_DIGITS_MAX:
        node.refuse(f"has more than {NUMBER_DIGITS_MAX} digits")
    return abs(value)


def positive(node: Node) -> Decimal:
    """A number above zero."""
    value = number(node)
    if value == 0:
        node.refuse("must be above zero")
    return value


def percent(node: Node) -> Decimal:
    """A number from 0 to 100."""
    value = number(node)
    if value > 100:
        node.refuse(f"is {value}, more than 100 per cent")
    return value


def day(node: Node) -> date:
    """A local date."""
    if isinstance(node.value, datetime) or not isinstance(node.value, date):
        node.refuse(f"must be a local date such as 2026-01-31, not {_kind(node.value)}")
    if node.value < EARLIEST:
        node.refuse(f"is {node.value}, and nothing is billed before {EARLIEST}")
    return node.value


def first_day(node: Node) -> date:
    """A local date on which something begins, from which billing can count on."""
    found = day(node)
    if found > LATEST_START:
        node.refuse(f"is {found}, and nothing begins after {LATEST_START}")
    return found


def choice(kind: type[_Choice]) -> Callable[[Node], _Choice]:
    """A reader of one of an enumeration's names."""

    def read(node: Node) -> _Choice:
        names = [each.value for each in kind]
        if not isinstance(node.value, str) or node.value not in names:
            said = node.value if isinstance(node.value, str) else _kind(node.value)
            offer = nearest(said, names) if isinstance(node.value, str) else f"; known here: {', '.join(names)}"
            node.refuse(f'is "{said}", not one of {", ".join(names)}{offer if "mean" in offer else ""}')
        return kind(node.value)

    return read


def duration(node: Node) -> Duration:
    """A length of time such as `15m`, `48h`, `30d`, `12mo`."""
    found = _DURATION.fullmatch(node.value) if isinstance(node.value, str) else None
    if found is None:
        node.refuse(f"must be a duration such as 15m, 48h, 30d or 12mo, not {_said(node.value)}")
    count, unit = int(found[1]), DurationUnit(found[2])
    if count > DURATIONS_MAX.get(unit, count):
        node.refuse(f"is {node.value}, longer than {DURATIONS_MAX[unit]}{unit.value}")
    return Duration(count=count, unit=unit)


def timezone(node: Node) -> str:
    """An IANA zone that this machine knows."""
    name = text(node)
    if name not in _timezones():
        node.refuse(f'"{name}" is no IANA time zone{nearest(name, _timezones())[:80]}')
    ZoneInfo(name)
    return name


def currency(node: Node) -> str:
    """An ISO 4217 code."""
    code = text(node)
    if code not in CURRENCIES:
        node.refuse(f'"{code}" is no currency code of ISO 4217')
    return code


def named(*names: str) -> Callable[[Node], str]:
    """A reader of one of these names."""

    def read(node: Node) -> str:
        value = text(node)
        if value not in names:
            node.refuse(f'is "{value}", not one of {", ".join(names)}{nearest(value, names)}')
        return value

    return read


def numbers(node: Node) -> tuple[Decimal, ...]:
    """A list of numbers above zero."""
    return tuple(positive(child) for child in node.elements())


def country(node: Node) -> str:
    """Two letters of ISO 3166."""
    if not isinstance(node.value, str) or _COUNTRY.fullmatch(node.value) is None:
        node.refuse(f"must be two capital letters of ISO 3166, not {_said(node.value)}")
    return node.value


def _kind(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case dict():
            return "a table"
        case list():
            return "a list"
        case datetime():
            return "a date with a time"
        case date() | time():
            return f"the {type(value).__name__} {value}"
        case _:
            return _said(value)


def _said(value: object) -> str:
    return f'"{value[:48]}"' if isinstance(value, str) else str(value)[:48]


@lru_cache(maxsize=1)
def _timezones() -> frozenset[str]:
    return frozenset(available_timezones())
