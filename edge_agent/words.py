"""How the agent says amounts, spans of time and quantities to people."""

import sys
from decimal import Decimal
from typing import Final

AS_ROOT: Final = "run it as root, with sudo"
"""What to do about a file that others may not read or write."""


def to_install(extra: str) -> str:
    """What to type, so that the libraries of an extra lie where this very program looks for them."""
    return f"`{sys.prefix}/bin/pip install 'meterseal[{extra}]'`"


def span(seconds: int) -> str:
    """A time span in its two largest units."""
    days, rest = divmod(max(0, seconds), 86_400)
    hours, rest = divmod(rest, 3_600)
    minutes, rest = divmod(rest, 60)
    parts = [f"{days} d", f"{hours} h", f"{minutes} min", f"{rest} s"]
    first = next((place for place, amount in enumerate((days, hours, minutes)) if amount), 3)
    return " ".join(parts[first : first + 2])


def quantity(steps: int | None, exponent: int) -> str:
    """Integer steps of 10^exponent as a decimal; a dash where nothing is known."""
    return "–" if steps is None else f"{Decimal(steps).scaleb(exponent):f}"


def count(number: int, noun: str) -> str:
    """A number with its noun: 1 line, 3 lines."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
