"""What operators did to devices: facts in the store, and what of them a contract is rated with.

A word about a device is its contract's of that time. It goes on where the device moves within the account; another
account's device starts anew.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from cloud_collector.activity.activation import StateChange
from cloud_collector.activity.holding import holdings, line_of
from cloud_collector.contracts.catalog import Catalog, State
from cloud_collector.contracts.period import iso
from cloud_collector.rating.csv_facts import instant_ms_of
from cloud_collector.store.store import Store
from shared.effects.database import Row
from shared.line import Body

AT_ONCE_MS: Final = 600_000
"""How long a run or a command may be under way."""


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


def changes_for(
    store: Store, catalog: Catalog, contracts: Iterable[str], *, said_until: int | None = None
) -> tuple[StateChange, ...]:
    """What these contracts, and those that share their pools, are rated with; by time.

    `said_until`, in milliseconds: what was said later does not count.
    """
    if store.row("device_states_any") is None:
        return ()
    named = [name for name in contracts if name in catalog.contracts]
    allowed: dict[str, set[str]] = {}
    for name in dict.fromkeys([*named, *(other for one in named for other in catalog.contracts[one].pooled_with)]):
        for device in catalog.contracts[name].devices:
            allowed.setdefault(device.id, set()).update(line_of(catalog, name, device.id))
    gateways = sorted({device.rpartition("/")[0] for device in allowed})
    deeds = [_deed(gateway, row) for gateway in gateways for row in store.rows("device_states_of_gateway", gateway)]
    return ordered(
        deed.change
        for deed in deeds
        if deed.device in allowed
        and _is_of(catalog, deed, allowed)
        and (said_until is None or deed.said_at <= said_until)
    )


def misstated(store: Store, catalog: Catalog, body: Body) -> Iterator[str]:
    """Where an invoice says something else of its devices' states than operators had done when it was issued."""
    # A run takes a while from its cutoff on, and so does a command: what was said in between may be on it or not.
    surely = instant_ms_of(body["cutoff"]["received_until"]) - AT_ONCE_MS
    rated = max(instant_ms_of(each["period"]["end"]) for each in body["rated"]) // 1000
    said = {tuple(row) for row in body.get("states", ())}
    known = {_row(each) for each in changes_for(store, catalog, [body["contract"]])}
    done = changes_for(store, catalog, [body["contract"]], said_until=surely)
    for device, state, at in sorted(said - known):
        yield f"it states that {device} was {state} from {at}, and nobody has said so"
    for device, state, at in sorted({_row(each) for each in done if each.at < rated} - said):
        yield f"it does not state that {device} was {state} from {at}"


def _row(change: StateChange) -> tuple[str, str, str]:
    """As an invoice states it."""
    return change.device, change.state.value, iso(change.at)


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
