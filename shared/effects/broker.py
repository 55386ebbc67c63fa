"""Where the MQTT broker is and how to be let in; plain values, so that reading them loads no MQTT."""

from dataclasses import dataclass
from pathlib import Path

from shared.errors import InvalidRecord
from shared.grammar import require_integer


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerSettings:
    """Where the MQTT broker is and how to be let in."""

    host: str = "localhost"
    """A name or an address; with TLS, the name that its certificate must bear."""
    port: int = 8883
    username: str | None = None
    """The name at the broker; without it, this client's own."""
    password_file: Path | None = None
    """A file that holds the password alone."""
    tls: bool = True
    ca_file: Path | None = None
    """The certificate authority (PEM) to trust; without it, the system's own."""
    cert_file: Path | None = None
    """This side's certificate (PEM), where the broker asks for one."""
    key_file: Path | None = None
    """The private key (PEM) of `cert_file`."""
    keepalive_seconds: int = 60
    """Silence after which the broker holds the session for dead."""

    def __post_init__(self) -> None:
        if not self.host:
            raise InvalidRecord("host must not be empty")
        require_integer(self.port, "port", 1, 65_535)
        require_integer(self.keepalive_seconds, "keepalive_seconds", 5, 65_535)
