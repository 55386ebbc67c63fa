"""Every pulse is counted once and handed over once (P1), whatever thread it comes from."""

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import gpiozero
import pytest
from gpiozero.pins.mock import MockFactory
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.config import load
from edge_agent.invalid import InvalidSetting
from edge_agent.reading import CountingSource, SourceDown
from edge_agent.settings import AgentSettings
from edge_agent.sources.pulse import INPUTS_MAX, PulseInput, PulseSettings, PulseSource
from shared.effects.memory import SimpleClock
from tests.metering_site import Bench
from tests.requirements import require

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = ROOT / "docs" / "how-to" / "pulses.md"


def one(**changes: Any) -> PulseInput:
    given: dict[str, Any] = {"device": "m1", "meter": "energy", "unit": "W.h", "pin": "GPIO17", "rate_max": 100}
    return PulseInput(**(given | changes))


def source_of(*inputs: PulseInput, factory: MockFactory) -> PulseSource:
    return PulseSource(PulseSettings(inputs=inputs or (one(),)), SimpleClock(), factory=lambda: factory)


@pytest.fixture
def pins() -> Iterator[MockFactory]:
    factory = MockFactory()
    yield factory
    factory.reset()


def pulse(pins: MockFactory, name: str = "GPIO17", times: int = 1) -> None:
    for _ in range(times):
        pins.pin(name).drive_low()
        pins.pin(name).drive_high()


async def values(source: PulseSource) -> list[int]:
    return [reading.value for reading in await source.read()]


async def test_what_was_counted_is_handed_over_once(pins: MockFactory) -> None:
    source = source_of(factory=pins)
    assert await values(source) == [0]
    pulse(pins, times=3)
    assert [reading.value for reading in await source.peek()] == [3], "a look takes nothing"
    assert await values(source) == [3]
    assert await values(source) == [0]
    assert isinstance(source, CountingSource)


@pytest.mark.parametrize(
    ("pull", "edge", "first", "second"),
    [
        ("up", "falling", 1, 1),
        ("up", "rising", 0, 1),
        ("down", "rising", 1, 1),
        ("down", "falling", 0, 1),
        ("none", "rising", 1, 1),
        ("none", "falling", 0, 1),
    ],
)
async def test_the_edge_that_is_a_pulse_is_counted_and_the_other_is_not(
    pins: MockFactory, pull: str, edge: str, first: int, second: int
) -> None:
    source = source_of(one(pull=pull, edge=edge), factory=pins)
    await source.read()
    pin = pins.pin("GPIO17")
    assert pin.pull == {"up": "up", "down": "down", "none": "floating"}[pull]
    away, back = (pin.drive_low, pin.drive_high) if pull == "up" else (pin.drive_high, pin.drive_low)
    away()
    assert [reading.value for reading in await source.peek()] == [first]
    back()
    assert [reading.value for reading in await source.peek()] == [second]


async def test_bounces_are_left_to_the_kernel(pins: MockFactory) -> None:
    source = source_of(one(debounce_ms=30), one(device="m2", pin="GPIO27", debounce_ms=0), factory=pins)
    await source.read()
    assert pins.pin("GPIO17").bounce == 0.03
    assert pins.pin("GPIO27").bounce is None


async def test_no_pulse_of_many_threads_is_lost_or_taken_twice_while_readings_go_on(pins: MockFactory) -> None:
    """P1: a pulse may come in the very moment of a reading."""
    inputs = [one(device=f"m{number}", pin=f"GPIO{number}") for number in range(5, 9)]
    source = source_of(*inputs, factory=pins)
    await source.read()
    threads = [threading.Thread(target=pulse, args=(pins, each.pin, 4_000)) for each in inputs]
    for thread in threads:
        thread.start()
    taken = [0] * len(inputs)
    while any(thread.is_alive() for thread in threads):
        taken = [sum(pair) for pair in zip(taken, await values(source), strict=True)]
    taken = [sum(pair) for pair in zip(taken, await values(source), strict=True)]
    assert taken == [4_000] * len(inputs)


async def test_an_input_that_cannot_be_counted_at_does_not_stop_the_others(
    pins: MockFactory, caplog: pytest.LogCaptureFixture
) -> None:
    source = source_of(one(), one(device="m2", pin="GPIO99"), factory=pins)
    for _ in range(2):
        assert [reading.device for reading in await source.read()] == ["m1"]
    assert caplog.text.count("event=input_down source=pulse input=m2.energy") == 1, "it is said once"
    with pytest.raises(SourceDown, match="GPIO99 cannot be counted at"):
        await source_of(one(pin="GPIO99"), factory=MockFactory()).read()


async def test_close_lets_go_of_the_pins(pins: MockFactory) -> None:
    source = source_of(factory=pins)
    await source.read()
    await source.close()
    await source.close()
    again = source_of(factory=pins)
    assert await values(again) == [0]
    with pytest.raises(gpiozero.GPIOPinInUse):
        gpiozero.DigitalInputDevice("GPIO17", pin_factory=pins)


@pytest.mark.parametrize(
    ("pulses_per_unit", "exponent", "worth"),
    [
        ("1", 0, Fraction(1)),
        ("1000", 0, Fraction(1, 1_000)),
        ("1000", -3, Fraction(1)),
        ("0.8", 0, Fraction(5, 4)),
        ("4/5", -1, Fraction(25, 2)),
        ("1/10", 0, Fraction(10)),
        ("3", -3, Fraction(1_000, 3)),
        ("1e3", 3, Fraction(1, 1_000_000)),
    ],
)
def test_a_pulses_worth_is_exact(pulses_per_unit: str, exponent: int, worth: Fraction) -> None:
    given_input = one(pulses_per_unit=pulses_per_unit, exponent=exponent)
    assert given_input.steps_per_pulse == worth
    spec = PulseSource(PulseSettings(inputs=(given_input,)), SimpleClock()).channels[0]
    assert Fraction(*spec.per_count) == worth


@given(st.lists(st.integers(0, 50), max_size=30), st.integers(1, 2_000), st.integers(1, 2_000))
def test_pulses_through_restarts_are_worth_what_their_sum_is(counts: list[int], above: int, below: int) -> None:
    """P1: three pulses a unit, read one at a time with a restart after each, make the same register as at once."""
    settings = PulseSettings(inputs=(one(pulses_per_unit=f"{above}/{below}", exponent=-1, rate_max=2**40),))
    bench = Bench(*PulseSource(settings, SimpleClock()).channels)
    for count in counts:
        bench.wait(1)
        bench.read(count)
        bench.restart()
    assert (bench.register or 0) == sum(counts) * 10 * below // above


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"pulses_per_unit": "0"}, "pulses_per_unit"),
        ({"pulses_per_unit": "-1"}, "pulses_per_unit"),
        ({"pulses_per_unit": "1/0"}, "pulses_per_unit"),
        ({"pulses_per_unit": "many"}, "pulses_per_unit"),
        ({"pulses_per_unit": "nan"}, "pulses_per_unit"),
        ({"pulses_per_unit": "1/10000000000000000"}, "pulses_per_unit"),
        ({"pin": ""}, "pin"),
        ({"debounce_ms": 5_001}, "debounce_ms"),
        ({"rate_max": 0}, "rate_max"),
    ],
)
def test_an_input_that_cannot_be_is_refused_by_its_key(changes: dict[str, Any], key: str) -> None:
    with pytest.raises(InvalidSetting) as caught:
        one(**changes)
    assert caught.value.key == key


@pytest.mark.parametrize(
    "inputs",
    [
        (),
        (one(), one(device="m2")),
        (one(), one(pin="GPIO27")),
        tuple(one(device=f"m{number}", pin=f"GPIO{number}") for number in range(INPUTS_MAX + 1)),
    ],
)
def test_inputs_have_a_bound_and_share_no_pin_and_no_channel(inputs: tuple[PulseInput, ...]) -> None:
    """P9: what a pin says belongs to one channel."""
    with pytest.raises(InvalidSetting):
        PulseSettings(inputs=inputs)


def test_a_machine_without_gpio_can_load_and_check_everything() -> None:
    """The libraries are loaded by the first reading, and by nothing before it."""
    script = (
        "import sys, edge_agent.cli.main, edge_agent.cli.run; from edge_agent.sources import choice; "
        "sys.exit(bool({'gpiozero', 'lgpio', 'asyncua', 'cryptography'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)


async def test_without_its_libraries_the_source_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gpiozero", None)
    with pytest.raises(SourceDown, match=re.escape("pip install 'meterseal[gpio]'")):
        await PulseSource(PulseSettings(inputs=(one(),)), SimpleClock()).read()


class TestTheHowTo:
    @pytest.fixture
    def settings(self, tmp_path: Path) -> AgentSettings:
        example = re.findall(r"```toml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[0]
        file = tmp_path / "agent.toml"
        file.write_text('gateway = "gw-1"\n' + re.sub(r"^ {3}", "", example, flags=re.MULTILINE), encoding="utf-8")
        return load(file, environment={}).settings

    async def test_its_example_meters_as_the_page_says(self, settings: AgentSettings, pins: MockFactory) -> None:
        (pulses,) = settings.sources
        assert isinstance(pulses, PulseSettings)
        source = PulseSource(pulses, SimpleClock(), factory=lambda: pins)
        bench = Bench(*source.channels)
        await source.read()
        for _ in range(10):
            for pin in ("GPIO17", "GPIO27", "GPIO22"):
                pulse(pins, pin)
            bench.wait(60)
            for reading in await source.read():
                bench.metering.observe([reading], bench.tick)
            bench.seal()
        found = {f"{name.device}.{name.meter}": register for name, (register, _) in bench.metering.registers().items()}
        assert found == {"flat-1.energy": 10, "flat-2.energy": 12, "flat-1.water": 100}


@pytest.fixture
def chip() -> Iterator[Path]:
    """A simulated chip of 32 lines; its folder in /sys."""
    require("gpio-sim")
    config = Path("/sys/kernel/config/gpio-sim/meterseal")
    (config / "bank").mkdir(parents=True)
    try:
        (config / "bank" / "num_lines").write_text("32", encoding="ascii")
        (config / "live").write_text("1", encoding="ascii")
        device = (config / "dev_name").read_text(encoding="ascii").strip()
        name = (config / "bank" / "chip_name").read_text(encoding="ascii").strip()
        yield Path("/sys/devices/platform") / device / name
    finally:
        (config / "live").write_text("0", encoding="ascii")
        (config / "bank").rmdir()
        config.rmdir()


async def test_pulses_at_a_simulated_chip_are_counted_by_lgpio(chip: Path) -> None:
    """A real peer: the kernel's edges, lgpio's thread, gpiozero."""
    number = int(re.sub(r"\D", "", chip.name))
    source = PulseSource(PulseSettings(chip=number, inputs=(one(debounce_ms=0),)), SimpleClock())
    line = chip / "sim_gpio17" / "pull"
    line.write_text("pull-up", encoding="ascii")
    try:
        assert await values(source) == [0]
        for _ in range(100):
            line.write_text("pull-down", encoding="ascii")
            line.write_text("pull-up", encoding="ascii")
        taken = 0
        for _ in range(100):
            taken += sum(await values(source))
            if taken == 100:
                break
            threading.Event().wait(0.02)
        assert taken == 100
    finally:
        await source.close()
