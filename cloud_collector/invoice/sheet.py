"""What stands on the printed invoice, part by part, as plain text in the customer's way of writing.

Written from the sealed body and the words of `wording`, and from nothing else: the template only arranges it.
In this order: what it is, how much, until when, for what, why, how to check.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from cloud_collector.invoice.said import Said, iban_grouped, payable
from cloud_collector.invoice.semantic import corrected
from cloud_collector.invoice.sent import sent_lines
from cloud_collector.invoice.wording import language_of, languages
from shared.line import Body

Sheet = dict[str, Any]
_QUIET: Final = frozenset({"usage", "subscription"})
"""Kinds of line whose name says it already."""
_NAMED_MAX: Final = 12
"""Lines that a note names one by one."""


def sheet(body: Body, *, key_words: str, attached: bool) -> Sheet:
    """Every text of the document; `attached` says whether the electronic invoice travels inside."""
    said, language = Said.of(body), language_of(body["account"].get("locale"))
    words = languages()[language]
    title = words[body["kind"]]
    return {
        "language": language,
        "document": f"{title} {body['number']}, {body['operator']['name']}",
        "author": body["operator"]["name"],
        "title": title,
        "number": body["number"],
        "page": words["page"],
        "issuer": _party(body["operator"], words),
        "recipient_label": words["billed_to"],
        "recipient": _party(body["account"], words),
        "ask": _ask(body, said, words),
        "facts": _facts(body, said, words),
        "columns": [words[name] for name in ("description", "quantity", "unit_price", "amount")],
        "lines": [_line(body, place, line, said, words) for place, line in enumerate(body["lines"], start=1)],
        "totals": _totals(body, said, words),
        "notes_title": words["notes"],
        "notes": _notes(body, words),
        "annexes": [part for part in (_gaps(body, said, words), _starts(body, said, words)) if part["rows"]],
        "counters": _counters(body, said, words),
        "check": _check(body, words, key_words, attached=attached),
    }


def _party(party: Body, words: Mapping[str, str]) -> dict[str, Any]:
    rows = [row for row in party["address"] if row]
    if party["country"]:
        rows[-1:] = [f"{rows[-1]}, {party['country']}"] if rows else [party["country"]]
    rows += [f"{words['vat']} {party['vat_id']}"] if party["vat_id"] else []
    return {"name": party["name"], "rows": rows}


def _ask(body: Body, said: Said, words: Mapping[str, str]) -> dict[str, Any]:
    """The one thing to do: how much, until when, to which account."""
    total = Decimal(body["total"])
    if total < 0 or body["kind"] == "credit_note":
        return {
            "label": words["credit"],
            "amount": said.money(body["total"].removeprefix("-")),
            "rows": [],
            "how": words["credit_voids"] if "voids" in body else words["credit_how"],
        }
    if Decimal(payable(body)) == 0:
        how = words["nothing_offset"] if total else words["nothing_how"]
        return {"label": words["nothing"], "amount": said.money(payable(body)), "rows": [], "how": how}
    rows = [[words["due"], said.date(body["due"])]] if body["due"] else []
    if body["operator"]["iban"]:
        rows += [[words["to_account"], iban_grouped(body["operator"]["iban"])], [words["reference"], body["number"]]]
    return {"label": words["please_pay"], "amount": said.money(payable(body)), "rows": rows, "how": ""}


def _facts(body: Body, said: Said, words: Mapping[str, str]) -> list[list[str]]:
    period = body["period"]
    return [
        [words["number"], body["number"]],
        [words["issued"], said.day(body["issued_at"])],
        [words["period"], said.span(period["start"], period["end"])],
        [words["contract"], body["contract"]],
        [words["cutoff"], said.moment(body["cutoff"]["received_until"])],
        [words["zone"], said.zone.key],
    ]


def _line(body: Body, place: int, line: Body, said: Said, words: Mapping[str, str]) -> dict[str, Any]:
    unit = "" if line["unit"] in (None, "1") else f"\u00a0{line['unit']}"
    marks = [said.span(line["service_start"], line["service_end"])]
    marks += (
        [] if line["kind"] in _QUIET else [words["line_adjustment" if line["kind"] == "adjustment" else line["kind"]]]
    )
    if len(body["taxes"]) > 1:
        # With several taxes the sums below do not tell which of them is in a line.
        on = (tax for tax in body["taxes"] if place in tax["lines"])
        marks += [f"{tax['name']} {said.number(tax['percent'])} %" for tax in on]
    late = line["service_end"] <= body["period"]["start"]
    price = "" if line["unit_price"] is None else said.money(line["unit_price"])
    steps = [step for step in (_step(step, unit, said, words) for step in line["steps"]) if step[0]]
    if Decimal(line["exact"]) != Decimal(line["amount"]):
        steps.append([words["exact"].format(exact=said.number(line["exact"].rstrip("0"))), "", ""])
    return {
        "place": str(place),
        "name": line["charge"],
        "of": " · ".join(part for part in (line["device"], line["window"]) if part),
        "when": " · ".join(marks),
        "marks": [*([words["earlier"]] if late else []), *([words["estimated"]] if line["estimated"] else [])],
        "quantity": "" if line["quantity"] is None else said.number(line["quantity"]) + unit,
        "price": price or (words["steps"] if line["steps"] else ""),
        "amount": said.money(line["amount"]),
        "why": line["why"] or "",
        "steps": steps if len(steps) > 1 or line["unit_price"] is None else [],
    }


def _step(step: Body, unit: str, said: Said, words: Mapping[str, str]) -> list[str]:
    """What a step is of, times which price, and what it comes to."""
    amount = f"= {said.money(step['amount'])}" if "amount" in step else ""
    if "booked" in step:
        return [words["booked"], "", amount]
    price = words["included"] if step.get("included") else f"× {said.money(step['price'])}" if "price" in step else ""
    if "percent" in step:
        price = f"× {said.number(step['percent'])} %"
    elif "flat" in step and "quantity" in step:
        price = words["flat"]
    if "quantity" in step:
        return [said.number(step["quantity"]) + unit, price, amount]
    told = {key: value for key, value in step.items() if key not in ("amount", "price", "included")}
    if "state" in told:
        of = f"/{told['of']}" if "of" in told else ""
        return [f"{told.get('days', told.get('seconds', ''))}{of} {told['state']}", price, amount]
    return [", ".join(f"{key} {value}" for key, value in told.items()), price, amount]


def _totals(body: Body, said: Said, words: Mapping[str, str]) -> list[list[str]]:
    rows = [[words["net"], said.money(body["net"])]]
    for tax in body["taxes"]:
        label = words["tax"].format(name=tax["name"], percent=said.number(tax["percent"]), base=said.money(tax["base"]))
        rows.append([f"{label} ({tax['reason']})" if tax["reason"] else label, said.money(tax["amount"])])
    rows.append([words["total"], said.money(body["total"])])
    if "offsets" in body:
        rows += [
            [words["offset"].format(number=number), said.money(f"-{amount}")] for number, amount in body["offsets"]
        ]
        rows.append([words["payable"], said.money(payable(body))])
    return rows


def _notes(body: Body, words: Mapping[str, str]) -> list[str]:
    found = []
    estimated = [str(place) for place, line in enumerate(body["lines"], start=1) if line["estimated"]]
    if len(estimated) > _NAMED_MAX:
        found.append(words["note_estimated_many"].format(count=len(estimated)))
    elif estimated:
        found.append(words["note_estimated"].format(lines=", ".join(estimated)))
    sent = [str(place) for place in sent_lines(body)]
    if len(sent) > _NAMED_MAX:
        found.append(words["note_sent_many"].format(count=len(sent)))
    elif sent:
        found.append(words["note_sent"].format(lines=", ".join(sent)))
    if "voids" in body:
        found.append(words["note_voids"].format(number=body["voids"]["number"], reason=body["voids"]["reason"]))
    elif corrected(body):
        found.append(words["note_corrected"].format(numbers=", ".join(corrected(body))))
    if body["gaps"]:
        found.append(
            words["note_gap"] if len(body["gaps"]) == 1 else words["note_gaps"].format(count=len(body["gaps"]))
        )
    return found


def _counters(body: Body, said: Said, words: Mapping[str, str]) -> dict[str, Any]:
    units = {tuple(row[:3]): (row[3], row[4]) for row in body["channels"]}
    rows = []
    for place, line in enumerate(body["lines"], start=1):
        for gateway, log, device, meter, epoch, first, start, last, end, estimated in line["reads"]:
            unit, exponent = units.get((gateway, device, meter), ("", 0))
            mark = f" ({words['estimated']})" if estimated else ""
            mark += f" ({words['sent']})" if gateway in body.get("sent", ()) else ""
            figures = [said.counter(value, exponent) for value in (start, end, end - start)]
            reports = f"{log} {epoch} {first}–{last}"
            rows.append([str(place), f"{gateway}/{device} {meter}{mark}", *figures, unit, reports])
    heads = [words[name] for name in ("line", "meter", "start", "end", "difference", "unit", "reports")]
    return {"title": words["counters"], "how": words["counters_how"], "heads": heads, "rows": rows}


def _gaps(body: Body, said: Said, words: Mapping[str, str]) -> dict[str, Any]:
    rows = [
        [f"{gateway}/{device} {meter}", said.span(start, end), words.get(cause, cause.replace("_", " "))]
        for gateway, device, meter, start, end, cause in body["gaps"]
    ]
    heads = [words[name] for name in ("meter", "from_to", "cause")]
    return {"title": words["gaps"], "how": words["gaps_how"], "heads": heads, "rows": rows}


def _starts(body: Body, said: Said, words: Mapping[str, str]) -> dict[str, Any]:
    rows = []
    for start in body["activations"]:
        where = start["evidence"]
        proof = f"{where['gateway']} {where['log']} {where['epoch']} {where['seq']}" if where else start["why"] or "—"
        device = start["device"] or words["the_contract"]
        rows.append([device, said.moment(start["at"]), words.get(start["rule"], start["rule"]), proof])
    heads = [words[name] for name in ("device", "billed_from", "rule", "evidence")]
    return {"title": words["starts"], "how": "", "heads": heads, "rows": rows}


def _check(body: Body, words: Mapping[str, str], key_words: str, *, attached: bool) -> dict[str, str]:
    made = words["check_made" if attached else "check_made_plain"].format(
        revisions=", ".join(f"{row['revision']} ({row['sha256'][:12]}…)" for row in body["catalog"]),
        engine=body["engine"],
        tzdata=body["tzdata"],
        key=body["key"],
    )
    how = words["check_how_sent" if sent_lines(body) else "check_how"].format(
        reads=sum(len(line["reads"]) for line in body["lines"])
    )
    if "voids" in body:
        how = words["check_how_void"].format(number=body["voids"]["number"])
    command = f"verify-invoice {body['number']}.zip --trust {key_words}"
    return {
        "title": words["check"],
        "how": how,
        "command": command if "voids" in body else f"{command} --trust {words['trust']}",
        "words": words[
            "check_words_void" if "voids" in body else "check_words_sent" if sent_lines(body) else "check_words"
        ],
        "made": made,
    }
