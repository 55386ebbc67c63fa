"""Meters on a wired M-Bus (EN 13757), by primary or secondary address, behind a level converter.

Each meter is asked for its data at every poll; one that does not answer never keeps its neighbours.
Source: EN 13757-2:2018 and EN 13757-7:2018, 5 and 7.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Final, Literal, NamedTuple

from edge_agent.invalid import InvalidSetting, require_channel, require_fits, require_source, require_within
from edge_agent.reading import HOLD_SECONDS, HOLD_SECONDS_MAX, ChannelSpec, Kind, Reading, SourceDown
from edge_agent.sources.mbus_frame import (
    FCB,
    NETWORK,
    REQ_UD2,
    SELECT,
    SND_NKE,
    SND_UD,
    Address,
    acknowledged,
    address_of,
    answer_in,
    long_frame,
    short_frame,
)
from edge_agent.sources.mbus_record import Answer, Malformed, Meter, Record, answer_of
from edge_agent.sources.obis_channel import GAUGE_SECONDS, steps_in
from edge_agent.sources.wire_stream import WireSettings, WireStream, require_wire
from shared.effects.clock import Clock
from shared.limits import INTEGER_MAX, LINE_ROWS_MAX
from shared.unit import ratio

ANSWER_SECONDS_MAX: Final = 1.0
"""A meter answers within 0.2 s at 2400 baud, and pauses no longer; networks between take their time."""
ASK_TIMES: Final = 3
FRAMES_MAX: Final = 16
"""Frames of one meter; one that promises more for ever is cut off."""
HEARD_BYTES_MAX: Final = 1_024
ROUND_SECONDS_MAX: Final = 20.0
"""Below the time after which the agent takes a source for down: the next reading goes on with the next meter."""
Quantity = Literal["energy", "volume", "mass", "power", "flow", "mass_flow", "reactive_energy", "hca"]


class Known(NamedTuple):
    """What is billed of a quantity, unless the channel says otherwise."""

    unit: str
    exponent: int
    rate_max: Fraction
    """Units a second: 1 MW, 100 m3/h."""


_MEGAWATT: Final = Fraction(1_000_000, 3_600)
_KNOWN: Final = {
    "energy": Known("W.h", 0, _MEGAWATT),
    "reactive_energy": Known("varh", 0, _MEGAWATT),
    "power": Known("W.h", 0, _MEGAWATT),
    "volume": Known("m3", -3, Fraction(100, 3_600)),
    "flow": Known("m3", -3, Fraction(100, 3_600)),
    "mass": Known("kg", 0, Fraction(100)),
    "mass_flow": Known("kg", 0, Fraction(100)),
    "hca": Known("1", 0, Fraction(1)),
}
_GAUGES: Final = ("power", "flow", "mass_flow")


@dataclass(frozen=True, slots=True, kw_only=True)
class MbusChannel:
    """One record of one meter on the bus."""

    device: str
    meter: str
    address: str
    """Primary, `0` to `250`; or secondary: the number on the meter, 8 digits, or 16 with maker, version and medium."""
    quantity: Quantity = "energy"
    """What the record measures."""
    storage: int = 0
    """0 is the present value; others are kept from due dates."""
    tariff: int = 0
    """The register of this tariff; 0 is the total."""
    subunit: int = 0
    """Which of the meters in one housing, or of its inputs."""
    vife: str = ""
    """Extensions that tell records of one quantity apart, in hexadecimal digits: `3b` for what flowed forward."""
    unit: str | None = None
    """UCUM, of what is billed; the meter's own unit is converted exactly."""
    exponent: int | None = None
    """The register counts steps of 10^exponent units."""
    rate_max: int | None = None
    """The most steps a second that can be true."""
    hold_seconds: int = HOLD_SECONDS
    """How long a gauge's level is believed without a new one; a longer silence is a gap."""
    log: str | None = None
    """The log that it is sealed in, where that is another than the source's: one for each customer on the bus."""

    def __post_init__(self) -> None:
        if self.log is not None:
            require_fits("log", self.log)
        if address_of(self.address) is None:
            raise InvalidSetting("address", "must be 0 to 250, or the 8 digits on the meter, or 16 digits")
        for key, value, most in (("storage", self.storage, 1 << 41), ("tariff", self.tariff, 1 << 20)):
            require_within(key, value, 0, most)
        require_within("subunit", self.subunit, 0, 1 << 10)
        require_within("hold_seconds", self.hold_seconds, 1, HOLD_SECONDS_MAX)
        try:
            bytes.fromhex(self.vife)
        except ValueError as error:
            raise InvalidSetting("vife", f"must be hexadecimal digits, this is {self.vife[:16]!r}") from error
        require_channel(self.device, self.meter, *self.settled)

    @property
    def settled(self) -> tuple[str, int, int]:
        """Unit, exponent and the most steps a second, said or known."""
        known = _KNOWN[self.quantity]
        unit = known.unit if self.unit is None else self.unit
        exponent = self.exponent
        if exponent is None:
            exponent = known.exponent if unit == known.unit else 0
        into = ratio(known.unit, unit)
        if into is None:
            raise InvalidSetting("unit", f"is {unit[:16]}, in which {self.quantity} cannot be counted")
        if self.rate_max is not None:
            return unit, exponent, self.rate_max
        return unit, exponent, min(INTEGER_MAX, max(1, ceil(known.rate_max * into / Fraction(10) ** exponent)))

    def spec(self, source: str, log: str) -> ChannelSpec:
        """The channel, settled."""
        unit, exponent, rate_max = self.settled
        return ChannelSpec(
            device=self.device,
            meter=self.meter,
            unit=unit,
            exponent=exponent,
            kind=Kind.GAUGE if self.quantity in _GAUGES else Kind.COUNTER,
            source=source,
            log=self.log or log,
            rate_max=rate_max,
            per_seconds=GAUGE_SECONDS,
            hold_seconds=self.hold_seconds,
        )

    def fits(self, record: Record) -> bool:
        """Whether a record is the one that is wanted."""
        wanted = (self.quantity, self.storage, self.tariff, self.subunit, 0, self.vife.lower())
        return wanted == (record.quantity, record.storage, record.tariff, record.subunit, record.function, record.vife)


@dataclass(frozen=True, slots=True, kw_only=True)
class MbusSettings(WireSettings):
    """Where the level converter is, and what is metered behind it."""

    type: Literal["mbus"] = "mbus"
    name: str = "mbus"
    """The source's name in messages; unique in a configuration."""
    log: str = "main"
    """The log that its channels are sealed in."""
    poll_seconds: float = 60.0
    """How often every meter is asked; battery-powered ones should be asked seldom."""
    baud_rate: int = 2_400
    """The bus's speed; 8 data bits and even parity are fixed."""
    channels: tuple[MbusChannel, ...]
    """What is metered."""

    def __post_init__(self) -> None:
        require_source(self.name, self.log, self.poll_seconds)
        require_wire(self)
        names = [(channel.device, channel.meter) for channel in self.channels]
        if not 0 < len(names) <= LINE_ROWS_MAX:
            raise InvalidSetting("channels", f"must hold 1 to {LINE_ROWS_MAX} channels")
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise InvalidSetting("channels", f"holds {'.'.join(twice)} twice")

    @property
    def logs(self) -> frozenset[str]:
        """Every log that its channels are sealed in."""
        return frozenset(channel.log or self.log for channel in self.channels)


class MbusSource:
    """Asks one meter after the other."""

    def __init__(self, settings: MbusSettings, clock: Clock) -> None:
        self.name = settings.name
        self.poll_seconds = settings.poll_seconds
        self.channels = tuple(channel.spec(settings.name, settings.log) for channel in settings.channels)
        self._clock = clock
        self._bus = Bus(WireStream(settings, parity="even"))
        self._wanted: dict[str, list[tuple[MbusChannel, ChannelSpec]]] = {}
        for channel, spec in zip(settings.channels, self.channels, strict=True):
            self._wanted.setdefault(channel.address, []).append((channel, spec))
        self._addresses = list(self._wanted)
        self._turn = asyncio.Lock()
        self._absent: dict[str, str] = {}
        self._silent: set[str] = set()
        """Addresses that did not answer when they were last asked: they are asked once, not thrice."""

    async def read(self) -> Sequence[Reading]:
        """What the meters that answer say now; raises SourceDown, with each one's reason, where none does."""
        # People who look and the metering may ask at once: a bus takes one question at a time.
        async with self._turn:
            await self._bus.open()
            return await self._round()

    def absent(self) -> Mapping[str, str]:
        """The channels whose meters did not answer the last time, or had no such record, each with the reason."""
        return self._absent

    async def _round(self) -> list[Reading]:
        began_ms = self._clock.boot_ms()
        readings: list[Reading] = []
        for _ in self._wanted:
            if self._clock.boot_ms() - began_ms > ROUND_SECONDS_MAX * 1_000:
                break
            self._addresses.append(address := self._addresses.pop(0))
            for (_, spec), found in zip(self._wanted[address], await self._heard(address), strict=True):
                if isinstance(found, Reading):
                    self._absent.pop(".".join(spec.name), None)
                    readings.append(found)
                else:
                    self._absent[".".join(spec.name)] = f"meter {address}: {found}"
        if not readings:
            self._bus.close()
            raise SourceDown("; ".join(dict.fromkeys(self._absent.values())))
        return readings

    async def _heard(self, address: str) -> Sequence[Reading | str]:
        """What each channel of a meter reads, or why it does not."""
        try:
            found = await self._of_meter(address)
        except (SourceDown, Malformed) as error:
            self._silent.add(address)
            return [str(error)] * len(self._wanted[address])
        self._silent.discard(address)
        return found

    async def close(self) -> None:
        """The bus is let go of."""
        self._bus.close()

    async def _of_meter(self, address: str) -> list[Reading | str]:
        place = address_of(address)
        assert place is not None
        meter, records = await self._bus.ask(place, times=1 if address in self._silent else ASK_TIMES)
        at_ms = self._clock.boot_ms()
        return [_reading(meter, records, channel, spec, at_ms) for channel, spec in self._wanted[address]]


class Bus:
    """The conversation with the meters of one bus."""

    def __init__(self, wire: WireStream) -> None:
        self._wire = wire
        self._open = False

    async def open(self) -> None:
        """The wire is open; raises SourceDown."""
        if not self._open:
            await self._wire.open()
            self._open = True

    def close(self) -> None:
        """The wire is closed."""
        self._open = False
        self._wire.close()

    async def ask(self, address: Address, *, times: int) -> tuple[Meter, list[Record]]:
        """A meter and all its records, from as many frames as it has; raises SourceDown, Malformed."""
        await self._reach(address, times)
        request = REQ_UD2 | FCB
        records: list[Record] = []
        meter: Meter | None = None
        for _ in range(FRAMES_MAX):
            answer = await self._answer(address, request, times)
            if meter is not None and answer.meter.selection != meter.selection:
                raise SourceDown("two meters answer at this address: give each its own, or use secondary addresses")
            meter = answer.meter
            records += [record for record in answer.records if record not in records]
            if not answer.more:
                break
            request ^= FCB
        assert meter is not None
        if address.selection and not _selected(meter.selection, address.selection):
            raise SourceDown(f"the meter {meter.serial} answers in its place")
        return meter, records

    async def _reach(self, address: Address, times: int) -> None:
        """The meter expects the first request; where it has a secondary address, it alone listens."""
        reset = short_frame(SND_NKE, address.primary)
        await self._said(reset, times=1)  # Some meters never acknowledge a reset and answer all the same.
        if address.selection and not await self._said(
            long_frame(SND_UD, NETWORK, SELECT, address.selection), times=times
        ):
            raise SourceDown("no meter takes the selection: look at the number, the bus voltage and the cable")

    async def _said(self, frame: bytes, *, times: int) -> bool:
        """Whether a frame was acknowledged."""
        for _ in range(times):
            heard = b""
            await self._send(frame)
            while len(heard) < HEARD_BYTES_MAX and (more := await self._hear(ANSWER_SECONDS_MAX)):
                heard += more
                if acknowledged(heard, frame):
                    return True
        return False

    async def _answer(self, address: Address, request: int, times: int) -> Answer:
        heard = b""
        for _ in range(times):
            heard = b""
            await self._send(short_frame(request, address.primary))
            while len(heard) < HEARD_BYTES_MAX and (more := await self._hear(ANSWER_SECONDS_MAX)):
                heard += more
                frame = answer_in(heard)
                if frame is not None and (address.selection or frame.address == address.primary):
                    return answer_of(frame.control_information, frame.data)
        if heard:
            raise SourceDown(
                f"{len(heard)} bytes but no frame with a right checksum: check the baud rate; do two share an address?"
            )
        raise SourceDown("no answer: look at the address, the bus voltage and the cable")

    async def _send(self, frame: bytes) -> None:
        """What a late meter still says is not taken for the answer."""
        while await self._hear(0.0):
            pass
        await self._wire.write(frame)

    async def _hear(self, seconds: float) -> bytes:
        """The next bytes, or none where the bus is silent."""
        try:
            async with asyncio.timeout(seconds):
                return await self._wire.read()
        except TimeoutError:
            return b""
        except SourceDown:
            self.close()
            raise


def _reading(
    meter: Meter, records: Sequence[Record], channel: MbusChannel, spec: ChannelSpec, at_ms: int
) -> Reading | str:
    """The channel's reading, or why there is none (P19: never guess)."""
    fitting = [record for record in records if channel.fits(record)]
    if len(fitting) != 1:
        there = "; ".join(dict.fromkeys(map(_shown, records))) or "nothing"
        return f"{channel.meter} fits {len(fitting)} of its records; it has {there}"
    record = fitting[0]
    if record.value is None:
        return f"{channel.meter} has no value: the meter reports an error"
    steps = steps_in(record.value, record.unit, spec)
    if isinstance(steps, str):
        return f"{channel.meter} {steps}"
    whole = steps.numerator // steps.denominator
    if abs(whole) > INTEGER_MAX:
        return f"{channel.meter} is too large for steps of 10^{spec.exponent} {spec.unit}"
    return Reading(device=spec.device, meter=spec.meter, value=whole, at_ms=at_ms, serial=meter.serial)


def _shown(record: Record) -> str:
    """A record as a channel would have to name it."""
    numbers = (("storage", record.storage), ("tariff", record.tariff), ("subunit", record.subunit))
    said = [f"{key}={number}" for key, number in numbers if number]
    said += [f"vife={record.vife}"] if record.vife else []
    said += ["not now"] if record.function else []
    return " ".join([record.quantity or "other", *said])


def _selected(selection: bytes, mask: bytes) -> bool:
    """Whether a meter is one of those that a secondary address with wildcards means."""
    number = zip(selection[3::-1].hex(), mask[3::-1].hex(), strict=True)
    rest = zip((selection[4:6], selection[6:7], selection[7:]), (mask[4:6], mask[6:7], mask[7:]), strict=True)
    return all(wild in {"f", digit} for digit, wild in number) and all(
        wild in {said, b"\xff" * len(wild)} for said, wild in rest
    )
