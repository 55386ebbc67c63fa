"""Which of an invoice's readings were never measured by a gateway: sent over HTTP, sealed with the operator's own key.

Pure. Read off the births of the lines that an invoice rests on, so that who checks it finds the same.
"""

from collections.abc import Iterable
from typing import Final

from shared.line import Body
from shared.report import Birth, Report

SOURCE: Final = "cloudevents"
"""The source of each channel of such a log."""
AGENT: Final = "meterseal collector"
"""What its births say sealed them."""


def sent_of(reports: Iterable[Report]) -> tuple[str, ...]:
    """The logs among these whose usage was sent to the operator, by name."""
    return tuple(sorted({each.header.gateway for each in reports if isinstance(each, Birth) and is_sent(each)}))


def sent_lines(body: Body) -> list[int]:
    """The lines of an invoice, from 1, that rest on such usage."""
    logs = body.get("sent", ())
    return [
        place
        for place, line in enumerate(body["lines"], start=1)
        if any(read[0] in logs for read in line.get("reads", ()))
    ]


def is_sent(birth: Birth) -> bool:
    """Whether a birth opens a log of what was sent."""
    return birth.agent == AGENT and all(channel.source == SOURCE for channel in birth.channels)
