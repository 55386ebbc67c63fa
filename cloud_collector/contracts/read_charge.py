"""Charges out of their TOML tables: which keys belong together, and what each model needs."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Final

from cloud_collector.contracts.catalog import (
    Charge,
    ChargeType,
    Meter,
    Model,
    Occasion,
    Per,
    Prorate,
    State,
    Tier,
    UsedWhen,
)
from cloud_collector.contracts.node import (
    Fields,
    Node,
    choice,
    nearest,
    number,
    percent,
    positive,
    text,
)

Meters = Mapping[str, Meter]
Overrides = Mapping[str, Mapping[str, Node]]
"""By the charge's name, the keys that replace the plan's."""

TIER_KEYS: Final = "up_to price flat".split()
STATE_PRICE_KEYS: Final = "provisioned suspended".split()
_EVERY_CHARGE: Final = "name type per discount_percent".split()
_MODEL_KEYS: Final = {
    Model.PER_UNIT: ["price"],
    Model.GRADUATED: ["tiers"],
    Model.VOLUME: ["tiers"],
    Model.PACKAGE: ["size", "price"],
    Model.PERCENTAGE: ["rate", "fixed"],
}
_TYPE_KEYS: Final = {
    ChargeType.SUBSCRIPTION: "price bill used_when due prorate state_prices".split(),
    ChargeType.USAGE: "meter model price tiers included pool increment minimum maximum size rate fixed".split(),
    ChargeType.ONE_TIME: "on price".split(),
}
CHARGE_KEYS: Final = (
    sorted({*_EVERY_CHARGE, *(key for keys in _TYPE_KEYS.values() for key in keys)}),
    ["windows"],
)
PRICE_KEYS: Final = "price tiers windows".split()
"""A charge has one of these; an override of one replaces the others."""
COMMITMENT: Final = "Commitment"
"""The charge that a true-up stands under; a tax may name it."""


def read_charges(node: Node, meters: Meters, overrides: Overrides) -> tuple[Charge, ...]:
    """The plan's charges, with overrides; no two of one name."""
    charges: list[Charge] = []
    for element in node.elements():
        nodes = element.table()
        name = nodes["name"].value if "name" in nodes else None
        charge = _charge(element, _overridden(nodes, overrides.get(str(name), {})), meters)
        if charge.name in [other.name for other in charges]:
            nodes["name"].refuse(f'"{charge.name}" is the name of two charges')
        if charge.name == COMMITMENT:
            nodes["name"].refuse(f'"{COMMITMENT}" is the name of the true-up')
        charges.append(charge)
    return tuple(charges)


def _overridden(nodes: Mapping[str, Node], override: Mapping[str, Node]) -> dict[str, Node]:
    replaced = PRICE_KEYS if any(key in override for key in PRICE_KEYS) else []
    return {key: node for key, node in nodes.items() if key not in replaced} | dict(override)


def _charge(node: Node, nodes: Mapping[str, Node], meters: Meters) -> Charge:
    fields = Fields.of_nodes(node, nodes, *CHARGE_KEYS)
    name, kind = fields.need("name", text), fields.need("type", choice(ChargeType))
    for key in nodes:
        if key not in _EVERY_CHARGE and key not in _TYPE_KEYS[kind]:
            fields[key].refuse(f"does not belong to a charge of type {kind.value}")
    match kind:
        case ChargeType.SUBSCRIPTION:
            return _subscription(fields, name, meters)
        case ChargeType.USAGE:
            return _usage(fields, name, meters)
        case ChargeType.ONE_TIME:
            return _one_time(fields, name)


def _subscription(fields: Fields, name: str, meters: Meters) -> Charge:
    per = fields.default("per", choice(Per), Per.DEVICE)
    when_used = fields.default("bill", named("always", "when_used"), "always") == "when_used"
    if "used_when" in fields and not when_used:
        fields["used_when"].refuse('needs bill = "when_used"')
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
        in_advance=fields.default("due", named("advance", "arrears", unsupported="advance"), "arrears") == "advance",
        prorate=fields.default("prorate", choice(Prorate), Prorate.DAY),
        state_prices=fields.default("state_prices", _state_prices, {}),
    )


def _usage(fields: Fields, name: str, meters: Meters) -> Charge:
    model = fields.need("model", _model)
    for key in ("price", "tiers", "size", "rate", "fixed"):
        if key in fields and key not in _MODEL_KEYS[model]:
            fields[key].refuse(f"does not belong to the model {model.value}")
    per = fields.default("per", choice(Per), Per.CONTRACT)
    if "pool" in fields:
        _pool(fields["pool"], per)
    needs_tiers, needs_price = "tiers" in _MODEL_KEYS[model], "price" in _MODEL_KEYS[model]
    return Charge(
        name=name,
        type=ChargeType.USAGE,
        per=per,
        price=fields.need("price", number) if needs_price else None,
        discount_percent=fields.default("discount_percent", percent, Decimal(0)),
        state_prices={},
        meter=fields.need("meter", lambda node: meter_name(node, meters)),
        model=model,
        tiers=fields.need("tiers", _tiers) if needs_tiers else (),
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
    fields = Fields.of(node, ["meter", "at_least"])
    meter = fields.get("meter", lambda each: meter_name(each, meters))
    if "at_least" in fields:
        fields.need("meter", text)
    return UsedWhen(meter=meter, at_least=fields.get("at_least", positive))


def _state_prices(node: Node) -> dict[State, Decimal]:
    fields = Fields.of(node, STATE_PRICE_KEYS)
    return {State(key): number(fields[key]) for key in STATE_PRICE_KEYS if key in fields}


def _tiers(node: Node) -> tuple[Tier, ...]:
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
        tiers.append(
            Tier(
                up_to=up_to,
                price=fields.default("price", number, Decimal(0)),
                flat=fields.default("flat", number, Decimal(0)),
            )
        )
    return tuple(tiers)


def _model(node: Node) -> Model:
    model = choice(Model)(node)
    if model not in _MODEL_KEYS:
        unsupported_value(node)
    return model


def _pool(node: Node, per: Per) -> None:
    pool = named("device", "contract", "account")(node)
    if (per, pool) == (Per.CONTRACT, "device"):
        node.refuse('pool "device" is narrower than per "contract"')
    if pool != per.value:
        unsupported_value(node)


def meter_name(node: Node, meters: Meters) -> str:
    """The name of a meter that the catalog has."""
    name = text(node)
    if name not in meters:
        node.refuse(f'"{name}" is no meter of the catalog{nearest(name, meters)}')
    return name


def named(*names: str, unsupported: str | None = None) -> Callable[[Node], str]:
    """A reader of one of these names; `unsupported` is one that is known and refused."""

    def read(node: Node) -> str:
        value = text(node)
        if value not in names:
            node.refuse(f'is "{value}", not one of {", ".join(names)}{nearest(value, names)}')
        if value == unsupported:
            unsupported_value(node)
        return value

    return read


def unsupported_value(node: Node) -> None:
    """Refuse a value that the catalog knows and this release does not."""
    node.refuse(f'{node.path[-1]} = "{node.value}" is not supported yet')
