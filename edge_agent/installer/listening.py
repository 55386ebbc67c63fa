"""What smart meters say by themselves on a serial line, and who answers on an M-Bus."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Final

from edge_agent.display import on_display
from edge_agent.installer.proposal import Found, name
from edge_agent.reading import SourceDown
from edge_agent.sources.d0_telegram import D0Telegrams
from edge_agent.sources.mbus import Bus
from edge_agent.sources.mbus_frame import address_of
from edge_agent.sources.mbus_record import Malformed, Meter, Record
from edge_agent.sources.newest import Framer
from edge_agent.sources.obis import Telegram, Unreadable, find
from edge_agent.sources.obis_channel import KNOWN, ObisChannel
from edge_agent.sources.p1_telegram import P1Telegrams
from edge_agent.sources.sml_telegram import SmlTelegrams
from edge_agent.sources.wire_stream import WireSettings, WireStream
from shared.unit import ratio

SPEEDS: Final = ((115_200, ("dsmr",)), (9_600, ("sml", "dsmr", "d0")))
"""Speeds at which meters speak by themselves, and in which languages."""
DEFAULTS: Final = {"dsmr": 115_200, "sml": 9_600, "d0": 9_600}
SECOND_SECONDS: Final = 1.6
"""How long another language may take to understand the same telegram."""
MBUS_BAUD: Final = 2_400
NUMBER_DIGITS: Final = 8
ASKED_MAX: Final = 200
"""Selections of one search for M-Bus meters: enough for a dozen meters."""
_METERS: Final = ("energy_in", "energy_out", "gas", "water", "heat")
_QUANTITIES: Final = ("energy", "volume")


async def listen(port: Path, baud: int, languages: tuple[str, ...], seconds: float) -> Found | None:
    """The first telegram in one of the languages; raises SourceDown where the port cannot be opened."""
    wire = WireStream(WireSettings(serial_port=port, baud_rate=baud))
    framers = {each: _framer(each) for each in languages}
    heard: dict[str, Telegram] = {}
    until = time.monotonic() + seconds
    await wire.open()
    try:
        while (left := until - time.monotonic()) > 0:
            try:
                async with asyncio.timeout(min(left, 1.5)):
                    data = await wire.read()
            except TimeoutError:
                data = b""
            for language, framer in framers.items():
                for telegram in framer.feed(data) if data else framer.pause():
                    if not isinstance(telegram, Unreadable):
                        heard[language] = telegram
            if heard:
                # What ends with a silence for one language has ended before for another: both get their turn.
                until = min(until, time.monotonic() + SECOND_SECONDS)
            if "sml" in heard or heard.keys() >= framers.keys() - {"sml"}:
                break
    finally:
        wire.close()
    return _heard(port, baud, _language(heard), heard[_language(heard)]) if heard else None


async def search(port: Path) -> AsyncIterator[Found | str]:
    """Every selection that is tried on an M-Bus, and the meters found; raises SourceDown."""
    bus = Bus(WireStream(WireSettings(serial_port=port, baud_rate=MBUS_BAUD), parity="even"))
    await bus.open()
    try:
        waiting, asked = [""], 0
        while waiting and asked < ASKED_MAX:
            prefix, asked = waiting.pop(0), asked + 1
            yield prefix
            address = address_of(prefix.ljust(NUMBER_DIGITS, "F"))
            assert address is not None, "digits and F"
            try:
                meter, records = await bus.ask(address, times=1)
            except Malformed:
                continue
            except SourceDown as error:
                # More than one answers at once: each digit tells them apart.
                if "no meter takes" not in str(error) and len(prefix) < NUMBER_DIGITS:
                    waiting += [f"{prefix}{digit}" for digit in range(10)]
                continue
            yield _on_bus(port, meter, records)
    finally:
        bus.close()


def _language(heard: Mapping[str, Telegram]) -> str:
    """P1 and D0 are written alike; sub-meters are P1's alone, and a line at its own speed is."""
    if "d0" in heard and not any(register.medium for register in heard.get("dsmr", ())):
        return "d0"
    return "sml" if "sml" in heard else next(iter(heard))


def _framer(language: str) -> Framer:
    match language:
        case "dsmr":
            return P1Telegrams()
        case "sml":
            return SmlTelegrams()
        case _:
            return D0Telegrams()


def _heard(port: Path, baud: int, language: str, telegram: Telegram) -> Found | None:
    serial = next((register.serial for register in telegram if register.serial), "")
    entries, reads = [], []
    for meter in _METERS:
        registers = find(telegram, ObisChannel(meter=meter).wanted)
        if isinstance(registers, str):
            continue
        entries.append({"meter": meter})
        into = ratio(registers[0].unit, KNOWN[meter].unit)
        if into is not None:
            reads.append(f"{meter} {_shown(sum(each.value for each in registers) * into, meter)}")
    if not entries:
        return None
    source: dict[str, object] = {"type": language, "name": name(f"{language}-{port.name}"), "serial_port": str(port)}
    if baud != DEFAULTS[language]:
        source["baud_rate"] = baud
    source["device"] = name(f"meter-{serial}" if serial else f"meter-{port.name}")
    what = f"a meter that speaks {language.upper()}{f', serial number {serial}' if serial else ''}"
    return Found(
        where=str(port), what=what, reads=", ".join(reads), source=source, list_name="channels",
        entry=entries[0], more=tuple(entries[1:]),
    )  # fmt: skip


def _on_bus(port: Path, meter: Meter, records: list[Record]) -> Found:
    now = [each for each in records if not (each.storage or each.tariff or each.subunit or each.function)]
    chosen = [each for each in now if each.quantity in _QUANTITIES and not each.vife and each.value is not None]
    once = [each for each in chosen if sum(other.quantity == each.quantity for other in chosen) == 1]
    entries = [
        {"device": name(meter.serial), "meter": each.quantity, "address": meter.number, "quantity": each.quantity}
        for each in once
    ]
    units = {"energy": "W.h", "volume": "m3"}
    reads = [f"{each.quantity} {_in(each, units[each.quantity])}" for each in once]
    source = {"type": "mbus", "name": name(f"mbus-{port.name}"), "serial_port": str(port)}
    what = f"M-Bus meter {meter.number} of {meter.manufacturer}"
    if not entries:
        there = ", ".join(dict.fromkeys(each.quantity or "other" for each in records)) or "no records"
        entry = {"device": name(meter.serial), "meter": "energy", "address": meter.number}
        what = f"{what}, whose records ({there}) need a channel by hand"
        return Found(where=str(port), what=what, sure=False, source=source, list_name="channels", entry=entry)
    return Found(
        where=str(port), what=what, reads=", ".join(reads), source=source, list_name="channels",
        entry=entries[0], more=tuple(entries[1:]),
    )  # fmt: skip


def _in(record: Record, unit: str) -> str:
    into = ratio(record.unit, unit)
    if into is None or record.value is None:
        return "not known"
    return _shown_in(record.value * into, unit, -3 if unit == "m3" else 0)


def _shown(value: Fraction | int, meter: str) -> str:
    return _shown_in(Fraction(value), KNOWN[meter].unit, KNOWN[meter].exponent)


def _shown_in(value: Fraction, unit: str, exponent: int) -> str:
    steps = value / Fraction(10) ** exponent
    return on_display(steps.numerator // steps.denominator, unit, exponent)
