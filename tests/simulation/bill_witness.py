"""What the world itself knows of a device's start: when its meter passed the threshold, where no fault hid it."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from tests.simulation.agreements import UNITS_EACH, Agreement
from tests.simulation.clocks import EPOCH_SECONDS
from tests.simulation.meters import Look, Meter
from tests.simulation.party import AgentParty

SLACK_SECONDS: Final = 120
"""What a crystal may drift within a window, and a poll be late."""
SEALED_SECONDS: Final = 2 * 3_600
"""After so long what was metered stands in a line."""


class Witnessed(NamedTuple):
    """The start lies in [earliest, latest]; what was used before it, in [least, most]."""

    earliest: int
    latest: int
    least: int
    most: int


def witnessed(agent: AgentParty, meter: Meter, agreement: Agreement, *, is_clock_true: bool) -> Witnessed | None:
    """From when the device of an `energy` meter is billed, as far as the world can tell; None where it cannot."""
    if agreement.threshold is None or not is_clock_true or agent.lied or agent.cloned or agent.spoils:
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
