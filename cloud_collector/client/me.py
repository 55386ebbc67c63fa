"""Whoever asks, as the collector knows him."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field


@dataclass(frozen=True, slots=True, kw_only=True)
class Me:
    """Who asks, and what he may do."""

    name: str
    role: Annotated[str, Field(examples=["customer"])]
    accounts: list[str] | None
    """Null: all of them."""
    scopes: list[str]
