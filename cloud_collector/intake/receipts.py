"""Receipts: what the collector holds durably of a chain, computed and timed in the transaction, sealed after it (P6).

Source: docs/reference/wire.md, section 4.
"""

from collections.abc import Callable

from cloud_collector.fleet.holes import missing
from cloud_collector.fleet.positions import Chain
from cloud_collector.limits import CACHED_CHANNELS_MAX
from cloud_collector.store.store import Store
from shared.key import SigningKey
from shared.limits import RECEIPT_ASIDE_MAX, RECEIPT_REPEAT_SECONDS
from shared.receipt import Receipt, seal_receipt

FindKey = Callable[[str], SigningKey | None]
"""A key of the operator by its id, where it is at hand."""


def take_receipt(store: Store, chain: Chain, key_id: str, now_ms: int) -> Receipt:
    """The chain's current receipt; its `at` is above every earlier one of the log. Call within a transaction."""
    at = store.rows("receipt_take", chain.gateway, chain.log, now_ms)[0][0]
    whole = chain.through == chain.top
    aside = store.rows("line_asides", chain.id, RECEIPT_ASIDE_MAX) if chain.asides else ()
    return Receipt(
        gateway=chain.gateway,
        log=chain.log,
        key=key_id,
        epoch=chain.epoch,
        through=chain.through,
        head=chain.head,
        missing=() if whole else missing(store, chain),
        aside=tuple(row[0] for row in aside),
        at=at,
    )


def may_repeat(store: Store, chain: Chain, now_ms: int) -> bool:
    """Whether the log's last receipt is old enough to answer with another."""
    row = store.row("receipt_at", chain.gateway, chain.log)
    return row is None or not 0 <= now_ms - row[0] < RECEIPT_REPEAT_SECONDS * 1000


def seal_all(receipts: list[Receipt], signer: Callable[[str], SigningKey]) -> list[tuple[str, bytes]]:
    """Each receipt's gateway and its sealed bytes, in order."""
    return [(receipt.gateway, seal_receipt(receipt, signer(receipt.gateway))) for receipt in receipts]


class Signers:
    """Which of the operator's receipt keys signs for a gateway: the one that it has confirmed, else the first (P10)."""

    def __init__(self, store: Store, first: SigningKey, find: FindKey) -> None:
        self._store = store
        self._first = first
        self._find = find
        self._found: dict[str, SigningKey] = {first.public.id: first}
        self._trusted: dict[str, str] = {}

    def of(self, gateway: str) -> SigningKey:
        """The key for this gateway's receipts and commands."""
        if gateway not in self._trusted:
            if len(self._trusted) >= CACHED_CHANNELS_MAX:
                self._trusted.clear()
            row = self._store.row("receipt_trust_one", gateway)
            self._trusted[gateway] = self._first.public.id if row is None else row[0]
        name = self._trusted[gateway]
        if name not in self._found:
            found = self._find(name)
            if found is None:
                return self._first
            self._found[name] = found
        return self._found[name]

    def forget_gateway(self, gateway: str) -> None:
        """The gateway may have confirmed another key since."""
        self._trusted.pop(gateway, None)

    def forget(self) -> None:
        """Gateways may have confirmed another key since."""
        self._trusted.clear()
