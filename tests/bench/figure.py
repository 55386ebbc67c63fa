"""A figure that the bench prints: what was measured, what it stands beside, what is aimed at."""

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Final

from rich.console import Console
from rich.table import Table

Say = Callable[[str], None]
"""Tells the one who waits what is being measured now."""
MET: Final = {True: "[green]met[/]", False: "[yellow]missed[/]", None: ""}


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One row of the table; `value` in `unit`."""

    room: str
    name: str
    value: float
    unit: str
    most: float | None = None
    """The goal, where less is better."""
    least: float | None = None
    """The goal, where more is better."""
    note: str = ""
    """How it was counted, or what it stands beside."""

    @property
    def met(self) -> bool | None:
        """Whether the goal is reached; None where there is none."""
        if self.least is None and self.most is None:
            return None
        return (self.least is None or self.value >= self.least) and (self.most is None or self.value <= self.most)

    @property
    def goal(self) -> str:
        """The goal in words."""
        if self.least is not None:
            return f"≥ {number(self.least)}"
        return "" if self.most is None else f"≤ {number(self.most)}"


def number(value: float) -> str:
    """Three significant digits, thousands parted."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def show(figures: Iterable[Figure], console: Console) -> None:
    """Print them as a table."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("figure", overflow="fold")
    table.add_column("measured", justify="right", no_wrap=True)
    table.add_column("goal", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("how", overflow="fold", style="dim")
    room = ""
    for figure in figures:
        if figure.room != room:
            room = figure.room
            table.add_row(f"[bold]{room}[/]")
        measured = f"{number(figure.value)} {figure.unit}"
        table.add_row(f"  {figure.name}", measured, figure.goal, MET[figure.met], figure.note)
    console.print(table)


def as_json(figures: Iterable[Figure]) -> str:
    """The same for programs."""
    rows = [asdict(figure) | {"met": figure.met} for figure in figures]
    return json.dumps(rows, indent=2, ensure_ascii=False)
