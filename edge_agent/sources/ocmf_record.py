"""One OCMF record: what it says, and whether its charge point signed it.

`OCMF|<payload>|<signature>`, both JSON; signed are the payload's bytes as they stand, which is why nothing is
ever written anew. Registers are read as exact decimals. Source: Open Charge Metering Format 1.0 to 1.4,
tables 1 to 8, 10, 19, 20 and 22.
"""

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple, NoReturn

from shared.errors import Refused

RECORD_BYTES_MAX: Final = 64 * 1024
READINGS_MAX: Final = 2_048
DEFAULT_ALGORITHM: Final = "ECDSA-secp256r1-SHA256"
_ALGORITHM: Final = re.compile(r"ECDSA-(\w+)-SHA-?(256|384|512)", re.ASCII)
_CURVES: Final = {
    "secp192r1": "SECP192R1",
    "secp256k1": "SECP256K1",
    "secp256r1": "SECP256R1",
    "secp384r1": "SECP384R1",
    "secp521r1": "SECP521R1",
    "brainpoolp256r1": "BrainpoolP256R1",
    "brainpool256r1": "BrainpoolP256R1",
    "brainpoolp384r1": "BrainpoolP384R1",
    "brainpool384r1": "BrainpoolP384R1",
}
"""Names of the format, in lower case, and of the library; the format's table leaves out brainpool's P."""
_NUMBER: Final = re.compile(r"-?\d{1,15}(\.\d{1,12})?", re.ASCII)
_PAGE: Final = re.compile(r"([TF])(\d{1,15})", re.ASCII)
_TIME: Final = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d,\d{3}[+-]\d{4}) ([UISR])", re.ASCII)
_WATT_HOURS: Final = {"kWh": 3, "Wh": 0}
BEGINS: Final = "B"
ENDS: Final = "ELRAP"


class Register(NamedTuple):
    """A reading of an energy register."""

    watt_hours: Decimal
    at_ms: int | None
    """When, in UTC; None where the record's clock is not to be believed."""


class Reading(NamedTuple):
    """One element of a record's list of readings, with what it takes over from the one before."""

    reason: str
    """The letter of TX; empty where there is no transaction."""
    obis: str
    register: Register | None
    fault: str
    """Why its energy must not be billed; empty where it may."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OcmfRecord:
    """A record as it came, and what it says."""

    text: str
    payload: str
    gateway: str
    """Serial number of the signing component; may be empty."""
    meter: str
    """Serial number of the meter; may be empty."""
    context: str
    """T in a transaction, F outside of one."""
    page: int
    readings: tuple[Reading, ...]
    algorithm: str
    signature: bytes

    @property
    def digest(self) -> str:
        """Names what was signed: a record that is signed again is the same one."""
        return hashlib.sha256(self.payload.encode()).hexdigest()


class _Unreadable(ValueError):
    """The text is no OCMF; one clause that says why."""


def parse_record(text: str) -> OcmfRecord | Refused:
    """What a record says; nothing of it is to be believed before `verify_record`."""
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        return Refused("this is no UTF-8 text")
    if size > RECORD_BYTES_MAX:
        return Refused(f"a record is larger than {RECORD_BYTES_MAX} bytes")
    parts = text.strip().split("|")
    if len(parts) != 3 or parts[0] != "OCMF":
        return Refused("this is no OCMF record: OCMF|…|…")
    try:
        return _record(text, parts[1], _object(parts[1], "payload"), _object(parts[2], "signature"))
    except _Unreadable as error:
        return Refused(f"this is no valid OCMF record: {error}")


def verify_record(record: OcmfRecord, key: bytes) -> Refused | None:
    """None where the key signed the record; loads `cryptography`."""
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm  # noqa: PLC0415 - only where used.
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415

    found = _ALGORITHM.fullmatch(record.algorithm)
    curve = None if found is None else _CURVES.get(found[1].lower())
    if found is None or curve is None:
        return Refused(f"its signature algorithm {record.algorithm[:48]!r} is not supported")
    digest: Any = {"256": hashes.SHA256, "384": hashes.SHA384, "512": hashes.SHA512}[found[2]]
    try:
        public = _public_key(key, getattr(ec, curve)())
        if public.curve.name.lower() != curve.lower():
            return Refused(
                f"it is signed on the curve {found[1]}, and the configured key is one of {public.curve.name}"
            )
        public.verify(record.signature, record.payload.encode(), ec.ECDSA(digest()))
    except InvalidSignature:
        return Refused("its signature is not that of the configured key")
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        return Refused(f"the configured key cannot check it: {error}")
    return None


def decode_key(text: str) -> bytes:
    """The bytes of a public key as charge points print it: PEM, hex with or without spaces, base64; ValueError."""
    if "-----" in text:
        text = "".join(line for line in text.splitlines() if "-----" not in line)
    dense = "".join(text.split())
    if re.fullmatch(r"([0-9a-fA-F]{2})+", dense):
        return bytes.fromhex(dense)
    return base64.b64decode(dense, validate=True)


def _public_key(key: bytes, curve: Any) -> Any:
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_der_public_key  # noqa: PLC0415

    size = (curve.key_size + 7) // 8
    if len(key) == 2 * size:
        return ec.EllipticCurvePublicKey.from_encoded_point(curve, b"\x04" + key)
    if len(key) in (size + 1, 2 * size + 1):
        return ec.EllipticCurvePublicKey.from_encoded_point(curve, key)
    public = load_der_public_key(key)
    if not isinstance(public, ec.EllipticCurvePublicKey):
        raise TypeError("it is no key of an elliptic curve")
    return public


def _record(text: str, payload: str, body: dict[str, Any], signature: dict[str, Any]) -> OcmfRecord:
    page = _PAGE.fullmatch(_text(body, "PG"))
    if page is None:
        raise _Unreadable("PG is no page such as T12")
    gateway, meter = _text(body, "GS"), _text(body, "MS")
    if not gateway and not meter:
        raise _Unreadable("it names neither a meter (MS) nor a gateway (GS)")
    given = body.get("RD")
    if not isinstance(given, list) or not given or len(given) > READINGS_MAX:
        raise _Unreadable("RD is no list of readings")
    if _text(signature, "SM") not in ("", "application/x-der"):
        raise _Unreadable("SM is not application/x-der")
    return OcmfRecord(
        text=text.strip(),
        payload=payload,
        gateway=gateway,
        meter=meter,
        context=page[1],
        page=int(page[2]),
        readings=_readings(given),
        algorithm=_text(signature, "SA") or DEFAULT_ALGORITHM,
        signature=_signature(_text(signature, "SD"), _text(signature, "SE") or "hex"),
    )


def _signature(data: str, encoding: str) -> bytes:
    decode: dict[str, Callable[[str], bytes]] = {
        "hex": bytes.fromhex,
        "base64": lambda text: base64.b64decode(text, validate=True),
    }
    if encoding not in decode:
        raise _Unreadable("SE is neither hex nor base64")
    try:
        return decode[encoding](data)
    except (ValueError, binascii.Error) as error:
        raise _Unreadable(f"SD is not {encoding}") from error


def _readings(given: Sequence[Any]) -> tuple[Reading, ...]:
    """Every reading; a field that is not there is that of the reading before."""
    whole: dict[str, Any] = {}
    readings = []
    for one in given:
        if not isinstance(one, dict):
            raise _Unreadable("a reading is no object")
        whole |= one
        readings.append(_reading(whole))
    return tuple(readings)


def _reading(whole: dict[str, Any]) -> Reading:
    reason, flags, status = _text(whole, "TX"), _text(whole, "EF"), _text(whole, "ST")
    fault = ""
    if "E" in flags:
        fault = "its meter flags the energy as unusable (EF)"
    elif status != "G":
        fault = f"its meter's status is {status or 'missing'} and not G (ST)"
    unit, value = _text(whole, "RU"), whole.get("RV")
    register = None
    if value is not None and unit in _WATT_HOURS:
        if not isinstance(value, str) or _NUMBER.fullmatch(value) is None:
            raise _Unreadable(f"RV {str(value)[:24]!r} is no plain number")
        register = Register(Decimal(value).scaleb(_WATT_HOURS[unit]), _at_ms(_text(whole, "TM")))
    return Reading(reason, _text(whole, "RI"), register, fault)


def _at_ms(text: str) -> int | None:
    found = _TIME.fullmatch(text)
    if found is None or found[2] == "U":
        return None
    try:
        return int(datetime.strptime(found[1], "%Y-%m-%dT%H:%M:%S,%f%z").timestamp() * 1_000)
    except (ValueError, OverflowError):
        return None


def _text(body: dict[str, Any], key: str) -> str:
    value = body.get(key, "")
    if value is None:
        return ""
    if not isinstance(value, str) or not value.isprintable():
        raise _Unreadable(f"{key} is no plain text")
    return value


def _object(text: str, what: str) -> dict[str, Any]:
    try:
        found = json.loads(
            text,
            parse_float=str,
            parse_int=str,
            parse_constant=_no_constant,
            object_pairs_hook=_without_duplicates,
        )
    except (ValueError, RecursionError) as error:
        raise _Unreadable(f"the {what} is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise _Unreadable(f"the {what} is no JSON object")
    return found


def _no_constant(name: str) -> NoReturn:
    raise _Unreadable(f"{name} is no number")


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Unreadable("a key stands twice")
    return found
