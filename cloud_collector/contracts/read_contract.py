"""Contracts out of their TOML tables, with overrides, amendments and devices; raises CatalogError."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final, NoReturn

from cloud_collector.contracts.catalog import (
    Account,
    Amendment,
    Contract,
    ContractDevice,
    Meter,
    Model,
    Occasion,
    Operator,
    Plan,
    StartRule,
)
from cloud_collector.contracts.node import CatalogError, Fields, Node, currency, day, nearest, text, timezone
from cloud_collector.contracts.read_charge import Overrides
from cloud_collector.contracts.read_plan import read_plan

CONTRACT_KEYS: Final = (
    "account plan start end currency timezone devices overrides amendments".split(),
    "devices_from budget warn".split(),
)
DEVICE_KEYS: Final = ["id", "from", "until"]
AMENDMENT_KEYS: Final = ["from", "plan", "overrides"]
_DEVICE: Final = re.compile(r"[^\s,;\"']{1,65}")
_UNCHANGED: Final = ("cycle", "anchor", "rounding", "currency", "timezone")
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
) -> Contract:
    """A contract whose plan has its overrides applied."""
    books = _Books(operator=operator, meters=meters, plans=plans, plan_nodes=plan_nodes, accounts=accounts)
    fields = Fields.of(node, *CONTRACT_KEYS)
    account = fields.need("account", text)
    if account not in accounts:
        fields["account"].refuse(f'"{account}" is no account of the catalog{nearest(account, accounts)}')
    overrides = _overrides(fields["overrides"]) if "overrides" in fields else {}
    plan = _plan(fields.need("plan", lambda each: each), books, overrides)
    _charges_exist(overrides, plan)
    start, end = fields.need("start", day), fields.get("end", day)
    if end is not None and end <= start:
        fields["end"].refuse(f"is {end}, not after the start {start}")
    contract = Contract(
        key=str(node.path[-1]),
        account=account,
        plan=plan,
        start=start,
        end=end,
        currency=fields.get("currency", currency),
        timezone=fields.get("timezone", timezone),
        devices=fields.default("devices", _devices, ()),
        amendments=fields.default(
            "amendments", lambda each: _amendments(each, books, plan, overrides, (start, end)), ()
        ),
    )
    _check_percentages(contract, fields["plan"], books)
    return contract


def check_devices(contracts: Mapping[str, Contract], nodes: Mapping[str, Node]) -> None:
    """Refuse a device that two entries, of one contract or of two, hold at once, and moves that are not rated yet."""
    held: dict[str, list[_Held]] = {}
    for contract in contracts.values():
        for index, device in enumerate(contract.devices):
            this = _Held(
                contract=contract,
                index=index,
                start=device.start or contract.start,
                until=min(device.until or date.max, contract.end or date.max),
            )
            for other in held.setdefault(device.id, []):
                if other.contract is contract:
                    this.refuse(nodes, "stands twice")
                if this.start < other.until and other.start < this.until:
                    this.refuse(nodes, f'belongs to the contract "{other.contract.key}" at the same time')
                for before, after in ((this, other), (other, this)):
                    if before.until == after.start and before.contract.account == after.contract.account:
                        _check_move(after, nodes)
            held[device.id].append(this)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    """A device in a contract, between two local dates."""

    contract: Contract
    index: int
    start: date
    until: date

    def refuse(self, nodes: Mapping[str, Node], why: str) -> NoReturn:
        place = nodes[self.contract.key].table()["devices"].elements()[self.index]
        place.refuse(f'"{self.contract.devices[self.index].id}" {why}')


def _check_move(moved: _Held, nodes: Mapping[str, Node]) -> None:
    """A device moved within an account stays active: where that is not so by the plan's own rule, it is refused."""
    rule = moved.contract.plan.activation
    starts_anyway = rule.rule is StartRule.IMMEDIATE or (rule.on is not None and rule.on <= moved.start)
    if not starts_anyway or any(charge.on is Occasion.ACTIVATED for charge in moved.contract.plan.charges):
        moved.refuse(nodes, "moves here within its account: with first_use or a fee on activation not supported yet")


def _plan(node: Node, books: _Books, overrides: Overrides) -> Plan:
    name = text(node)
    if name not in books.plans:
        node.refuse(f'"{name}" is no plan of the catalog{nearest(name, books.plans)}')
    return read_plan(books.plan_nodes[name], books.meters, overrides) if overrides else books.plans[name]


def _overrides(node: Node) -> dict[str, dict[str, Node]]:
    fields = Fields.of(node, ["charges"])
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


def _devices(node: Node) -> tuple[ContractDevice, ...]:
    return tuple(_device(element) for element in node.elements())


def _device(node: Node) -> ContractDevice:
    if isinstance(node.value, str):
        return ContractDevice(id=_device_id(node))
    fields = Fields.of(node, DEVICE_KEYS)
    start, until = fields.get("from", day), fields.get("until", day)
    if start is not None and until is not None and until <= start:
        fields["until"].refuse(f"is {until}, not after {start}")
    return ContractDevice(id=fields.need("id", _device_id), start=start, until=until)


def _device_id(node: Node) -> str:
    name = text(node)
    if _DEVICE.fullmatch(name) is None:
        node.refuse(f'"{name}" is no device: write gateway/device')
    return name


def _amendments(
    node: Node, books: _Books, plan: Plan, overrides: Overrides, bounds: tuple[date, date | None]
) -> tuple[Amendment, ...]:
    amendments: list[Amendment] = []
    before, end = bounds
    current = plan
    for element in node.elements():
        fields = Fields.of(element, AMENDMENT_KEYS)
        start = fields.need("from", day)
        if start <= before or (end is not None and start >= end):
            fields["from"].refuse(f"is {start}: amendments stand in order of date, after the start, before the end")
        own = _overrides(fields["overrides"]) if "overrides" in fields else {}
        merged = {name: {**overrides.get(name, {}), **own.get(name, {})} for name in {*overrides, *own}}
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


def _check_percentages(contract: Contract, place: Node, books: _Books) -> None:
    account = books.accounts[contract.account]
    code = contract.currency or contract.plan.currency or account.currency or books.operator.currency
    for plan in (contract.plan, *(amendment.plan for amendment in contract.amendments)):
        for charge in plan.charges:
            unit = books.meters[charge.meter].unit if charge.meter else code
            if charge.model is Model.PERCENTAGE and unit != code:
                place.refuse(f'"{charge.name}" is a percentage of {unit}, and the contract is in {code}')
