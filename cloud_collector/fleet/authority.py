"""The collector's certificate authority: a key, and the certificates and revocations that it signs.

Certificates only: who may be given one is decided elsewhere. All keys are Ed25519, as a gateway's is. A
certificate says what it is for, so that no gateway's certificate passes for a server's (P10, P21).
Source: RFC 5280; RFC 8410 for Ed25519.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from shared.errors import InvalidRecord
from shared.key import PublicKey

AUTHORITY_DAYS: Final = 20 * 365
"""Longer than a gateway hangs on a wall: replacing the CA means visiting every one of them."""
SERVER_DAYS: Final = 825
CLIENT_DAYS: Final = 825
GATEWAY_DAYS: Final = 365
PENDING_DAYS: Final = 14
"""A gateway that nobody has accepted yet."""
BACKDATED: Final = timedelta(hours=24)
"""A broker whose clock lags must not refuse what was made today."""


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate."""

    x509: x509.Certificate

    @classmethod
    def from_pem(cls, text: str) -> "Issued":
        """Read one; raises InvalidRecord."""
        try:
            return cls(x509.load_pem_x509_certificate(text.encode()))
        except ValueError as error:
            raise InvalidRecord("this is no certificate in PEM") from error

    @property
    def pem(self) -> str:
        """As files hold it."""
        return self.x509.public_bytes(Encoding.PEM).decode()

    @property
    def der(self) -> bytes:
        """As its fingerprint is taken."""
        return self.x509.public_bytes(Encoding.DER)

    @property
    def serial(self) -> str:
        """Its number, in hex."""
        return f"{self.x509.serial_number:x}"

    @property
    def ends_at(self) -> int:
        """The Unix second after which it is expired."""
        return int(self.x509.not_valid_after_utc.timestamp())

    @property
    def renew_at(self) -> int:
        """The Unix second from which on it should be renewed: when a third of its time is left."""
        begins_at = int(self.x509.not_valid_before_utc.timestamp())
        return self.ends_at - (self.ends_at - begins_at) // 3

    @property
    def hosts(self) -> tuple[str, ...]:
        """The names and addresses that it is for."""
        try:
            names = self.x509.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except x509.ExtensionNotFound:
            return ()
        addresses = (str(address) for address in names.get_values_for_type(x509.IPAddress))
        return (*names.get_values_for_type(x509.DNSName), *addresses)

    @property
    def name(self) -> str:
        """Its common name: to the broker, the user's name."""
        return str(self.x509.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)


@dataclass(frozen=True, slots=True)
class Authority:
    """The CA: its certificate, and the key that only it holds."""

    issued: Issued
    key: Ed25519PrivateKey

    @classmethod
    def create(cls, name: str, now: datetime) -> "Authority":
        """A new CA, of its own making."""
        key = Ed25519PrivateKey.generate()
        subject = _name(name)
        builder = (
            _builder(subject, key.public_key(), now, AUTHORITY_DAYS)
            .issuer_name(subject)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        )
        return cls(Issued(builder.sign(key, None)), key)

    @classmethod
    def from_pem(cls, certificate: str, key: str) -> "Authority":
        """The CA of two files; raises InvalidRecord where they do not belong together."""
        issued = Issued.from_pem(certificate)
        try:
            private = load_pem_private_key(key.encode(), None)
            private_matches = (
                isinstance(private, Ed25519PrivateKey) and private.public_key() == issued.x509.public_key()
            )
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise InvalidRecord("the CA's key is no private key in PEM") from error
        if not isinstance(private, Ed25519PrivateKey) or not private_matches:
            raise InvalidRecord("the CA's key is not the key of its certificate")
        return cls(issued, private)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate, as `openssl x509 -fingerprint -sha256` takes it, without colons."""
        return hashlib.sha256(self.issued.der).hexdigest()

    def issue_gateway(self, name: str, public: PublicKey, now: datetime, *, days: int) -> Issued:
        """A client certificate for a gateway's own key; its common name is the gateway's id."""
        return self._issue(
            name, Ed25519PublicKey.from_public_bytes(public.raw), now, days, ExtendedKeyUsageOID.CLIENT_AUTH
        )

    def issue_client(self, name: str, key: Ed25519PublicKey, now: datetime) -> Issued:
        """A client certificate for a collector; its name begins with _, as no gateway's does."""
        return self._issue(name, key, now, CLIENT_DAYS, ExtendedKeyUsageOID.CLIENT_AUTH)

    def issue_server(self, hosts: Sequence[str], key: Ed25519PublicKey, now: datetime) -> Issued:
        """A server certificate for these names and addresses; raises InvalidRecord for what is neither."""
        return self._issue(hosts[0][:64], key, now, SERVER_DAYS, ExtendedKeyUsageOID.SERVER_AUTH, hosts)

    def revoke(self, serials: Iterable[tuple[str, datetime]], now: datetime) -> str:
        """The list of revoked certificates, by serial and time, in PEM.

        It names no early time for the next one: a broker refuses everybody once that has passed, and a fleet
        must not go dark because nobody revoked anything.
        """
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.issued.x509.subject)
            .last_update(now - BACKDATED)
            .next_update(self.issued.x509.not_valid_after_utc)
            .add_extension(x509.CRLNumber(int(now.timestamp() * 1_000)), critical=False)
        )
        for serial, at in serials:
            revoked = x509.RevokedCertificateBuilder().serial_number(int(serial, 16)).revocation_date(at)
            builder = builder.add_revoked_certificate(revoked.build())
        return builder.sign(self.key, None).public_bytes(Encoding.PEM).decode()

    def signed(self, issued: Issued) -> bool:
        """Whether the certificate is one of this CA's."""
        try:
            issued.x509.verify_directly_issued_by(self.issued.x509)
        except (ValueError, TypeError, InvalidSignature):
            return False
        return True

    def _issue(
        self,
        name: str,
        key: Ed25519PublicKey,
        now: datetime,
        days: int,
        purpose: x509.ObjectIdentifier,
        hosts: Sequence[str] = (),
    ) -> Issued:
        builder = (
            _builder(_name(name), key, now, days, not_after=self.issued.x509.not_valid_after_utc)
            .issuer_name(self.issued.x509.subject)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        )
        if hosts:
            alternatives = x509.SubjectAlternativeName([_host(host) for host in hosts])
            builder = builder.add_extension(alternatives, critical=False)
        return Issued(builder.sign(self.key, None))


def new_key() -> Ed25519PrivateKey:
    """A key for a server or a collector."""
    return Ed25519PrivateKey.generate()


def key_pem(key: Ed25519PrivateKey) -> str:
    """PKCS #8, unencrypted: the file's mode protects it."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def key_from_pem(text: str) -> Ed25519PrivateKey:
    """The private key; raises InvalidRecord."""
    try:
        key = load_pem_private_key(text.encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise InvalidRecord("this is no private key in PEM") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise InvalidRecord("this is no Ed25519 key")
    return key


def _builder(
    subject: x509.Name, key: Ed25519PublicKey, now: datetime, days: int, *, not_after: datetime | None = None
) -> x509.CertificateBuilder:
    ends = now + timedelta(days=days)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(ends if not_after is None else min(ends, not_after))
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        pass
    try:
        return x509.DNSName(host)
    except ValueError as error:
        raise InvalidRecord(f"{host[:64]!r} is no host name in ASCII") from error


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
