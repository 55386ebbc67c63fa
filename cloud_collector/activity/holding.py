"""Which contract has a device, and from when until when: whose an operator's word about it is."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from cloud_collector.activity.lifecycle import FOREVER
from cloud_collector.contracts.catalog import Catalog, Contract, ContractDevice
from cloud_collector.contracts.period import boundary
from cloud_collector.contracts.terms import timezone_of
from shared.latest import Latest


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """A contract that has a device in [start, end)."""

    contract: str
    account: str
    start: int
    end: int

    def holds(self, instant: int) -> bool:
        """Whether the device is the contract's at an instant."""
        return self.start <= instant < self.end


def holdings(catalog: Catalog) -> Mapping[str, tuple[Holding, ...]]:
    """Every device's contracts, by time."""
    return _KNOWN.made(catalog.hash, lambda: _found(catalog))


def line_of(catalog: Catalog, contract: str, device: str) -> list[str]:
    """The contract, the one from which the device came to it within the account, and so on."""
    found = [contract]
    while (before := catalog.contracts[found[-1]].moved_from.get(device)) is not None:
        found.append(before)
    return found


_KNOWN: Final = Latest[str, Mapping[str, tuple[Holding, ...]]](8)
"""A pure function of a catalog's bytes, so that the last few are kept."""


def _found(catalog: Catalog) -> dict[str, tuple[Holding, ...]]:
    found: dict[str, list[Holding]] = {}
    for contract in catalog.contracts.values():
        zone = timezone_of(catalog, contract)
        for device in contract.devices:
            held = _held(contract, device, zone)
            if held.start < held.end:
                found.setdefault(device.id, []).append(held)
    return {device: tuple(sorted(held, key=lambda each: each.start)) for device, held in found.items()}


def _held(contract: Contract, device: ContractDevice, zone: str) -> Holding:
    ends = [day for day in (device.until, contract.end) if day is not None]
    return Holding(
        contract=contract.key,
        account=contract.account,
        start=boundary(zone, max(device.start or contract.start, contract.start)),
        end=boundary(zone, min(ends)) if ends else FOREVER,
    )
