"""What devices used, in pages, and as files of any length that are made while they are sent."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query

from cloud_collector.activity.holding import Holding
from cloud_collector.client.page import Page
from cloud_collector.client.usage import Stretch as Told
from cloud_collector.contracts.terms import timezone_of
from cloud_collector.insight.series import Step, Stretch, series
from cloud_collector.usage.span import ChannelName
from cloud_collector.web.api.cursor import Asked, asked, page, told
from cloud_collector.web.api.devices import OfDevice, OfGateway
from cloud_collector.web.api.problem import Refusal, documented
from cloud_collector.web.api.route import ApiRoute
from cloud_collector.web.api.sight import Here, Sight, instant, seen
from cloud_collector.web.api.written import Written
from cloud_collector.web.gate import Asking

router = APIRouter(route_class=ApiRoute, tags=["usage"])
DAYS_DEFAULT: Final = 1
AHEAD_SECONDS: Final = 86_400
"""Nothing is told of what lies further ahead."""
Start = Annotated[
    Written | None, Query(description="From this instant on, with its offset; without it a day before `end`.")
]
End = Annotated[
    Written | None,
    Query(description="Up to this instant, not included; without it, now. Nothing is told beyond tomorrow."),
]
InSteps = Annotated[
    Step, Query(description="As metered, or cut at local hours, days or months of the contract's zone.")
]
OfMeter = Annotated[str | None, Query(max_length=32, description="Of this meter alone.", examples=["energy"])]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which time of which meter, in which steps."""

    start: int | None
    end: int | None
    step: Step
    meter: str | None

    def within(self, now: int) -> tuple[int, int]:
        """The seconds that are asked for."""
        end = now if self.end is None else min(self.end, now + AHEAD_SECONDS)
        return (end - DAYS_DEFAULT * 86_400 if self.start is None else self.start), end


def wanted(start: Start = None, end: End = None, step: InSteps = Step.HOUR, meter: OfMeter = None) -> Wanted:
    """The parameters that every answer with usage takes; raises Refusal (409)."""
    if start is not None and end is not None and start >= end:
        raise Refusal(409, "query.end: it lies before `start`, or is the same")
    return Wanted(start=_second(start), end=_second(end), step=step, meter=meter)


Want = Annotated[Wanted, Depends(wanted)]


@router.get("/devices/{gateway}/{device}/usage", response_model=Page[Told], responses=documented(409))
def device_usage(
    site: Here,
    viewer: Asking,
    gateway: OfGateway,
    device: OfDevice,
    want: Want,
    part: Annotated[Asked, Depends(asked)],
) -> Any:
    """Usage of the device by meter and time, while it was in sight; where nothing is known `quantity` is null."""
    with seen(site, viewer) as sight:
        name = f"{gateway}/{device}"
        sight.held(name)
        after = part.after(("", 0)) or ("", -(2**62))
        found = (
            (channel.meter, stretch)
            for channel, stretch in stretches(sight, name, want, after=(str(after[0]), int(after[1])))
        )
        return told(
            page(found, part, lambda each: (each[0], each[1].start)), lambda each: told_of(name, each[0], each[1])
        )


def stretches(
    sight: Sight,
    device: str,
    want: Wanted,
    *,
    after: tuple[str, int] = ("", -(2**62)),
    account: str | None = None,
) -> Iterator[tuple[ChannelName, Stretch]]:
    """A device's usage by meter and time, in the times at which it is in sight (P20); `after` is meter and start.

    With an account, in its time alone.
    """
    view, (start, end) = sight.view, want.within(sight.now)
    gateway, _, name = device.rpartition("/")
    for channel in sorted(view.channels(gateway, name)):
        if want.meter not in (None, channel.meter) or channel.meter < after[0]:
            continue
        begins = max(start, after[1]) if channel.meter == after[0] else start
        for held in sight.held(device):
            if account not in (None, held.account):
                continue
            low, high = max(begins, held.start), min(end, held.end)
            if low >= high:
                continue
            for each in series(view, channel, low, high, want.step, _zone(sight, held)):
                if channel.meter != after[0] or each.start > after[1]:
                    yield channel, each


def told_of(device: str, meter: str, stretch: Stretch) -> Told:
    """A stretch as programs read it."""
    return Told(
        device=device,
        meter=meter,
        start=instant(stretch.start),
        end=instant(stretch.end),
        quantity=stretch.quantity,
        unit=stretch.unit,
        estimated=stretch.estimated,
        gap=stretch.gap,
    )


def _zone(sight: Sight, held: Holding) -> str:
    catalog = sight.known[-1].catalog
    return timezone_of(catalog, catalog.contracts[held.contract])


def _second(at: datetime | None) -> int | None:
    return None if at is None else int(at.timestamp())
