"""Pulses at GPIO inputs: S0 outputs, reed contacts, flow meters.

The kernel reports edges to a thread of lgpio's, which adds them up; a reading takes all that were counted
since the one before, each exactly once (P1). What a pulse is worth is a fraction, and what makes no whole
step yet is carried by the metering, across restarts too. Source: gpiozero, DigitalInputDevice; lgpio,
gpio_set_debounce_micros; DIN 43864 (S0).
"""

import logging
import os
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, Literal

from edge_agent.invalid import InvalidSetting, require_channel, require_source, require_within
from edge_agent.reading import COUNT_TERM_MAX, ChannelName, ChannelSpec, Kind, Reading, SourceDown
from edge_agent.sources.extra import library
from shared.effects.clock import Clock
from shared.grammar import require_plain
from shared.limits import SERIAL_CHARS_MAX

INPUTS_MAX: Final = 64
DEBOUNCE_MS_MAX: Final = 5_000
PULSES_PER_UNIT_CHARS_MAX: Final = 40
CHIP_MAX: Final = 255
_ANY_BOARD: Final = 0xA020D3
"""A board with 40 pins: where a chip is named on a board that is no Raspberry Pi, GPIO17 is its line 17."""
_LOG: Final = logging.getLogger(__name__)

Factory = Callable[[], Any]
"""Makes gpiozero's pin factory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PulseInput:
    """An input, and what its pulses mean."""

    device: str
    meter: str
    unit: str
    """UCUM, of what is billed."""
    exponent: int = 0
    """The register counts steps of 10^exponent units."""
    pin: str
    """As gpiozero names it: "GPIO17", "BOARD11"."""
    pulses_per_unit: str = "1"
    """Exact: "1000" for 1000 impulses a kW.h in kW.h, "0.8" or "4/5" for 800 of them in W.h."""
    pull: Literal["up", "down", "none"] = "up"
    """The resistor inside; an S0 output or a reed contact between the pin and ground wants "up"."""
    edge: Literal["falling", "rising"] = "falling"
    """Which change is a pulse; a contact to ground makes the pin fall when it closes."""
    debounce_ms: int = 5
    """Changes that last shorter are bounces and no pulses."""
    rate_max: int
    """The most steps a second that can be true."""
    serial: str = ""
    """The serial number of the meter that pulses; a change is sealed as an exchange."""

    def __post_init__(self) -> None:
        require_channel(self.device, self.meter, self.unit, self.exponent, self.rate_max)
        require_within("debounce_ms", self.debounce_ms, 0, DEBOUNCE_MS_MAX)
        require_plain(self.serial, "serial", SERIAL_CHARS_MAX)
        if not self.pin:
            raise InvalidSetting("pin", 'must name a pin, such as "GPIO17"')
        worth = self.steps_per_pulse
        if max(worth.numerator, worth.denominator) > COUNT_TERM_MAX:
            raise InvalidSetting("pulses_per_unit", "is too fine or too coarse for steps of 10^exponent units")

    @property
    def steps_per_pulse(self) -> Fraction:
        """What a pulse is worth, exactly; raises InvalidSetting."""
        try:
            pulses = Fraction(self.pulses_per_unit[:PULSES_PER_UNIT_CHARS_MAX])
        except (ValueError, ZeroDivisionError) as error:
            raise InvalidSetting(
                "pulses_per_unit", f'must be a number such as "1000", "0.8" or "4/5", this is {self.pulses_per_unit!r}'
            ) from error
        if pulses <= 0:
            raise InvalidSetting("pulses_per_unit", f"must be above zero, this is {self.pulses_per_unit!r}")
        return 1 / (pulses * Fraction(10) ** self.exponent)


@dataclass(frozen=True, slots=True, kw_only=True)
class PulseSettings:
    """Which inputs are counted."""

    type: Literal["pulse"] = "pulse"
    name: str = "pulse"
    """The source's name in messages; unique in a configuration."""
    log: str = "main"
    """The log that its channels are sealed in."""
    poll_seconds: float = 1.0
    """How often what was counted is taken over; no pulse depends on it."""
    chip: int | None = None
    """The number of the gpiochip; without it, that of the Raspberry Pi's header."""
    inputs: tuple[PulseInput, ...]
    """At least one."""

    def __post_init__(self) -> None:
        require_source(self.name, self.log, self.poll_seconds)
        if self.chip is not None:
            require_within("chip", self.chip, 0, CHIP_MAX)
        if not 1 <= len(self.inputs) <= INPUTS_MAX:
            raise InvalidSetting("inputs", f"must be 1 to {INPUTS_MAX}")
        for key in ("pin", "channel"):
            given = [each.pin if key == "pin" else f"{each.device}.{each.meter}" for each in self.inputs]
            for one in given:
                if given.count(one) > 1:
                    raise InvalidSetting("inputs", f"has the {key} {one} twice")


class PulseInputCounter:
    """Counts in the thread that the edges come from; `take` hands over each pulse once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0

    def pulse(self) -> None:
        """One more."""
        with self._lock:
            self._count += 1

    def take(self) -> int:
        """All since the last take; they are the caller's now."""
        with self._lock:
            count, self._count = self._count, 0
        return count

    def look(self) -> int:
        """How many wait to be taken."""
        return self._count


class PulseSource:
    """Counts from its first reading to its close."""

    def __init__(self, settings: PulseSettings, clock: Clock, *, factory: Factory | None = None) -> None:
        self.name = settings.name
        self.poll_seconds = settings.poll_seconds
        self._clock = clock
        self._factory = factory or (lambda: _lgpio(settings.chip))
        self._pins: Any = None
        self._inputs = {ChannelName(each.device, each.meter): each for each in settings.inputs}
        self._counters = {name: PulseInputCounter() for name in self._inputs}
        self._open: dict[ChannelName, Any] = {}
        self._refused: dict[ChannelName, str] = {}
        self.channels: tuple[ChannelSpec, ...] = tuple(_spec(each, settings) for each in settings.inputs)

    async def read(self) -> Sequence[Reading]:
        """What each input has counted since the last reading; raises SourceDown where none can be opened."""
        self._open_inputs()
        # P1: nothing is awaited between taking and handing over: a reading that is cut short has taken nothing.
        return [self._reading(name, counter.take()) for name, counter in self._counters.items() if name in self._open]

    async def peek(self) -> Sequence[Reading]:
        """What the next reading will say so far."""
        self._open_inputs()
        return [self._reading(name, counter.look()) for name, counter in self._counters.items() if name in self._open]

    async def close(self) -> None:
        """Let go of the pins."""
        for device in self._open.values():
            device.close()
        self._open = {}
        if self._pins is not None:
            self._pins.close()
            self._pins = None

    def _reading(self, name: ChannelName, count: int) -> Reading:
        return Reading(
            device=name.device,
            meter=name.meter,
            value=count,
            at_ms=self._clock.boot_ms(),
            serial=self._inputs[name].serial,
        )

    def _open_inputs(self) -> None:
        """Every input that can be opened is; raises SourceDown where there is none."""
        if len(self._open) == len(self._inputs):
            return
        gpiozero = library("gpiozero", "gpio")
        if self._pins is None:
            self._pins = self._factory()
        for name in [name for name in self._inputs if name not in self._open]:
            try:
                self._open[name] = self._opened(gpiozero, name)
            except (gpiozero.GPIOZeroError, OSError, _lgpio_error()) as error:
                self._refuse(name, f"{self._inputs[name].pin} cannot be counted at: {error}")
        if not self._open:
            raise SourceDown("; ".join(self._refused.values()))

    def _opened(self, gpiozero: Any, name: ChannelName) -> Any:
        one = self._inputs[name]
        pull_up = {"up": True, "down": False, "none": None}[one.pull]
        device = gpiozero.DigitalInputDevice(
            one.pin,
            pull_up=pull_up,
            active_state=True if pull_up is None else None,
            bounce_time=one.debounce_ms / 1_000 or None,
            pin_factory=self._pins,
        )
        active = "falling" if pull_up else "rising"
        setattr(device, "when_activated" if one.edge == active else "when_deactivated", self._counters[name].pulse)
        return device

    def _refuse(self, name: ChannelName, why: str) -> None:
        if self._refused.get(name) != why:
            _LOG.warning('event=input_down source=%s input=%s.%s why="%s"', self.name, *name, why)
        self._refused[name] = why


def _spec(one: PulseInput, settings: PulseSettings) -> ChannelSpec:
    worth = one.steps_per_pulse
    return ChannelSpec(
        device=one.device,
        meter=one.meter,
        unit=one.unit,
        exponent=one.exponent,
        kind=Kind.PULSE,
        source=settings.name,
        log=settings.log,
        rate_max=one.rate_max,
        per_count=(worth.numerator, worth.denominator),
    )


def _lgpio(chip: int | None) -> Any:
    """The pin factory of gpiozero on lgpio; raises SourceDown where the chip cannot be opened."""
    _load_lgpio()
    pins = library("gpiozero.pins.lgpio", "gpio")
    unknown = library("gpiozero", "gpio").PinUnknownPi

    class AnyBoard(pins.LGPIOFactory):  # type: ignore[misc,name-defined]
        """Lines of a chip on any board, by the names of a Raspberry Pi."""

        def _get_revision(self) -> int:
            try:
                return int(super()._get_revision())
            except unknown:
                if chip is None:
                    raise
                return _ANY_BOARD

    try:
        return AnyBoard(chip)
    except unknown as error:
        raise SourceDown(f"{error}: name the chip (see gpiodetect) with chip = 0 in this source") from error
    except _lgpio_error() as error:
        raise SourceDown(
            f"/dev/gpiochip{'*' if chip is None else chip} cannot be opened: {error}; "
            "the agent's user must be in the group that may (gpio on Raspberry Pi OS)"
        ) from error


def _load_lgpio() -> None:
    """Lgpio is loaded, its pipe is nowhere in the way, and the process stands where it stood."""
    here = Path.cwd()
    before = os.environ.get("LG_WD")
    with tempfile.TemporaryDirectory(prefix="meterseal-gpio-") as folder:
        # lgpio goes to this folder, makes a pipe in it and opens that; nobody needs its name afterwards.
        os.environ["LG_WD"] = folder
        try:
            library("lgpio", "gpio")
        except OSError as error:
            raise SourceDown(f"lgpio cannot be loaded: {error}; it needs a writable {tempfile.gettempdir()}") from error
        finally:
            os.chdir(here)
            if before is None:
                del os.environ["LG_WD"]
            else:
                os.environ["LG_WD"] = before


def _lgpio_error() -> type[Exception]:
    """The error of lgpio; one that nobody raises where lgpio is absent."""
    try:
        error: type[Exception] = library("lgpio", "gpio").error
    except SourceDown:
        return SourceDown
    return error
