"""The order of a log's epochs, whatever the order of arrival.

Pure. Epochs are taken in order of their birth's time. A birth that names the last epoch of the line,
or names none, follows it; one that names an epoch with another successor is a clone's; one that names
an unknown epoch waits for it. A birth under a key that was revoked, or replaced in an epoch before, opens
nothing. What an operator has adopted has its place whatever it names, and cuts off what followed then.
Source: docs/reference/wire.md, section 2.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import zip_longest


class Standing(StrEnum):
    """Whether an epoch is part of its log's line."""

    LINKED = "linked"
    WAITING = "waiting"
    CLONED = "cloned"
    DISOWNED = "disowned"
    """Its birth is signed by a key that was not valid there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """What is known of an epoch's beginning; without its birth, `previous` is None."""

    epoch: str
    previous: str | None
    at: int
    """Second of the birth; while it is not placed, of its receipt."""
    key: str = ""
    """The key that signs its birth."""
    owned: bool = True
    """Whether that key was enrolled, and not revoked before."""
    retired: frozenset[str] = frozenset()
    """Keys that were replaced in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Adopted:
    """An operator's decision: this epoch is the gateway's, and those beside and after it that were known are not."""

    epoch: str
    over: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordered:
    """Where an epoch stands."""

    standing: Standing
    rank: int | None
    """Its place in the log's line, from 0."""
    succeeded_at: int | None
    """The second at which its successor was born."""


def order(epochs: Iterable[Epoch], adopted: Sequence[Adopted] = ()) -> dict[str, Ordered]:
    """Every epoch's standing; the outcome depends on the set alone, and on what was decided."""
    names = {each.epoch for each in adopted}
    pending = sorted(epochs, key=lambda epoch: (epoch.at, epoch.epoch))
    # P10: a revoked key opens no epoch, and stands in nobody's way.
    disowned = {epoch.epoch for epoch in pending if not epoch.owned}
    pending = [epoch for epoch in pending if epoch.owned]
    line: list[Epoch] = []
    cloned: set[str] = set()
    retired: set[str] = set()
    while pending:
        taken = next(
            (epoch for epoch in pending if epoch.epoch in names or _decide(epoch, line, cloned | disowned)), None
        )
        if taken is None:
            break
        pending.remove(taken)
        if taken.epoch not in names and taken.key in retired:
            disowned.add(taken.epoch)
            continue
        retired |= taken.retired
        if _cut(taken.epoch, line, adopted):
            cloned.add(taken.epoch)
        elif taken.epoch in names or taken.previous in {None, *disowned, *(each.epoch for each in line[-1:])}:
            line.append(taken)
        else:
            cloned.add(taken.epoch)
    births: list[int | None] = [epoch.at for epoch in line[1:]]
    ordered = {
        epoch.epoch: Ordered(standing=Standing.LINKED, rank=rank, succeeded_at=succeeded_at)
        for rank, (epoch, succeeded_at) in enumerate(zip_longest(line, births))
    }
    for standing, found in ((Standing.CLONED, cloned), (Standing.DISOWNED, disowned)):
        ordered |= {name: Ordered(standing=standing, rank=None, succeeded_at=None) for name in found}
    for epoch in pending:
        ordered[epoch.epoch] = Ordered(standing=Standing.WAITING, rank=None, succeeded_at=None)
    return ordered


def _decide(epoch: Epoch, line: list[Epoch], beside: set[str]) -> bool:
    return (
        epoch.previous is None or epoch.previous in beside or any(epoch.previous == earlier.epoch for earlier in line)
    )


def _cut(epoch: str, line: list[Epoch], adopted: Sequence[Adopted]) -> bool:
    """Whether a decision for an epoch of the line was one against this one, and none since was for it."""
    here = {earlier.epoch for earlier in line}
    verdicts = [
        each.epoch == epoch for each in adopted if each.epoch == epoch or (each.epoch in here and epoch in each.over)
    ]
    return bool(verdicts) and not verdicts[-1]
