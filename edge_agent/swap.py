"""One meter takes another's place, as people at the meter say it: what both displays showed (P4). Pure.

Said while the channel is set aside, before the new meter's readings are taken, the old one's last units
and the new one's first are exact: the `exchange` line moves the register to the old display, and the
new display stands for it from there on. Said late, after the source itself has told another serial
number, what both displays add to the two last readings is made good.
"""

from typing import Final, NamedTuple

from edge_agent.line_rows import gap_rows
from edge_agent.meter_state import allowed, bounded
from edge_agent.open_channel import OpenChannel
from edge_agent.open_log import OpenLog
from edge_agent.reading import Reading
from edge_agent.sealable import ExchangeContent, GapContent
from edge_agent.timekeeping import Elapsed, TimeState
from edge_agent.window import PendingGap
from edge_agent.words import quantity, span
from shared.errors import Refused
from shared.grammar import PLAIN_TEXT
from shared.limits import INTEGER_MAX, SERIAL_CHARS_MAX
from shared.report import Cause, ExchangeRow, GapCause, Verdict

ASIDE_SECONDS_MAX: Final = 4 * 3_600
"""A channel that was set aside for an exchange is metered again after so long, whether it came about or not."""


class Swap(NamedTuple):
    """What people read off, in the channel's steps."""

    old_display: int | None
    """None where it can no longer be read."""
    new_serial: str
    new_display: int


class Aside(NamedTuple):
    """A channel that waits for its exchange."""

    since_ms: int
    last: Reading | None = None
    """What its source said last."""


class Found(NamedTuple):
    """What a swap means for the register."""

    old_serial: str
    amount: int
    """Units that the two displays prove beyond what was metered."""
    late: bool


def judge(channel: OpenChannel, swap: Swap, elapsed: Elapsed, said: Reading | None) -> Found | Refused:
    """What the swap means, or in one sentence why it cannot be so; `said` is what the source says by now."""
    spec, state = channel.spec, channel.state
    where = f"{spec.device}.{spec.meter}"
    if not spec.kind.cumulative:
        return Refused(f"{where} is a {spec.kind}, which has no display of its own: a swap needs no exchange")
    if state.raw is None or state.register is None or state.at is None:
        return Refused(f"{where} has never been read: there is no old meter to exchange, the new one simply begins")
    wrong = _serial_refused(swap.new_serial, said) or _display_refused(channel, swap.new_display, said)
    if wrong is not None:
        return wrong
    former = channel.former
    if former is not None and swap.new_serial == state.serial:
        return _late(channel, former.serial, former.raw, former.next_raw, swap)
    if swap.new_serial and swap.new_serial == state.serial:
        return Refused(f"{where} already bears the serial number {state.serial}: has this exchange been sealed before?")
    missed = None if swap.old_display is None else swap.old_display - state.raw
    if missed is not None:
        refused = _missed_refused(channel, missed, elapsed)
        if refused is not None:
            return refused
    return Found(state.serial, missed or 0, late=False)


def exchange(log: OpenLog, channel: OpenChannel, swap: Swap, found: Found, time: TimeState) -> None:
    """The exchange is queued, after what the old meter used and before what the new one will."""
    at = time.now
    log.follow(at, time)
    log.cut(at, time, Cause.RESET if found.late else None)
    window = log.window
    assert window is not None, "time is followed"
    index = min(window.index(at.ms), window.count - 1)
    if log.birth is not None and not found.late:
        log.bear(window, time)
    state, row = channel.state, channel.row
    assert state.register is not None, "judged"
    assert state.at is not None, "judged"
    if swap.old_display is None and not found.late:
        # P3: what the old meter counted since its last reading is an amount that nobody knows.
        row.gaps.append(PendingGap(state.at, at, GapCause.SOURCE_DOWN, None, window.base + index))
    for rows in gap_rows([channel], window, window.count, time):
        log.emit(GapContent(rows=rows), at.ms, time)
    channel.cut = state.register + found.amount
    row.deltas = [0] * len(row.deltas)
    row.note(index, Verdict.EXCHANGE)
    row.seen |= 1 << index  # By people, at both displays.
    spec = channel.spec
    exchanged = ExchangeRow(
        spec.device, spec.meter, found.old_serial, swap.old_display, swap.new_serial, swap.new_display, channel.cut
    )
    log.emit(ExchangeContent(rows=(exchanged,)), at.ms, time)
    channel.former = None
    if found.late:
        channel.state = state._replace(register=channel.cut)
        log.bear(window, time)
        return
    channel.state = state._replace(
        register=channel.cut, raw=swap.new_display, at=at, serial=swap.new_serial, generation="", held=None,
        confirmed=True, seen=at,
    )  # fmt: skip
    channel.ordinal, channel.silence, channel.fresh = window.base + index, None, True


def restate(log: OpenLog, time: TimeState) -> None:
    """A birth is queued that states where every channel of the log stands now, cause config."""
    log.follow(time.now, time)
    log.cut(time.now, time, Cause.CONFIG)
    assert log.window is not None, "time is followed"
    log.bear(log.window, time)


def _serial_refused(serial: str, said: Reading | None) -> Refused | None:
    if PLAIN_TEXT.fullmatch(serial) is None or len(serial) > SERIAL_CHARS_MAX:
        return Refused(f"a serial number has at most {SERIAL_CHARS_MAX} plain characters, without | \\ and quotes")
    if said is not None and said.serial and said.serial != serial:
        return Refused(
            f"the source says the serial number {said.serial}, and not {serial or 'none'}: if that is the old meter's, "
            "it is still connected, or its number stands in the configuration: change it there, `edge-agent reload`, "
            "and go on; if it is the new one's, type it as the source says it"
        )
    return None


def _display_refused(channel: OpenChannel, new: int, said: Reading | None) -> Refused | None:
    width = channel.spec.width_bits
    if not 0 <= new <= INTEGER_MAX or (width is not None and new >= 1 << width):
        return Refused("the new display is outside of what this channel's meter can show")
    if said is not None and said.value < new:
        exponent = channel.spec.exponent
        return Refused(
            f"the source reads {quantity(said.value, exponent)} {channel.spec.unit} by now, which is less than the new "
            f"display's {quantity(new, exponent)}: is the new meter connected, and is it the right one?"
        )
    return None


def _missed_refused(channel: OpenChannel, missed: int, elapsed: Elapsed) -> Refused | None:
    spec, state = channel.spec, channel.state
    last = f"{quantity(state.raw, spec.exponent)} {spec.unit}"
    if missed < 0:
        return Refused(
            f"the old meter was last read at {last}, its display cannot have shown less: if the new meter has "
            "been read in its place already, nobody can tell the two apart any more"
        )
    if elapsed.most_ms is not None and missed > allowed(spec, elapsed.most_ms):
        return Refused(
            f"the old meter was last read at {last}, {span(elapsed.most_ms // 1_000)} ago, and cannot have counted "
            f"{quantity(missed, spec.exponent)} {spec.unit} since: look at the display and its unit again"
        )
    if bounded(state.register, missed) is None:
        return Refused("the register would leave its bound: look at the old display again")
    return None


def _late(channel: OpenChannel, serial: str, old_raw: int, next_raw: int, swap: Swap) -> Found | Refused:
    exponent, unit = channel.spec.exponent, channel.spec.unit
    before = 0 if swap.old_display is None else swap.old_display - old_raw
    after = next_raw - swap.new_display
    if before < 0:
        return Refused(f"the old meter was last read at {quantity(old_raw, exponent)} {unit}: its display showed more")
    if after < 0:
        return Refused(f"the new meter was first read at {quantity(next_raw, exponent)} {unit}: it began with less")
    if bounded(channel.state.register, before + after) is None:
        return Refused("the register would leave its bound: look at both displays again")
    return Found(serial, before + after, late=True)
