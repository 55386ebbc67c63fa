"""A part of a list, and the refusal that stands in for one."""

from dataclasses import dataclass, field
from typing import Annotated, Generic, TypeVar

from pydantic import Field

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[T]):
    """Some items, and where the others begin."""

    items: list[T]
    next: Annotated[str | None, Field(examples=["WyJhY21lIl0"])] = None
    """The cursor of the following page; null: this is the last one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that is wrong with a request."""

    at: Annotated[str, Field(examples=["query.limit"])]
    """Where: `query`, `path`, `header` or `body`, and the name there."""
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Why a request was refused, as RFC 9457 says it."""

    status: Annotated[int, Field(examples=[404])]
    title: Annotated[str, Field(examples=["not found"])]
    detail: Annotated[str, Field(examples=["there is nothing here"])]
    """A sentence for people: what is wrong, and what to do."""
    type: Annotated[str, Field(examples=["about:blank"])] = "about:blank"
    errors: list[Fault] = field(default_factory=list)
    """Where a request's parts are at fault: each of them."""
