"""The certificate authority's folder: what lies in it, and how each file comes to be there.

    ca.key, ca.pem                the CA; its key never leaves this folder
    broker.key, broker.pem        the MQTT broker's
    enrolment.key, enrolment.pem  of the port at which gateways enrol
    <client_id>.key, .pem         the collector's own, as a client of the broker
    crl.pem                       what is revoked, for the broker
    recovery.key, recovery.pub    may replace the receipt key; the private half belongs somewhere else

Keys are for their owner alone (0600), everything else may be read. A file is whole or not there: it is
written beside its place and then renamed. A key that is there is never replaced.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cloud_collector.fleet.authority import Authority, Issued, key_from_pem, key_pem, new_key
from shared.errors import InvalidRecord, MetersealError

AUTHORITY: Final = "ca"
BROKER: Final = "broker"
ENROLMENT: Final = "enrolment"
REVOKED: Final = "crl.pem"
RECOVERY: Final = "recovery"
PRIVATE: Final = 0o600
PUBLIC: Final = 0o644


class PkiMissing(MetersealError):
    """There is no certificate authority yet: `cloud-collector pki init` makes one."""


class PkiExists(MetersealError):
    """There is a certificate authority already."""


class PkiUnusable(MetersealError):
    """A file of the certificate authority cannot be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """A file that is to be written, and why."""

    name: str
    text: str
    mode: int
    why: str


@dataclass(frozen=True, slots=True)
class Pki:
    """The folder, and the CA in it."""

    folder: Path
    authority: Authority

    @classmethod
    def open(cls, folder: Path) -> "Pki":
        """Read the CA; raises PkiMissing, PkiUnusable."""
        certificate, key = folder / f"{AUTHORITY}.pem", folder / f"{AUTHORITY}.key"
        if not key.exists() and not certificate.exists():
            raise PkiMissing(f"there is no certificate authority in {folder}: `cloud-collector pki init` makes one")
        try:
            return cls(folder, Authority.from_pem(_read(certificate), _read(key)))
        except InvalidRecord as error:
            raise PkiUnusable(f"{key}: {error}") from error

    def issued(self, name: str) -> Issued | None:
        """The certificate that lies under this name, or None; raises PkiUnusable for what is none of this CA."""
        path = self.folder / f"{name}.pem"
        if not path.exists():
            return None
        try:
            issued = Issued.from_pem(_read(path))
        except InvalidRecord as error:
            raise PkiUnusable(f"{path}: {error}") from error
        return issued if self.authority.signed(issued) else None

    @property
    def hosts(self) -> tuple[str, ...]:
        """The names and addresses under which gateways reach the broker, the first one first."""
        broker = self.issued(BROKER)
        return () if broker is None else broker.hosts

    def renewals(
        self, client: str, now: datetime, *, hosts: Sequence[str] = (), every: bool = False
    ) -> Iterator[Write]:
        """Certificates of servers and of the collector that are due, or for other hosts; each keeps its key."""
        if not client.startswith("_"):
            # P10: a certificate's name is its user's name, and only gateways are called as gateways are.
            raise PkiUnusable(f"client_id is {client!r}: a collector's name begins with _, as no gateway's does")
        wanted = tuple(hosts) or self.hosts
        if not wanted:
            raise PkiUnusable(f"{self.folder / BROKER}.pem is not there: name its hosts with --host")
        for name in (BROKER, ENROLMENT, client):
            old = self.issued(name)
            serves = name != client
            if old is None:
                why = f"for {', '.join(wanted) if serves else client}"
            elif serves and set(old.hosts) != set(wanted):
                why = f"for {', '.join(wanted)}"
            elif every:
                why = "as asked"
            elif now.timestamp() >= old.renew_at:
                why = "a third of its time is left, or less"
            else:
                continue
            key, made = self._key(name)
            issue = self.authority
            issued = (
                issue.issue_server(wanted, key.public_key(), now)
                if serves
                else issue.issue_client(client, key.public_key(), now)
            )
            if made:
                yield Write(name=f"{name}.key", text=key_pem(key), mode=PRIVATE, why=why)
            yield Write(name=f"{name}.pem", text=issued.pem, mode=PUBLIC, why=why)

    def revocations(self, serials: Iterable[tuple[str, datetime]], now: datetime) -> Write:
        """The list of what is revoked."""
        return Write(name=REVOKED, text=self.authority.revoke(serials, now), mode=PUBLIC, why="what is revoked now")

    def _key(self, name: str) -> tuple[Ed25519PrivateKey, bool]:
        path = self.folder / f"{name}.key"
        if not path.exists():
            return new_key(), True
        try:
            return key_from_pem(_read(path)), False
        except InvalidRecord as error:
            raise PkiUnusable(f"{path}: {error}") from error


def begin(
    folder: Path, *, name: str, client: str, hosts: Sequence[str], recovery: tuple[str, str], now: datetime
) -> list[Write]:
    """Everything that a new CA begins with; nothing is written yet. Raises PkiExists."""
    if (folder / f"{AUTHORITY}.key").exists() or (folder / f"{AUTHORITY}.pem").exists():
        raise PkiExists(
            f"there is a certificate authority in {folder}: every gateway trusts it, and none would trust another; "
            "`cloud-collector pki renew` renews what it has signed"
        )
    authority = Authority.create(name, now)
    new = Pki(folder, authority)
    private, public = recovery
    return [
        Write(name=f"{AUTHORITY}.key", text=key_pem(authority.key), mode=PRIVATE, why="the CA's key"),
        Write(name=f"{AUTHORITY}.pem", text=authority.issued.pem, mode=PUBLIC, why="the CA, which gateways pin"),
        *new.renewals(client, now, hosts=hosts),
        new.revocations((), now),
        Write(name=f"{RECOVERY}.key", text=private, mode=PRIVATE, why="move it to a place that is offline"),
        Write(name=f"{RECOVERY}.pub", text=public, mode=PUBLIC, why="pinned by gateways"),
    ]


def write(folder: Path, writes: Iterable[Write]) -> None:
    """The files are there, each whole, on disk; raises OSError.

    What root writes below another user's folder is that user's: the collector does not run as root.
    """
    if not folder.exists():
        folder.mkdir(mode=0o755, parents=True)
        _own_as(folder, folder.parent)
    for each in writes:
        beside = folder / f".{each.name}.new"
        beside.unlink(missing_ok=True)
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, each.mode)
        with os.fdopen(handle, "w", encoding="ascii") as out:
            os.fchmod(handle, each.mode)
            out.write(each.text)
            out.flush()
            os.fsync(handle)
        _own_as(beside, folder)
        beside.rename(folder / each.name)
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _own_as(path: Path, folder: Path) -> None:
    if os.geteuid() == 0:
        owner = folder.stat()
        os.chown(path, owner.st_uid, owner.st_gid)


def told(writes: Iterable[Write]) -> list[Mapping[str, str]]:
    """The files for people and for JSON: never their content."""
    return [{"file": each.name, "mode": f"{each.mode:04o}", "why": each.why} for each in writes]


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no PEM file"
        raise PkiUnusable(f"{path} cannot be read: {reason}") from error
