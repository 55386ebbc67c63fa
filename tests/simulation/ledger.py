"""What a channel's bill must be: what the world counted, less what meters and injected faults hid.

The only figures here are the world's own. What is hidden is known exactly but for one thing: after
a crash, which of the last readings had been committed. So the answer is a small set of totals, each
tied to a way in which the injected breaks and losses can have met; without them it is one number.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tests.simulation.meters import RATE_MAX, Break, Look, Meter

CANDIDATES_MAX = 5_000_000


@dataclass(slots=True)
class Life:
    """One process of the agent: which looks it made, up to which it had committed."""

    started: float
    first_look: int
    """The number that the next look had when it started."""
    boot: str
    committed_look: int = 0
    """The gateway's last look at the time of the last commit; 0: none in this life."""
    ended: float | None = None
    image_look: int | None = None
    """What it had committed by the time of an image that took its spool's place later; 0 where the image is older."""

    @property
    def sure_look(self) -> int:
        """The look up to which it is remembered for sure."""
        return self.committed_look if self.image_look is None else min(self.committed_look, self.image_look)


def expected_totals(meter: Meter, lives: Sequence[Life], epochs: Sequence[int]) -> set[int]:
    """Every total that may rightly be accounted for this channel over the whole run.

    `epochs` are the numbers of the last looks before each new epoch but the first.
    """
    good = [look for look in meter.looks if look.good]
    if not good:
        return {0}
    firsts = _first_looks(good, lives)
    last = good[-1].total
    hidden = _hidden(meter.breaks, good, lives, epochs)
    return {last - first.total - units for first in firsts for units in hidden}


def _life_of(number: int, lives: Sequence[Life]) -> Life:
    # The latest of them: a life may end without having looked at all.
    return next(life for life in reversed(lives) if life.first_look <= number)


def _first_looks(good: Sequence[Look], lives: Sequence[Life]) -> list[Look]:
    """The looks that may have become the baseline: the first one, unless its life ended before it was committed."""
    found: list[Look] = []
    for life in lives:
        own = [look for look in good if _life_of(look.number, lives) is life]
        if not own:
            continue
        found.append(own[0])
        if life.ended is None or life.sure_look > own[0].number:
            break
    return found


def _hidden(breaks: Sequence[Break], good: Sequence[Look], lives: Sequence[Life], epochs: Sequence[int]) -> set[int]:
    """Every amount that the breaks from the first to the last may have hidden together."""
    ways: list[set[int]] = [set() for _ in range(len(breaks) + 1)]
    ways[0] = {0}
    exchanged = any(broken.kind == "exchange" for broken in breaks)
    for index, broken in enumerate(breaks):
        for amount in _alone(broken, good, lives, epochs):
            ways[index + 1] |= {done + amount for done in ways[index]}
        for epoch in epochs:
            for after in _births(epoch, good):
                end = sum(1 for other in breaks if other.at <= after.at)
                if end > index:
                    for amount in _bridged(broken, after, good, exchanged=exchanged):
                        ways[end] |= {done + amount for done in ways[index]}
        if len(ways[index + 1]) > CANDIDATES_MAX:
            raise AssertionError("the oracle has too many ways to explain a channel: thin the faults out")
    return ways[len(breaks)]


def _births(epoch: int, good: Sequence[Look]) -> list[Look]:
    """The looks whose raw value an epoch's birth may state."""
    before = [look for look in good if look.number <= epoch]
    after = [look for look in good if look.number > epoch]
    return before[-1:] + after[:1]


def _alone(broken: Break, good: Sequence[Look], lives: Sequence[Life], epochs: Sequence[int]) -> set[int]:
    """What a break hides by itself: from the last durable good look before it, to where counting goes on."""
    before = [look for look in good if look.at < broken.at]
    after = [look for look in good if look.at >= broken.at]
    if not before or not after:
        return {0}
    starts: list[Look] = []
    for look in after:
        starts += [start for start in _durable(before, look, lives) if start not in starts]
        life = _life_of(look.number, lives)
        if life.ended is None or life.sure_look > look.number:
            break  # What was seen after the break is surely remembered, so what follows goes on from it.
    ends: list[Look] = []
    for life in lives:
        own = [look for look in after if _life_of(look.number, lives) is life]
        ends += own[:1]
        if len(own) > 1 and (life.ended is None or life.sure_look > own[1].number):
            break  # The first was held, the second has confirmed it, and that is surely remembered.
    unknown = {end.total - start.total for start in starts for end in ends}
    if broken.kind in ("rollback", "exchange"):
        return unknown
    told = {0} if broken.kind == "rollover" else {broken.total - look.total for look in starts}
    boots = {_life_of(look.number, lives).boot for look in (*starts, *ends)}
    newborn = any(look.number - 4 <= epoch < ends[-1].number for epoch in epochs for look in starts)
    # Where nobody can know how much time has passed, or what the first value was worth, no guess is made.
    return told | unknown if len(boots) > 1 or newborn else told


def _durable(before: Sequence[Look], after: Look, lives: Sequence[Life]) -> list[Look]:
    """The looks before a break that may have been the last one that the agent remembered after it."""
    found: list[Look] = []
    resumed = _life_of(after.number, lives)
    for life in reversed([life for life in lives if life.first_look <= before[-1].number]):
        own = [look for look in before if _life_of(look.number, lives) is life]
        if not own:
            continue
        if life is resumed:
            return [own[-1]]
        for committed in {life.committed_look, life.sure_look}:
            kept = [look for look in own if look.number <= committed]
            # The newest look before the commit may not yet have been metered, or the next just have been.
            found += kept[-2:]
            found += [look for look in own if look.number > committed][:1]
        if len([look for look in own if look.number <= life.sure_look]) > 1:
            return found
    return found


def _bridged(broken: Break, after: Look, good: Sequence[Look], *, exchanged: bool) -> set[int]:
    """What is hidden where a lost spool's stretch holds the break: all that the raw difference does not show."""
    amounts = set()
    for start in good:
        if start.at > broken.at:
            break
        counted = after.total - start.total
        shown = after.display - start.display
        plausible = 0 <= shown <= RATE_MAX * (after.at - start.at)
        amounts.add(counted - shown if plausible else counted)
        if exchanged:
            # Of another meter's display nothing follows.
            amounts.add(counted)
    return amounts
