"""What an agent is told: plain frozen dataclasses, validated elsewhere (`edge_agent.config`), read everywhere.

Nothing here imports pydantic: the running agent must not (tested). Defaults stand here and nowhere
else; `config/agent.toml` shows them, and a test compares the two.
"""

from dataclasses import dataclass, field
from pathlib import Path

from edge_agent.sources.exec import ExecSettings
from edge_agent.sources.netdev import NetdevSettings
from edge_agent.sources.proc import ProcSettings
from edge_agent.sources.replay import ReplaySettings
from shared.effects.broker import BrokerSettings
from shared.topic import PREFIX

SourceSettings = NetdevSettings | ReplaySettings | ProcSettings | ExecSettings
"""One kind of source a file; `kind` tells them apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSettings:
    """Everything that `edge-agent run` needs to know."""

    gateway: str
    """This gateway's id: the user name at the broker and part of every topic."""
    key_file: Path = Path("/var/lib/meterseal/gateway.key")
    """The Ed25519 private key (PEM) that signs every line; `edge-agent key new` makes it."""
    receipt_key_files: tuple[Path, ...] = ()
    """Public keys (PEM) of the collector, any of which may sign a receipt."""
    prefix: str = PREFIX
    """The first levels of every topic."""
    step_seconds: int = 60
    """The length of an interval."""
    interval_count: int = 15
    """How many intervals one sealed line holds."""
    commit_seconds: int = 60
    """How often the open window is written to disk; 300 spares flash."""
    spool_path: Path = Path("/var/lib/meterseal/spool.db")
    """The file that holds what the collector has not yet confirmed."""
    spool_bytes_max: int = 64 * 1024 * 1024
    """The most that the spool may take on disk; a full spool ends the process with exit code 75."""
    broker: BrokerSettings = field(default_factory=BrokerSettings)
    """Where the MQTT broker is and how to be let in."""
    sources: tuple[SourceSettings, ...] = ()
    """What is metered."""
