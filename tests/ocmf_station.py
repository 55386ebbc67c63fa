"""A charge point that signs its records as OCMF says, with any curve, in one record a transaction or in two."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

BEGIN_MS = 1_800_000_000


@dataclass
class Station:
    """It has a meter whose register only rises, a page counter, and a key."""

    serial: str = "BQ27400330016"
    gateway: str = "GW-1"
    curve: ec.EllipticCurve = field(default_factory=ec.SECP256R1)
    register: Decimal = Decimal("2935.6")
    """In kWh."""
    page: int = 0
    minute: int = 0
    key: ec.EllipticCurvePrivateKey = field(init=False)

    def __post_init__(self) -> None:
        self.key = ec.generate_private_key(self.curve)

    @property
    def public_key(self) -> str:
        """As it is printed on the station."""
        return self.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo).hex()

    def charge(self, kwh: str, *, minutes: int = 240, **more: Any) -> str:
        """A whole transaction in one record."""
        first = self.reading("B", **more)
        self.register += Decimal(kwh)
        self.minute += minutes
        return self.signed([first, self.reading("E", **more)])

    def begin(self, **more: Any) -> str:
        """A record that begins a transaction."""
        return self.signed([self.reading("B", **more)])

    def go_on(self, kwh: str = "0", reason: str = "C", *, minutes: int = 15, **more: Any) -> str:
        """A record of the transaction after some charging."""
        self.register += Decimal(kwh)
        self.minute += minutes
        return self.signed([self.reading(reason, **more)])

    def end(self, kwh: str, reason: str = "E", *, minutes: int = 60, **more: Any) -> str:
        """A record that ends it."""
        return self.go_on(kwh, reason, minutes=minutes, **more)

    def reading(self, reason: str, **more: Any) -> dict[str, Any]:
        """One reading; its register is a number that is written as it stands."""
        days, minutes = divmod(self.minute, 24 * 60)
        hours, minutes = divmod(minutes, 60)
        time = f"2026-{11 + days // 30:02d}-{1 + days % 30:02d}T{hours:02d}:{minutes:02d}:00,000+0100 S"
        return {
            "TM": time,
            "TX": reason,
            "RV": self.register,
            "RI": "1-b:1.8.0",
            "RU": "kWh",
            "EF": "",
            "ST": "G",
        } | more

    def signed(self, readings: Sequence[dict[str, Any]], *, page: str | None = None, **more: Any) -> str:
        """The record of these readings."""
        self.page += page is None
        body = {"FV": "1.4", "GI": "TEST", "GS": self.gateway, "PG": page or f"T{self.page}", "MS": self.serial}
        head = json.dumps(body | more | {"IS": False, "IT": "NONE"})[:-1]
        rows = ", ".join(
            "{"
            + ", ".join(
                f'"{key}": {value if isinstance(value, Decimal) else json.dumps(value)}' for key, value in row.items()
            )
            + "}"
            for row in readings
        )
        return self.sign(f'{head}, "RD": [{rows}]}}')

    def sign(self, payload: str, *, named: str | None = None, **more: Any) -> str:
        """A payload with its signature."""
        raw = self.key.sign(payload.encode(), ec.ECDSA(hashes.SHA256()))
        algorithm = {"SA": named or f"ECDSA-{self.curve.name}-SHA256"}
        return f"OCMF|{payload}|{json.dumps(algorithm | {'SD': raw.hex()} | more)}"
