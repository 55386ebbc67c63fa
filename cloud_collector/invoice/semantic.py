"""An issued invoice in the terms of EN 16931-1: business terms `BT-…` and groups `BG-…` by number.

Written from the sealed body alone. What it gives is what the library factur-x writes as CII and as UBL; where
the standard knows less than a catalog, `NotExpressible` says so, and nothing is bent to fit.

A line's arithmetic is exact in it: where quantity × price is not the amount (tiers, proration, a discount), the
price is the amount for the whole quantity, which the standard's base quantity (BT-149) says. Prices are never
negative (BR-27): the quantity is. A credit note (381) counts in the customer's favour, so its signs turn.
"""

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

from cloud_collector.contracts.money import exponent_of
from cloud_collector.invoice.said import payable
from cloud_collector.invoice.unit_code import unit_code
from cloud_collector.invoice.vat import OUTSIDE, Group, Levy, NotExpressible, Rate, taxed
from shared.line import Body

INVOICE: Final = "380"
CREDIT_NOTE: Final = "381"
_CREDIT_TRANSFER: Final = "30"
_SEPA_CREDIT_TRANSFER: Final = "58"
_NOTES_MAX: Final = 50
"""Notes of one document, at most; the last one says how many there were."""


def semantic(body: Body) -> dict[str, Any]:
    """The invoice's business terms, all of them strings, dates and lists; raises NotExpressible."""
    if exponent_of(body["currency"]) > 2:
        raise NotExpressible(
            f"{body['currency']} has {exponent_of(body['currency'])} decimals and EN 16931 has two: "
            "this invoice has no electronic form"
        )
    if not body["operator"]["vat_id"]:
        raise NotExpressible(
            "EN 16931 wants a number by which the seller is known: set operator.vat_id to its VAT or business number"
        )
    sign = -1 if body["kind"] == "credit_note" else 1
    taxes = taxed(body, sign)
    zone = ZoneInfo(body["period"]["timezone"])
    last = _last_day(body["period"]["start"], body["period"]["end"], zone)
    net, charged = sign * Decimal(body["net"]), sum((levy.amount for levy in taxes.levies), Decimal(0))
    terms: dict[str, Any] = {
        "BT-1": body["number"],
        "BT-2": _day(body["issued_at"], zone),
        "BT-3": CREDIT_NOTE if sign < 0 else INVOICE,
        "BT-5": body["currency"],
        "BT-12": body["contract"],
        "BT-72": last,
        "BT-73": _day(body["period"]["start"], zone),
        "BT-74": last,
        "BG-1": [{"BT-22": note} for note in notes(body)],
        "BG-3": _preceding(body, zone),
        "BG-4": _party(body["operator"], vat=not taxes.outside),
        "BG-7": _party(body["account"], vat=not taxes.outside),
        "BG-21": [_charge(levy, body) for levy in taxes.levies],
        "BG-23": [_group(rate, group, body) for rate, group in taxes.groups.items()],
        "BG-25": [
            _line(body, place, line, rate, sign, zone)
            for place, (line, rate) in enumerate(zip(body["lines"], taxes.rates, strict=True), start=1)
        ],
        "BT-106": _money(net, body),
        "BT-109": _money(net + charged, body),
        "BT-110": _money(sum((group.amount for group in taxes.groups.values()), Decimal(0)), body),
        "BT-112": _money(sign * Decimal(body["total"]), body),
        "BT-115": _money(sign * Decimal(payable(body)), body),
    }
    if "offsets" in body:
        terms["BT-113"] = _money(Decimal(body["total"]) - Decimal(payable(body)), body)
    if taxes.levies:
        terms["BT-108"] = _money(charged, body)
    if any(rate.category == "K" for rate in taxes.groups):
        # BR-IC-11, BR-IC-12: when and to which country it was supplied.
        terms["BG-13"] = {"country_code": body["account"]["country"], "name": body["account"]["name"]}
    return terms | _payment(body)


def corrected(body: Body) -> list[str]:
    """Earlier invoices, of which this one changes or completes something, or which it takes back (BG-3)."""
    if "voids" in body:
        return [body["voids"]["number"]]
    return sorted({row["number"] for rated in body["rated"] for row in rated["booked"]})


def _preceding(body: Body, zone: ZoneInfo) -> list[dict[str, Any]]:
    if "voids" in body:
        return [{"BT-25": body["voids"]["number"], "BT-26": _day(body["voids"]["issued_at"], zone)}]
    return [{"BT-25": number} for number in corrected(body)]


def notes(body: Body) -> list[str]:
    """What the reader must know beside the lines: cut-off, what was estimated, not measured, corrected."""
    zone = ZoneInfo(body["period"]["timezone"])
    found = [f"Readings counted up to {_moment(body['cutoff']['received_until'], zone)} ({zone.key})."]
    estimated = [str(place) for place, line in enumerate(body["lines"], start=1) if line["estimated"]]
    if estimated:
        found.append(f"Partly estimated: line{'s' * (len(estimated) > 1)} {', '.join(estimated)}.")
    earlier = corrected(body)
    if "voids" in body:
        found = [f"Takes back {earlier[0]} in full: {body['voids']['reason']}"]
    elif earlier:
        found.append(f"Differences to what was billed with {', '.join(earlier)}, by the period in which it was used.")
    if "offsets" in body:
        told = ", ".join(f"{amount} {body['currency']} of {number}" for number, amount in body["offsets"])
        found.append(f"Credit of the account pays a part of it: {told}.")
    found += [
        f"Not measured and not billed: {gateway}/{device} {meter}, {_moment(start, zone)} to {_moment(end, zone)} "
        f"({cause.replace('_', ' ')})."
        for gateway, device, meter, start, end, cause in body["gaps"]
    ]
    if len(found) > _NOTES_MAX:
        found[_NOTES_MAX - 1 :] = [f"{len(found) - _NOTES_MAX + 1} further gaps: the invoice's own page names them."]
    return found


def _group(rate: Rate, group: Group, body: Body) -> dict[str, Any]:
    found: dict[str, Any] = {"BT-116": _money(group.base, body), "BT-117": _money(group.amount, body)}
    found["BT-118"] = rate.category
    if rate.category != OUTSIDE:
        found["BT-119"] = rate.percent
    if group.reasons:
        found["BT-120"] = "; ".join(group.reasons)
    return found


def _charge(levy: Levy, body: Body) -> dict[str, Any]:
    return {
        "amount": _money(levy.amount, body),
        "reason": levy.name,
        "vat_category_code": levy.rate.category,
        "vat_rate": levy.rate.percent,
    }


def _line(body: Body, place: int, line: Body, rate: Rate, sign: int, zone: ZoneInfo) -> dict[str, Any]:
    amount = sign * Decimal(line["amount"])
    quantity, price, base = _priced(line, amount, exponent_of(body["currency"]))
    parts = [line["charge"], *(part for part in (line["device"], line["window"]) if part)]
    found: dict[str, Any] = {
        "BT-126": str(place),
        "BT-129": format(quantity, "f"),
        "BT-130": unit_code(line["unit"] if Decimal(line["quantity"] or 0) else None),
        "BT-131": _money(amount, body),
        "BT-146": format(price, "f"),
        "BT-151": rate.category,
        "BT-153": " · ".join(parts),
        "BT-134": _day(line["service_start"], zone),
        "BT-135": _last_day(line["service_start"], line["service_end"], zone),
        "BG-32": _counters(body, line),
    }
    if rate.category != OUTSIDE:
        found["BT-152"] = rate.percent
    if base is not None:
        found["BT-149"] = format(base, "f")
    if line["why"]:
        found["BT-154"] = line["why"]
    if line["estimated"]:
        found["BT-127-00"] = [{"BT-127": "Partly estimated."}]
    return found


def _priced(line: Body, amount: Decimal, places: int) -> tuple[Decimal, Decimal, Decimal | None]:
    """Quantity, net price and base quantity, of which quantity × price ÷ base is the amount to the cent."""
    used = abs(Decimal(line["quantity"] or 0))
    unit_price = None if line["unit_price"] is None else abs(Decimal(line["unit_price"]))
    sign = -1 if amount < 0 else 1
    if not used:
        return Decimal(sign), abs(amount), None
    if unit_price is not None and abs(used * unit_price - abs(amount)) * 2 <= Decimal(1).scaleb(-places):
        return sign * used, unit_price, None
    return sign * used, abs(amount), used


def _counters(body: Body, line: Body) -> list[dict[str, str]]:
    """Each counter at its start and end, in the meter's unit (BT-160, BT-161)."""
    units = {tuple(row[:3]): (row[3], row[4]) for row in body["channels"]}
    found = []
    for gateway, _, device, meter, _, _, start, _, end, estimated in line["reads"]:
        unit, exponent = units.get((gateway, device, meter), ("", 0))
        first, last = (format(Decimal(value).scaleb(exponent), "f") for value in (start, end))
        mark = ", partly estimated" if estimated else ""
        found.append({"BT-160": f"{gateway}/{device} {meter}", "BT-161": f"{first} to {last} {unit}{mark}"})
    return found


def _party(party: Body, *, vat: bool) -> dict[str, Any]:
    address = [row for row in party["address"] if row]
    found: dict[str, Any] = {"name": party["name"], "country_code": party["country"]}
    found |= dict(zip(("addr_l1", "addr_l2", "addr_l3"), [*address[:2], ", ".join(address[2:])], strict=False))
    if party["vat_id"]:
        # BR-O-02: where all is outside of VAT, no VAT number is named; the same one identifies all the same (BR-CO-26).
        found |= {"vat_identifier": party["vat_id"]} if vat else {"identifiers": {None: party["vat_id"]}}
    return {name: value for name, value in found.items() if value}


def _payment(body: Body) -> dict[str, Any]:
    if Decimal(payable(body)) <= 0:
        return {}
    found: dict[str, Any] = {"BT-9": date.fromisoformat(body["due"])} if body["due"] else {}
    iban = body["operator"]["iban"]
    if iban:
        found["BT-81"] = _SEPA_CREDIT_TRANSFER if body["currency"] == "EUR" else _CREDIT_TRANSFER
        found["BT-84"] = iban.replace(" ", "")
        found["BT-83"] = body["number"]
    return found


def _money(amount: Decimal, body: Body) -> str:
    places = exponent_of(body["currency"])
    return format(amount.quantize(Decimal(1).scaleb(-places)) + Decimal(0), "f")


def _day(instant: str, zone: ZoneInfo) -> date:
    return datetime.fromisoformat(instant).astimezone(zone).date()


def _last_day(start: str, end: str, zone: ZoneInfo) -> date:
    """The last day of a half-open stretch; of a mere instant its own."""
    if start == end:
        return _day(start, zone)
    return (datetime.fromisoformat(end).astimezone(zone) - timedelta(seconds=1)).date()


def _moment(instant: str, zone: ZoneInfo) -> str:
    return f"{datetime.fromisoformat(instant).astimezone(zone):%Y-%m-%d %H:%M}"
