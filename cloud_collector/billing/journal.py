"""Issued invoices as a double-entry journal in the language of beancount: every transaction sums to zero.

Source: https://beancount.github.io/docs/beancount_language_syntax.html. A customer's debt is an asset, each charge an
income, each tax a liability. What was sealed is taken to the cent and nothing is computed.
"""

import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from cloud_collector.billing.books import issue_day
from shared.line import Body

_NOT_OF_AN_ACCOUNT: Final = re.compile(r"[^A-Za-z0-9\u0080-\U0010ffff-]+")
_NOT_OF_A_LINK: Final = re.compile(r"[^A-Za-z0-9._/-]+")


def as_beancount(bodies: Iterable[Body]) -> str:
    """The journal, its accounts opened on the day on which each is first used."""
    opened: dict[str, str] = {}
    found = []
    for body in bodies:
        day = issue_day(body).isoformat()
        postings = _postings(body)
        for account, _ in postings:
            opened.setdefault(account, day)
        found.append(_transaction(body, day, postings))
    opens = [f"{day} open {account}\n" for account, day in sorted(opened.items(), key=lambda each: (each[1], each[0]))]
    return "".join([*opens, *(["\n"] if opens else []), "\n".join(found)])


def _postings(body: Body) -> list[tuple[str, Decimal]]:
    income: dict[str, Decimal] = {}
    for line in body["lines"]:
        account = f"Income:{_component(line['charge'])}"
        income[account] = income.get(account, Decimal(0)) - Decimal(line["amount"])
    owed = (f"Assets:Receivable:{_component(body['account']['id'])}", Decimal(body["total"]))
    taxes = [
        (f"Liabilities:Tax:{_component(tax['name'])}-{_component(tax['percent'])}", -Decimal(tax["amount"]))
        for tax in body["taxes"]
    ]
    return [owed, *income.items(), *taxes]


def _transaction(body: Body, day: str, postings: list[tuple[str, Decimal]]) -> str:
    title = f"{body['kind'].replace('_', ' ').capitalize()} {body['number']}, contract {body['contract']}"
    link = _NOT_OF_A_LINK.sub("-", body["number"])
    rows = [f"{day} * {_text(body['account']['name'])} {_text(title)} ^{link}", f"  number: {_text(body['number'])}"]
    rows += [f"  due: {body['due']}"] if body["due"] else []
    rows += [f"  {account}  {amount:f} {body['currency']}" for account, amount in postings]
    return "\n".join(rows) + "\n"


def _component(name: str) -> str:
    """A name as one part of an account: letters, digits and hyphens, the first one large."""
    part = _NOT_OF_AN_ACCOUNT.sub("-", name).strip("-") or "Other"
    return part[0].upper() + part[1:]


def _text(value: str) -> str:
    escaped = " ".join(value.split()).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
