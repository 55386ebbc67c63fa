"""Charges out of their TOML tables: which keys belong together, and what each model needs."""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Final

from cloud_collector.contracts.catalog import (
    Aggregate,
    Charge,
    ChargeType,
    Meter,
    Model,
    Occasion,
    Per,
    Pool,
    Prorate,
    State,
    Tier,
    UsedWhen,
)
from cloud_collector.contracts.node import (
    Fields,
    Node,
    choice,
    named,
    nearest,
    number,
    percent,
    positive,
    text,
)
from cloud_collector.contracts.read_window import read_windows

Meters = Mapping[str, Meter]
Overrides = Mapping[str, Mapping[str, Node]]
"""By the charge's name, the keys that replace the plan's."""

TIER_KEYS: Final = "up_to price flat".split()
STATE_PRICE_KEYS: Final = "provisioned suspended".split()
USED_WHEN_KEYS: Final = ["meter", "at_least"]
_EVERY_CHARGE: Final = "name type per discount_percent".split()
_MODEL_KEYS: Final = {
    Model.PER_UNIT: ["price", "windows"],
    Model.GRADUATED: ["tiers"],
    Model.VOLUME: ["tiers"],
    Model.PACKAGE: ["size", "price"],
    Model.PERCENTAGE: ["rate", "fixed"],
    Model.CAPACITY: ["tiers"],
}
_TYPE_KEYS: Final = {
    ChargeType.SUBSCRIPTION: "price bill used_when due prorate state_prices".split(),
    ChargeType.USAGE: "meter model price tiers windows included pool increment minimum maximum size rate fixed".split(),
    ChargeType.ONE_TIME: "on price".split(),
}
CHARGE_KEYS: Final = sorted({*_EVERY_CHARGE, *(key for keys in _TYPE_KEYS.values() for key in keys)})
PRICE_KEYS: Final = "price tiers windows".split()
"""A charge has one of these; an override of one replaces the others."""
COMMITMENT: Final = "Commitment"
"""The charge that a true-up stands under; a tax may name it."""


def read_charges(
    node: Node, meters: Meters, overrides: Overrides, holidays: frozenset[date] = frozenset()
) -> tuple[Charge, ...]:
    """The plan's charges, with overrides; no two of one name."""
    charges: list[Charge] = []
    for element in node.elements():
        nodes = element.table()
        name = nodes["name"].value if "name" in nodes else None
        charge = _charge(element, overridden(nodes, overrides.get(str(name), {})), meters, holidays)
        if charge.name in [other.name for other in charges]:
            nodes["name"].refuse(f'"{charge.name}" is the name of two charges')
        if charge.name == COMMITMENT:
            nodes["name"].refuse(f'"{COMMITMENT}" is the name of the true-up')
        charges.append(charge)
    return tuple(charges)


def overridden(nodes: Mapping[str, Node], override: Mapping[str, Node]) -> dict[str, Node]:
    """The keys with those that override them; an overriding price, tiers or windows replaces the others."""
    replaced = PRICE_KEYS if any(key in override for key in PRICE_KEYS) else []
    return {key: node for key, node in nodes.items() if key not in replaced} | dict(override)


def _charge(node: Node, nodes: Mapping[str, Node], meters: Meters, holidays: frozenset[date]) -> Charge:
    fields = Fields.of_nodes(node, nodes, CHARGE_KEYS)
    name, kind = fields.need("name", text), fields.need("type", choice(ChargeType))
    for key in nodes:
        if key not in _EVERY_CHARGE and key not in _TYPE_KEYS[kind]:
            fields[key].refuse(f"does not belong to a charge of type {kind.value}")
    match kind:
        case ChargeType.SUBSCRIPTION:
            return _subscription(fields, name, meters)
        case ChargeType.USAGE:
            return _usage(fields, name, meters, holidays)
        case ChargeType.ONE_TIME:
            return _one_time(fields, name)


def _subscription(fields: Fields, name: str, meters: Meters) -> Charge:
    per = fields.default("per", choice(Per), Per.DEVICE)
    when_used = fields.default("bill", named("always", "when_used"), "always") == "when_used"
    if "used_when" in fields and not when_used:
        fields["used_when"].refuse('needs bill = "when_used"')
    in_advance = fields.default("due", named("advance", "arrears"), "arrears") == "advance"
    if in_advance and when_used:
        fields["due"].refuse('is "advance", and whether it is used is known at the end: bill must be "always"')
    if "state_prices" in fields and per is Per.CONTRACT:
        fields["state_prices"].refuse('needs per = "device": a contract has no states')
    return Charge(
        name=name,
        type=ChargeType.SUBSCRIPTION,
        per=per,
        price=fields.need("price", number),
        discount_percent=fields.default("discount_percent", percent, Decimal(0)),
        when_used=when_used,
        used_when=fields.get("used_when", lambda node: _used_when(node, meters)),
        in_advance=in_advance,
        prorate=fields.default("prorate", choice(Prorate), Prorate.DAY),
        state_prices=fields.default("state_prices", _state_prices, {}),
    )


def _usage(fields: Fields, name: str, meters: Meters, holidays: frozenset[date]) -> Charge:
    model = fields.need("model", choice(Model))
    for key in ("price", "tiers", "windows", "size", "rate", "fixed"):
        if key in fields and key not in _MODEL_KEYS[model]:
            fields[key].refuse(f"does not belong to the model {model.value}")
    per = fields.default("per", choice(Per), Per.CONTRACT)
    if "windows" in fields and "price" in fields:
        fields["windows"].refuse("stand beside a price: a charge has a price, tiers or windows, never two")
    needs_tiers = "tiers" in _MODEL_KEYS[model]
    needs_price = "price" in _MODEL_KEYS[model] and "windows" not in fields
    meter = fields.need("meter", lambda node: meter_name(node, meters))
    if model is Model.CAPACITY and meters[meter].aggregate is not Aggregate.MAX:
        fields["model"].refuse(f'is "capacity", which goes by a maximum, and {meter} has no aggregate = "max"')
    return Charge(
        name=name,
        type=ChargeType.USAGE,
        per=per,
        price=fields.need("price", number) if needs_price else None,
        discount_percent=fields.default("discount_percent", percent, Decimal(0)),
        state_prices={},
        meter=meter,
        model=model,
        pool=fields.default("pool", lambda node: _pool(node, per), Pool(per.value)),
        tiers=fields.need("tiers", lambda node: _tiers(node, model)) if needs_tiers else (),
        windows=fields.default("windows", lambda node: read_windows(node, holidays), ()),
        included=fields.default("included", number, Decimal(0)),
        increment=fields.get("increment", positive),
        minimum=fields.get("minimum", number),
        maximum=fields.get("maximum", number),
        size=fields.need("size", positive) if model is Model.PACKAGE else None,
        rate=fields.need("rate", number) if model is Model.PERCENTAGE else None,
        fixed=fields.default("fixed", number, Decimal(0)),
    )


def _one_time(fields: Fields, name: str) -> Charge:
    on = fields.need("on", choice(Occasion))
    default = Per.CONTRACT if on is Occasion.CONTRACT_START else Per.DEVICE
    per = fields.default("per", choice(Per), default)
    if per is Per.DEVICE and on is Occasion.CONTRACT_START:
        fields["per"].refuse("a contract starts once: per must be contract")
    if per is Per.CONTRACT and on in {Occasion.SUSPENDED, Occasion.RESUMED}:
        fields["per"].refuse(f"a contract is never {on.value}: per must be device")
    return Charge(
        name=name,
        type=ChargeType.ONE_TIME,
        per=per,
        price=fields.need("price", number),
        discount_percent=fields.default("discount_percent", percent, Decimal(0)),
        state_prices={},
        on=on,
    )


def _used_when(node: Node, meters: Meters) -> UsedWhen:
    fields = Fields.of(node, USED_WHEN_KEYS)
    meter = fields.get("meter", lambda each: meter_name(each, meters))
    if "at_least" in fields:
        fields.need("meter", text)
    return UsedWhen(meter=meter, at_least=fields.get("at_least", positive))


def _state_prices(node: Node) -> dict[State, Decimal]:
    fields = Fields.of(node, STATE_PRICE_KEYS)
    return {State(key): number(fields[key]) for key in STATE_PRICE_KEYS if key in fields}


def _tiers(node: Node, model: Model) -> tuple[Tier, ...]:
    elements = node.elements()
    if not elements:
        node.refuse("needs at least one tier")
    tiers: list[Tier] = []
    for element in elements:
        fields = Fields.of(element, TIER_KEYS)
        up_to = fields.get("up_to", positive)
        if tiers:
            before = tiers[-1].up_to
            if before is None:
                element.refuse("stands after a tier without up_to, which has no end")
            if up_to is not None and up_to <= before:
                element.refuse(f"tiers are out of order: up_to {up_to} is not above {before}")
        if model is Model.CAPACITY and "price" in fields and number(fields["price"]):
            fields["price"].refuse("does not belong to the model capacity, in which a tier costs its flat")
        tiers.append(
            Tier(
                up_to=up_to,
                price=fields.default("price", number, Decimal(0)),
                flat=fields.default("flat", number, Decimal(0)),
            )
        )
    return tuple(tiers)


def _pool(node: Node, per: Per) -> Pool:
    pool = choice(Pool)(node)
    if (per, pool) == (Per.CONTRACT, Pool.DEVICE):
        node.refuse('pool "device" is narrower than per "contract"')
    return pool


def meter_name(node: Node, meters: Meters) -> str:
    """The name of a meter that the catalog has."""
    name = text(node)
    if name not in meters:
        node.refuse(f'"{name}" is no meter of the catalog{nearest(name, meters)}')
    return name
