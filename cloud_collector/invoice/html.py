"""An issued invoice as one self-contained HTML page: printable, without scripts, opening down to the counters.

Written from the sealed body and from nothing else, so that the page can say nothing that was not signed.
"""

import base64
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cache
from html import escape
from importlib import resources
from typing import Any, Final

from cloud_collector.invoice.said import Said, iban_grouped, payable
from cloud_collector.invoice.sent import sent_lines
from shared.line import Body

_PROLOGUE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
{style}</style>
</head>
<body>
<main>
"""
_TITLES: Final = {"regular": "Invoice", "adjustment": "Adjustment invoice", "credit_note": "Credit note"}
_RULES: Final = {
    "immediate": "from the start, by contract",
    "first_use": "first use",
    "grace": "grace ran out without use",
    "date": "on the agreed date",
    "state": "set active by the operator",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Paper:
    """What every part of the page needs: the body, and how its account reads figures, escaped for HTML."""

    body: Body
    said: Said

    @property
    def currency(self) -> str:
        return self.said.currency

    def money(self, text: str) -> str:
        return escape(self.said.money(text))

    def number(self, text: str) -> str:
        return escape(self.said.number(text))

    def moment(self, text: str) -> str:
        return escape(self.said.moment(text))

    def day(self, text: str) -> str:
        return escape(self.said.day(text))

    def date(self, text: str) -> str:
        return escape(self.said.date(text))

    def span(self, start: str, end: str) -> str:
        return escape(self.said.span(start, end))


def page(body: Body, *, key_words: str, banner: str = "") -> str:
    """The whole page; `key_words` name the operator's receipt key as people compare it.

    Of a body that is not sealed, such as a copy that was worked out again, `banner` says above it what it is: nothing
    is paid by it, and no key stands for it.
    """
    paper = _Paper(body=body, said=Said.of(body))
    title = f"{_TITLES[body['kind']]} {body['number']}"
    parts = [
        _PROLOGUE.format(title=escape(f"{title}, {body['operator']['name']}"), style=_style()),
        f'<p class="payment"><strong>{escape(banner)}</strong></p>\n' if banner else "",
        _head(paper),
        _facts(paper),
        _lines(paper),
        _totals(paper),
        "" if banner else _payment(paper),
        _starts(paper),
        _gaps(paper),
        _sent(paper),
        "" if banner else _proof(paper, key_words),
        "</main>\n</body>\n</html>\n",
    ]
    return "".join(parts)


@cache
def style_hash() -> str:
    """What a Content-Security-Policy calls the page's own sheet: the hash of all that stands in its element."""
    digest = hashlib.sha256(f"\n{_style()}".encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"


@cache
def _style() -> str:
    return resources.files("cloud_collector.invoice").joinpath("invoice.css").read_text(encoding="utf-8")


def _head(paper: _Paper) -> str:
    body = paper.body
    operator, account = body["operator"], body["account"]
    return (
        '<header class="letterhead">\n'
        f'<div class="issuer"><p class="name">{escape(operator["name"])}</p>{_rows(_address(operator))}</div>\n'
        f'<div class="what"><h1>{_TITLES[body["kind"]]}</h1><p class="number">{escape(body["number"])}</p></div>\n'
        "</header>\n"
        f'<section class="recipient" aria-label="Billed to"><p class="label">Billed to</p>'
        f'<p class="name">{escape(account["name"])}</p>{_rows(_address(account))}</section>\n'
    )


def _address(party: Body) -> list[str]:
    rows = list(party.get("address", []))
    country = party.get("country")
    if country:
        rows[-1:] = [f"{rows[-1]}, {country}"] if rows else [country]
    rows += [f"VAT {party['vat_id']}"] if party.get("vat_id") else []
    return [row for row in rows if row]


def _rows(rows: Iterable[str]) -> str:
    return "".join(f"<p>{escape(row)}</p>" for row in rows)


def _facts(paper: _Paper) -> str:
    body = paper.body
    facts = [
        ("Service period", paper.span(body["period"]["start"], body["period"]["end"])),
        ("Readings counted up to", paper.moment(body["cutoff"]["received_until"])),
        ("Issued", paper.day(body["issued_at"])),
    ]
    if body.get("due"):
        facts.append(("Due", paper.date(body["due"])))
    facts += [("Contract", escape(body["contract"])), ("Times are in", escape(paper.said.zone.key))]
    cells = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in facts)
    return f'<dl class="facts">{cells}</dl>\n'


def _lines(paper: _Paper) -> str:
    rows = "".join(_line(paper, place, line) for place, line in enumerate(paper.body["lines"], start=1))
    return (
        '<section class="lines" aria-label="Lines">\n'
        '<div class="row columns" aria-hidden="true"><span></span><span>Description</span><span>Quantity</span>'
        f"<span>Unit price</span><span>Amount</span></div>\n{rows}</section>\n"
    )


def _line(paper: _Paper, place: int, line: Body) -> str:
    quantity = "" if line["quantity"] is None else f"{paper.number(line['quantity'])} {_unit(line)}"
    price = "" if line["unit_price"] is None else paper.money(line["unit_price"])
    parts = [line["charge"], *(part for part in (line["device"], line["window"]) if part)]
    name = f"<b>{escape(parts[0])}</b>" + "".join(f" · {escape(part)}" for part in parts[1:])
    period = paper.span(line["service_start"], line["service_end"])
    cells = (
        f'<span class="place">{place}</span><span class="description">{name}'
        f"<small>{period}{_marks(paper, line)}</small></span>"
        f'<span class="quantity">{quantity}</span><span class="price">{price or _several(line)}</span>'
        f'<span class="amount">{paper.money(line["amount"])}</span>'
    )
    details = _details(paper, line)
    if not details:
        return f'<div class="line plain"><div class="row">{cells}</div></div>\n'
    return (
        f'<details class="line"><summary class="row">{cells}</summary>\n<div class="inside">{details}</div></details>\n'
    )


def _several(line: Body) -> str:
    return "<i>see steps</i>" if line.get("steps") else ""


def _marks(paper: _Paper, line: Body) -> str:
    kind = "" if line["kind"] in ("usage", "subscription") else f" · {escape(line['kind'].replace('_', '-'))}"
    late = _instant(line["service_end"]) <= _instant(paper.body["period"]["start"])
    earlier = ' <em class="earlier">earlier period</em>' if late else ""
    estimated = ' <em class="estimated">partly estimated</em>' if line["estimated"] else ""
    return kind + earlier + estimated


def _details(paper: _Paper, line: Body) -> str:
    parts = [f'<p class="why">{escape(line["why"])}</p>'] if line.get("why") else []
    parts += [_steps(paper, line)] if line.get("steps") else []
    parts += [_reads(paper, line["reads"])] if line.get("reads") else []
    if Decimal(line["exact"]) != Decimal(line["amount"]):
        exact = f"Exactly {paper.number(line['exact'])} {escape(paper.currency)}"
        parts.append(f'<p class="exact">{exact}, rounded once to {paper.money(line["amount"])}.</p>')
    return "".join(parts)


def _steps(paper: _Paper, line: Body) -> str:
    rows = []
    for step in line["steps"]:
        what, price = _step(paper, line, step)
        amount = paper.money(step["amount"]) if "amount" in step else ""
        rows.append(f"<tr><td>{what}</td><td>{price}</td><td>{amount}</td></tr>")
    return (
        f'<table class="steps"><caption>Steps</caption><thead><tr><th>Part</th><th>Price</th><th>Amount</th></tr>'
        f"</thead><tbody>{''.join(rows)}</tbody></table>"
    )


def _step(paper: _Paper, line: Body, step: Body) -> tuple[str, str]:
    """What a step is of, and at which price."""
    if "booked" in step:
        return f"less {paper.money(step['booked'])} billed before", ""
    price = "included" if step.get("included") else paper.money(step["price"]) if "price" in step else ""
    if "state" in step:
        of = f" of {escape(str(step['of']))}" if "of" in step else ""
        return f"{escape(str(step.get('days', step.get('seconds', ''))))}{of} days {escape(str(step['state']))}", price
    if "quantity" in step:
        return f"{paper.number(step['quantity'])} {_unit(line)}", price
    told = ((key, value) for key, value in step.items() if key not in ("amount", "price", "included"))
    return escape(", ".join(f"{key} {value}" for key, value in told)), price


def _unit(line: Body) -> str:
    return "" if line["unit"] in (None, "1") else escape(line["unit"])


def _reads(paper: _Paper, reads: Sequence[Sequence[Any]]) -> str:
    units = {tuple(row[:3]): (row[3], row[4]) for row in paper.body["channels"]}
    rows = []
    for gateway, log, device, meter, epoch, first, start, last, end, estimated in reads:
        unit, exponent = units.get((gateway, device, meter), ("", 0))
        counters = (escape(paper.said.counter(value, exponent)) for value in (start, end, end - start))
        cells = "".join(f"<td>{value}</td>" for value in counters)
        note = ' <em class="estimated">estimated</em>' if estimated else ""
        note += ' <em class="sent">sent over HTTP</em>' if gateway in paper.body.get("sent", ()) else ""
        rows.append(
            f"<tr><th>{escape(gateway)}/{escape(device)} {escape(meter)}{note}</th>{cells}<td>{escape(unit)}</td>"
            f"<td>{escape(log)} {escape(epoch)} {first}–{last}</td></tr>"
        )
    return (
        '<table class="reads"><caption>Counters, from reading to reading</caption><thead><tr><th>Meter</th>'
        "<th>Start</th><th>End</th><th>Difference</th><th>Unit</th><th>Signed reports</th></tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table>"
    )


def _totals(paper: _Paper) -> str:
    body = paper.body
    rows = [f"<div><dt>Net</dt><dd>{paper.money(body['net'])}</dd></div>"]
    for tax in body["taxes"]:
        reason = f" ({escape(tax['reason'])})" if tax.get("reason") else ""
        label = f"{escape(tax['name'])} {paper.number(tax['percent'])} % of {paper.money(tax['base'])}{reason}"
        rows.append(f"<div><dt>{label}</dt><dd>{paper.money(tax['amount'])}</dd></div>")
    rows.append(f'<div class="total"><dt>Total</dt><dd>{paper.money(body["total"])}</dd></div>')
    if "offsets" in body:
        rows += [
            f"<div><dt>less credit of {escape(number)}</dt><dd>{paper.money('-' + amount)}</dd></div>"
            for number, amount in body["offsets"]
        ]
        rows.append(f'<div class="total"><dt>To pay</dt><dd>{paper.money(payable(body))}</dd></div>')
    return f'<dl class="totals">{"".join(rows)}</dl>\n'


def _payment(paper: _Paper) -> str:
    body = paper.body
    iban = body["operator"].get("iban")
    if "voids" in body:
        told = escape(f"It takes back {body['voids']['number']} in full: {body['voids']['reason']}")
        return (
            f'<p class="payment">{told}. What you have not paid of it is no longer due; what you have paid is set off '
            "against your next invoices.</p>\n"
        )
    if body["kind"] == "credit_note" or Decimal(body["total"]) < 0:
        return '<p class="payment">This amount is in your favour: it is set off against your next invoices.</p>\n'
    if not iban or Decimal(payable(body)) == 0:
        return ""
    due = f" by {paper.date(body['due'])}" if body.get("due") else ""
    return (
        f'<p class="payment">Please pay <b>{paper.money(payable(body))}</b>{due} '
        f"to <b>{escape(iban_grouped(iban))}</b>, "
        f"reference <b>{escape(body['number'])}</b>.</p>\n"
    )


def _starts(paper: _Paper) -> str:
    starts = paper.body["activations"]
    if not starts:
        return ""
    rows = "".join(
        f"<tr><th>{escape(start['device'] or 'the contract')}</th><td>{paper.moment(start['at'])}</td>"
        f"<td>{escape(_RULES.get(start['rule'], start['rule']))}</td><td>{_evidence(start)}</td></tr>"
        for start in starts
    )
    return (
        f'<details class="annex"><summary>When billing began, and why ({len(starts)})</summary>'
        f"<table><thead><tr><th>Device</th><th>Billed from</th><th>Rule</th><th>Evidence</th></tr></thead>"
        f"<tbody>{rows}</tbody></table></details>\n"
    )


def _evidence(start: Body) -> str:
    where, why = start.get("evidence"), escape(start.get("why") or "—")
    if not where:
        return why
    place = (
        f"{where['gateway']} {where['log']} {where['epoch']}, report {where['seq']}, interval {where['interval'] + 1}"
    )
    return f"{why}<br><small>{escape(place)}</small>"


def _gaps(paper: _Paper) -> str:
    gaps = paper.body["gaps"]
    if not gaps:
        return ""
    rows = "".join(
        f"<tr><th>{escape(gateway)}/{escape(device)} {escape(meter)}</th><td>{paper.span(start, end)}</td>"
        f"<td>{escape(cause.replace('_', ' '))}</td></tr>"
        for gateway, device, meter, start, end, cause in gaps
    )
    return (
        f'<details class="annex" open><summary>Not measured in this period ({len(gaps)})</summary>'
        "<p>Nothing is billed for these times. If readings arrive later, your next invoice shows them with "
        "this service period.</p><table><thead><tr><th>Meter</th><th>From – to</th><th>Cause</th></tr></thead>"
        f"<tbody>{rows}</tbody></table></details>\n"
    )


def _sent(paper: _Paper) -> str:
    """Which lines rest on what was never measured by a gateway, in plain words."""
    places = sent_lines(paper.body)
    if not places:
        return ""
    rows = "".join(f"<tr><th>{escape(log)}</th></tr>" for log in paper.body["sent"])
    return (
        '<details class="annex" open><summary>Sent to the operator, not sealed at a meter</summary>'
        f"<p>Line {escape(', '.join(map(str, places)))}: this usage was sent to the operator over HTTP and sealed with "
        "a key that the operator holds, not at a meter. The seal shows that nothing was changed since; that it was "
        f"used is the operator's word.</p><table><thead><tr><th>Log</th></tr></thead><tbody>{rows}</tbody></table>"
        "</details>\n"
    )


def _proof(paper: _Paper, key_words: str) -> str:
    body = paper.body
    reads = sum(len(line.get("reads", [])) for line in body["lines"])
    basis, trust = f"Every line opens down to signed meter reports ({reads} pairs of counters).", True
    if sent_lines(body):
        basis = f"Every line opens down to signed reports ({reads} pairs of counters), also what was sent over HTTP."
    if "voids" in body:
        basis, trust = f"Every line takes back one of {body['voids']['number']}, which is sealed too.", False
    revisions = ", ".join(f"{row['revision']} ({escape(row['sha256'][:12])}…)" for row in body["catalog"])
    command = f"verify-invoice {escape(body['number'])}.zip --trust {escape(key_words)}"
    return (
        f'<footer><p class="seal"><b>Sealed.</b> {escape(basis)} '
        "Ask for the evidence bundle and check it yourself, offline:</p>\n"
        f"<p><code>{command}{' --trust <i>words on your gateway</i>' if trust else ''}</code></p>\n"
        f"<p>Rounding: once per line, to the currency's smallest unit. Catalog revision {revisions}, engine "
        f"{escape(body['engine'])}, time zones {escape(body['tzdata'])}, key {escape(body['key'])}.</p></footer>\n"
    )


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)
