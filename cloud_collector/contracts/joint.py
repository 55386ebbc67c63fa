"""Which contracts of an account share a pool, and that they can: the same charge, cycle, anchor, zone and currency."""

from collections.abc import Mapping
from datetime import date

from cloud_collector.contracts.catalog import AnchorKind, Catalog, Charge, Contract, Plan, Pool
from cloud_collector.contracts.node import Node
from cloud_collector.contracts.terms import currency_of, timezone_of


def pooled_with(catalog: Catalog, nodes: Mapping[str, Node]) -> dict[str, tuple[str, ...]]:
    """By contract the account's others that share an account pool with it; raises CatalogError."""
    pooling = [contract for contract in catalog.contracts.values() if _names(contract)]
    found: dict[str, list[str]] = {}
    for index, one in enumerate(pooling):
        for other in pooling[:index]:
            shared = _names(one) & _names(other)
            if one.account == other.account and shared:
                _check(catalog, other, one, sorted(shared), nodes[one.key])
                found.setdefault(one.key, []).append(other.key)
                found.setdefault(other.key, []).append(one.key)
    return {name: tuple(sorted(others)) for name, others in found.items()}


def _check(catalog: Catalog, one: Contract, other: Contract, names: list[str], place: Node) -> None:
    if one.plan.anchor is AnchorKind.ACTIVATION:
        place.refuse(f'shares an account\'s pool with "{one.key}", and "activation" anchors each at its own date')
    for key in ("cycle", "anchor"):
        if getattr(one.plan, key) != getattr(other.plan, key):
            place.refuse(f'shares an account\'s pool with "{one.key}", which has another {key}')
    if timezone_of(catalog, one) != timezone_of(catalog, other):
        place.refuse(f'shares an account\'s pool with "{one.key}", which has another timezone')
    if currency_of(catalog, one) != currency_of(catalog, other):
        place.refuse(f'shares an account\'s pool with "{one.key}", which has another currency')
    ends = [contract.end for contract in (one, other) if contract.end is not None]
    for day in {max(start, one.start, other.start) for contract in (one, other) for start in _starts(contract)}:
        if ends and day >= min(ends):
            continue
        for name in names:
            if _charge_on(one, day, name) != _charge_on(other, day, name):
                place.refuse(f'shares the pool of "{name}" with "{one.key}", whose charge differs on {day}')


def _names(contract: Contract) -> set[str]:
    return {charge.name for _, plan in _plans(contract) for charge in plan.charges if charge.pool is Pool.ACCOUNT}


def _plans(contract: Contract) -> list[tuple[date, Plan]]:
    return [(contract.start, contract.plan), *((each.start, each.plan) for each in contract.amendments)]


def _starts(contract: Contract) -> list[date]:
    return [start for start, _ in _plans(contract)]


def _charge_on(contract: Contract, day: date, name: str) -> Charge | None:
    plan = next(plan for start, plan in reversed(_plans(contract)) if start <= day)
    return next((charge for charge in plan.charges if charge.name == name), None)
