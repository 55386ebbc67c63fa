"""Webhooks: a warning as a CloudEvent, signed as Standard Webhooks says. Pure.

CloudEvents 1.0.2, structured JSON; Standard Webhooks 1.0: HMAC-SHA256 over `id.timestamp.body`, both from their
public specifications.
"""

import base64
import binascii
import hmac
import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final

from shared.errors import MetersealError

SECRET_PREFIX: Final = "whsec_"  # noqa: S105  what every secret begins with
SECRET_BYTES_MIN: Final = 24
SECRET_BYTES_MAX: Final = 64
TOLERANCE_SECONDS: Final = 300
CONTENT_TYPE: Final = "application/cloudevents+json"


class BadSecret(MetersealError):
    """A webhook's secret is `whsec_` and 24 to 64 bytes in base64."""


class NotGenuine(MetersealError):
    """A webhook's signature does not fit."""


def new_secret(chance: bytes) -> str:
    """Random bytes as a receiver keeps them."""
    return SECRET_PREFIX + base64.b64encode(chance).decode("ascii")


def event(told: Mapping[str, Any], source: str) -> bytes:
    """The body: the same warning, the same bytes."""
    return json.dumps(
        {
            "specversion": "1.0",
            "id": event_id(told),
            "source": source,
            "type": f"meterseal.warning.{told['what']}",
            "time": told["at"],
            "subject": told["contract"],
            "datacontenttype": "application/json",
            "data": dict(told),
        },
        separators=(",", ":"),
        ensure_ascii=False,
    ).encode()


def event_id(told: Mapping[str, Any]) -> str:
    """By which a receiver knows what it has had already: also after a restore of the store."""
    names = ("contract", "against", "side", "way", "percent", "what", "at")
    text = "|".join([*(str(told[name]) for name in names), told["period"]["start"]])
    return f"msg_{sha256(text.encode()).hexdigest()[:27]}"


def headers(secret: str, body: bytes, *, message: str, at: int) -> dict[str, str]:
    """What travels beside the body; `at` in Unix seconds. Raises BadSecret."""
    return {
        "content-type": CONTENT_TYPE,
        "user-agent": "Meterseal",
        "webhook-id": message,
        "webhook-timestamp": str(at),
        "webhook-signature": f"v1,{_signature(secret, body, message, at)}",
    }


def verify(secret: str, body: bytes, sent: Mapping[str, str], *, now: int) -> None:
    """The message is the sender's, whole and young; raises NotGenuine, BadSecret."""
    found = {name.lower(): value for name, value in sent.items()}
    message, at = found.get("webhook-id", ""), found.get("webhook-timestamp", "")
    if not message or not at.isdecimal():
        raise NotGenuine("it lacks webhook-id or webhook-timestamp")
    if abs(now - int(at)) > TOLERANCE_SECONDS:
        raise NotGenuine(f"its timestamp is {abs(now - int(at))} s off, more than {TOLERANCE_SECONDS}")
    wanted = _signature(secret, body, message, int(at))
    signed = [each.partition(",") for each in found.get("webhook-signature", "").split()]
    if not any(version == "v1" and hmac.compare_digest(value, wanted) for version, _, value in signed):
        raise NotGenuine


def _signature(secret: str, body: bytes, message: str, at: int) -> str:
    signed = f"{message}.{at}.".encode() + body
    return base64.b64encode(hmac.new(_key(secret), signed, sha256).digest()).decode()


def _key(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise BadSecret from None
    if not secret.startswith(SECRET_PREFIX) or not SECRET_BYTES_MIN <= len(key) <= SECRET_BYTES_MAX:
        raise BadSecret
    return key
