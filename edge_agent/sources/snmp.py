"""Counters of switches, routers, power strips and meters by SNMP; an interface by its name, not by its number.

An index may mean another interface after a restart, so its name is asked for with its counters. Counters
begin anew when the device starts, when the interface is made anew (another index), and when the device
says that they were interrupted (ifCounterDiscontinuityTime). A restart of the agent on the device alone is
not one where the host says for how long it is up.
Source: RFC 2863 (ifXTable), RFC 2790 (hrSystemUptime), RFC 3411 (snmpEngineTime), RFC 3418 (sysUpTime).
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from edge_agent.reading import ChannelName, ChannelSpec, Kind, Reading
from edge_agent.sources.extra import library
from edge_agent.sources.lives import Lives
from edge_agent.sources.modbus_values import scale_of
from edge_agent.sources.number import steps_of, switch_of
from edge_agent.sources.printed_channel import Silence
from edge_agent.sources.snmp_settings import SnmpChannel, SnmpInterface, SnmpSettings, Value
from shared.effects.clock import Clock
from shared.errors import InvalidRecord

if TYPE_CHECKING:
    from edge_agent.sources.snmp_get import SnmpPeer

IF_NAME: Final = "1.3.6.1.2.1.31.1.1.1.1"
IF_IN_OCTETS: Final = "1.3.6.1.2.1.31.1.1.1.6"
IF_OUT_OCTETS: Final = "1.3.6.1.2.1.31.1.1.1.10"
IF_DISCONTINUITY: Final = "1.3.6.1.2.1.31.1.1.1.19"
HOST_UPTIME: Final = "1.3.6.1.2.1.25.1.1.0"
ENGINE_TIME: Final = "1.3.6.1.6.3.10.2.1.3.0"
SYSTEM_UPTIME: Final = "1.3.6.1.2.1.1.3.0"
_UPTIMES: Final = (HOST_UPTIME, ENGINE_TIME, SYSTEM_UPTIME)
_TICKS_A_SECOND: Final = 100
NAMES_SHOWN: Final = 12


class SnmpSource:
    """Asks one device for everything in one round."""

    def __init__(self, settings: SnmpSettings, clock: Clock) -> None:
        self.name = settings.name
        self.poll_seconds = settings.poll_seconds
        self._settings = settings
        self._clock = clock
        self._peer: SnmpPeer | None = None
        self._indexes: dict[str, int] = {}
        self._lives = Lives(clock)
        self._silence = Silence(settings.name)
        self.channels = (
            *(spec for each in settings.interfaces for spec in _specs(settings, each)),
            *(channel.spec(settings.name, settings.log) for channel in settings.channels),
        )

    def remember(self, generations: Mapping[ChannelName, str]) -> None:
        """Go on from the lives that are known."""
        self._lives.remember(generations)

    async def read(self) -> Sequence[Reading]:
        """A reading for each number that the device has; raises SourceDown with one sentence."""
        if self._peer is None:
            self._peer = library("edge_agent.sources.snmp_get", "snmp").SnmpPeer(self._settings)
        peer = self._peer
        missing: dict[str, str] = {}
        for _ in range(2):
            if any(each.interface not in self._indexes for each in self._settings.interfaces):
                missing = await self._find_interfaces(peer)
            values = await peer.get(self._objects())
            moved = [name for name, index in self._indexes.items() if values.get(f"{IF_NAME}.{index}") != name]
            if not moved:
                break
            self._indexes.clear()
        at_ms = self._clock.boot_ms()
        readings: list[Reading] = []
        whys: dict[ChannelName, str] = {}
        for each in self._settings.interfaces:
            self._read_interface(each, values, at_ms, readings, whys, missing)
        for channel in self._settings.channels:
            try:
                readings.append(self._read_channel(channel, values, at_ms))
            except InvalidRecord as error:
                whys[channel.name] = f"{'.'.join(channel.name)} cannot be read from {self._settings.host}: {error}"
        self._silence.of(whys, all_of_it=not readings)
        return readings

    async def close(self) -> None:
        """The socket is closed."""
        if self._peer is not None:
            self._peer.close()

    async def _find_interfaces(self, peer: "SnmpPeer") -> dict[str, str]:
        """Learn the index of every interface by its name; returns why some have none."""
        names = await peer.column(IF_NAME)
        wanted = {each.interface for each in self._settings.interfaces}
        self._indexes = {str(name): index for index, name in names.items() if name in wanted}
        there = ", ".join(map(str, list(names.values())[:NAMES_SHOWN])) or "none that this user may see"
        return {
            name: f"{self._settings.host} has no interface {name}: it has {there}" for name in wanted - {*self._indexes}
        }

    def _objects(self) -> list[str]:
        columns = (IF_NAME, IF_IN_OCTETS, IF_OUT_OCTETS, IF_DISCONTINUITY)
        return [
            *_UPTIMES,
            *(f"{column}.{index}" for index in self._indexes.values() for column in columns),
            *(channel.oid.lstrip(".") for channel in self._settings.channels),
        ]

    def _read_interface(
        self,
        each: SnmpInterface,
        values: Mapping[str, Value],
        at_ms: int,
        readings: list[Reading],
        whys: dict[ChannelName, str],
        missing: Mapping[str, str],
    ) -> None:
        index = self._indexes.get(each.interface)
        for meter, column in zip(each.directions, (IF_IN_OCTETS, IF_OUT_OCTETS), strict=True):
            name = ChannelName(each.called, meter)
            value = None if index is None else values.get(f"{column}.{index}")
            if index is None or not isinstance(value, int):
                whys[name] = missing.get(
                    each.interface,
                    f"{self._settings.host} has no 64-bit counter of {each.interface}: "
                    "read ifInOctets or ifOutOctets as a channel with width_bits = 32, every few seconds",
                )
                continue
            interrupted = values.get(f"{IF_DISCONTINUITY}.{index}")
            marks = (index, interrupted if isinstance(interrupted, int) else 0)
            readings.append(
                Reading(
                    device=name.device,
                    meter=meter,
                    value=value,
                    at_ms=at_ms,
                    serial=each.serial,
                    generation=self._generation(name, values, marks),
                )
            )

    def _read_channel(self, channel: SnmpChannel, values: Mapping[str, Value], at_ms: int) -> Reading:
        said = values.get(channel.oid.lstrip("."))
        if said is None:
            raise InvalidRecord(f"it has no {channel.oid}; check the instance at its end, and what this user may see")
        if channel.kind == "state":
            said = switch_of(said)
        return Reading(
            device=channel.device,
            meter=channel.meter,
            value=steps_of(str(said).strip(), channel.exponent, scale_of(channel.scale)),
            at_ms=at_ms,
            serial=channel.serial,
            generation=self._generation(channel.name, values, ()) if channel.begins_with_device else "",
        )

    def _generation(self, name: ChannelName, values: Mapping[str, Value], marks: tuple[int, ...]) -> str:
        """The life that the counter is in, by the best of the device's words for how long it is up."""
        for oid in _UPTIMES:
            up = values.get(oid)
            if isinstance(up, int):
                ticks = oid != ENGINE_TIME
                seconds = up // _TICKS_A_SECOND if ticks else up
                return self._lives.up(name, seconds, marks=marks, wraps=ticks)
        return ""


def _specs(settings: SnmpSettings, each: SnmpInterface) -> list[ChannelSpec]:
    return [
        ChannelSpec(
            device=each.called,
            meter=meter,
            unit="By",
            exponent=0,
            kind=Kind.COUNTER,
            source=settings.name,
            log=each.log or settings.log,
            rate_max=each.rate_max,
            width_bits=64,
        )
        for meter in each.directions
    ]
