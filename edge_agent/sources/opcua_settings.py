"""What an `opcua` source is told: which server, how it is secured, and which nodes are which channels."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from edge_agent.invalid import InvalidSetting, require_source, require_within
from edge_agent.sources.printed_channel import PrintedChannel, require_distinct
from shared.limits import LINE_ROWS_MAX

NODE_CHARS_MAX: Final = 512
TIMEOUT_SECONDS_MAX: Final = 12.0
"""A connection and a reading together stay below the time after which the agent takes a source for down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpcuaChannel(PrintedChannel):
    """A node, and what its value means."""

    node: str
    """As servers show it: "ns=2;s=Line1.Energy", or with the namespace by name: "nsu=urn:plant;i=1001"."""

    def __post_init__(self) -> None:
        PrintedChannel.__post_init__(self)  # With slots, super() does not find it.
        if self.kind in ("pulse", "event"):
            raise InvalidSetting("kind", "must be counter, gauge or state: a node read twice says the same twice")
        if not 0 < len(self.node) <= NODE_CHARS_MAX or "=" not in self.node:
            raise InvalidSetting("node", f'must be a node id such as "ns=2;s=Energy", this is {self.node[:48]!r}')


@dataclass(frozen=True, slots=True, kw_only=True)
class OpcuaSettings:
    """Which server is read, and how."""

    type: Literal["opcua"] = "opcua"
    name: str = "opcua"
    """The source's name in messages; unique in a configuration."""
    log: str = "main"
    """The log that its channels are sealed in."""
    poll_seconds: float = 10.0
    """How often all nodes are read, in one request."""
    url: str
    """The endpoint: opc.tcp://host:4840/path."""
    security: Literal["none", "sign", "sign_encrypt"] = "none"
    """Whether messages are signed, and encrypted; either needs the three files."""
    cert_file: Path | None = None
    """The agent's own application certificate (DER or PEM), which the server must trust."""
    key_file: Path | None = None
    """Its private key (PEM)."""
    server_cert_file: Path | None = None
    """The server's certificate (DER or PEM); no other is spoken to."""
    username: str = ""
    """The user; empty: anonymous."""
    password_file: Path | None = None
    """A file that holds the password, alone."""
    timeout_seconds: float = 5.0
    """How long a connection or a reading may take."""
    channels: tuple[OpcuaChannel, ...]
    """At least one."""

    def __post_init__(self) -> None:
        require_source(self.name, self.log, self.poll_seconds)
        require_within("timeout_seconds", self.timeout_seconds, 0.1, TIMEOUT_SECONDS_MAX)
        if not self.url.startswith("opc.tcp://"):
            raise InvalidSetting("url", f"must begin with opc.tcp://, this is {self.url[:48]!r}")
        for key in ("cert_file", "key_file", "server_cert_file"):
            if (getattr(self, key) is None) is (self.security != "none"):
                raise InvalidSetting(key, 'belongs to security = "sign" or "sign_encrypt", which need all three files')
        if (self.password_file is None) is not (not self.username):
            raise InvalidSetting("password_file", "and username belong together")
        require_distinct("channels", (channel.name for channel in self.channels), LINE_ROWS_MAX)
