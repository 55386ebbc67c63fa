"""A table that people read as a page and programs as JSON or CSV: the same cells for all three."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from shared.inert import inert


class Mood(StrEnum):
    """How a state is to be taken; always shown with a mark and a word, never as colour alone."""

    GOOD = "good"
    WARN = "warn"
    BAD = "bad"
    IDLE = "idle"


MARKS: Final = {Mood.GOOD: "●", Mood.WARN: "◐", Mood.BAD: "▲", Mood.IDLE: "○"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column: what people read above it, and what programs call it."""

    title: str
    key: str
    number: bool = False
    wrap: bool = False
    """Long text: it gets room."""
    whole: bool = False
    """Never broken over two lines."""
    unseen: bool = False
    """For programs: on the page it stands as a note beside something else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """What stands in a cell; `value` is what programs get, in ISO and plain decimals."""

    text: str
    value: str | int | None
    note: str = ""
    link: str = ""
    mood: Mood | None = None
    style: str = ""
    time: bool = False
    """Whether `value` is an instant or a date, and `text` the same for people."""

    @property
    def mark(self) -> str:
        """The shape that goes with the mood."""
        return MARKS[self.mood] if self.mood else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Columns and rows, where they are served, and the command that prints the same."""

    title: str
    path: str
    command: str
    empty: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]

    @property
    def key(self) -> str:
        """What the table is called in addresses."""
        return "-".join(self.title.lower().split())

    @property
    def seen(self) -> "Table":
        """The table as the page shows it."""
        kept = [at for at, column in enumerate(self.columns) if not column.unseen]
        return replace(
            self,
            columns=tuple(self.columns[at] for at in kept),
            rows=tuple(tuple(each[at] for at in kept) for each in self.rows),
        )

    def records(self) -> list[dict[str, str | int | None]]:
        """Each row as an object."""
        keys = [column.key for column in self.columns]
        return [dict(zip(keys, (cell.value for cell in row), strict=True)) for row in self.rows]

    def csv(self) -> str:
        """RFC 4180 with one header line; what a spreadsheet would run as a formula is quoted as text."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\r\n")
        writer.writerow([column.key for column in self.columns])
        writer.writerows([[inert(cell.value) for cell in row] for row in self.rows])
        return out.getvalue()


def row(columns: Sequence[Column], *cells: Cell) -> tuple[Cell, ...]:
    """Cells styled as their columns are."""
    styled = []
    for column, cell in zip(columns, cells, strict=True):
        style = " ".join(
            name for name, on in (("number", column.number), ("wrap", column.wrap), ("whole", column.whole)) if on
        )
        styled.append(replace(cell, style=style))
    return tuple(styled)
