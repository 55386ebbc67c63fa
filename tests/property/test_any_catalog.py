"""P14, P17: whatever a catalog agrees to, lines add up, and a rerun or another split of runs changes nothing."""

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.examples import examples
from tests.quoting import catalog_text, quoted

METERS = """
[meters.power]
unit = "kW"
aggregate = "max"
[meters.demand]
unit = "kWh"
aggregate = "max"
demand = "15m"
[meters.level]
unit = "kW"
aggregate = "average"
[meters.time]
unit = "h"
aggregate = "active_time"
[meters.starts]
unit = "1"
aggregate = "count"
"""
USAGE = """
[[plans.p.charges]]
name = "{name}"
type = "usage"
meter = "{meter}"
{model}
per = "{per}"
pool = "{pool}"
{more}
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
SUBSCRIPTION = '[[plans.p.charges]]\nname = "Seat"\ntype = "subscription"\nprice = 9.99\n'
ONCE = '[[plans.p.charges]]\nname = "Fee"\ntype = "one_time"\non = "{on}"\nprice = 5\n'

usage_charges = st.builds(
    lambda meter, model, wide, more: USAGE.format(
        name="Use", meter=meter, model=model, per=wide[0], pool=wide[1], more="\n".join(more)
    ),
    st.sampled_from(["energy", "power", "demand", "level", "time", "starts"]),
    st.sampled_from(MODELS),
    st.sampled_from([("device", "device"), ("device", "contract"), ("contract", "account"), ("device", "account")]),
    st.sets(st.sampled_from(["included = 2.5", "increment = 0.7", "minimum = 3.33", "discount_percent = 12.5"])),
)
plans = st.builds(
    lambda use, seat, prorate, on, commitment, activation: (
        use
        + (SUBSCRIPTION + seat + f'prorate = "{prorate}"\n')
        + ONCE.format(on=on)
        + commitment
        + activation
        + '[[plans.p.taxes]]\nname = "VAT"\npercent = 25.5\n'
    ),
    usage_charges,
    st.sampled_from(
        ["", 'due = "advance"\n', 'bill = "when_used"\n', "state_prices = { provisioned = 1, suspended = 2 }\n"]
    ),
    st.sampled_from(["day", "second", "none"]),
    st.sampled_from(["activated", "suspended", "resumed", "ended", "contract_start"]),
    st.sampled_from(
        ["", *(f"[plans.p.commitment]\namount = 50\n{more}\n" for more in ("", 'cycle = "year"', 'true_up = "term"'))]
    ),
    st.sampled_from(
        [
            "",
            '[plans.p.activation]\nrule = "first_use"\ngrace = "60d"\n',
            '[plans.p.activation]\nrule = "first_use"\nany = [{ reports = 2, within = "9d" }]\ncombine = "contract"\n',
        ]
    ),
)
rows = st.lists(
    st.builds(
        "gw/{} {} 2026-{:02}-{:02}T{:02}:{:02}:00Z {}m {}.{:06}".format,
        st.sampled_from("abx"),
        st.sampled_from(["energy", "power", "demand", "level", "time", "starts"]),
        st.integers(9, 12),
        st.integers(1, 28),
        st.integers(0, 23),
        st.integers(0, 59),
        st.integers(1, 2_000),
        st.integers(0, 4),
        st.integers(0, 999_999),
    ),
    max_size=8,
)
changes = st.lists(
    st.builds(
        "gw/{},{},2026-{:02}-{:02}T00:00:00Z".format,
        st.sampled_from("ab"),
        st.sampled_from(["suspended", "active", "ended"]),
        st.integers(9, 12),
        st.integers(1, 28),
    ),
    max_size=3,
).map(" ".join)


@given(
    plan=plans,
    amended=st.booleans(),
    facts=rows,
    states=changes,
    period=st.sampled_from(["2026-10", "2026-12"]),
    cut=st.integers(0, 8),
)
@settings(max_examples=examples(80), deadline=None)
def test_any_catalog_adds_up(plan: str, amended: bool, facts: list[str], states: str, period: str, cut: int) -> None:  # noqa: FBT001
    other = '[contracts.d]\naccount = "acme"\nplan = "p"\nstart = 2026-01-01\nend = 2027-06-01\ndevices = ["gw/x"]\n'
    text = catalog_text(
        charges=METERS + plan + other,
        devices='["gw/a", { id = "gw/b", from = 2026-10-11, until = 2026-12-20 }]',
        contract="end = 2027-02-01",
    )
    if amended:
        text += f"[[contracts.c.amendments]]\nfrom = {period}-16\n"
    whole = quoted(text, *facts, period=period, states=states)
    assert whole.net == sum(line.amount for line in whole.lines)
    assert len({line.key for line in whole.lines}) == len(whole.lines)
    assert quoted(text, *facts, period=period, states=states, booked=(whole.to_json(),)).lines == ()
    first = quoted(text, *facts[:cut], period=period, states=states).to_json()
    rest = quoted(text, *facts, period=period, states=states, booked=(first,))
    assert Decimal(first["net"]) + rest.net == whole.net
