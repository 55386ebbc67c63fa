"""Registers for what keeps none of its own: gauges are integrated, pulses counted, states timed.

Such a channel's raw value is null in a birth, and what happens while it is not read is unknown: a
silence longer than the channel's hold, or across a boot, is a gap without quantity.
"""

from edge_agent.meter_state import Between, Metered, MeterState, Step, allowed, bounded
from edge_agent.reading import ChannelSpec, Kind, Reading
from edge_agent.timekeeping import Moment
from shared.limits import INTEGER_MAX
from shared.report import Verdict


def integrate(
    state: MeterState, reading: Reading, spec: ChannelSpec, at: Moment, between: Between
) -> tuple[MeterState, Metered]:
    """Integrate a gauge by the trapezoid rule; a level below zero uses nothing.

    Exact: level · ms is carried as an integer until it makes a whole unit.
    """
    if reading.value > min(INTEGER_MAX, spec.rate_max * spec.per_seconds):
        return state._replace(seen=at), Metered((), Verdict.GLITCH)
    level = max(0, reading.value)
    held_ms = _held_ms(state, spec, at, between)
    area = None if held_ms is None else ((state.raw or 0) + level) * held_ms
    return _move(state, reading, at, level=level, area=area, divisor=parts_of(spec))


def time_active(
    state: MeterState, reading: Reading, spec: ChannelSpec, at: Moment, between: Between
) -> tuple[MeterState, Metered]:
    """Count the time for which the state was active; it holds until the next reading."""
    held_ms = _held_ms(state, spec, at, between)
    area = None if held_ms is None else held_ms * 10 ** max(0, -spec.exponent) * bool(state.raw)
    level = int(reading.value != 0)
    return _move(state, reading, at, level=level, area=area, divisor=parts_of(spec))


def count(
    state: MeterState, reading: Reading, spec: ChannelSpec, at: Moment, between: Between
) -> tuple[MeterState, Metered]:
    """Count pulses or events, each reading's being those since the one before; the first counts too.

    Exact: what they are worth beyond whole units is carried, across restarts too. More than the rate
    allows is not believed, and as it will not be told again, a gap of unknown amount.
    """
    elapsed_ms = at.ms if state.at is None else between(state.at, at).least_ms
    worth, parts = spec.per_count
    amount, remainder = divmod(state.remainder + reading.value * worth, parts)
    if reading.value < 0 or amount > allowed(spec, elapsed_ms):
        return _believed(state, reading, Step(at, state.at, None, Verdict.GLITCH))
    after = state._replace(remainder=remainder)
    return _believed(after, reading, Step(at, state.at, bounded(state.register, amount), None))


def parts_of(spec: ChannelSpec) -> int:
    """How many of the parts that a meter's remainder counts make a whole unit."""
    match spec.kind:
        case Kind.GAUGE:
            return 2_000 * spec.per_seconds
        case Kind.STATE:
            return 1_000 * int(10 ** max(0, spec.exponent))
        case _:
            return spec.per_count[1]


def carried(state: MeterState, old: ChannelSpec, new: ChannelSpec) -> MeterState:
    """The meter under a changed specification: its remainder means the same share of a unit."""
    return state._replace(remainder=state.remainder * parts_of(new) // parts_of(old))


def _held_ms(state: MeterState, spec: ChannelSpec, at: Moment, between: Between) -> int | None:
    """How long the last level held; None where that is unknown."""
    if state.at is None:
        return 0
    elapsed = between(state.at, at)
    return elapsed.least_ms if state.at.boot == at.boot and elapsed.least_ms <= 1_000 * spec.hold_seconds else None


def _move(
    state: MeterState, reading: Reading, at: Moment, *, level: int, area: int | None, divisor: int
) -> tuple[MeterState, Metered]:
    if area is None:
        after = state._replace(raw=level)
        return _believed(after, reading, Step(at, state.at, None, None))
    amount, remainder = divmod(state.remainder + area, divisor)
    after = state._replace(raw=level, remainder=remainder)
    return _believed(after, reading, Step(at, state.at, bounded(state.register, amount), None))


def _believed(state: MeterState, reading: Reading, step: Step) -> tuple[MeterState, Metered]:
    after = state._replace(
        register=(state.register or 0) + (step.amount or 0),
        at=step.at,
        serial=reading.serial or state.serial,
        seen=step.at,
    )
    return after, Metered((step,))
