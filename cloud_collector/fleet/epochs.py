"""The order of a log's epochs, whatever the order of arrival.

Pure. Epochs are taken in order of their birth's time. A birth that names the last epoch of the line,
or names none, follows it; one that names an epoch with another successor is a clone's; one that names
an unknown epoch waits for it. Source: docs/reference/wire.md, section 2.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from itertools import zip_longest


class Standing(StrEnum):
    """Whether an epoch is part of its log's line."""

    LINKED = "linked"
    WAITING = "waiting"
    CLONED = "cloned"


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """What is known of an epoch's beginning; without its birth, `previous` is None."""

    epoch: str
    previous: str | None
    at: int
    """Second of the birth; while it is not placed, of its receipt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordered:
    """Where an epoch stands."""

    standing: Standing
    rank: int | None
    """Its place in the log's line, from 0."""
    succeeded_at: int | None
    """The second at which its successor was born."""


def order(epochs: Iterable[Epoch]) -> dict[str, Ordered]:
    """Every epoch's standing; the outcome depends on the set alone."""
    pending = sorted(epochs, key=lambda epoch: (epoch.at, epoch.epoch))
    line: list[Epoch] = []
    cloned: set[str] = set()
    while pending:
        taken = next((epoch for epoch in pending if _decide(epoch, line, cloned)), None)
        if taken is None:
            break
        pending.remove(taken)
        if taken.previous is None or taken.previous == line[-1].epoch:
            line.append(taken)
        else:
            cloned.add(taken.epoch)
    births: list[int | None] = [epoch.at for epoch in line[1:]]
    ordered = {
        epoch.epoch: Ordered(standing=Standing.LINKED, rank=rank, succeeded_at=succeeded_at)
        for rank, (epoch, succeeded_at) in enumerate(zip_longest(line, births))
    }
    for name in cloned:
        ordered[name] = Ordered(standing=Standing.CLONED, rank=None, succeeded_at=None)
    for epoch in pending:
        ordered[epoch.epoch] = Ordered(standing=Standing.WAITING, rank=None, succeeded_at=None)
    return ordered


def _decide(epoch: Epoch, line: list[Epoch], cloned: set[str]) -> bool:
    return (
        epoch.previous is None or epoch.previous in cloned or any(epoch.previous == earlier.epoch for earlier in line)
    )
