"""Plans out of their TOML tables: charges, activation, taxes, each rule of the catalog checked at its place."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Final

from cloud_collector.contracts.catalog import (
    ActivationRule,
    AnchorKind,
    Charge,
    ChargeType,
    Cycle,
    Meter,
    Model,
    Occasion,
    Per,
    Plan,
    Prorate,
    StartRule,
    State,
    Tax,
    Threshold,
    Tier,
    UsedWhen,
)
from cloud_collector.contracts.money import Rounding
from cloud_collector.contracts.node import (
    Fields,
    Node,
    choice,
    currency,
    day,
    duration,
    integer,
    nearest,
    number,
    percent,
    positive,
    text,
    texts,
    timezone,
)
from cloud_collector.contracts.period import ANCHOR_DAY_MAX

Meters = Mapping[str, Meter]
Overrides = Mapping[str, Mapping[str, Node]]
"""By the charge's name, the keys that replace the plan's."""

PLAN_KEYS: Final = (
    "title currency timezone cycle anchor rounding settle activation charges taxes".split(),
    "holidays commitment".split(),
)
ACTIVATION_KEYS: Final = "rule date any all combine ignore_first grace usage_before late_evidence".split()
FIRST_USE_KEYS: Final = "any all ignore_first grace".split()
THRESHOLD_KEYS: Final = "meter at_least active_days reports within".split()
TAX_KEYS: Final = "name percent category reason from until charges".split()
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


def read_plan(node: Node, meters: Meters, overrides: Overrides | None = None) -> Plan:
    """A plan, with a contract's overrides where there are any; raises CatalogError."""
    fields = Fields.of(node, *PLAN_KEYS)
    name = str(node.path[-1])
    charges = _charges(fields["charges"], meters, overrides or {}) if "charges" in fields else ()
    names = [charge.name for charge in charges]
    return Plan(
        name=name,
        title=fields.default("title", text, name),
        cycle=fields.need("cycle", choice(Cycle)),
        anchor=_anchor(fields["anchor"]) if "anchor" in fields else AnchorKind.CALENDAR,
        currency=fields.get("currency", currency),
        timezone=fields.get("timezone", timezone),
        rounding=fields.default("rounding", choice(Rounding), Rounding.HALF_UP),
        settle=fields.get("settle", duration),
        activation=fields.default("activation", lambda each: _activation(each, meters), ActivationRule()),
        charges=charges,
        taxes=fields.default("taxes", lambda each: tuple(read_tax(tax, charges=names) for tax in each.elements()), ()),
    )


def read_tax(node: Node, *, charges: list[str] | None = None, name: str | None = None) -> Tax:
    """A tax; an account's may lack the name, and has no charges."""
    known = TAX_KEYS if charges is not None else "name percent category reason".split()
    fields = Fields.of(node, known)
    covered = fields.get("charges", texts)
    for charge in covered or ():
        if charge not in (*(charges or ()), COMMITMENT):
            fields["charges"].refuse(f'"{charge}" is no charge of the plan{nearest(charge, charges or ())}')
    start, until = fields.get("from", day), fields.get("until", day)
    if start is not None and until is not None and until <= start:
        fields["until"].refuse(f"is {until}, not after {start}")
    return Tax(
        name=fields.need("name", text) if name is None else fields.default("name", text, name),
        percent=fields.need("percent", percent),
        category=fields.get("category", text),
        reason=fields.get("reason", text),
        start=start,
        until=until,
        charges=covered,
    )


def _anchor(node: Node) -> AnchorKind | int:
    if type(node.value) is int:
        if not 1 <= node.value <= ANCHOR_DAY_MAX:
            node.refuse(f"is {node.value}, not a day from 1 to {ANCHOR_DAY_MAX}")
        return node.value
    return choice(AnchorKind)(node)


def _activation(node: Node, meters: Meters) -> ActivationRule:
    fields = Fields.of(node, ACTIVATION_KEYS)
    rule = fields.default("rule", choice(StartRule), StartRule.IMMEDIATE)
    for key in FIRST_USE_KEYS:
        if key in fields and rule is not StartRule.FIRST_USE:
            fields[key].refuse(f'needs rule = "first_use", and the rule is "{rule.value}"')
    if rule is StartRule.DATE:
        fields.need("date", day)
    elif "date" in fields:
        fields["date"].refuse(f'needs rule = "date", and the rule is "{rule.value}"')

    def thresholds(each: Node) -> tuple[Threshold, ...]:
        return tuple(_threshold(threshold, meters) for threshold in each.elements())

    return ActivationRule(
        rule=rule,
        on=fields.get("date", day),
        any=fields.default("any", thresholds, ()),
        all=fields.default("all", thresholds, ()),
        combine=fields.default("combine", choice(Per), Per.DEVICE),
        ignore_first=fields.get("ignore_first", duration),
        grace=fields.get("grace", duration),
        usage_before_billed=fields.default("usage_before", _named("free", "billed"), "free") == "billed",
        late_evidence_adjusts=fields.default("late_evidence", _named("adjust", "keep", unsupported="keep"), "adjust")
        == "adjust",
    )


def _threshold(node: Node, meters: Meters) -> Threshold:
    fields = Fields.of(node, THRESHOLD_KEYS)
    figures = [key for key in ("at_least", "active_days", "reports") if key in fields]
    if len(figures) != 1:
        node.refuse("needs exactly one of at_least, active_days and reports")
    if "at_least" in fields:
        fields.need("meter", lambda each: _meter(each, meters))
    return Threshold(
        at_least=fields.get("at_least", positive),
        active_days=fields.get("active_days", integer),
        reports=fields.get("reports", integer),
        meter=fields.get("meter", lambda each: _meter(each, meters)),
        within=fields.get("within", duration),
    )


def _charges(node: Node, meters: Meters, overrides: Overrides) -> tuple[Charge, ...]:
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
    when_used = fields.default("bill", _named("always", "when_used"), "always") == "when_used"
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
        in_advance=fields.default("due", _named("advance", "arrears", unsupported="advance"), "arrears") == "advance",
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
        meter=fields.need("meter", lambda node: _meter(node, meters)),
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
    meter = fields.get("meter", lambda each: _meter(each, meters))
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
        _unsupported(node)
    return model


def _pool(node: Node, per: Per) -> None:
    pool = _named("device", "contract", "account")(node)
    if (per, pool) == (Per.CONTRACT, "device"):
        node.refuse('pool "device" is narrower than per "contract"')
    if pool != per.value:
        _unsupported(node)


def _meter(node: Node, meters: Meters) -> str:
    name = text(node)
    if name not in meters:
        node.refuse(f'"{name}" is no meter of the catalog{nearest(name, meters)}')
    return name


def _named(*names: str, unsupported: str | None = None) -> Callable[[Node], str]:
    def read(node: Node) -> str:
        value = text(node)
        if value not in names:
            node.refuse(f'is "{value}", not one of {", ".join(names)}{nearest(value, names)}')
        if value == unsupported:
            _unsupported(node)
        return value

    return read


def _unsupported(node: Node) -> None:
    node.refuse(f'{node.path[-1]} = "{node.value}" is not supported yet')
