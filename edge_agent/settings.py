"""What an agent is told: plain frozen dataclasses, validated elsewhere (`edge_agent.config`), read everywhere.

Nothing here imports pydantic: the running agent must not (tested). Defaults stand here and nowhere
else; `config/agent.toml` shows them, and a test compares the two.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from edge_agent.home_assistant import HomeAssistantSettings
from edge_agent.invalid import InvalidSetting, require_fits, require_within
from edge_agent.limits import DRAIN_DELAY_SECONDS_MAX, RECONNECT_SECONDS_MAX
from edge_agent.sources.d0 import D0Settings
from edge_agent.sources.dsmr import DsmrSettings
from edge_agent.sources.exec import ExecSettings
from edge_agent.sources.http_settings import HttpSettings
from edge_agent.sources.mbus import MbusSettings
from edge_agent.sources.modbus_settings import ModbusSettings
from edge_agent.sources.mqtt_settings import MqttSettings
from edge_agent.sources.netdev import NetdevSettings
from edge_agent.sources.ocmf_settings import OcmfSettings
from edge_agent.sources.opcua_settings import OpcuaSettings
from edge_agent.sources.proc import ProcSettings
from edge_agent.sources.pulse import PulseSettings
from edge_agent.sources.replay import ReplaySettings
from edge_agent.sources.sml import SmlSettings
from edge_agent.sources.snmp_settings import SnmpSettings
from shared.effects.broker import BrokerSettings
from shared.grammar import GATEWAY_PATTERN
from shared.limits import GATEWAY_LOGS_MAX, LINE_INTERVALS_MAX, STEP_SECONDS_MAX
from shared.topic import PREFIX

SourceSettings = (
    NetdevSettings
    | ReplaySettings
    | ProcSettings
    | ExecSettings
    | ModbusSettings
    | PulseSettings
    | MqttSettings
    | DsmrSettings
    | SmlSettings
    | D0Settings
    | MbusSettings
    | OcmfSettings
    | HttpSettings
    | SnmpSettings
    | OpcuaSettings
)
"""One kind of source a file; `type` tells them apart."""

COMMIT_SECONDS_MAX: Final = 3_600
WINDOW_SECONDS_MAX: Final = STEP_SECONDS_MAX * LINE_INTERVALS_MAX
SPOOL_BYTES_LEAST: Final = 256 * 1024
_PREFIX_PATTERN: Final = re.compile(r"[A-Za-z0-9_.-]{1,32}(/[A-Za-z0-9_.-]{1,32}){0,7}", re.ASCII)


_LOOPBACK_PATTERN: Final = re.compile(r"(localhost|\[::1\]|127(\.\d{1,3}){3}):\d{1,5}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusSettings:
    """Where the status page and the metrics are served, for this machine alone."""

    listen: str = ""
    """An address of this machine and a port, such as 127.0.0.1:9480; empty: nowhere."""

    def __post_init__(self) -> None:
        if self.listen:
            require_fits("listen", self.listen, _LOOPBACK_PATTERN)
            require_within("listen", self.port, 1, 65_535)

    @property
    def host(self) -> str:
        """The address alone."""
        return self.listen.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        """The port alone."""
        return int(self.listen.rpartition(":")[2])


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSettings:
    """Everything that `edge-agent run` needs to know."""

    gateway: str
    """This gateway's id: the user name at the broker and part of every topic."""
    key_file: Path = Path("/var/lib/meterseal/gateway.key")
    """The Ed25519 private key (PEM) that signs every line; `edge-agent key new` makes it."""
    receipt_key_files: tuple[Path, ...] = ()
    """Public keys (PEM) of the collector, any of which may sign a receipt."""
    recovery_key_files: tuple[Path, ...] = ()
    """Public keys (PEM) of the operator that lie offline: they sign nothing but a lost receipt key's replacement."""
    enrolment_file: Path | None = None
    """What `edge-agent enrol` left behind: with it, the running agent renews its certificate by itself."""
    prefix: str = PREFIX
    """The first levels of every topic."""
    step_seconds: int = 60
    """The length of an interval."""
    interval_count: int = 15
    """How many intervals one sealed line holds."""
    step_seconds_min: int = 10
    """The shortest interval that a command may set."""
    step_seconds_max: int = 3_600
    """The longest interval that a command may set."""
    window_seconds_max: int = 3_600
    """The longest window, intervals times their length, that a command may set."""
    commit_seconds: int = 60
    """How often the open window is written to disk; 300 spares flash."""
    wall_clock: Literal["kernel", "trusted"] = "kernel"
    """Whether the wall clock is believed when the kernel says that it is synchronised, or always."""
    drain_delay_seconds: int = int(DRAIN_DELAY_SECONDS_MAX)
    """The longest random wait before a backlog is sent after an outage, so that a fleet does not come back as one."""
    reconnect_seconds_max: int = int(RECONNECT_SECONDS_MAX)
    """The longest random wait between two attempts to reach the broker."""
    spool_path: Path = Path("/var/lib/meterseal/spool.db")
    """The file that holds what the collector has not yet confirmed."""
    spool_bytes_max: int = 64 * 1024 * 1024
    """The most that the spool may take on disk; a full spool ends the process with exit code 75."""
    broker: BrokerSettings = field(default_factory=BrokerSettings)
    """Where the MQTT broker is and how to be let in."""
    status: StatusSettings = field(default_factory=StatusSettings)
    """Where the status page is served."""
    home_assistant: HomeAssistantSettings = field(default_factory=HomeAssistantSettings)
    """Where registers are shown besides."""
    sources: tuple[SourceSettings, ...] = ()
    """What is metered."""

    def __post_init__(self) -> None:
        require_fits("gateway", self.gateway, GATEWAY_PATTERN)
        require_fits("prefix", self.prefix, _PREFIX_PATTERN)
        require_within("step_seconds", self.step_seconds, 1, STEP_SECONDS_MAX)
        require_within("interval_count", self.interval_count, 1, LINE_INTERVALS_MAX)
        require_within("step_seconds_min", self.step_seconds_min, 1, STEP_SECONDS_MAX)
        require_within("step_seconds_max", self.step_seconds_max, self.step_seconds_min, STEP_SECONDS_MAX)
        require_within("window_seconds_max", self.window_seconds_max, self.step_seconds_max, WINDOW_SECONDS_MAX)
        require_within("commit_seconds", self.commit_seconds, 1, COMMIT_SECONDS_MAX)
        require_within("drain_delay_seconds", self.drain_delay_seconds, 0, 3_600)
        require_within("reconnect_seconds_max", self.reconnect_seconds_max, 1, 3_600)
        require_within("spool_bytes_max", self.spool_bytes_max, SPOOL_BYTES_LEAST, 1 << 40)
        names = [source.name for source in self.sources]
        for name in names:
            if names.count(name) > 1:
                raise InvalidSetting("sources", f"has two of the name {name}: each needs its own")
        if len(frozenset[str]().union(*map(_logs, self.sources))) > GATEWAY_LOGS_MAX:
            raise InvalidSetting("sources", f"are sealed in more than {GATEWAY_LOGS_MAX} logs")
        replayed = {source.log for source in self.sources if isinstance(source, ReplaySettings)}
        for log in replayed:
            if sum(log in _logs(source) for source in self.sources) > 1:
                raise InvalidSetting("sources", f"share the log {log}: a replay needs a log of its own")


def _logs(source: SourceSettings) -> frozenset[str]:
    """Every log that a source's channels are sealed in."""
    several = ModbusSettings | MqttSettings | MbusSettings | HttpSettings | SnmpSettings
    return source.logs if isinstance(source, several) else frozenset({source.log})
