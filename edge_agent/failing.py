"""How a group of tasks ends: with one failure, though others fell in the same moment."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


@asynccontextmanager
async def one_failure() -> AsyncIterator[None]:
    """One failure ends the agent; what else fell in the same moment followed from it."""
    try:
        yield
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
