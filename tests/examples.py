"""How many examples a property is tried with: some for every change, all of them behind a release."""

import os
from typing import Final

COMPLETE: Final = os.environ.get("HYPOTHESIS_PROFILE") == "search"
SHARE: Final = 5
FEWEST: Final = 6


def examples(thorough: int) -> int:
    """A share of them, all of them with HYPOTHESIS_PROFILE=search."""
    return thorough if COMPLETE else max(min(thorough, FEWEST), thorough // SHARE)
