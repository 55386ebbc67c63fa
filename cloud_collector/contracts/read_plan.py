"""Plans out of their TOML tables: charges, activation, taxes, each rule of the catalog checked at its place."""

from datetime import date
from typing import Final

from cloud_collector.contracts.catalog import (
    ActivationRule,
    AnchorKind,
    Cycle,
    Per,
    Plan,
    StartRule,
    Tax,
    Threshold,
)
from cloud_collector.contracts.money import Rounding
from cloud_collector.contracts.node import (
    Fields,
    Node,
    choice,
    currency,
    day,
    duration,
    first_day,
    integer,
    named,
    nearest,
    percent,
    positive,
    text,
    texts,
    timezone,
)
from cloud_collector.contracts.period import ANCHOR_DAY_MAX
from cloud_collector.contracts.read_charge import (
    COMMITMENT,
    Meters,
    Overrides,
    meter_name,
    read_charges,
)
from cloud_collector.contracts.read_commitment import read_commitment

PLAN_KEYS: Final = (
    "title currency timezone cycle anchor rounding settle activation charges taxes holidays commitment".split()
)
ACTIVATION_KEYS: Final = "rule date any all combine ignore_first grace usage_before late_evidence".split()
FIRST_USE_KEYS: Final = "any all ignore_first grace".split()
THRESHOLD_KEYS: Final = "meter at_least active_days reports within".split()
TAX_KEYS: Final = "name percent category reason from until charges".split()


def read_plan(node: Node, meters: Meters, overrides: Overrides | None = None) -> Plan:
    """A plan, with a contract's overrides where there are any; raises CatalogError."""
    fields = Fields.of(node, PLAN_KEYS)
    name = str(node.path[-1])
    cycle = fields.need("cycle", choice(Cycle))
    holidays = fields.default("holidays", _dates, frozenset[date]())
    charges = read_charges(fields["charges"], meters, overrides or {}, holidays) if "charges" in fields else ()
    names = [charge.name for charge in charges]
    return Plan(
        name=name,
        title=fields.default("title", text, name),
        cycle=cycle,
        anchor=_anchor(fields["anchor"]) if "anchor" in fields else AnchorKind.CALENDAR,
        currency=fields.get("currency", currency),
        timezone=fields.get("timezone", timezone),
        rounding=fields.default("rounding", choice(Rounding), Rounding.HALF_UP),
        settle=fields.get("settle", duration),
        activation=fields.default("activation", lambda each: _activation(each, meters), ActivationRule()),
        charges=charges,
        taxes=fields.default("taxes", lambda each: tuple(read_tax(tax, charges=names) for tax in each.elements()), ()),
        holidays=holidays,
        commitment=fields.get("commitment", lambda each: read_commitment(each, meters, charges, cycle)),
    )


def read_tax(node: Node, *, charges: list[str] | None = None, name: str | None = None) -> Tax:
    """A tax; an account's may lack the name, and names charges of whatever plans."""
    fields = Fields.of(node, TAX_KEYS)
    covered = fields.get("charges", texts)
    for charge in covered or ():
        if charges is not None and charge not in (*charges, COMMITMENT):
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


def _dates(node: Node) -> frozenset[date]:
    return frozenset(day(child) for child in node.elements())


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
        fields.need("date", first_day)
    elif "date" in fields:
        fields["date"].refuse(f'needs rule = "date", and the rule is "{rule.value}"')

    def thresholds(each: Node) -> tuple[Threshold, ...]:
        return tuple(_threshold(threshold, meters) for threshold in each.elements())

    return ActivationRule(
        rule=rule,
        on=fields.get("date", first_day),
        any=fields.default("any", thresholds, ()),
        all=fields.default("all", thresholds, ()),
        combine=fields.default("combine", choice(Per), Per.DEVICE),
        ignore_first=fields.get("ignore_first", duration),
        grace=fields.get("grace", duration),
        usage_before_billed=fields.default("usage_before", named("free", "billed"), "free") == "billed",
        late_evidence_adjusts=fields.default("late_evidence", named("adjust", "keep"), "adjust") == "adjust",
    )


def _threshold(node: Node, meters: Meters) -> Threshold:
    fields = Fields.of(node, THRESHOLD_KEYS)
    figures = [key for key in ("at_least", "active_days", "reports") if key in fields]
    if len(figures) != 1:
        node.refuse("needs exactly one of at_least, active_days and reports")
    if "at_least" in fields:
        fields.need("meter", lambda each: meter_name(each, meters))
    return Threshold(
        at_least=fields.get("at_least", positive),
        active_days=fields.get("active_days", integer),
        reports=fields.get("reports", integer),
        meter=fields.get("meter", lambda each: meter_name(each, meters)),
        within=fields.get("within", duration),
    )
