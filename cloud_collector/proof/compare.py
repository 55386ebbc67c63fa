"""What an invoice says beside what follows from its evidence: every difference in a sentence, with its money."""

from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from typing import Any

from cloud_collector.proof.findings import Finding, Stage
from shared.line import Body

_FIGURES = ("quantity", "unit", "unit_price", "exact", "amount")


def compare(said: Body, fresh: Body) -> list[Finding]:
    """Nothing where both are the same to the letter."""
    if _same(said, fresh):
        return []
    found = [
        *_lines(said, fresh),
        *_starts(said, fresh),
        *_totals(said, fresh),
    ]
    others = sorted(key for key in said.keys() | fresh.keys() if not _same(said.get(key), fresh.get(key)))
    told = {"lines", "activations", "net", "taxes", "total", "inputs"}
    for key in others:
        if key not in told or not found:
            sentence = f"what it says of its {key.replace('_', ' ')} is not what follows from the evidence"
            found.append(Finding(stage=_stage(key), place="invoice.ms", sentence=sentence))
    if not found:
        # The same values in another order of keys: no wording covers it, and it is no invoice of this form.
        found.append(Finding(stage=Stage.INVOICE, place="invoice.ms", sentence="the invoice is not in its own form"))
    return found


def _lines(said: Body, fresh: Body) -> Iterator[Finding]:
    ours, theirs = lines_by_key(fresh), lines_by_key(said)
    currency = str(said.get("currency"))
    for key in [*theirs, *(key for key in ours if key not in theirs)]:
        place, line = theirs.get(key, (0, None))
        _, own = ours.get(key, (0, None))
        name = f"line {place}, {key[0]}" if line is not None else f"{key[0]}"
        if line is None and own is not None:
            sentence = f"the evidence gives {own['amount']} {currency} that the invoice does not have"
            yield Finding(stage=Stage.PRICES, place=name, sentence=sentence)
        elif own is None and line is not None:
            sentence = f"nothing in the evidence supports it: {line['amount']} {currency} too much"
            yield Finding(stage=Stage.PRICES, place=name, sentence=sentence)
        elif line is not None and own is not None and not _same(line, own):
            yield _line(name, line, own, currency)


def _line(name: str, said: Body, own: Body, currency: str) -> Finding:
    if said["quantity"] != own["quantity"]:
        unit = "" if said["unit"] == "1" else f" {said['unit']}"
        sentence = (
            f"it says {said['quantity']}{unit}, the reports say {own['quantity']}{unit}: "
            f"a difference of {_less(said['quantity'], own['quantity'])}{unit} and "
            f"{_less(said['amount'], own['amount'])} {currency}"
        )
        return Finding(stage=Stage.QUANTITIES, place=name, sentence=sentence)
    changed = [key for key in _FIGURES if said[key] != own[key]]
    if changed:
        sentence = "; ".join(f"it says {key.replace('_', ' ')} {said[key]}, not {own[key]}" for key in changed)
        sentence += f": a difference of {_less(said['amount'], own['amount'])} {currency}"
        return Finding(stage=Stage.PRICES, place=name, sentence=sentence)
    others = sorted(key for key in said.keys() | own.keys() if not _same(said.get(key), own.get(key)))
    sentence = f"its {' and '.join(others)} do not follow from the evidence; no amount changes"
    return Finding(stage=Stage.QUANTITIES, place=name, sentence=sentence)


def _starts(said: Body, fresh: Body) -> Iterator[Finding]:
    theirs = {row["device"]: row for row in said["activations"]}
    ours = {row["device"]: row for row in fresh["activations"]}
    for device in sorted(theirs.keys() | ours.keys()):
        row, own = theirs.get(device), ours.get(device)
        if _same(row, own):
            continue
        if row is None or own is None:
            says = "does not say" if row is None else "says"
            sentence = f"the invoice {says} that its billing began"
        elif row["at"] != own["at"]:
            sentence = (
                f"the invoice says that billing began at {row['at']}, and by the evidence it began at {own['at']}"
            )
        else:
            sentence = "why its billing began is not what the evidence says"
        yield Finding(stage=Stage.STARTS, place=device, sentence=sentence)


def _totals(said: Body, fresh: Body) -> Iterator[Finding]:
    currency = said["currency"]
    for key in ("net", "total"):
        if said[key] != fresh[key]:
            sentence = (
                f"it says {said[key]} {currency}, the evidence gives {fresh[key]} {currency}: "
                f"a difference of {_less(said[key], fresh[key])} {currency}"
            )
            yield Finding(stage=Stage.TOTALS, place=key, sentence=sentence)
    if not _same(said["taxes"], fresh["taxes"]):
        given = ", ".join(f"{tax['name']} {tax['percent']} % = {tax['amount']}" for tax in fresh["taxes"]) or "none"
        yield Finding(stage=Stage.TOTALS, place="taxes", sentence=f"the evidence gives {given}")


def lines_by_key(body: Body) -> dict[tuple[Any, ...], tuple[int, Body]]:
    """Each line with its place, by what makes it the same line in another working of the same invoice."""
    found: dict[tuple[Any, ...], tuple[int, Body]] = {}
    for place, line in enumerate(body["lines"], start=1):
        key: tuple[Any, ...] = (line["charge"], line["kind"], line["device"], line["window"], line["service_start"])
        while key in found:
            key = (*key, "again")
        found[key] = (place, line)
    return found


def _same(one: Any, other: Any) -> bool:
    """Equal in value, type and order: `true` is no 1."""
    return repr(one) == repr(other)


def _less(said: str, own: str) -> str:
    try:
        return format(abs(Decimal(said) - Decimal(own)), "f")
    except InvalidOperation:
        return "unknown"


def _stage(key: str) -> Stage:
    return {"channels": Stage.QUANTITIES, "rated": Stage.QUANTITIES, "gaps": Stage.QUANTITIES}.get(key, Stage.INVOICE)
