"""The capacity page's second table is what its first one comes to."""

import re
from dataclasses import fields
from pathlib import Path
from typing import Final

from tests.bench.capacity import Costs, Needs, needs

PAGE: Final = Path(__file__).parents[2] / "docs" / "explanation" / "capacity.md"


def shown(figure: float) -> str:
    """A figure as the page writes it."""
    if figure >= 100:
        return f"{figure:,.0f}"
    return f"{figure:.1f}" if figure >= 10 else f"{figure:.2f}" if figure >= 0.1 else f"{figure:.4f}"


def cells(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in text.splitlines() if line[:2] == "| "]


def test_every_figure_follows_from_the_measured_costs() -> None:
    text = PAGE.read_text(encoding="utf-8")
    rows = cells(text)
    said = {row[0].strip("`"): float(row[2].split()[0]) for row in rows if re.fullmatch(r"`\w+`", row[0])}
    assert said.keys() == {each.name for each in fields(Costs)}
    costs = Costs(**said)
    columns = [
        needs(10_000, costs, postgres=False),
        needs(1_000_000, costs, postgres=True),
        needs(100_000_000, costs, postgres=True),
    ]
    told = [row[2:] for row in rows if len(row) == 5 and row[0]]
    wanted = [each.name for each in fields(Needs) if each.name != "channels"]
    order = [
        "gateways", "lines_a_second", "readings_a_second", "collector_cores", "server_cores", "broker_cores",
        "connections_gib", "wire_mbit_a_second", "stored_gib_a_year", "invoices", "billing_core_hours",
    ]  # fmt: skip
    assert sorted(order) == sorted(wanted)
    assert told == [[shown(float(getattr(each, name))) for each in columns] for name in order]


def test_the_arithmetic_is_linear_but_for_whole_gateways() -> None:
    costs = Costs(**{each.name: 1000.0 for each in fields(Costs)})
    one, ten = needs(20_000, costs, postgres=True), needs(200_000, costs, postgres=True)
    assert ten.collector_cores == one.collector_cores * 10
    assert one.lines_a_second == 1000 / 900
    assert needs(1, costs, postgres=False).gateways == 1
    assert needs(20_000, costs, postgres=False).server_cores == 0
