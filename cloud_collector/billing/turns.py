"""Which run closes a contract, where several share a store: what one works on, the others leave to it.

A contract is locked to the end of the transaction, and with it the turns of its gateways: what it is billed
from does not change while it is composed. On SQLite a transaction is alone anyway.
"""

import json
from collections.abc import Iterable, Sequence
from enum import Enum, auto

from cloud_collector.contracts.revision import Revision
from cloud_collector.contracts.terms import terms_of
from cloud_collector.store.store import Store
from shared.errors import DatabaseBusy, MetersealError


class Turn(Enum):
    """Whether a contract may be closed in this transaction."""

    MINE = auto()
    """It and its gateways are locked."""
    TAKEN = auto()
    """Another run is at it."""
    BUSY = auto()
    """Reports of one of its gateways are being taken in."""


def take_contract(store: Store, known: Sequence[Revision], contract: str, *, patient: bool) -> Turn:
    """Lock a contract and its gateways, or say why not; call it within the transaction, before anything is read.

    Who has locked other contracts already must not be patient: waiting for a gateway while others wait for one's own
    ends in a deadlock.
    """
    if store.engine == "sqlite":
        return Turn.MINE
    if store.row("contract_take", contract) is None:
        return Turn.TAKEN
    wanted = json.dumps(sorted(_gateways(known, contract)))
    store.run("turns_begin", wanted)
    locked = store.rows("turns_wait" if patient else "turns_share", wanted)
    return Turn.MINE if len(locked) == len(json.loads(wanted)) else Turn.BUSY


def take_alone(store: Store, known: Sequence[Revision], contract: str) -> None:
    """Lock the one contract that a transaction is about; raises DatabaseBusy where a run is at it."""
    if take_contract(store, known, contract, patient=True) is not Turn.MINE:
        raise DatabaseBusy(f"a billing run is at {contract} just now: try again")


def begin_turns(store: Store, contracts: Iterable[str]) -> None:
    """Every contract has a row that can be locked; call it outside of a transaction, before any is taken."""
    if store.engine != "sqlite":
        store.run("contracts_begin", json.dumps(sorted(contracts)))


def _gateways(known: Sequence[Revision], contract: str) -> set[str]:
    try:
        terms = terms_of(known[-1].catalog, contract)
    except MetersealError:
        # Said where it is billed.
        return set()
    return {device.id.rpartition("/")[0] for each in (terms, *terms.siblings) for device in each.devices}
