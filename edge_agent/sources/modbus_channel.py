"""One channel of a Modbus device: which registers, what they mean, what is metered of them.

The same record serves templates and configuration: what a configuration leaves out, its template says,
and what that leaves out has the default named here.
"""

import dataclasses
from dataclasses import dataclass
from typing import Final, Literal

from edge_agent.invalid import InvalidSetting, require_channel, require_fits, require_kind, require_within
from edge_agent.reading import HOLD_SECONDS, ChannelSpec, Kind
from edge_agent.sources.modbus_values import Layout, Order, Unreadable, ValueType, layout_of, scale_of

ADDRESS_MAX: Final = 65_535
PER_SECONDS: Final = 3_600
SENTINELS_MAX: Final = 16
_REQUIRED: Final = ("unit", "address", "type", "rate_max")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModbusChannel:
    """Registers and their meaning; None: as the template says, else the default."""

    meter: str
    """The meter's name, as the catalog has it; one of the template's changes that one."""
    unit: str | None = None
    """UCUM, of what is billed: `W.h` also where the register holds kilowatt-hours or watts."""
    address: int | None = None
    """Of the first register, counted from 0, as it travels: manuals that begin at 1, 30001 or 40001 are one off."""
    type: ValueType | None = None
    """What lies in the registers."""
    rate_max: int | None = None
    """The most steps a second that can be true."""
    function: Literal[3, 4] | None = None
    """3 reads holding registers, 4 input registers; default 3."""
    scale: str | None = None
    """The raw number times this is in units, exactly: "1000", "0.01", "1/3"; default "1"."""
    exponent: int | None = None
    """The channel's register counts steps of 10^exponent units; default 0."""
    kind: Literal["counter", "gauge", "state"] | None = None
    """A counter's number is its total, a gauge's a rate to be integrated, a state's 0 or not; default counter."""
    per_seconds: int | None = None
    """A gauge's number is units per this many seconds; default 3600: W into W.h."""
    hold_seconds: int | None = None
    """How long a gauge's level or a state is believed without a new one; default 300."""
    width_bits: int | None = None
    """Where a counter rolls over, after 2^width_bits steps; without it, a rollover is never assumed."""
    byte_order: Order | None = None
    """Which byte of a register comes first; default big: the high one, as Modbus has it."""
    word_order: Order | None = None
    """Which register of a value comes first; default big: the high one."""
    sentinels: tuple[int, ...] = ()
    """Raw bits, as an unsigned number, that mean: no value."""

    def __post_init__(self) -> None:
        require_fits("meter", self.meter)
        if self.address is not None:
            require_within("address", self.address, 0, ADDRESS_MAX)
        if self.width_bits is not None:
            require_within("width_bits", self.width_bits, 1, 64)
        if self.scale is not None:
            try:
                scale_of(self.scale)
            except Unreadable as error:
                raise InvalidSetting("scale", str(error)) from error
        if len(self.sentinels) > SENTINELS_MAX or not all(0 <= each < 1 << 64 for each in self.sentinels):
            raise InvalidSetting("sentinels", f"must be at most {SENTINELS_MAX} unsigned numbers")

    def over(self, below: "ModbusChannel") -> "ModbusChannel":
        """This channel, with what it leaves out taken from another."""
        given = {
            each.name: getattr(below, each.name)
            for each in dataclasses.fields(self)
            if getattr(self, each.name) in (None, ())
        }
        return dataclasses.replace(self, **given)

    def register(self, device: str) -> "Register":
        """What is read and metered; raises InvalidSetting where something is missing or cannot be."""
        missing = [name for name in _REQUIRED if getattr(self, name) is None]
        if missing:
            raise InvalidSetting("channels", f"{self.meter} needs {', '.join(missing)}: no template has such a meter")
        assert self.unit is not None
        assert self.address is not None
        assert self.type is not None
        assert self.rate_max is not None
        kind, exponent = Kind(self.kind or "counter"), self.exponent or 0
        per_seconds, hold_seconds = self.per_seconds or PER_SECONDS, self.hold_seconds or HOLD_SECONDS
        require_channel(device, self.meter, self.unit, exponent, self.rate_max)
        require_kind(kind, self.unit, per_seconds, hold_seconds)
        layout = layout_of(
            self.type,
            byte_order=self.byte_order or "big",
            word_order=self.word_order or "big",
            scale=self.scale or "1",
            exponent=0 if kind is Kind.STATE else exponent,
            sentinels=self.sentinels,
        )
        if self.address + layout.count - 1 > ADDRESS_MAX:
            raise InvalidSetting("channels", f"{self.meter} reaches beyond register {ADDRESS_MAX}")
        return Register(
            meter=self.meter,
            unit=self.unit,
            exponent=exponent,
            kind=kind,
            rate_max=self.rate_max,
            width_bits=self.width_bits,
            per_seconds=per_seconds,
            hold_seconds=hold_seconds,
            function=self.function or 3,
            address=self.address,
            layout=layout,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Register:
    """A channel as it is read: nothing is left out."""

    meter: str
    unit: str
    exponent: int
    kind: Kind
    rate_max: int
    width_bits: int | None
    per_seconds: int
    hold_seconds: int
    function: int
    address: int
    layout: Layout

    @property
    def end(self) -> int:
        """The address behind its last register."""
        return self.address + self.layout.count

    def spec(self, *, device: str, source: str, log: str) -> ChannelSpec:
        """The channel that it is metered as."""
        return ChannelSpec(
            device=device,
            meter=self.meter,
            unit=self.unit,
            exponent=self.exponent,
            kind=self.kind,
            source=source,
            log=log,
            rate_max=self.rate_max,
            width_bits=self.width_bits,
            per_seconds=self.per_seconds,
            hold_seconds=self.hold_seconds,
        )
