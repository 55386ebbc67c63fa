"""CloudEvents 1.0 as they come over HTTP, each an amount of use: read, or refused with the place and the reason. Pure.

Structured JSON, a batch of it, and binary mode. Numbers are never floats: what is written is what is counted (P17).
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final
from urllib.parse import unquote

from cloud_collector.limits import INGEST_EVENTS_MAX, INGEST_NAME_CHARS_MAX, INGEST_NUMBER_CHARS_MAX
from shared.errors import InvalidRecord
from shared.grammar import GATEWAY_PATTERN, NAME_PATTERN, shown

STRUCTURED: Final = "application/cloudevents+json"
BATCH: Final = "application/cloudevents-batch+json"
JSON: Final = "application/json"
NANOSECONDS: Final = 1_000_000_000
_TIME: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)  # RFC 3339
_DECIMAL: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?", re.ASCII)
_HEADER: Final = "ce-"
Place = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Somebody says that a device used so much."""

    source: str
    id: str
    gateway: str
    device: str
    meter: str
    unit: str
    at_ns: int
    """Unix time in nanoseconds."""
    value: Decimal
    place: Place
    """Where it stands in the request."""
    binary: bool = False
    """Whether its attributes are headers."""

    @property
    def at(self) -> int:
        """The second in which it was used."""
        return self.at_ns // NANOSECONDS

    @property
    def subject(self) -> str:
        """The device, as the catalog names it."""
        return f"{self.gateway}/{self.device}"

    def where(self, what: str) -> Place:
        """Where an attribute, or a member of its data, stands in the request."""
        if what in ("value", "unit"):
            return ("body", what) if self.binary else (*self.place, "data", what)
        return ("header", _HEADER + what) if self.binary else (*self.place, what)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What is wrong with a request, and where."""

    at: Place
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherType:
    """The request's body is of no type that is read."""

    why: str


Read = tuple[Event, ...] | tuple[Fault, ...] | OtherType


class _Faulty(Exception):
    def __init__(self, at: Place, why: str) -> None:
        super().__init__(why)
        self.fault = Fault(at=at, why=why)


def read_events(headers: Mapping[str, str], body: bytes) -> Read:
    """The events of a request in their order, or everything that is wrong with them; header names in lower case."""
    kind, _, parameters = headers.get("content-type", "").partition(";")
    kind, binary = kind.strip().lower(), "ce-specversion" in headers
    if kind not in (STRUCTURED, BATCH) and not (binary and kind == JSON):
        said = kind[:64] or "nothing"
        return OtherType(
            why=f"content-type says {said}: send {STRUCTURED}, {BATCH}, or {JSON} with the headers ce-specversion, "
            "ce-id, ce-source, ce-type, ce-subject and ce-time"
        )
    charset = re.search(r"charset\s*=\s*\"?([^\s;\"]+)", parameters, re.IGNORECASE)
    if charset is not None and charset[1].lower() not in ("utf-8", "us-ascii"):
        return OtherType(why=f"the charset {charset[1][:32]} is not read: send UTF-8")
    try:
        told = _parsed(body)
        if kind == BATCH:
            return _batch(told)
        if kind == STRUCTURED:
            return (_event(told, ("body",)),)
        return (_binary(headers, told),)
    except _Faulty as error:
        return (error.fault,)


def units_of(value: Decimal, exponent: int) -> int | str:
    """The value in whole units of 10^exponent, or why it cannot be said so: never rounded."""
    sign, digits, power = value.as_tuple()
    assert isinstance(power, int), "a number is finite"
    whole = int("".join(map(str, digits)))
    if whole == 0:
        return 0
    if sign:
        return "it is negative: use is never taken back, what was too much is credited"
    if len(digits) > INGEST_NUMBER_CHARS_MAX:
        return f"it has more than {INGEST_NUMBER_CHARS_MAX} digits"
    shift = power - exponent
    if shift >= 0:
        return whole * 10**shift if len(digits) + shift <= INGEST_NUMBER_CHARS_MAX else "it is too large"
    units, rest = divmod(whole, 10**-shift) if -shift <= len(digits) else (0, whole)
    if rest:
        kept = "whole numbers" if exponent >= 0 else f"{-exponent} decimal places"
        return f"it is finer than the meter, which counts in {kept}; it is not rounded"
    return units


def _parsed(body: bytes) -> Any:
    try:
        return _DECODER.decode(body.decode("utf-8"))
    except UnicodeDecodeError:
        raise _Faulty(("body",), "it is no UTF-8") from None
    except json.JSONDecodeError as error:
        why = f"it is no JSON: {error.msg} in line {error.lineno}, column {error.colno}"
        raise _Faulty(("body",), why) from None
    except InvalidRecord as error:
        raise _Faulty(("body",), str(error)) from None
    except RecursionError:
        raise _Faulty(("body",), "it is nested too deeply") from None


def _batch(told: Any) -> tuple[Event, ...] | tuple[Fault, ...]:
    if not isinstance(told, list):
        raise _Faulty(("body",), "a batch is a list of events")
    if len(told) > INGEST_EVENTS_MAX:
        raise _Faulty(("body",), f"a batch has at most {INGEST_EVENTS_MAX:,} events, this has {len(told):,}")
    events, faults = [], []
    for number, each in enumerate(told):
        try:
            events.append(_event(each, ("body", number)))
        except _Faulty as error:
            faults.append(error.fault)
    return tuple(faults) or tuple(events)


def _event(told: Any, place: Place) -> Event:
    if not isinstance(told, dict):
        raise _Faulty(place, "an event is an object")
    if "data_base64" in told:
        raise _Faulty((*place, "data_base64"), "write `data` as an object of JSON")
    kind = told.get("datacontenttype", JSON)
    if kind != JSON:
        raise _Faulty((*place, "datacontenttype"), f"it is {shown(kind)}, and data is {JSON}")
    return _made(told.get, told.get("data"), lambda name: (*place, name), place)


def _binary(headers: Mapping[str, str], data: Any) -> Event:
    def attribute(name: str) -> str | None:
        found = headers.get(_HEADER + name)
        return None if found is None else unquote(found, errors="replace")

    def place(name: str) -> Place:
        return ("body",) if name == "data" else ("header", _HEADER + name)

    return _made(attribute, data, place, None)


def _made(attribute: Callable[[str], Any], data: Any, place: Callable[[str], Place], whole: Place | None) -> Event:
    """`whole`: where the event stands; None in binary mode, where it is the request."""

    def text(name: str) -> str:
        found = attribute(name)
        if found is None:
            raise _Faulty(place(name), "it is missing")
        if type(found) is not str or not _PRINTABLE.fullmatch(found):
            raise _Faulty(place(name), f"it must be 1 to {INGEST_NAME_CHARS_MAX} printable characters of ASCII")
        return found

    if text("specversion") != "1.0":
        raise _Faulty(place("specversion"), f"it is {shown(text('specversion'))}, and this is CloudEvents 1.0")
    name, source = text("id"), text("source")
    gateway, _, device = text("subject").partition("/")
    if not GATEWAY_PATTERN.fullmatch(gateway) or not NAME_PATTERN.fullmatch(device):
        raise _Faulty(place("subject"), "name the device as the catalog does, LOG/DEVICE, such as shop-1/till-3")
    meter = text("type")
    if not NAME_PATTERN.fullmatch(meter):
        raise _Faulty(place("type"), "it names the meter: at most 32 of a-z, 0-9, `_`, `.` and `-`")
    at_ns = _instant(text("time"), place("time"))
    if not isinstance(data, dict):
        raise _Faulty(place("data"), 'it must be an object such as {"value": "1.5", "unit": "kWh"}')
    unit = data.get("unit")
    if type(unit) is not str:
        raise _Faulty((*place("data"), "unit"), "it is missing, or no text")
    return Event(
        source=source,
        id=name,
        gateway=gateway,
        device=device,
        meter=meter,
        unit=unit,
        at_ns=at_ns,
        value=_value(data.get("value"), (*place("data"), "value")),
        place=whole or ("body",),
        binary=whole is None,
    )


def _instant(text: str, place: Place) -> int:
    found = _TIME.fullmatch(text)
    if found is None:
        raise _Faulty(place, _NO_INSTANT)
    try:
        at = datetime.fromisoformat(f"{found[1]}T{found[2]}{found[4].upper().replace('Z', '+00:00')}")
        seconds = (at - _EPOCH) // _SECOND
    except (ValueError, OverflowError):
        raise _Faulty(place, _NO_INSTANT) from None
    return seconds * NANOSECONDS + int((found[3] or "").ljust(9, "0"))


def _value(told: Any, place: Place) -> Decimal:
    if type(told) is Decimal:
        return told
    if type(told) is not str:
        raise _Faulty(place, "it is missing, or no number: write it as text, such as 1.5 in quotation marks")
    if len(told) > INGEST_NUMBER_CHARS_MAX or not _DECIMAL.fullmatch(told):
        raise _Faulty(place, f"{shown(told)} is no decimal number of at most {INGEST_NUMBER_CHARS_MAX} characters")
    return Decimal(told)


def _number(text: str) -> Decimal:
    try:
        if len(text) <= _LITERAL_CHARS_MAX:
            return Decimal(text)
    except ArithmeticError:
        pass
    raise InvalidRecord(f"the number {text[:INGEST_NUMBER_CHARS_MAX]} is beyond every meter")


def _no_constant(text: str) -> Any:
    raise InvalidRecord(f"{text} is no number of JSON")


def _unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise InvalidRecord("a name stands twice in one object")
    return found


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND: Final = datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC) - _EPOCH
_NO_INSTANT: Final = "it is no instant as RFC 3339 writes it, such as 2026-11-03T12:00:00Z"
_LITERAL_CHARS_MAX: Final = 400
"""Of a number as JSON writes it, whatever it is for."""
_PRINTABLE: Final = re.compile(rf"[ -~]{{1,{INGEST_NAME_CHARS_MAX}}}", re.ASCII)
_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_unique, parse_float=_number, parse_int=_number, parse_constant=_no_constant
)
