"""A device's start, found a second time: from its complete usage, and by the world, which saw its meter count."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, NamedTuple

from cloud_collector.usage.span import Span
from tests.simulation.agreements import UNITS_EACH, Agreement
from tests.simulation.clocks import EPOCH_SECONDS
from tests.simulation.meters import Look, Meter
from tests.simulation.party import AgentParty

FOREVER: Final = 2**40
SLACK_SECONDS: Final = 120
"""What a crystal may drift within a window, and a poll be late."""
SEALED_SECONDS: Final = 2 * 3_600
"""After so long what was metered stands in a line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """From when a device is billed, and by what."""

    at: int
    cause: str


class Witnessed(NamedTuple):
    """The start lies in [earliest, latest]; what was used before it, in [least, most]."""

    earliest: int
    latest: int
    least: int
    most: int


def started(agreement: Agreement, energy: Iterable[Span]) -> Start | None:
    """P18: a device's start from its complete usage in order of time, whatever came when."""
    if agreement.threshold is None:
        return Start(at=agreement.provisioned, cause="immediate")
    grace = FOREVER if agreement.grace_hours is None else agreement.provisioned + agreement.grace_hours * 3_600
    intervals = []
    for span in energy:
        for index, delta in enumerate(span.deltas):
            begin = span.start + index * span.step
            if delta:
                intervals.append(
                    (begin + span.step, begin, span.epoch, span.seq, index, delta, index in span.estimated)
                )
    used = 0
    for end, begin, _, _, _, delta, is_estimated in sorted(intervals):
        used += delta
        if used >= agreement.threshold * UNITS_EACH:
            at = end if is_estimated else begin
            if begin < grace and at <= grace:
                return Start(at=at, cause="first_use")
            break
    return None if grace == FOREVER else Start(at=grace, cause="grace")


def within(spans: Iterable[Span], start: int, end: int) -> int:
    """Units in [start, end): what an interval has before a cut is floored, the rest is after it."""
    return sum(span.units_before(end) - span.units_before(start) for span in spans) if start < end else 0


def witnessed(agent: AgentParty, meter: Meter, agreement: Agreement, *, is_clock_true: bool) -> Witnessed | None:
    """From when the device of an `energy` meter is billed, as far as the world can tell; None where it cannot."""
    if agreement.threshold is None or not is_clock_true or agent.lied or agent.cloned or agent.spoils or agent.folded:
        return None
    looks = meter.looks
    passed = next((at for at, look in enumerate(looks) if _used(looks, look) >= agreement.threshold * UNITS_EACH), 0)
    if not passed or len(agent.epochs) != 1:
        return None
    crossed = looks[passed].at
    if not _is_untouched(agent, meter, crossed + SEALED_SECONDS):
        return None
    step = agent.settings.step_seconds
    earliest, latest = looks[passed - 1].at - step - SLACK_SECONDS, crossed + SLACK_SECONDS
    grace = float("inf")
    if agreement.grace_hours is not None:
        grace = agreement.provisioned + agreement.grace_hours * 3_600 - EPOCH_SECONDS
    if earliest < grace < latest + step:
        return None
    if grace <= earliest:
        earliest = latest = grace
    before = [_used(looks, look) for look in looks if look.at <= earliest - step - SLACK_SECONDS]
    after = [_used(looks, look) for look in looks if look.at >= latest + step + SLACK_SECONDS]
    return Witnessed(
        earliest=EPOCH_SECONDS + int(earliest),
        latest=EPOCH_SECONDS + int(latest),
        least=max(before, default=0),
        most=min(after, default=_used(looks, looks[-1])),
    )


def _used(looks: Sequence[Look], look: Look) -> int:
    return look.total - looks[0].total


def _is_untouched(agent: AgentParty, meter: Meter, until: float) -> bool:
    """Whether nothing has come between the meter and its agent up to a moment."""
    looks = [look for look in meter.looks if look.at <= until]
    ended = agent.lives[0].ended
    return (
        all(look.good for look in looks)
        and all(after.at - before.at <= 2 * agent.poll_seconds for before, after in pairwise(looks))
        and all(broken.at > until for broken in meter.breaks)
        and (ended is None or ended > until)
    )
