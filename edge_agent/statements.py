"""The spool's SQL, read once from `spool.sql`: each statement under a line `-- name: the_name`."""

import re
from functools import cache
from importlib import resources
from typing import Final

_NAME: Final = re.compile(r"^-- name: ([a-z_]+)\s*$", re.MULTILINE)


@cache
def statements() -> dict[str, str]:
    """Every statement by its name."""
    text = resources.files("edge_agent").joinpath("spool.sql").read_text(encoding="utf-8")
    parts = _NAME.split(text)
    return {name: sql.strip() for name, sql in zip(parts[1::2], parts[2::2], strict=True)}
