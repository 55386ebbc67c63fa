"""Contracts out of their TOML tables, with overrides, amendments and devices; raises CatalogError."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

from cloud_collector.contracts.agreed import Warn
from cloud_collector.contracts.catalog import (
    Account,
    Amendment,
    Contract,
    Meter,
    Model,
    Operator,
    Plan,
    TrueUp,
)
from cloud_collector.contracts.node import (
    CatalogError,
    Fields,
    Node,
    currency,
    day,
    first_day,
    nearest,
    numbers,
    positive,
    text,
    timezone,
)
from cloud_collector.contracts.read_charge import Overrides, overridden
from cloud_collector.contracts.read_devices import FileText, PlacedDevice, read_devices
from cloud_collector.contracts.read_plan import read_plan

CONTRACT_KEYS: Final = (
    "account plan start end currency timezone devices devices_from budget warn overrides amendments".split()
)
WARN_KEYS: Final = ["over", "under"]
OVERRIDE_KEYS: Final = ["charges"]
AMENDMENT_KEYS: Final = ["from", "plan", "overrides"]
_UNCHANGED: Final = ("cycle", "anchor")
"""What an amendment's plan has in common with the plan before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Books:
    """What contracts refer to."""

    operator: Operator
    meters: Mapping[str, Meter]
    plans: Mapping[str, Plan]
    plan_nodes: Mapping[str, Node]
    accounts: Mapping[str, Account]


def read_contract(
    node: Node,
    *,
    operator: Operator,
    meters: Mapping[str, Meter],
    plans: Mapping[str, Plan],
    plan_nodes: Mapping[str, Node],
    accounts: Mapping[str, Account],
    file_text: FileText,
) -> tuple[Contract, tuple[PlacedDevice, ...]]:
    """A contract whose plan has its overrides applied, and where its devices are written."""
    books = _Books(operator=operator, meters=meters, plans=plans, plan_nodes=plan_nodes, accounts=accounts)
    fields = Fields.of(node, CONTRACT_KEYS)
    account = fields.need("account", text)
    if account not in accounts:
        fields["account"].refuse(f'"{account}" is no account of the catalog{nearest(account, accounts)}')
    overrides = _overrides(fields["overrides"]) if "overrides" in fields else {}
    plan = _plan(fields.need("plan", lambda each: each), books, overrides)
    _charges_exist(overrides, plan)
    start, end = fields.need("start", first_day), fields.get("end", day)
    if end is not None and end <= start:
        fields["end"].refuse(f"is {end}, not after the start {start}")
    placed = read_devices(fields, file_text)
    contract = Contract(
        key=str(node.path[-1]),
        account=account,
        plan=plan,
        start=start,
        end=end,
        currency=fields.get("currency", currency),
        timezone=fields.get("timezone", timezone),
        devices=tuple(each.device for each in placed),
        amendments=fields.default(
            "amendments", lambda each: _amendments(each, books, plan, overrides, (start, end)), ()
        ),
        budget=fields.get("budget", positive),
        warn=fields.get("warn", _warn),
    )
    _check_money(contract, fields["plan"], books)
    _check_terms(contract, fields["plan"])
    return contract, placed


def _warn(node: Node) -> Warn:
    fields = Fields.of(node, WARN_KEYS)
    return Warn(over=fields.default("over", numbers, ()), under=fields.default("under", numbers, ()))


def _plan(node: Node, books: _Books, overrides: Overrides) -> Plan:
    name = text(node)
    if name not in books.plans:
        node.refuse(f'"{name}" is no plan of the catalog{nearest(name, books.plans)}')
    return read_plan(books.plan_nodes[name], books.meters, overrides) if overrides else books.plans[name]


def _overrides(node: Node) -> dict[str, dict[str, Node]]:
    fields = Fields.of(node, OVERRIDE_KEYS)
    charges = fields.need("charges", lambda each: each.table())
    overrides = {name: charge.table() for name, charge in charges.items()}
    for keys in overrides.values():
        for key in ("name", "type"):
            if key in keys:
                keys[key].refuse("cannot be overridden")
    return overrides


def _charges_exist(overrides: Overrides, plan: Plan) -> None:
    names = [charge.name for charge in plan.charges]
    for name, keys in overrides.items():
        for node in keys.values():
            if name not in names:
                raise CatalogError(f'{node.place}: the plan "{plan.name}" has no charge "{name}"{nearest(name, names)}')


def _amendments(
    node: Node, books: _Books, plan: Plan, overrides: Overrides, bounds: tuple[date, date | None]
) -> tuple[Amendment, ...]:
    amendments: list[Amendment] = []
    before, end = bounds
    current = plan
    for element in node.elements():
        fields = Fields.of(element, AMENDMENT_KEYS)
        start = fields.need("from", first_day)
        if start <= before or (end is not None and start >= end):
            fields["from"].refuse(f"is {start}: amendments stand in order of date, after the start, before the end")
        own = _overrides(fields["overrides"]) if "overrides" in fields else {}
        merged = {name: overridden(overrides.get(name, {}), own.get(name, {})) for name in sorted({*overrides, *own})}
        named = fields.get("plan", lambda each: each)
        source = books.plans[current.name] if named is None else _plan(named, books, {})
        _charges_exist(own, source)
        amended = read_plan(books.plan_nodes[source.name], books.meters, merged)
        for key in _UNCHANGED:
            if getattr(amended, key) != getattr(plan, key):
                (named or element).refuse(
                    f'the plan "{amended.name}" has {key} {getattr(amended, key)}, and an amendment keeps '
                    f"{getattr(plan, key)}"
                )
        amendments.append(Amendment(start=start, plan=amended))
        before, current = start, amended
    return tuple(amendments)


def _check_terms(contract: Contract, place: Node) -> None:
    for plan in (contract.plan, *(amendment.plan for amendment in contract.amendments)):
        if plan.commitment is not None and plan.commitment.true_up is TrueUp.TERM and contract.end is None:
            place.refuse(f'the plan "{plan.name}" commits for the whole term, and the contract has no end')


def _check_money(contract: Contract, place: Node, books: _Books) -> None:
    """Every plan's prices are in the contract's currency, and percentages are of such money."""
    account = books.accounts[contract.account]
    code = contract.currency or contract.plan.currency or account.currency or books.operator.currency
    for plan in (contract.plan, *(amendment.plan for amendment in contract.amendments)):
        if plan.currency not in {None, code}:
            place.refuse(f'the plan "{plan.name}" is in {plan.currency}, and the contract is in {code}')
        for charge in plan.charges:
            unit = books.meters[charge.meter].unit if charge.meter else code
            if charge.model is Model.PERCENTAGE and unit != code:
                place.refuse(f'"{charge.name}" is a percentage of {unit}, and the contract is in {code}')
