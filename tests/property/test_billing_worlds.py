"""P12, P14, P17: any agreement, billed over months while reports come in any order, books what they say in the end."""

from decimal import Decimal
from random import Random

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from cloud_collector.billing.audit import Books, audit_invoices
from cloud_collector.billing.export import as_bundle, invoice
from cloud_collector.billing.revisions import apply
from cloud_collector.billing.run import Biller, bill_due
from cloud_collector.contracts.node import CatalogError
from cloud_collector.contracts.read import load_catalog
from cloud_collector.proof.trust import Trust
from cloud_collector.proof.verify import verify
from cloud_collector.store.store import Store
from shared.line import parse, read_body
from shared.report import Birth, Cause, Channel, Usage, UsageRow
from tests.examples import examples
from tests.unit.billing_samples import (
    GATEWAY_KEY,
    OCTOBER,
    RECEIPT_KEY,
    Gateway,
    new_store,
    receive,
    store_biller,
)

TRUST = Trust(fingerprints=frozenset({RECEIPT_KEY.public.sha256, GATEWAY_KEY.public.sha256}), words=frozenset())
DAY = 86_400
STEP = 21_600
SPAN_DAYS = 5
SPANS = 28
MONTHS = (31, 61, 92, 123, 154)
"""Days from October after which a run looks at what has arrived; the last is after February."""
METERS = {"energy": "Wh", "power": "W", "starts": "1"}

HEAD = """
[operator]
name = "Northwind Metering Oy"
currency = "EUR"
timezone = "Europe/Helsinki"
country = "FI"
address = ["Esimerkkikatu 1"]
vat_id = "FI12345678"
{look_back}
[meters.energy]
unit = "kWh"
aggregate = "sum"
[meters.demand]
unit = "kWh"
aggregate = "sum"
[meters.power]
unit = "kW"
aggregate = "{power}"
[meters.starts]
unit = "1"
aggregate = "count"
[accounts.acme]
name = "Acme Oy"
country = "FI"
[contracts.c]
account = "acme"
plan = "p"
start = 2026-10-01
{end}
devices = ["roof-1/a", {{ id = "roof-1/b", from = 2026-10-11, until = 2026-12-20 }}]
{amended}
[contracts.d]
account = "acme"
plan = "p"
start = 2026-10-01
end = 2027-10-01
devices = ["roof-1/x", {{ id = "roof-1/b", from = 2026-12-20 }}]
[plans.p]
cycle = "month"
anchor = {anchor}
settle = "1h"
[plans.p.activation]
{activation}
late_evidence = "{late}"
[[plans.p.charges]]
name = "Seat"
type = "subscription"
price = 9.99
{seat}
[[plans.p.charges]]
name = "Use"
type = "usage"
meter = "{meter}"
{model}
{wide}
{more}
[[plans.p.charges]]
name = "Fee"
type = "one_time"
on = "{on}"
price = 5
{commitment}
[[plans.p.taxes]]
name = "VAT"
percent = 25.5
category = "S"
"""
MODELS = [
    'model = "per_unit"\nprice = 0.333',
    'model = "graduated"\ntiers = [{ up_to = 3, price = 1.5, flat = 2 }, { up_to = 9, price = 1 }]',
    'model = "volume"\ntiers = [{ up_to = 3, price = 1.5, flat = 2 }, { price = 1 }]',
    'model = "package"\nsize = 3\nprice = 1.11',
    """
model = "per_unit"
windows = [{ name = "a", days = "fri-mon", from = "22:00", to = "06:00", price = 0.5 }, { name = "b", price = 0.1 }]
""",
]
REVISIONS = [
    ("", ""),
    ("price = 9.99", "price = 12.34"),
    ('due = "advance"', 'due = "arrears"'),
    ('type = "subscription"\nprice = 9.99\nper =', 'type = "subscription"\nprice = 9.99\ndue = "advance"\nper ='),
    ('end = 2027-10-01\ndevices = ["roof-1/a"', 'end = 2026-12-10\ndevices = ["roof-1/a"'),
    (", until = 2026-12-20 }]", ", until = 2026-11-20 }]"),
    ('devices = ["roof-1/a", ', "devices = ["),
]
"""What the operator changes in January."""
REVISED_IN = 2
PARKED = ("its commitment runs over periods that revisions", "another revision of the catalog prices")
COMMITMENTS = [
    "",
    "amount = 50",
    'amount = 500\ncycle = "year"',
    'amount = 50\ntrue_up = "term"',
    'devices = 2\nprice_per_device = 5\ncycle = "quarter"',
    'meter = "energy"\nquantity = 40\noverage_factor = 1.5\ncycle = "quarter"',
]
catalogs = st.fixed_dictionaries(
    {
        "look_back": st.sampled_from(["", "", 'look_back = "1mo"']),
        "power": st.sampled_from(["max", "average"]),
        "end": st.sampled_from(["end = 2027-10-01", "end = 2027-01-20"]),
        "amended": st.sampled_from(["", '[[contracts.c.amendments]]\nfrom = 2026-11-16\nplan = "p"']),
        "anchor": st.sampled_from(['"calendar"', '"calendar"', "15", '"activation"']),
        "activation": st.sampled_from(
            [
                'rule = "immediate"',
                'rule = "first_use"\nusage_before = "billed"\nany = [{ meter = "energy", at_least = 9 }]',
                'rule = "first_use"\ngrace = "60d"\nignore_first = "24h"\nany = [{ active_days = 3, within = "9d" }]',
                'rule = "first_use"\nany = [{ reports = 2, within = "9d" }]\ncombine = "contract"',
            ]
        ),
        "late": st.sampled_from(["adjust", "adjust", "keep"]),
        "seat": st.sampled_from(
            [
                'due = "advance"',
                'due = "advance"\nstate_prices = { provisioned = 1 }\ndiscount_percent = 10',
                'bill = "when_used"\nused_when = { meter = "energy", at_least = 5 }',
                'per = "contract"\nprorate = "second"',
            ]
        ),
        "meter": st.sampled_from(["energy", "energy", "power", "starts"]),
        "model": st.sampled_from(MODELS),
        "wide": st.sampled_from(
            [
                "",
                'per = "device"\npool = "contract"',
                'per = "contract"\npool = "account"',
                'per = "device"\npool = "account"',
            ]
        ),
        "more": st.sampled_from(["", "included = 2.5\nminimum = 3.33", "increment = 0.7\ndiscount_percent = 12.5"]),
        "on": st.sampled_from(["activated", "ended", "contract_start"]),
        "commitment": st.sampled_from(COMMITMENTS).map(lambda each: each and f"[plans.p.commitment]\n{each}"),
    }
)


def reports(random: Random) -> list[bytes]:
    """Five days a line, of three devices and three meters; a device may be still for long."""
    gateway = Gateway(log="main")
    registers = {(device, meter): random.randrange(10**6) for device in "abx" for meter in METERS}
    channels = tuple(
        Channel(device, meter, METERS[meter], 0, "modbus", f"SN-{device}", register, register)
        for (device, meter), register in registers.items()
    )
    gateway._seal(
        Birth(
            header=gateway._header(OCTOBER - 3_600),
            agent="meterseal 0.1.0",
            config="t5YG-zr-pb0WCe1AtiIULxyYElq8_omnamYbDo40ORA",
            cause=Cause.START,
            previous=None,
            channels=channels,
        )
    )
    begins = {device: random.choice([0, 0, 3, 7, 12, 30]) for device in "abx"}
    count = SPAN_DAYS * DAY // STEP
    for span in range(SPANS):
        start = OCTOBER + span * SPAN_DAYS * DAY
        rows = []
        for (device, meter), register in registers.items():
            used = span >= begins[device] and random.random() < 0.7
            deltas = tuple(random.choice([0, 0, 7, 400, 1_999]) if used else 0 for _ in range(count))
            rows.append(UsageRow(device, meter, METERS[meter], 0, register, deltas, {}))
            registers[device, meter] = register + sum(deltas)
        header = gateway._header(start + count * STEP)
        gateway._seal(Usage(header=header, start=start, step=STEP, count=count, rows=tuple(rows)))
    return gateway.lines


def booked(store: Store, biller: Biller) -> dict[tuple[str, ...], Decimal]:
    """Every key's sum over all invoices."""
    found: dict[tuple[str, ...], Decimal] = {}
    for row in store.rows("invoices"):
        body = read_body(parse(biller.archive.get(row[0]) or b""))  # type: ignore[arg-type]
        for line in body["lines"]:  # type: ignore[index]
            names = (line[name] or "" for name in ("charge", "kind", "device", "window", "service_start"))
            key = (row[2], *names)
            found[key] = found.get(key, Decimal(0)) + Decimal(line["amount"])
    return {key: amount for key, amount in found.items() if amount}


def bill(store: Store, biller: Biller, at: int) -> bool:
    """Whether everyone could be billed; who could not was told why."""
    outcomes = bill_due(store, at * 1000, biller).outcomes
    parked = [each.reason or "" for each in outcomes if each.state == "parked"]
    assert all(any(known in reason for known in PARKED) for reason in parked), parked
    return not parked


def live(text: str, revised: str, random: Random) -> None:
    """Months of billing while reports come in; then everything is compared to one run over all of them."""
    lines = reports(random)
    known = [next(at for at, days in enumerate(MONTHS) if number * SPAN_DAYS <= days) for number in range(len(lines))]
    arrives = [min(first + random.choice([0, 0, 0, 1, 2]), len(MONTHS) - 1) for first in known]
    store, biller = new_store(catalog=text), store_biller()
    for month, days in enumerate(MONTHS):
        at = OCTOBER + days * DAY + 3 * 3_600
        batch = [line for line, when in zip(lines, arrives, strict=True) if when == month]
        receive(store, random.sample(batch, len(batch)), at=at)
        if month == REVISED_IN:
            revised_at = at
            apply(store, load_catalog(revised), now_ms=at * 1000)
        if not bill(store, biller, at):
            return
    again = bill_due(store, at * 1000, biller).outcomes
    assert again == (), again
    for row in store.rows("invoices"):
        made = as_bundle(store, invoice(store, biller.archive, row[0]), RECEIPT_KEY.public)
        assert verify(made, TRUST).findings == ()
    assert list(audit_invoices(store, biller.archive, [RECEIPT_KEY.public], (), Books())) == []
    # What an invoice has stated holds here: how late is too late, when a device started, where periods begin.
    if any(each in text for each in ("look_back", '"keep"', '"activation"')):
        return
    whole, one = new_store(catalog=text), store_biller()
    apply(whole, load_catalog(revised), now_ms=revised_at * 1000)
    receive(whole, lines, at=at)
    bill(whole, one, at)
    now, then = booked(store, biller), booked(whole, one)
    differ = {key: (now.get(key), then.get(key)) for key in now.keys() | then.keys() if now.get(key) != then.get(key)}
    assert differ == {}, differ


@given(catalogs, st.sampled_from(REVISIONS), st.integers(0, 2**32))
@settings(max_examples=examples(30), deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
def test_any_agreement_is_billed_to_the_cent_whenever_reports_come(
    parts: dict[str, str], revision: tuple[str, str], seed: int
) -> None:
    text = HEAD.format(**parts)
    try:
        load_catalog(text)
        revised = load_catalog(text.replace(*revision)).text
    except CatalogError:
        return
    live(text, revised, Random(seed))
