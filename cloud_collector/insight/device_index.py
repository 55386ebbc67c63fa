"""Every device of a catalog by name, made once for each catalog: a page of a hundred thousand is there at once."""

from bisect import bisect_right
from collections.abc import Iterator
from typing import Final, NamedTuple

from cloud_collector.contracts.catalog import Catalog
from shared.latest import Latest

_KEPT_MAX: Final = 4
_BEYOND: Final = chr(0x10FFFF)
"""After the name of every contract."""


class Entry(NamedTuple):
    """A device, and whose it is."""

    device: str
    contract: str
    account: str


class DeviceIndex:
    """The devices of one catalog, by name."""

    def __init__(self, catalog: Catalog) -> None:
        found = [
            Entry(device=device.id, contract=contract.key, account=contract.account)
            for contract in catalog.contracts.values()
            for device in contract.devices
        ]
        unique = {(each.device, each.contract): each for each in found}
        self.entries = [unique[key] for key in sorted(unique)]
        self._keys = [(each.device, each.contract) for each in self.entries]
        self.names = frozenset(each.device for each in self.entries)
        self.accounts_of_gateway: dict[str, set[str]] = {}
        self.counts: dict[str, int] = {}
        """Devices by contract."""
        for each in self.entries:
            self.accounts_of_gateway.setdefault(each.device.rpartition("/")[0], set()).add(each.account)
            self.counts[each.contract] = self.counts.get(each.contract, 0) + 1

    def after(
        self, device: str, past: str = "", *, search: str = "", contract: str = "", account: str = ""
    ) -> Iterator[Entry]:
        """Entries after a device under the contract `past`, in order: that contain `search`, of a contract, an account.

        Without `past` they are those after every entry of the device.
        """
        last = (device, past or _BEYOND)
        for at in range(bisect_right(self._keys, last) if device else 0, len(self.entries)):
            each = self.entries[at]
            fits = (not contract or each.contract == contract) and (not account or each.account == account)
            if fits and search in each.device:
                yield each


_KEPT: Final = Latest[str, DeviceIndex](_KEPT_MAX)


def device_index(catalog: Catalog) -> DeviceIndex:
    """The index of this catalog; of the last few it is remembered."""
    return _KEPT.made(catalog.hash, lambda: DeviceIndex(catalog))
