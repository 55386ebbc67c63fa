"""`edge-agent probe`: what answers on serial lines, over Modbus TCP, at the site's broker, as ready configuration."""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias

from edge_agent.cli.at_hand import settings_at_hand
from edge_agent.cli.exits import Exit
from edge_agent.cli.fresh import put_new, require_absent
from edge_agent.cli.person import Colour, dyed, say
from edge_agent.cli.progress import Progress
from edge_agent.installer import listening, modbus_scan, plugs
from edge_agent.installer.proposal import Found, Options, toml_of
from edge_agent.invalid import ConfigInvalid
from edge_agent.reading import SourceDown
from shared.effects.broker import BrokerSettings
from shared.effects.mqtt import MqttLink
from shared.errors import InvalidRecord, LinkError

MODBUS_PORT: Final = 502
MQTT_PORT: Final = 1883
_NAMES: Final = ("ttyUSB*", "ttyACM*", "ttyAMA*", "serial*")
Parity: TypeAlias = Literal["none", "even", "odd"]
_PARITIES: Final[dict[str, Parity]] = {"N": "none", "E": "even", "O": "odd"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """Where is looked; nothing named: every serial port, and a broker on this machine."""

    serial: tuple[Path, ...] = ()
    tcp: tuple[str, ...] = ()
    mqtt: str | None = None
    line: str = "9600N"
    units: str = "1-10"
    seconds: float = 11.0


class Wrong(InvalidRecord):
    """What was asked for cannot be looked at."""


def probe(config: Path, flags: Sequence[str], *, where: Where, write: Path | None, as_json: bool) -> Exit:
    """Ready configuration on stdout or in a file that was not there; 3 where nothing was found."""
    if write is not None:
        require_absent(write)
    try:
        look = _Look(where, _held(config, flags))
    except Wrong as error:
        say(str(error))
        return Exit.USAGE
    found = asyncio.run(look.everywhere())
    for why in look.troubles:
        say(f"{dyed('look', Colour.WARN, on_stderr=True)} {why}")
    if as_json:
        print(json.dumps({"found": [asdict(each) for each in found], "troubles": look.troubles}))
    for each in found:
        word = dyed("found", Colour.GOOD, on_stderr=True) if each.sure else dyed("maybe", Colour.WARN, on_stderr=True)
        say(f"{word} {each.where}: {each.what}{', ' + each.reads if each.reads else ''}")
    if not found:
        say(look.why_nothing())
        return Exit.NOT_FOUND
    text = toml_of(found)
    if write is None:
        if not as_json:
            print(text, end="")
        return Exit.OK
    return _written(write, text, sure=any(each.sure for each in found))


def _written(path: Path, text: str, *, sure: bool) -> Exit:
    head = "# Written by `edge-agent probe`: names of devices are yours to choose."
    guessed = (
        "" if sure else "\n# What stands behind `#[` and `#name =` is a guess: take that # away where it is right."
    )
    put_new(path, f"{head}{guessed}\n\n{text}".encode())
    first = "" if sure else "all of it is a guess, as comment: take the # away where it is right; "
    say(f"wrote {path}; {first}next: `edge-agent config check`, `edge-agent reload`, then `edge-agent commission`")
    return Exit.OK


class _Look:
    """One look at everything that was named."""

    def __init__(self, where: Where, held: frozenset[Path]) -> None:
        alone = not (where.serial or where.tcp or where.mqtt)
        self.troubles: list[str] = []
        self._where = where
        self._units = _ids(where.units)
        self._baud, self._parity = _line(where.line)
        self._tcp = [_place(text, MODBUS_PORT) for text in where.tcp]
        ports = where.serial or (serial_ports() if alone else ())
        self._ports = [port for port in ports if port.resolve() not in held]
        for port in ports:
            if port.resolve() in held:
                self.troubles.append(f"{port} is configured already, and left in peace")
        self._mqtt = _place(where.mqtt, MQTT_PORT) if where.mqtt else (("localhost", MQTT_PORT) if alone else None)
        self._asked_for_mqtt = where.mqtt is not None
        self._asked = 0
        """Lines and hosts that could be asked, whether they answered or not."""

    def why_nothing(self) -> str:
        """What to look at where nothing was found, by what could be asked at all."""
        if self._asked and self._ports:
            return "nothing answers: look at wires A and B, the meter's address and speed (--line 19200E --units 1-247)"
        if self._asked and self._tcp:
            return f"nothing answers at the addresses {self._where.units}: look at the meter's own (--units 1-247)"
        if self._asked_for_mqtt and not self.troubles:
            return "no message came that a preset knows: some plugs speak once in five minutes (--seconds 300)"
        if self.troubles:
            return "nothing could be asked: mend what is said above, and look again"
        return (
            "there is no serial port on this machine, and its broker says nothing that is known: plug the adapter in, "
            "or name a place with --tcp, --serial or --mqtt"
        )

    async def everywhere(self) -> list[Found]:
        """Everything that was found, in the order of places."""
        found: list[Found] = []
        steps = len(self._ports) * (len(self._units) + 3) + len(self._tcp) * len(self._units) + bool(self._mqtt)
        with Progress(steps) as bar:
            for host, port in self._tcp:
                found += await self._modbus({"host": host, "port": port}, f"Modbus {host}:{port}", 0.5, bar.step)
            for path in self._ports:
                found += await self._serial(path, bar.step)
            if self._mqtt:
                found += await self._broker(*self._mqtt, bar.step)
        return found

    async def _serial(self, port: Path, step: Callable[..., None]) -> list[Found]:
        """Meters that speak by themselves are listened to first: nothing is sent to whoever may not like it."""
        try:
            for baud, languages in listening.SPEEDS:
                step(f"{port.name}: listening at {baud} baud")
                heard = await listening.listen(port, baud, languages, self._where.seconds)
                if heard is not None:
                    return [heard]
        except SourceDown as error:
            self.troubles.append(str(error))
            return []
        line = modbus_scan.serial_line(port, self._baud, self._parity)
        found = await self._modbus(line, f"{port.name}: Modbus {self._where.line}", 0.3, step)
        return found or await self._bus(port, step)

    async def _modbus(self, where: Options, shown: str, seconds: float, step: Callable[..., None]) -> list[Found]:
        found = []
        try:
            async for each in modbus_scan.scan(where, self._units, seconds):
                self._asked += 1
                if isinstance(each, Found):
                    found.append(each)
                else:
                    step(f"{shown}, unit {each}")
        except modbus_scan.LineDown as error:
            self.troubles.append(str(error))
        return found

    async def _bus(self, port: Path, step: Callable[..., None]) -> list[Found]:
        found = []
        step(f"{port.name}: M-Bus at {listening.MBUS_BAUD} baud")
        try:
            async for each in listening.search(port):
                if isinstance(each, Found):
                    found.append(each)
                else:
                    step(f"{port.name}: M-Bus, numbers {each}…", 0)
        except SourceDown as error:
            self.troubles.append(str(error))
        return found

    async def _broker(self, host: str, port: int, step: Callable[..., None]) -> list[Found]:
        step(f"listening to the broker {host}:{port}", 0)
        messages: dict[str, bytes] = {}
        link = MqttLink(BrokerSettings(host=host, port=port, tls=False), "", durable=False)
        try:
            async with link.session() as session:
                await session.subscribe("#", qos=0)
                async with asyncio.timeout(self._where.seconds):
                    while len(messages) < plugs.TOPICS_MAX:
                        message = await session.receive()
                        messages[message.topic] = message.payload
        except TimeoutError:
            pass  # It was listened to for as long as was asked.
        except LinkError as error:
            if self._asked_for_mqtt:
                self.troubles.append(str(error))
        step("done")
        options = {
            key: value
            for key, value, usual in (("host", host, "localhost"), ("port", port, MQTT_PORT))
            if value != usual
        }
        return plugs.found_in(messages, options, f"broker {host}:{port}")


def serial_ports() -> tuple[Path, ...]:
    """Every serial port, by its lasting name where it has one."""
    lasting = sorted(Path("/dev/serial/by-id").glob("*"))
    named = {path.resolve() for path in lasting}
    others = sorted({path for pattern in _NAMES for path in Path("/dev").glob(pattern) if path.is_char_device()})
    return (*lasting, *(path for path in others if path.resolve() not in named))


def _held(config: Path, flags: Sequence[str]) -> frozenset[Path]:
    """Serial ports that are configured: a running agent holds them."""
    try:
        settings = settings_at_hand(config, flags)
    except ConfigInvalid:
        return frozenset()
    ports = (getattr(source, "serial_port", None) for source in settings.sources)
    return frozenset(port.resolve() for port in ports if isinstance(port, Path))


def _ids(text: str) -> tuple[int, ...]:
    """The addresses of `1,7,20-24`."""
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        if not (first.isdecimal() and (last or first).isdecimal() and 1 <= int(first) <= int(last or first) <= 247):
            raise Wrong(f"--units takes addresses and ranges of 1 to 247, such as 1-10 or 1,7; this is {text[:20]!r}")
        found |= set(range(int(first), int(last or first) + 1))
    return tuple(sorted(found))


def _line(text: str) -> tuple[int, Parity]:
    baud, parity = text[:-1], _PARITIES.get(text[-1:].upper())
    if not baud.isdecimal() or parity is None or not 300 <= int(baud) <= 921_600:
        raise Wrong(f"--line takes speed and parity, such as 9600N, 19200E; this is {text[:20]!r}")
    return int(baud), parity


def _place(text: str, usual: int) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon:
        return text, usual
    if not host or not port.isdecimal() or not 1 <= int(port) <= 65_535:
        raise Wrong(f"{text[:60]!r} is no HOST or HOST:PORT")
    return host, int(port)
