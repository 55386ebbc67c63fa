"""An evidence bundle checked again by other code: signatures, chains, hashes, registers, prices, taxes, totals.

Rates what the demo's catalog holds: subscriptions by the day, usage per unit and graduated, activation
by first use or grace. Whatever does not agree raises NotConforming.
"""

import hashlib
import io
import json
import tomllib
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import Any

from tests.system.conformance.lines import Body, NotConforming, hash_of, key_id, opened, raw_of

UNITS = {("Wh", "kWh"): 1000, ("L", "m3"): 1000, ("By", "MBy"): 10**6, ("s", "s"): 1, ("m3", "m3"): 1}
Channel = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Stretch:
    """A row of a usage or gap line."""

    start: int
    step: int
    register: int
    deltas: list[int]
    seq: int


@dataclass(slots=True)
class Recheck:
    """What a bundle holds, once everything in it agrees."""

    invoice: Body
    lines: int
    units: int


def recheck(bundle: bytes) -> Recheck:
    """Check all of it."""
    files = {entry.filename: entry for entry in zipfile.ZipFile(io.BytesIO(bundle)).infolist()}
    with zipfile.ZipFile(io.BytesIO(bundle)) as archive:
        content = {name: archive.read(name) for name in files}
    keys = json.loads(content["keys.json"])
    operator = raw_of(keys["operator"]["pem"])
    _same("the operator's key id", keys["operator"]["key"], key_id(operator))
    invoice = opened(content["invoice.ms"], operator, "MI1")
    _same("the invoice's key", invoice["key"], key_id(operator))
    named = {each["revision"]: each["sha256"] for each in invoice["catalog"]}
    catalog = content["catalog.toml"]
    _same("the catalog's hash", hashlib.sha256(catalog).hexdigest() in named.values(), right=True)
    rows: dict[Channel, list[Stretch]] = {}
    count = 0
    for name, text in content.items():
        if name.startswith("lines/"):
            for body in _log(name, text, keys):
                count += 1
                _sort_in(body, rows)
    units = _bill(invoice, tomllib.loads(catalog.decode(), parse_float=Decimal), rows)
    return Recheck(invoice, count, units)


def _log(name: str, text: bytes, keys: Body) -> Iterator[Body]:
    before: tuple[str, int, str] | None = None
    for raw in text.rstrip(b"\n").split(b"\n"):
        claimed = json.loads(raw[4:-87])
        epoch, seq = claimed["epoch"], claimed["seq"]
        row = next(
            each for each in keys["gateways"] if (each["gateway"], each["key"]) == (claimed["gateway"], claimed["key"])
        )
        public = raw_of(row["pem"])
        _same("the gateway's key id", key_id(public), row["key"])
        span = next(each for each in row["signs"] if (each["log"], each["epoch"]) == (claimed["log"], epoch))
        _same("the key's reach", span["from"] <= seq <= span["until"], right=True)
        body = opened(raw, public, "MS1")
        _same("the file's name", name, f"lines/{body['gateway']}.{body['log']}.ms")
        if before is not None and before[:2] == (epoch, seq - 1):
            _same(f"prev of {seq}", body["prev"], before[2])
        if before is not None and before[0] == epoch:
            _same("the order", seq > before[1], right=True)
        before = (epoch, seq, hash_of(raw))
        yield body


def _sort_in(body: Body, rows: dict[Channel, list[Stretch]]) -> None:
    if body["kind"] == "usage":
        for device, meter, _unit, _exponent, register, deltas, *_ in body["rows"]:
            stretch = Stretch(body["start"], body["step"], register, deltas, body["seq"])
            rows.setdefault((body["gateway"], device, meter), []).append(stretch)
    elif body["kind"] == "gap":
        for device, meter, start, end, _cause, before, after in body["rows"]:
            if before is not None:
                stretch = Stretch(start, end - start, before, [after - before], body["seq"])
                rows.setdefault((body["gateway"], device, meter), []).append(stretch)


def _bill(invoice: Body, catalog: Body, rows: dict[Channel, list[Stretch]]) -> int:
    contract = catalog["contracts"][invoice["contract"]]
    charges = {each["name"]: each for each in catalog["plans"][contract["plan"]]["charges"]}
    start, end = (_second(invoice["period"][name]) for name in ("start", "end"))
    born = {each["device"]: _second(each["at"]) for each in invoice["activations"]}
    channels = {tuple(row[:3]): (row[3], row[4]) for row in invoice["channels"]}
    net, units = Decimal(0), 0
    for line in invoice["lines"]:
        charge = charges[line["charge"]]
        if line["kind"] == "usage":
            quantity = Fraction(0)
            for read in line["reads"]:
                moved = _moved(read, rows, start, end, born)
                unit, exponent = channels[read[0], read[2], read[3]]
                factor = UNITS[unit, catalog["meters"][read[3]]["unit"]]
                quantity += Fraction(moved) * Fraction(10) ** exponent / factor
                units += moved
            _same(f"{line['charge']}: quantity", Fraction(line["quantity"]), quantity)
            exact = _priced(charge, quantity)
        else:
            exact = sum((_step(charge, step) for step in line["steps"]), Fraction(0))
        _same(f"{line['charge']}: exact", Decimal(line["exact"]), _rounded(exact, 10))
        _same(f"{line['charge']}: amount", Decimal(line["amount"]), _rounded(exact, 2))
        net += Decimal(line["amount"])
    _same("net", Decimal(invoice["net"]), net)
    taxes = Decimal(0)
    for tax in invoice["taxes"]:
        _same("the tax's base", Decimal(tax["base"]), net)
        taxes += _rounded(Fraction(net) * Fraction(tax["percent"]) / 100, 2)
        _same("the tax", Decimal(tax["amount"]), _rounded(Fraction(net) * Fraction(tax["percent"]) / 100, 2))
    _same("the total", Decimal(invoice["total"]), net + taxes)
    return units


def _moved(read: list[Any], rows: dict[Channel, list[Stretch]], start: int, end: int, born: dict[str, int]) -> int:
    """What the channel used from its activation, or the period's start, to the period's end, interval by interval."""
    gateway, _log, device, meter, _epoch, _seq, first, _until_seq, last, _estimated = read
    since = max(start, born.get(f"{gateway}/{device}", start))
    used = 0
    for stretch in rows[gateway, device, meter]:
        for at, delta in enumerate(stretch.deltas):
            begins = stretch.start + at * stretch.step
            if since <= begins and begins + stretch.step <= end:
                used += delta
            elif delta and begins < end and begins + stretch.step > since:
                raise NotConforming("an interval with usage is cut by a boundary: this checker does not split")
    _same(f"{gateway}/{device} {meter}: registers", last - first, used)
    return used


def _priced(charge: Body, quantity: Fraction) -> Fraction:
    if charge["model"] == "per_unit":
        return quantity * Fraction(charge["price"])
    total, below = Fraction(0), Fraction(0)
    for tier in charge["tiers"]:
        top = Fraction(tier["up_to"]) if "up_to" in tier else quantity
        total += max(Fraction(0), min(quantity, top) - below) * Fraction(tier["price"])
        below = max(below, top)
    return total


def _step(charge: Body, step: Body) -> Fraction:
    price = Fraction(charge["price"]) if step.get("state", "active") == "active" else Fraction(step["price"])
    return price * Fraction(int(step["days"]), int(step["of"])) if "days" in step else price


def _rounded(exact: Fraction, places: int) -> Decimal:
    scaled = exact * 10**places
    whole = (Decimal(scaled.numerator) / Decimal(scaled.denominator)).quantize(Decimal(1), ROUND_HALF_UP)
    return whole.scaleb(-places)


def _second(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


def _same(what: str, left: object, right: object) -> None:
    if left != right:
        raise NotConforming(f"{what}: {left!r} is not {right!r}")
