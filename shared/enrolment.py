"""What a gateway and the collector say to each other over HTTPS: enrolment by a claim code, renewal by its key (P10).

Requests are JSON objects that the gateway's key has signed; what is signed begins with a word of its own,
so that no signature of one kind is one of another. Nothing in them has to be kept secret but the code's
secret, and nothing in them is worth repeating: a replay answers what it answered before.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any, Final

from shared.errors import InvalidRecord, Refused
from shared.grammar import (
    GATEWAY_PATTERN,
    SIGNATURE_PATTERN,
    require,
    require_integer,
    require_keys,
    require_match,
    shown,
)
from shared.key import PublicKey, SigningKey
from shared.limits import ENROLMENT_TEXT_CHARS_MAX

AUTHORITY_PATH: Final = "/ca.pem"
ENROL_PATH: Final = "/enrol"
RENEW_PATH: Final = "/renew"


class Standing(StrEnum):
    """How a gateway's key stands at the collector."""

    PENDING = "pending"
    """Claimed; its lines are unmatched until people have compared the words."""
    ENROLLED = "enrolled"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A new gateway's request: the claim code's secret, and its key with a proof that it holds it."""

    secret: str = field(repr=False)
    public: PublicKey
    proof: str

    @classmethod
    def signed(cls, secret: str, key: SigningKey) -> "Claim":
        """The claim of whoever holds this key."""
        return cls(secret=secret, public=key.public, proof=_text(key.sign(_claim_statement(secret, key.public))))

    @classmethod
    def read(cls, body: Any) -> "Claim | Refused":
        """A claim whose proof holds."""
        try:
            _require_texts(body, frozenset(("secret", "public", "proof")))
            public = PublicKey.from_text(body["public"])
            _require_proof(public, _claim_statement(body["secret"], public), body["proof"])
        except InvalidRecord as error:
            return Refused(str(error))
        return cls(secret=body["secret"], public=public, proof=body["proof"])

    @property
    def body(self) -> dict[str, str]:
        """As it travels."""
        return {"secret": self.secret, "public": self.public.text, "proof": self.proof}


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewal:
    """A known gateway's request to hear how its key stands, and to have a certificate that lasts."""

    gateway: str
    public: PublicKey
    proof: str

    @classmethod
    def signed(cls, gateway: str, key: SigningKey) -> "Renewal":
        """The request of whoever holds this key."""
        return cls(gateway=gateway, public=key.public, proof=_text(key.sign(_renewal_statement(gateway, key.public))))

    @classmethod
    def read(cls, body: Any) -> "Renewal | Refused":
        """A request whose proof holds."""
        try:
            _require_texts(body, frozenset(("gateway", "public", "proof")))
            require_match(GATEWAY_PATTERN, body["gateway"], "gateway")
            public = PublicKey.from_text(body["public"])
            _require_proof(public, _renewal_statement(body["gateway"], public), body["proof"])
        except InvalidRecord as error:
            return Refused(str(error))
        return cls(gateway=body["gateway"], public=public, proof=body["proof"])

    @property
    def body(self) -> dict[str, str]:
        """As it travels."""
        return {"gateway": self.gateway, "public": self.public.text, "proof": self.proof}


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What a gateway is given: its name, its certificate, whom to believe, where the broker is."""

    gateway: str
    standing: Standing
    certificate: str
    """PEM."""
    renew_at: int
    """Unix second from which on it should be renewed."""
    ends_at: int
    receipt_key: str
    """PEM of the operator's public key."""
    recovery_key: str
    """PEM of the offline key that may replace it; empty where the operator has none."""
    broker_host: str
    broker_port: int
    prefix: str

    @classmethod
    def read(cls, body: Any) -> "Credentials | Refused":
        """The collector's answer, checked field by field."""
        try:
            require(type(body) is dict, "the answer is no object")
            require_keys(body, frozenset(each.name for each in fields(cls)), "the answer")
            for each in fields(cls):
                if each.name in {"renew_at", "ends_at", "broker_port"}:
                    require_integer(body[each.name], each.name, 0)
                else:
                    _require_text(body[each.name], each.name)
            require_match(GATEWAY_PATTERN, body["gateway"], "gateway")
            require(body["standing"] in set(Standing), f"standing is {shown(body['standing'])}")
            PublicKey.from_pem(body["receipt_key"])
            if body["recovery_key"]:
                PublicKey.from_pem(body["recovery_key"])
        except InvalidRecord as error:
            return Refused(str(error))
        return cls(**(body | {"standing": Standing(body["standing"])}))

    @property
    def body(self) -> dict[str, Any]:
        """As it travels."""
        return {each.name: getattr(self, each.name) for each in fields(self)} | {"standing": self.standing.value}


def _claim_statement(secret: str, public: PublicKey) -> bytes:
    return f"meterseal-enrol-1|{secret}|{public.text}".encode()


def _renewal_statement(gateway: str, public: PublicKey) -> bytes:
    return f"meterseal-renew-1|{gateway}|{public.text}".encode()


def _text(signature: bytes) -> str:
    return urlsafe_b64encode(signature).rstrip(b"=").decode()


def _require_proof(public: PublicKey, statement: bytes, proof: str) -> None:
    require_match(SIGNATURE_PATTERN, proof, "proof")
    require(public.verifies(statement, urlsafe_b64decode(proof + "==")), "the proof is not this key's signature")


def _require_texts(body: Any, keys: frozenset[str]) -> None:
    require(type(body) is dict, "the request is no object")
    require_keys(body, keys, "the request")
    for name in sorted(keys):
        _require_text(body[name], name)


def _require_text(value: object, name: str) -> None:
    holds = type(value) is str and len(value) <= ENROLMENT_TEXT_CHARS_MAX and value.isascii()
    require(holds, f"{name} must be ASCII text of at most {ENROLMENT_TEXT_CHARS_MAX} characters")
