"""Windows of the local week out of their TOML tables: days, hours, and that together they cover all time."""

import re
from collections.abc import Collection, Iterable
from datetime import date, time, timedelta
from typing import Final

from cloud_collector.contracts.catalog import Window
from cloud_collector.contracts.node import Fields, Node, nearest, number, text
from cloud_collector.contracts.week import DAY_MINUTES, WEEKDAYS, window_at

WINDOW_KEYS: Final = "name days from to price".split()
_CLOCK: Final = re.compile(r"([0-9]{1,2}):([0-5][0-9])")
_MONDAY: Final = date(2024, 1, 1)
"""Any Monday: where a week without holidays begins."""


def read_windows(node: Node, holidays: Collection[date]) -> tuple[Window, ...]:
    """A charge's windows in the order in which they win; refused where they leave time without a price."""
    elements = node.elements()
    if not elements:
        node.refuse("needs at least one window")
    windows: list[Window] = []
    for element in elements:
        fields = Fields.of(element, WINDOW_KEYS)
        window = Window(
            name=fields.need("name", text),
            price=fields.need("price", number),
            days=fields.default("days", _days, frozenset(range(7))),
            start=fields.default("from", _from, 0),
            end=fields.default("to", _to, DAY_MINUTES),
        )
        if window.name in [other.name for other in windows]:
            fields["name"].refuse(f'"{window.name}" is the name of two windows')
        windows.append(window)
    _cover(node, windows, holidays)
    return tuple(windows)


def _cover(node: Node, windows: Iterable[Window], holidays: Collection[date]) -> None:
    windows = tuple(windows)
    edges = sorted({0, *(edge % DAY_MINUTES for window in windows for edge in (window.start, window.end))})
    week = [_MONDAY + timedelta(days=index) for index in range(7)]
    beside = [holiday + timedelta(days=index) for holiday in sorted(holidays) for index in range(2)]
    for day in (*week, *beside):
        for minute in edges:
            if window_at(windows, holidays, day, minute) is None:
                when = f"{WEEKDAYS[day.weekday()]} {minute // 60:02}:{minute % 60:02}"
                node.refuse(f"windows must cover all time, and none holds on {when}: let the last one take the rest")


def _days(node: Node) -> frozenset[int]:
    """`mon-fri`, `sat`, `fri-mon`, `mon,wed`, or a list of such."""
    if isinstance(node.value, list):
        return frozenset(day for child in node.elements() for day in _days(child))
    found: set[int] = set()
    for part in text(node).split(","):
        first, _, last = (name.strip().lower() for name in part.partition("-"))
        for name in (first, last or first):
            if name not in WEEKDAYS:
                node.refuse(f'"{name}" is no day of the week{nearest(name, WEEKDAYS)}')
        start = WEEKDAYS.index(first)
        length = (WEEKDAYS.index(last or first) - start) % 7 + 1
        found |= {(start + index) % 7 for index in range(length)}
    return frozenset(found)


def _from(node: Node) -> int:
    minutes = _clock(node)
    if minutes >= DAY_MINUTES:
        node.refuse("must be a time of day before 24:00")
    return minutes


def _to(node: Node) -> int:
    minutes = _clock(node)
    if minutes > DAY_MINUTES:
        node.refuse("must be a time of day up to 24:00")
    # Midnight as an end is the one that the day ends with.
    return minutes or DAY_MINUTES


def _clock(node: Node) -> int:
    if isinstance(node.value, time) and not (node.value.second or node.value.microsecond):
        return node.value.hour * 60 + node.value.minute
    found = _CLOCK.fullmatch(node.value) if isinstance(node.value, str) else None
    if found is None:
        node.refuse('must be a time of day such as "07:00"')
    return int(found[1]) * 60 + int(found[2])
