"""What a catalog may agree to and billing cannot do: refused before anything is applied, with the key to look at."""

from collections.abc import Iterator

from cloud_collector.contracts.catalog import Catalog, Contract
from cloud_collector.contracts.read import load_catalog
from cloud_collector.store.store import Store
from shared.errors import MetersealError


class CannotBill(MetersealError):
    """The catalog agrees to what billing cannot do."""

    def __init__(self, path: tuple[str, ...], why: str) -> None:
        super().__init__(f"{'.'.join(path)}{why}")
        self.path = path
        """The key to look at."""


def require_billable(store: Store, catalog: Catalog) -> None:
    """Raises CannotBill for the first thing in the catalog, or of its difference from what was billed."""
    for path, why in _refusals(store, catalog):
        raise CannotBill(path, why)


def _refusals(store: Store, catalog: Catalog) -> Iterator[tuple[tuple[str, ...], str]]:
    for contract in catalog.contracts.values():
        yield from _of_devices(contract)
    known: dict[int, Catalog] = {}
    for name, number in store.rows("contracts_billed"):
        if number not in known:
            known[number] = load_catalog(bytes(store.rows("catalog_content", number)[0][0]).decode())
        then = known[number].contracts[name]
        now = catalog.contracts.get(name)
        if now is None:
            yield ("contracts", name), " has been billed: give it an `end` instead of taking it out"
        elif now.account != then.account:
            why = f": it has been billed to {then.account}; end it and begin another contract"
            yield ("contracts", name, "account"), why
        elif now.plan.activation != then.plan.activation:
            why = f": {name} has been billed by another rule, and billing cannot change it yet; "
            yield ("plans", now.plan.name, "activation"), f"{why}end the contract and begin another"


def _of_devices(contract: Contract) -> Iterator[tuple[tuple[str, ...], str]]:
    for device in contract.devices:
        if not all(device.id.rpartition("/")[::2]):
            yield (
                ("contracts", contract.key, "devices"),
                f': {device.id!r} can never be measured; a device is named "gateway/device", as its gateway reports it',
            )
