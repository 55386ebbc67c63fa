"""One channel while it is metered: its meter, its row of the open window, where its lines end."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from edge_agent.accumulate import carried
from edge_agent.meter_state import Metered, MeterState
from edge_agent.reading import HOLD_SECONDS, ChannelSpec, Kind
from edge_agent.window import OpenRow
from shared.report import GapCause, Verdict


class Former(NamedTuple):
    """A meter of which the source has told, by a serial number, that another one is in its place."""

    serial: str
    raw: int
    """Its last reading."""
    next_raw: int
    """The first reading of the one in its place."""


@dataclass(slots=True)
class OpenChannel:
    """One channel while it is metered."""

    spec: ChannelSpec
    state: MeterState
    row: OpenRow
    cut: int = 0
    """The register at the end of the last line that stands, or is queued, before the open window."""
    ordinal: int | None = None
    """The interval of the last good reading."""
    silence: GapCause | None = None
    """Why there is no good reading since the last one."""
    looked: bool = False
    """Whether its source has answered or failed since the start."""
    fresh: bool = False
    """Whether a good reading has come since the start."""
    former: Former | None = None
    """The meter before this one, as long as nobody has said what the two displays showed."""

    @property
    def statement(self) -> tuple[int | None, str]:
        """What the last birth bound, or the next one will."""
        return statement(self.spec, self.state)

    @property
    def known(self) -> bool:
        """Whether a birth has nothing to wait for: the raw value is known, or there is none to know soon."""
        return self.looked or self.state.raw is not None or not self.spec.kind.cumulative

    @classmethod
    def new(cls, spec: ChannelSpec, count: int) -> "OpenChannel":
        """A channel of which nothing is known; only a counter's register waits for its first reading."""
        state = MeterState() if spec.kind.cumulative else MeterState(register=0)
        return cls(spec, state, OpenRow.empty(count))

    def respecify(self, spec: ChannelSpec) -> None:
        """The channel is metered as configured from now on."""
        self.state = carried(self.state, self.spec, spec)
        self.spec = spec

    def believe(self, after: MeterState, metered: Metered) -> None:
        """The meter is as it was found; one that has taken another's place is remembered as such."""
        before = self.state
        self.fresh |= after.at != before.at
        exchanged = any(step.verdict is Verdict.EXCHANGE for step in metered.steps)
        if exchanged and before.raw is not None and after.raw is not None:
            self.former = Former(before.serial, before.raw, after.raw)
        self.state = after

    def begin_epoch(self, lost: int) -> None:
        """Registers restart: at the raw value, which the collector bridges to, or at 0 with what is unsealed.

        `lost` is what was queued for the old epoch and is not sealed in it.
        """
        row, state = self.row, self.state
        self.former = None
        if self.spec.kind.cumulative:
            row.deltas = [0] * len(row.deltas)
            row.gaps = [gap for gap in row.gaps if gap.amount is None]
            # P1: what an image remembers was read before the last epoch ended, and would count twice.
            self.state = state._replace(register=state.raw) if self.fresh else MeterState(seen=state.seen)
            self.cut = self.state.raw or 0
        else:
            row.deltas[0] += lost
            self.state = state._replace(register=row.pending)
            self.cut = 0

    def to_json(self) -> list[Any]:
        """Plain data."""
        spec = self.spec
        return [
            [spec.device, spec.meter, spec.unit, spec.exponent, str(spec.kind), spec.source, spec.rate_max],
            [spec.width_bits, spec.per_seconds, spec.hold_seconds, *spec.per_count, spec.resets],
            self.state.to_json(),
            self.row.to_json(),
            [self.cut, self.ordinal, None if self.silence is None else str(self.silence), self.looked, self.former],
        ]

    @classmethod
    def from_json(cls, data: Sequence[Any], log: str, *, historic: bool) -> "OpenChannel":
        """The channel that `to_json` wrote."""
        (device, meter, unit, exponent, kind, source, rate_max), counted, state, row, rest = data
        # P23: an older agent's snapshot says nothing of the hold and of a count's worth.
        counted = [*counted, *(None, None, HOLD_SECONDS, 1, 1, True)[len(counted) :]]
        width_bits, per_seconds, hold_seconds, worth, parts, resets = counted
        spec = ChannelSpec(
            device=device,
            meter=meter,
            unit=unit,
            exponent=exponent,
            kind=Kind(kind),
            source=source,
            log=log,
            rate_max=rate_max,
            width_bits=width_bits,
            per_seconds=per_seconds,
            hold_seconds=hold_seconds,
            per_count=(worth, parts),
            resets=resets,
            historic=historic,
        )
        # P23: nor of a former meter.
        cut, ordinal, silence, looked, former = (*rest, None)[:5]
        cause = None if silence is None else GapCause(silence)
        channel = cls(spec, MeterState.from_json(state), OpenRow.from_json(row), cut, ordinal, cause, looked)
        channel.former = None if former is None else Former(*former)
        return channel


def statement(spec: ChannelSpec, state: MeterState) -> tuple[int | None, str]:
    """What a birth binds: raw minus register where the meter counts for itself, and the serial."""
    if not spec.kind.cumulative or state.raw is None or state.register is None:
        return None, state.serial
    return state.raw - state.register, state.serial
