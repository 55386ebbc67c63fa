"""The audit log: who did what, and who looked at whose data."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from cloud_collector.client.values import Account, Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Somebody did something, or looked at something."""

    id: int
    at: Instant
    who: Annotated[str, Field(examples=["anna@example.org"])]
    role: Annotated[str, Field(examples=["operator"])]
    by: Annotated[str, Field(examples=["session"])]
    """How he was known: `session`, `token`, `local` or `command`."""
    deed: Annotated[str, Field(examples=["bill"])]
    """A scope: what kind of deed it was; `read` is a look."""
    what: str
    account: Account | None
    """Whose data it was; null: nobody's own."""
