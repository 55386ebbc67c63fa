"""A device's usage by day and by hour, with what nobody metered: what an operator's page draws."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query

from cloud_collector.client.usage import Bar, Curve
from cloud_collector.insight.curve import BARS_MAX, HOUR_SECONDS, by_day, by_hour
from cloud_collector.web.api.devices import OfDevice, OfGateway
from cloud_collector.web.api.problem import absent
from cloud_collector.web.api.route import ApiRoute
from cloud_collector.web.api.sight import Here, seen
from cloud_collector.web.gate import Operating

router = APIRouter(route_class=ApiRoute, tags=["usage"])


@router.get("/devices/{gateway}/{device}/curves", response_model=list[Curve])
def curves(
    site: Here,
    viewer: Operating,
    gateway: OfGateway,
    device: OfDevice,
    by: Annotated[Literal["day", "hour"], Query(description="How long a bar is; days are the operator's.")] = "day",
    days: Annotated[int, Query(ge=1, le=BARS_MAX, description="How many days back.")] = 35,
) -> Any:
    """Each meter of the device by day or hour up to now, whoever had it: what was used, and what nobody metered."""
    with seen(site, viewer) as sight:
        channels = sight.view.channels(gateway, device)
        if not channels:
            raise absent()
        start, end, zone = sight.now - days * 24 * HOUR_SECONDS, sight.now, site.zone(sight.store)
        found = [
            by_hour(sight.view, each, start, end) if by == "hour" else by_day(sight.view, each, zone, start, end)
            for each in channels
        ]
    return [
        Curve(
            device=each.device,
            meter=each.meter,
            unit=each.unit,
            total=each.total,
            bars=[
                Bar(
                    start=bar.start,
                    end=bar.end,
                    amount=bar.amount,
                    estimated=bar.estimated,
                    gap_seconds=bar.gap_seconds,
                )
                for bar in each.bars
            ],
        )
        for each in found
    ]
