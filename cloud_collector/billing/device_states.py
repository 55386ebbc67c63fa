"""What operators did to devices: facts in the store, and what of them a contract is rated with.

A word about a device is its contract's of that time. It goes on where the device moves within the account; another
account's device starts anew.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from cloud_collector.activity.activation import StateChange
from cloud_collector.activity.holding import holdings, line_of
from cloud_collector.contracts.catalog import Catalog, State
from cloud_collector.store.store import Store
from shared.effects.database import Row


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """A state that an operator gave a device: from when on, said when, by whom and why."""

    device: str
    state: State
    at: int
    said_at: int
    """Milliseconds, by the collector's clock."""
    by_whom: str
    reason: str

    @property
    def change(self) -> StateChange:
        """What rating knows of it."""
        return StateChange(device=self.device, state=self.state, at=self.at)


def keep(store: Store, deed: Deed) -> None:
    """The deed is a fact. The caller has judged it, in the same transaction."""
    gateway, _, device = deed.device.rpartition("/")
    store.run("device_state_add", gateway, device, deed.state.value, deed.at, deed.said_at, deed.by_whom, deed.reason)


def deeds_of(store: Store, device: str) -> list[Deed]:
    """Everything that was done to a device, by the time from which it holds."""
    gateway, _, name = device.rpartition("/")
    return [_deed(gateway, row) for row in store.rows("device_states_of", gateway, name)]


def changes_for(store: Store, catalog: Catalog, contracts: Iterable[str]) -> tuple[StateChange, ...]:
    """What these contracts, and those that share their pools, are rated with; by time."""
    if store.row("device_states_any") is None:
        return ()
    named = [name for name in contracts if name in catalog.contracts]
    allowed: dict[str, set[str]] = {}
    for name in dict.fromkeys([*named, *(other for one in named for other in catalog.contracts[one].pooled_with)]):
        for device in catalog.contracts[name].devices:
            allowed.setdefault(device.id, set()).update(line_of(catalog, name, device.id))
    gateways = sorted({device.rpartition("/")[0] for device in allowed})
    deeds = [_deed(gateway, row) for gateway in gateways for row in store.rows("device_states_of_gateway", gateway)]
    return ordered(deed.change for deed in deeds if deed.device in allowed and _is_of(catalog, deed, allowed))


def ordered(changes: Iterable[StateChange]) -> tuple[StateChange, ...]:
    """The same changes in the one order in which an invoice states them."""
    return tuple(sorted(changes, key=lambda change: (change.at, change.device, change.state)))


def _is_of(catalog: Catalog, deed: Deed, allowed: dict[str, set[str]]) -> bool:
    """Where nobody had the device then, the word holds for whoever has it."""
    held = [each.contract for each in holdings(catalog)[deed.device] if each.holds(deed.at)]
    return not held or held[0] in allowed[deed.device]


def _deed(gateway: str, row: Row) -> Deed:
    device, state, at, said_at, by_whom, reason = row
    return Deed(
        device=f"{gateway}/{device}", state=State(state), at=at, said_at=said_at, by_whom=by_whom, reason=reason
    )
