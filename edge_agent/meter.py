"""From raw readings to the lifetime register: reset, rollover, glitch, rollback and exchange told apart (P4).

The rules, in the order in which they are tried on a counter's reading:

1. The first good reading is a baseline and no usage.
2. Another serial is another meter: a new baseline, the usage between is a gap of unknown amount.
3. A rise within the maximum rate is usage. With another `generation` the counter began anew, and the
   value itself is the usage, if the rate allows it.
4. Everything else is held. A next reading that continues the last good one shows the held one to have
   been a glitch; a next reading that continues the held one confirms it. Confirmed, it is
   - a rollover, if the width is declared, the step is within the rate, and the rate could not have
     brought the counter half round (else nobody can tell: a gap of unknown amount),
   - a reset, counted from zero, if the value is within the rate and the counter is one that resets,
   - otherwise a rollback: usage goes on from the lower value, nothing negative;
   - where it is higher: usage if the time that passed allows it, or if nobody knows how much time
     passed (across boots without a placed clock); otherwise a gap of unknown amount.

Across boots "within the rate" means the least time that can have passed; where nobody knows the most,
a rollover or rollback beyond it hides usage and is a gap of unknown amount. A baseline that no second
reading bore out proves neither reset nor rollback: what follows it is a gap of unknown amount.
"""

from typing import Final, NamedTuple

from edge_agent.accumulate import count, integrate, time_active
from edge_agent.meter_state import Between, Held, Metered, MeterState, Step, allowed, bounded
from edge_agent.reading import ChannelSpec, Kind, Reading
from edge_agent.timekeeping import Elapsed, Moment
from shared.limits import INTEGER_MAX
from shared.report import Verdict

_GLITCH: Final = Metered((), Verdict.GLITCH)
_HELD: Final = Metered(())


class Judgement(NamedTuple):
    """What a value would mean if it is true, and whether it needs no second reading to be believed."""

    amount: int | None
    verdict: Verdict | None
    sure: bool


def meter(
    state: MeterState, reading: Reading, spec: ChannelSpec, at: Moment, between: Between
) -> tuple[MeterState, Metered]:
    """Take one reading of a channel at a moment; `between` tells how long it is from one moment to another."""
    match spec.kind:
        case Kind.COUNTER:
            return meter_counter(state, reading, spec, at, between)
        case Kind.GAUGE:
            return integrate(state, reading, spec, at, between)
        case Kind.STATE:
            return time_active(state, reading, spec, at, between)
        case Kind.PULSE | Kind.EVENT:
            return count(state, reading, spec, at, between)


def meter_counter(
    state: MeterState, reading: Reading, spec: ChannelSpec, at: Moment, between: Between
) -> tuple[MeterState, Metered]:
    """Take one reading of a cumulative counter, by the rules above."""
    value = reading.value
    if not 0 <= value <= INTEGER_MAX or (spec.width_bits is not None and value >= 1 << spec.width_bits):
        return state._replace(seen=at), _GLITCH
    if state.raw is None or state.at is None:
        return baseline(state, reading, at)
    if reading.serial and state.serial and reading.serial != state.serial:
        return settle(state, reading, at, Judgement(None, Verdict.EXCHANGE, sure=True))
    held = state.held
    if held is not None and (held.value, held.at, held.generation) == (value, at, reading.generation):
        # The same answer handed over twice bears nothing out.
        return state, _HELD
    found = judge(state, value, reading.generation, spec, between(state.at, at))
    hidden = () if held is None else _hidden(state, held, reading, spec, between)
    if found.sure:
        if held is not None and found.verdict is None and not state.raw <= held.value <= value:
            found = found._replace(verdict=Verdict.GLITCH)
        after, metered = settle(state, reading, at, found)
        return after, Metered(hidden + metered.steps)
    if held is None:
        return state._replace(held=Held(value, at, reading.generation), seen=at), _HELD
    # P4: where nobody knows the time that passed, a value that goes on from the last good one is believed
    # before a lower one that was held: a zero glitch before a power cut must not bill the whole counter.
    rises = found.verdict is None and found.amount is not None and held.value < state.raw
    if rises or not _continues(held, reading, spec, between(held.at, at)):
        return state._replace(held=Held(value, at, reading.generation), seen=at), Metered(hidden, Verdict.GLITCH)
    # P4: confirmed. It counts from the moment of the held reading, as judged by what is known now.
    found = judge(state, held.value, held.generation, spec, between(state.at, held.at))
    confirmed, first = settle(state, _as_held(reading, held), held.at, found)
    last, second = settle(confirmed, reading, at, Judgement(value - held.value, None, sure=True))
    return last, Metered(first.steps + second.steps)


def baseline(state: MeterState, reading: Reading, at: Moment) -> tuple[MeterState, Metered]:
    """The first good reading: no usage; it sets the register unless the epoch has already stated one."""
    register = reading.value if state.register is None else state.register
    return (
        MeterState(register, reading.value, at, reading.serial, reading.generation, seen=at),
        Metered((Step(at, None, 0, None),)),
    )


def judge(state: MeterState, value: int, generation: str, spec: ChannelSpec, elapsed: Elapsed) -> Judgement:
    """What a value means after the last good one."""
    raw = state.raw or 0
    least = allowed(spec, elapsed.least_ms)
    unbounded = elapsed.most_ms is None
    if generation and state.generation and generation != state.generation:
        amount = value if value <= least or unbounded else None
        return Judgement(amount, Verdict.RESET, sure=value <= least)
    rise = value - raw
    if rise >= 0:
        if rise <= least:
            return Judgement(rise, None, sure=True)
        return Judgement(rise, None, sure=False) if unbounded else Judgement(None, Verdict.GLITCH, sure=False)
    return judge_fall(state, value, spec, least, unbounded=unbounded)


def judge_fall(state: MeterState, value: int, spec: ChannelSpec, least: int, *, unbounded: bool) -> Judgement:
    """What a lower value means if it is confirmed; `least` is what the rate surely allows."""
    raw = state.raw or 0
    if spec.width_bits is not None and raw < 1 << spec.width_bits:
        round_units = 1 << spec.width_bits
        if 2 * least >= round_units:
            return Judgement(None, Verdict.ROLLOVER, sure=False)
        if value + round_units - raw <= least:
            return Judgement(value + round_units - raw, Verdict.ROLLOVER, sure=False)
        if unbounded:
            return Judgement(None, Verdict.ROLLOVER, sure=False)
    if not state.confirmed:
        return Judgement(None, Verdict.GLITCH, sure=False)
    if value <= least and spec.resets:
        return Judgement(value, Verdict.RESET, sure=False)
    return Judgement(None if unbounded else 0, Verdict.ROLLBACK, sure=False)


def settle(state: MeterState, reading: Reading, at: Moment, found: Judgement) -> tuple[MeterState, Metered]:
    """The reading is believed and means what was found: the register moves and never falls."""
    amount = bounded(state.register, found.amount)
    after = MeterState(
        (state.register or 0) + (amount or 0),
        reading.value,
        at,
        reading.serial or state.serial,
        reading.generation or state.generation,
        None,
        found.verdict is not Verdict.EXCHANGE,
        0,
        at,
    )
    return after, Metered((Step(at, state.at, amount, found.verdict),))


def _continues(held: Held, reading: Reading, spec: ChannelSpec, elapsed: Elapsed) -> bool:
    rise = reading.value - held.value
    return (
        reading.generation == held.generation
        and rise >= 0
        and (elapsed.most_ms is None or rise <= allowed(spec, elapsed.most_ms))
    )


def _hidden(state: MeterState, held: Held, reading: Reading, spec: ChannelSpec, between: Between) -> tuple[Step, ...]:
    """A held value that a reset has overtaken, which nobody can confirm or refute any more, is declared (P3)."""
    if state.at is None or reading.generation == held.generation:
        return ()
    found = judge(state, held.value, held.generation, spec, between(state.at, held.at))
    return () if found.amount == 0 else (Step(held.at, state.at, None, Verdict.GLITCH),)


def _as_held(reading: Reading, held: Held) -> Reading:
    return Reading(
        device=reading.device,
        meter=reading.meter,
        value=held.value,
        at_ms=held.at.ms,
        serial=reading.serial,
        generation=held.generation,
    )
