"""Randomness that nobody can foresee, handed in: the system's own."""

import os
from collections.abc import Callable

Chance = Callable[[int], bytes]
"""So many random bytes."""


def system_chance(count: int) -> bytes:
    """The operating system's."""
    return os.urandom(count)
