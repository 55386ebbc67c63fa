"""What enrolment leaves on a gateway's disk: certificates, the operator's keys, a piece of configuration.

    ca.pem           the collector's CA, pinned
    gateway.pem      this gateway's certificate, renewed every year
    receipt.pub      the operator's receipt key; replaced only by what it, or the recovery key, has signed
    recovery.pub     the operator's offline key
    enrolment.json   where to renew, and when

Each file is whole or as it was before: it is written beside its place and then renamed.
"""

import json
import os
import ssl
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from edge_agent.identity import fsync_folder
from shared.enrolment import Credentials
from shared.errors import MetersealError

AUTHORITY = "ca.pem"
CERTIFICATE = "gateway.pem"
RECEIPT = "receipt.pub"
RECOVERY = "recovery.pub"
ENROLMENT = "enrolment.json"
FRAGMENT = "50-enrolled.toml"


class NotEnrolled(MetersealError):
    """This gateway is not enrolled: `edge-agent enrol URL CODE` does that."""


class EnrolmentUnusable(MetersealError):
    """What enrolment left behind cannot be used, or not be written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolment:
    """Where this gateway is enrolled, and how long its certificate lasts."""

    url: str
    gateway: str
    key: str
    """The id of the key that the certificate is for."""
    renew_at: int
    ends_at: int

    @classmethod
    def read(cls, file: Path | None) -> "Enrolment":
        """What the file says; raises NotEnrolled, EnrolmentUnusable."""
        if file is None:
            raise NotEnrolled
        try:
            body = json.loads(file.read_text(encoding="utf-8"))
            return cls(**{name: kind(body[name]) for name, kind in _FIELDS.items()})
        except FileNotFoundError as error:
            raise NotEnrolled(f"there is no {file}: `edge-agent enrol URL CODE` enrols this gateway") from error
        except OSError as error:
            raise EnrolmentUnusable(f"{file} cannot be read: {error.strerror}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise EnrolmentUnusable(f"{file} is damaged: enrol again with a new claim code") from error


_FIELDS = {"url": str, "gateway": str, "key": str, "renew_at": int, "ends_at": int}


def keep(folder: Path, key_file: Path, found: Credentials, *, url: str, key: str, authority: str) -> list[Path]:
    """Everything that was given is on disk, whole; returns what was written. Raises EnrolmentUnusable."""
    texts = {AUTHORITY: authority, RECEIPT: found.receipt_key}
    if found.recovery_key:
        texts[RECOVERY] = found.recovery_key
    written = [_put(folder / name, text) for name, text in texts.items()]
    return [*written, *keep_certificate(folder, key_file, found, url=url, key=key)]


def keep_certificate(folder: Path, key_file: Path, found: Credentials, *, url: str, key: str) -> list[Path]:
    """The certificate is on disk where it is this key's; nothing that is pinned changes. Raises EnrolmentUnusable."""
    certificate = folder / CERTIFICATE
    beside = _put(certificate.with_name(f".{CERTIFICATE}.new"), found.certificate)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(beside, key_file)
    except (ssl.SSLError, OSError) as error:
        beside.unlink(missing_ok=True)
        raise EnrolmentUnusable(f"the certificate that was given is not for the key {key_file}: enrol again") from error
    beside.replace(certificate)
    fsync_folder(folder)
    state = Enrolment(url=url, gateway=found.gateway, key=key, renew_at=found.renew_at, ends_at=found.ends_at)
    return [certificate, _put(folder / ENROLMENT, json.dumps(asdict(state), indent=2) + "\n")]


def fragment(folder: Path, found: Credentials, chosen: Sequence[tuple[str, Path]] = ()) -> str:
    """The piece of configuration that says all of it to the agent, with the files that somebody chose."""

    def table(rows: Sequence[tuple[str, object]]) -> str:
        return "".join(f"{name} = {json.dumps(value)}\n" for name, value in rows)

    here = folder.absolute()
    top = (
        ("gateway", found.gateway),
        ("prefix", found.prefix),
        ("receipt_key_files", [str(here / RECEIPT)]),
        *([("recovery_key_files", [str(here / RECOVERY)])] if found.recovery_key else ()),
        ("enrolment_file", str(here / ENROLMENT)),
        *((name, str(path)) for name, path in chosen),
    )
    broker = (
        ("host", found.broker_host),
        ("port", found.broker_port),
        ("tls", True),
        ("ca_file", str(here / AUTHORITY)),
        ("cert_file", str(here / CERTIFICATE)),
    )
    head = "# Written by `edge-agent enrol`, and written again by it: what differs here belongs into a later file.\n\n"
    return f"{head}{table(top)}\n[broker]\n{table(broker)}"


def keep_fragment(config: Path, text: str) -> list[Path]:
    """The fragment lies in conf.d beside the configuration, which begins where there is none."""
    written = []
    if not config.exists():
        written.append(_put(config, _BEGINNING))
    return [*written, _put(config.parent / "conf.d" / FRAGMENT, text)]


_BEGINNING = """\
# This gateway's configuration: what it meters. conf.d/*.toml beside this file ranks above it; `edge-agent enrol` has
# written there who it is and where the broker is. `edge-agent config show --origin` shows every option.

#[[sources]]
#type = "netdev"
"""


def _put(path: Path, text: str) -> Path:
    beside = path.with_name(f".{path.name.lstrip('.')}.part")
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        with beside.open("w", encoding="utf-8") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        beside.chmod(0o644)
        own_as_folder(beside)
        beside.replace(path)
        fsync_folder(path.parent)
    except OSError as error:
        raise EnrolmentUnusable(f"{path} cannot be written: {error.strerror}; run it as root, with sudo") from error
    return path


def own_as_folder(path: Path) -> None:
    """What root writes into another user's folder is that user's: the agent does not run as root."""
    if os.geteuid() == 0:
        owner = path.parent.stat()
        os.chown(path, owner.st_uid, owner.st_gid)
