"""Every source once, for people at the meter: does the raw value agree with the display, and what is made of it."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

from edge_agent.limits import READ_SECONDS_MAX
from edge_agent.meter_state import Metered, MeterState
from edge_agent.reading import (
    ChannelName,
    ChannelSpec,
    CountingSource,
    HistoricSource,
    Reading,
    Source,
    SourceDown,
    absent_of,
    taken_once,
)
from shared.report import Verdict

Preview = Callable[[Reading], tuple[MeterState, Metered] | None]
NO_SINGLE_READING: Final = "a replayed file has no present reading"
TAKEN_ONCE: Final = "a reading can be taken once, by the metering alone: `edge-agent status` shows its register"


async def read_sources(sources: Sequence[Source], preview: Preview) -> list[dict[str, Any]]:
    """One row a channel: raw value, the register that it would lead to, and the verdict; nothing is changed."""
    rows = await asyncio.gather(*(_rows(source, preview) for source in sources))
    return [row for of_source in rows for row in of_source]


async def _rows(source: Source, preview: Preview) -> list[dict[str, Any]]:
    down: str | None = None
    readings: Sequence[Reading] = ()
    try:
        # To read a replay would be to take readings away from the metering.
        if isinstance(source, HistoricSource):
            down = NO_SINGLE_READING
        elif taken_once(source) and not isinstance(source, CountingSource):
            down = TAKEN_ONCE
        else:
            async with asyncio.timeout(READ_SECONDS_MAX):
                readings = await (source.peek() if isinstance(source, CountingSource) else source.read())
    except (SourceDown, TimeoutError) as error:
        down = str(error) or "no answer"
    by_name = {ChannelName(reading.device, reading.meter): reading for reading in readings}
    absent = absent_of(source)
    return [
        _row(
            source,
            spec,
            by_name.get(spec.name),
            down or absent.get(spec.device) or absent.get(".".join(spec.name)),
            preview,
        )
        for spec in source.channels
    ]


def _row(
    source: Source, spec: ChannelSpec, reading: Reading | None, down: str | None, preview: Preview
) -> dict[str, Any]:
    found = None if reading is None else preview(reading)
    return {
        "source": source.name,
        "device": spec.device,
        "meter": spec.meter,
        "kind": str(spec.kind),
        "unit": spec.unit,
        "exponent": spec.exponent,
        "raw": None if reading is None else reading.value,
        "serial": "" if reading is None else reading.serial,
        "register": None if found is None else found[0].register,
        "verdict": (down or "not readable now") if reading is None else verdict_of(found),
    }


def verdict_of(found: tuple[MeterState, Metered] | None) -> str:
    """What a reading turned out to be, in words."""
    if found is None:
        return "not a configured channel"
    state, metered = found
    if not metered.steps:
        if metered.verdict is Verdict.GLITCH and state.held is None:
            return "glitch: out of the meter's range"
        return "held: it does not continue the last reading, a second one decides"
    step = metered.steps[-1]
    if step.since is None:
        return "baseline: the first reading, no usage"
    if step.amount is None:
        return f"{step.verdict or 'jump'}: used between is an amount that nobody knows, a gap"
    return "good" if step.verdict is None else str(step.verdict)
