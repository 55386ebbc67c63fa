"""Examples for the keys of the catalog that no quote shows: what they change on an issued invoice or around it."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from cloud_collector.billing.preview import preview
from cloud_collector.billing.revisions import revisions
from cloud_collector.billing.run import bill_due
from cloud_collector.cli.catalog_history import agreed
from cloud_collector.contracts.read import load_catalog
from cloud_collector.insight.look import look
from cloud_collector.insight.timeline import timeline
from cloud_collector.invoice.html import page
from cloud_collector.store.store import Store
from cloud_collector.store.view import StoreView
from tests.unit.billing_samples import (
    CATALOG,
    NOVEMBER,
    OCTOBER,
    RECEIPT_KEY,
    Gateway,
    new_store,
    october,
    receive,
    store_biller,
)
from tests.unit.test_billing import body

DAY: Final = 86_400
NOW: Final = NOVEMBER + 3 * DAY
SECOND: Final = "roof-1/sdm630-2"
AGREED: Final = CATALOG.replace(
    "[contracts.acme-chargers]\n",
    '[accounts.acme.data]\nowner = "customer"\npurposes = ["billing"]\nshared_with = ["grid"]\n'
    'keep_detail = "400d"\n[contracts.acme-chargers]\nbudget = 120\nwarn = { over = [80], under = [50] }\n',
).replace(
    'name = "Åke & Söner | Acme Oy"', 'name = "Åke & Söner | Acme Oy"\nemail = "bills@acme.example"\nvat_id = "FI1"'
)
TAXED: Final = AGREED.replace('category = "S"', 'category = "E"\nreason = "small business"').replace(
    "percent = 25.5", "percent = 0"
)


@dataclass(frozen=True, kw_only=True)
class Billed:
    """A text in which a key is changed or left out, and where that shows."""

    old: str
    new: str = ""
    text: str = AGREED
    shows: Callable[[str], Any]
    where: str
    """What is looked at, for people."""


def said(*path: str) -> Callable[[str], Any]:
    """A value of the first invoice's sealed body."""

    def look_up(text: str) -> Any:
        value: Any = _issued(text)
        for step in path:
            value = value[int(step) if isinstance(value, list) else step]
        return value

    return look_up


def printed(part: str) -> Callable[[str], str]:
    """The line of the first invoice's page that holds a figure."""

    def look_up(text: str) -> str:
        html = page(_issued(text), key_words=RECEIPT_KEY.public.words)
        line = next(line for line in html.splitlines() if part in line)
        return " ".join(re.sub("<[^>]*>", " ", line).split())

    return look_up


def waits(text: str) -> str:
    """Until when a period waits for the reports that are missing."""
    store = new_store(catalog=text)
    receive(store, october(Gateway(), days=20).lines, at=OCTOBER + 20 * DAY)
    (found,) = preview(store, (NOVEMBER + 3_600) * 1000, store_biller().sight)
    return str(found.reason or found.state)


def stated_start(text: str) -> str:
    """From when the second invoice says that a device is billed whose first reports came after the first one."""
    store, biller, gateway = new_store(catalog=text), store_biller(), october(Gateway(), days=64)
    receive(store, [*gateway.lines[:13], *gateway.lines[16:34]], at=NOW)
    bill_due(store, NOW * 1000, biller)
    receive(store, gateway.lines, at=NOW + 30 * DAY)
    bill_due(store, (NOW + 30 * DAY) * 1000, biller)
    starts = body(biller.archive.get("INV-2") or b"")["activations"]
    return next(str(row["at"]) for row in starts if row["device"] == SECOND)


def told(text: str) -> str:
    """The first words of a device's timeline."""
    store = _world(text)
    return next(
        event.told
        for event in timeline(store, StoreView(store), revisions(store), SECOND, NOW)
        if event.what == "provisioned"
    )


def so_far(text: str) -> Any:
    """The budget beside the cost so far."""
    store = _world(text)
    found = look(store, revisions(store), "acme-chargers", NOW * 1000, StoreView).cost(foretold=False)
    return None if found.budget is None else str(found.budget)


def shown(*path: str) -> Callable[[str], Any]:
    """What `catalog show` says is agreed beside prices."""

    def look_up(text: str) -> Any:
        value: Any = agreed(load_catalog(text), "acme-chargers")
        for step in path:
            value = None if value is None else value[step]
        return value

    return look_up


def recipient(text: str) -> str | None:
    """Where `invoice send` sends to."""
    return load_catalog(text).accounts["acme"].email


def _world(text: str) -> Store:
    store = new_store(catalog=text)
    receive(store, october(Gateway()).lines, at=NOW)
    return store


def _issued(text: str) -> dict[str, Any]:
    biller = store_biller()
    report = bill_due(_world(text), NOW * 1000, biller)
    (outcome,) = report.of("issued")
    return body(biller.archive.get(outcome.number or "") or b"")


INVOICE: Final = "the invoice"
SHOWN: Final = "`catalog show`"
DATA: Final = AGREED[AGREED.index("[accounts.acme.data]") : AGREED.index("[contracts.acme-chargers]")]


def of_invoice(old: str, new: str, *path: str, text: str = AGREED) -> Billed:
    """An example that shows in the sealed body."""
    return Billed(old=old, new=new, text=text, shows=said(*path), where=INVOICE)


def of_agreement(old: str, *path: str) -> Billed:
    """An example of what is agreed beside prices."""
    return Billed(old=old, shows=shown(*path), where=SHOWN)


BILLED: Final[dict[str, dict[str, Billed]]] = {
    "operator": {
        "name": of_invoice("Northwind Metering Oy", "Southwind Oy", "operator", "name"),
        "country": of_invoice(
            'country = "FI"\naddress = ["Esi', 'country = "SE"\naddress = ["Esi', "operator", "country"
        ),
        "address": of_invoice("Esimerkkikatu 1", "Esimerkkikatu 2", "operator", "address"),
        "vat_id": of_invoice("FI12345678", "FI87654321", "operator", "vat_id"),
        "iban": of_invoice('iban = "FI2112345600000785"\n', "", "operator", "iban"),
        "invoice_prefix": of_invoice("iban = ", 'invoice_prefix = "NW-"\niban = ', "number"),
        "payment_terms_days": of_invoice("iban = ", "payment_terms_days = 30\niban = ", "due"),
    },
    "account": {
        "name": of_invoice("Åke & Söner | Acme Oy", "Acme Oy", "account", "name"),
        "email": Billed(old='email = "bills@acme.example"\n', shows=recipient, where="`invoice send`"),
        "country": of_invoice('country = "FI"\nlocale', 'country = "SE"\nlocale', "account", "country"),
        "address": of_invoice("Satamakatu 4", "Satamakatu 5", "account", "address"),
        "vat_id": of_invoice('vat_id = "FI1"\n', "", "account", "vat_id"),
        "locale": Billed(old='"fi_FI"', new='"en_GB"', shows=printed("394"), where="the invoice's page"),
        "data": of_agreement(DATA, "data"),
    },
    "data": {
        "owner": of_agreement('owner = "customer"\n', "data", "owner"),
        "purposes": of_agreement('purposes = ["billing"]\n', "data", "purposes"),
        "shared_with": of_agreement('shared_with = ["grid"]\n', "data", "shared_with"),
        "keep_detail": of_agreement('keep_detail = "400d"\n', "data", "keep_detail"),
    },
    "plan": {
        "title": Billed(old='title = "Charger"', new='title = "Plus"', shows=told, where="`device timeline`"),
        "settle": Billed(old='settle = "48h"', new='settle = "72h"', shows=waits, where="`billing preview`"),
    },
    "activation": {
        "late_evidence": Billed(
            old='grace = "20d"\n',
            new='grace = "20d"\nlate_evidence = "keep"\n',
            shows=stated_start,
            where="the start on the next invoice",
        ),
    },
    "tax": {
        "category": of_invoice('category = "S"', 'category = "Z"', "taxes", "0", "category"),
        "reason": of_invoice('reason = "small business"\n', "", "taxes", "0", "reason", text=TAXED),
    },
    "contract": {
        "budget": Billed(old="budget = 120", new="budget = 130", shows=so_far, where="`cost`"),
        "warn": of_agreement("warn = { over = [80], under = [50] }\n", "warn"),
    },
    "warn": {
        "over": of_agreement("over = [80], ", "warn", "over"),
        "under": of_agreement(", under = [50]", "warn", "under"),
    },
}
