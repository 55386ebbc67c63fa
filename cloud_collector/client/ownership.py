"""Detail that a customer wants to be gone, and what was deleted of it."""

from dataclasses import dataclass
from datetime import date

from cloud_collector.client.values import Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletionRequest:
    """That detail before a day be deleted."""

    id: int
    until: date
    """Not included."""
    at: Instant
    who: str
    done_at: Instant | None
    """When it was carried out; null: not yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deletion:
    """Detail that was deleted, or is being deleted."""

    before: Instant
    at: Instant
    who: str
    request: int | None
    """Null: nobody asked, it was agreed."""
    lines: int | None
    """Reports whose detail went; null while it goes on."""
    done: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Deletions:
    """What was asked for and what was done, each the newest first."""

    requests: list[DeletionRequest]
    done: list[Deletion]
