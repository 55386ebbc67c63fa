"""What commands make of the certificate authority's folder: the desk, its address, the list of what is revoked."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cloud_collector.fleet.desk import Desk
from cloud_collector.fleet.pki import RECOVERY, Pki, PkiUnusable, write
from cloud_collector.settings import CollectorSettings
from cloud_collector.store.store import Store
from shared.effects.clock import SystemClock
from shared.errors import InvalidRecord
from shared.key import PublicKey, SigningKey

MQTTS_PORT: Final = 8883


def desk_of(known: CollectorSettings, key: SigningKey) -> Desk:
    """The desk of this configuration; raises PkiMissing, PkiUnusable."""
    pki = Pki.open(known.pki_path)
    return Desk(
        authority=pki.authority,
        receipt_key=key.public,
        recovery_key=_public(known.pki_path / f"{RECOVERY}.pub"),
        broker_host=known.enrolment.broker_host or _first_host(pki),
        broker_port=_broker_port(known),
        prefix=known.prefix,
    )


def _broker_port(known: CollectorSettings) -> int:
    """Where gateways find the broker: said, or the collector's own port where that is one for certificates."""
    return known.enrolment.broker_port or (known.broker.port if known.broker.tls else MQTTS_PORT)


def address_of(known: CollectorSettings, pki: Pki) -> str:
    """What an installer types to reach the enrolment port."""
    host = "" if known.enrolment.url else _first_host(pki)
    return known.enrolment.url or f"https://{f'[{host}]' if ':' in host else host}:{known.enrolment.port}"


def write_revoked(known: CollectorSettings, pki: Pki, store: Store) -> Path:
    """The list of revoked certificates is what the store says; its path."""
    now_ms = SystemClock().utc_ms()
    serials = [
        (serial, datetime.fromtimestamp(at // 1_000, UTC)) for serial, at in store.rows("certificates_revoked", now_ms)
    ]
    revocations = pki.revocations(serials, datetime.fromtimestamp(now_ms / 1_000, UTC))
    write(known.pki_path, [revocations])
    return known.pki_path / revocations.name


def _first_host(pki: Pki) -> str:
    hosts = pki.hosts
    if not hosts:
        raise PkiUnusable(f"the broker has no certificate in {pki.folder}: `cloud-collector pki renew --host NAME`")
    return hosts[0]


def _public(path: Path) -> PublicKey | None:
    try:
        return PublicKey.from_pem(path.read_text(encoding="ascii")) if path.exists() else None
    except (InvalidRecord, UnicodeDecodeError) as error:
        raise PkiUnusable(f"{path} is no public key: {error}") from error
