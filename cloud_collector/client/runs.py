"""Billing runs: what is due, who approved it, how far a run has come."""

from dataclasses import dataclass, field
from typing import Annotated

from pydantic import Field

from cloud_collector.client.money import Draft, Period
from cloud_collector.client.values import Contract, Currency, Instant, Money, Number


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Beside the contract's last period."""

    last: Money | None
    change: Money | None
    share_percent: str | None
    outlier: bool
    why: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a run would do with a contract's period."""

    contract: Contract
    state: Annotated[str, Field(examples=["due"])]
    """`due`, `nothing`, `waiting` or `parked`; of a run also `issued` and `unapproved`."""
    period: Period | None
    number: Number | None
    kind: str | None
    currency: Currency | None
    total: Money | None
    reason: str | None
    comparison: Comparison | None = None
    draft: Draft | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run that a person began."""

    run: int
    what: Annotated[str, Field(examples=["issues"])]
    """`drafts` or `issues`."""
    by: str
    begun_at: Instant
    as_of: Instant
    contracts: list[Contract]
    """Empty: all."""
    ended_at: Instant | None
    issued: int | None
    parked: int | None
    unapproved: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptDraft:
    """A document that was drafted for approval."""

    task: Annotated[str, Field(examples=["period"])]
    """`period`, `void` or `rebill`."""
    contract: Contract
    period: Period
    of: Number | None
    reason: str
    currency: Currency
    total: Money
    approved_by: str | None
    approved_at: Instant | None
    number: Number | None
    """Once it was issued."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a run has come that this collector is carrying out."""

    total: int
    """Contracts that it looks at."""
    left: int
    """Of these, those that are still to be looked at."""
    done: dict[str, int]
    """Periods by what became of them."""
    failed: str | None
    """Why it was stopped, where it was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDetail:
    """A run, its drafts, and how far it is."""

    run: Run
    drafts: list[KeptDraft] = field(default_factory=list)
    progress: Progress | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Drafted:
    """What was drafted for approval."""

    run: int | None
    """Null: nothing was due."""
    drafts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Approved:
    """How many drafts of a run were approved."""

    run: int
    approved: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Parked:
    """A contract that cannot be billed."""

    contract: Contract
    since: Instant
    reason: str
