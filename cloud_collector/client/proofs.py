"""Signed checkpoints, proofs under them, and the catalog's revisions."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from cloud_collector.client.values import Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A signed root over everything accepted and issued."""

    id: int
    origin: str
    size: int
    root: str
    at: Instant
    hash: str
    line: Annotated[str, Field(examples=["MK1|{…}|…"])]
    """The sealed line itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inclusion:
    """That an invoice or a line is in a checkpoint (RFC 9162)."""

    of: str
    index: int
    size: int
    inclusion: list[str]
    checkpoint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Consistency:
    """That a later checkpoint only added to an earlier one (RFC 9162)."""

    older: str
    checkpoint: str
    consistency: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """A catalog as it was applied."""

    number: int
    sha256: str
    applied_at: Instant
    effective_at: Instant
    """Its plans rate periods that begin at this instant or later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RevisionText:
    """A revision with its text, byte for byte."""

    revision: Revision
    text: str
