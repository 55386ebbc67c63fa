"""What a Modbus source is told: one line or connection, the devices on it, and what is metered of each."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from edge_agent.invalid import InvalidSetting, require_fits, require_source, require_within
from edge_agent.sources.modbus_channel import ModbusChannel, Register
from edge_agent.sources.modbus_plan import REGISTERS_MAX
from edge_agent.sources.modbus_templates import Template, load_template
from edge_agent.sources.modbus_values import Layout
from shared.grammar import require_plain
from shared.limits import LINE_ROWS_MAX, SERIAL_CHARS_MAX

DEVICES_MAX: Final = 247
"""As many as a bus has addresses."""
UNIT_MAX: Final = 255
RTU_UNIT_MAX: Final = 247
TIMEOUT_SECONDS_MAX: Final = 5.0
PAUSE_MS_MAX: Final = 1_000
HOST_CHARS_MAX: Final = 253
BAUD_RATE_MAX: Final = 921_600
_WORDS_MAX: Final = Layout(type="u64").count


@dataclass(frozen=True, slots=True, kw_only=True)
class ModbusDevice:
    """One device on the bus: a template, or registers of one's own, or both."""

    device: str
    """What is metered, as the catalog calls it."""
    unit_id: int = 1
    """Its Modbus address on the bus."""
    template: str | None = None
    """A meter that is known by name; without one, `channels` says everything."""
    meters: tuple[str, ...] = ()
    """Which of the template's meters are metered; empty: those that the template itself chooses."""
    log: str | None = None
    """The log that it is sealed in, where that is another than the source's."""
    timeout_seconds: float | None = None
    """How long it may take to answer, where that is another time than the source's."""
    registers_max: int | None = None
    """The most registers that it answers at once; default: the template's, else 125."""
    pause_ms: int | None = None
    """The silence that it needs before a request; default: the template's, else none."""
    serial: str = ""
    """Its serial number, where no register tells it."""
    channels: tuple[ModbusChannel, ...] = ()
    """Registers of one's own, and what is to be different from the template."""

    def __post_init__(self) -> None:
        require_fits("device", self.device)
        require_within("unit_id", self.unit_id, 0, UNIT_MAX)
        require_plain(self.serial, "serial", SERIAL_CHARS_MAX)
        if self.log is not None:
            require_fits("log", self.log)
        if self.timeout_seconds is not None:
            require_within("timeout_seconds", self.timeout_seconds, 0.05, TIMEOUT_SECONDS_MAX)
        if self.registers_max is not None:
            require_within("registers_max", self.registers_max, _WORDS_MAX, REGISTERS_MAX)
        if self.pause_ms is not None:
            require_within("pause_ms", self.pause_ms, 0, PAUSE_MS_MAX)
        self.registers()

    def known(self) -> Template | None:
        """Its template."""
        return None if self.template is None else load_template(self.template)

    def registers(self) -> tuple[Register, ...]:
        """What is read of it, complete; raises InvalidSetting."""
        template = self.known()
        known = {} if template is None else template.channels
        strange = [meter for meter in self.meters if meter not in known]
        if strange:
            there = f"{self.template} has {', '.join(known)}" if known else "only a template has meters to choose from"
            raise InvalidSetting("meters", f'names "{strange[0]}": {there}')
        own = {channel.meter: channel for channel in self.channels}
        if len(own) < len(self.channels):
            raise InvalidSetting("channels", "holds a meter twice")
        chosen = self.meters or (() if template is None else template.meters)
        found = [
            own[meter].over(known.get(meter, own[meter])) if meter in own else known[meter]
            for meter in dict.fromkeys((*chosen, *own))
        ]
        if not found:
            raise InvalidSetting("device", f"{self.device} needs a template or channels")
        return tuple(channel.register(self.device) for channel in found)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModbusSettings:
    """Where the devices are, and which; exactly one of `host` and `serial_port`."""

    type: Literal["modbus"] = "modbus"
    name: str = "modbus"
    """The source's name in messages; unique in a configuration."""
    log: str = "main"
    """The log that its channels are sealed in."""
    poll_seconds: float = 10.0
    """How often all devices are read."""
    host: str | None = None
    """A device or gateway on the network: name or address."""
    port: int = 502
    """Its TCP port."""
    framing: Literal["tcp", "rtu"] = "tcp"
    """What travels over TCP: Modbus TCP, or the serial line's frames, as simple serial servers pass on."""
    serial_port: Path | None = None
    """A serial line: best by its lasting name below /dev/serial/by-id."""
    baud_rate: int = 9_600
    """The serial line's speed, the same for all devices on it."""
    parity: Literal["none", "even", "odd"] = "none"
    """The serial line's parity."""
    stop_bits: Literal[1, 2] = 1
    """The serial line's stop bits."""
    timeout_seconds: float = 1.0
    """How long a device may take to answer."""
    devices: tuple[ModbusDevice, ...]
    """What answers there."""

    def __post_init__(self) -> None:
        require_source(self.name, self.log, self.poll_seconds)
        if (self.host is None) == (self.serial_port is None):
            raise InvalidSetting("host", "or serial_port must be set, and only one of them")
        if self.host is not None and not 0 < len(self.host) <= HOST_CHARS_MAX:
            raise InvalidSetting("host", f"must be a name or address of at most {HOST_CHARS_MAX} characters")
        require_within("port", self.port, 1, 65_535)
        require_within("baud_rate", self.baud_rate, 300, BAUD_RATE_MAX)
        require_within("timeout_seconds", self.timeout_seconds, 0.05, TIMEOUT_SECONDS_MAX)
        if not 0 < len(self.devices) <= DEVICES_MAX:
            raise InvalidSetting("devices", f"must hold 1 to {DEVICES_MAX} devices")
        self._require_told_apart()

    @property
    def rtu(self) -> bool:
        """Whether frames are those of a serial line, which bear no number that tells answers apart."""
        return self.serial_port is not None or self.framing == "rtu"

    def log_of(self, device: ModbusDevice) -> str:
        """The log that a device is sealed in."""
        return device.log or self.log

    @property
    def logs(self) -> frozenset[str]:
        """Every log that the source's channels are sealed in."""
        return frozenset(self.log_of(device) for device in self.devices)

    def _require_told_apart(self) -> None:
        names: set[tuple[str, str]] = set()
        for device in self.devices:
            if self.rtu and not 1 <= device.unit_id <= RTU_UNIT_MAX:
                raise InvalidSetting("devices", f"{device.device}: on a serial line, unit_id is 1 to {RTU_UNIT_MAX}")
            for register in device.registers():
                if (device.device, register.meter) in names:
                    raise InvalidSetting("devices", f"hold {device.device}.{register.meter} twice")
                names.add((device.device, register.meter))
        if len(names) > LINE_ROWS_MAX:
            raise InvalidSetting("devices", f"have more than {LINE_ROWS_MAX} channels")
