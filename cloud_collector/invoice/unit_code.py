"""The code of a unit in UN/ECE Recommendation 20, which electronic invoices require; the table is `rec20.toml`."""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Final

ONE: Final = "C62"
"""One of something: the code for whatever has no code of its own."""


@cache
def rec20() -> Mapping[str, str]:
    """Every UCUM unit that has a code, with it."""
    text = resources.files("cloud_collector.invoice").joinpath("rec20.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def unit_code(unit: str | None) -> str:
    """The unit's code; C62 where it has none, as `{request}` has not."""
    return rec20().get(unit or "1", ONE)
