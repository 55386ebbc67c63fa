"""What an operator asks of a gateway: kept as an action, sent until it is answered, its answer kept beside it (P10).

The store is the outbox: whoever gives an order needs no broker and no key. The running collector seals
what is due for the gateway's current epoch and sends it again with growing pauses, one order of a gateway
at a time, for a bounded number of times. Source: docs/reference/wire.md, section 5.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cloud_collector.limits import (
    COMMAND_BACKOFF_SECONDS_MAX,
    COMMAND_BACKOFF_SECONDS_MIN,
    COMMAND_SENDINGS_MAX,
    COMMANDS_AT_ONCE_MAX,
    COMMANDS_OPEN_MAX,
)
from cloud_collector.store.store import Store
from shared.command import Answer, Command, Order, TrustKey, details_of, name_of, order_of, seal_command
from shared.errors import InvalidRecord
from shared.key import SigningKey

Signer = Callable[[str], SigningKey]
"""The operator's key that a gateway trusts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A sealed command on its way."""

    gateway: str
    sealed: bytes


def give_order(store: Store, gateway: str, order: Order, now_ms: int) -> int:
    """The order is kept and will be sent; returns its counter. Raises InvalidRecord."""
    with store.atomic():
        _refuse_unknown(store, gateway)
        details = json.dumps(details_of(order), separators=(",", ":"))
        row = (gateway, gateway, name_of(order), details, now_ms, None, now_ms)
        return int(store.rows("command_give", *row)[0][0])


def give_sealed(store: Store, gateway: str, order: Callable[[str, int], Order], key: SigningKey, now_ms: int) -> int:
    """An order that only its giver can seal, such as one under the recovery key; raises InvalidRecord.

    `order` is told the epoch and the counter, which the proof in a `trust_key` covers.
    """
    with store.atomic():
        _refuse_unknown(store, gateway)
        epoch = current_epoch(store, gateway)
        if epoch is None:
            raise InvalidRecord(f"{gateway} has not spoken yet: there is no epoch to seal a command for")
        counter = int(store.rows("command_next", gateway)[0][0])
        made = order(epoch, counter)
        sealed = seal_command(_command(gateway, key, epoch, counter, now_ms, made), key)
        details = json.dumps(details_of(made), separators=(",", ":"))
        store.rows("command_give", gateway, gateway, name_of(made), details, now_ms, sealed, now_ms)
        return counter


def take_due(store: Store, signer: Signer, now_ms: int) -> list[Due]:
    """What is to be sent now, counted as sent; call within a transaction."""
    found = []
    rows = store.rows("commands_due", now_ms, COMMAND_SENDINGS_MAX, COMMAND_SENDINGS_MAX, COMMANDS_AT_ONCE_MAX)
    for gateway, counter, do, details, given_at, kept, sendings in rows:
        due_at = now_ms + _backoff_ms(sendings)
        epoch = current_epoch(store, gateway)
        if epoch is None:
            store.run("command_wait", due_at, gateway, counter)
            continue
        if kept is None:
            key = signer(gateway)
            kept = seal_command(_command(gateway, key, epoch, counter, given_at, _order(do, details)), key)  # noqa: PLW2901
        store.run("command_sent", due_at, gateway, counter)
        # What its giver sealed goes out unchanged even after its epoch: the gateway may have done it, its answer lost.
        found.append(Due(gateway=gateway, sealed=bytes(kept)))
    return found


def take_answer(store: Store, answer: Answer, raw: bytes, now_ms: int) -> bool:
    """The answer stands beside its command; False where none waits for it. Call within a transaction."""
    row = (now_ms, int(answer.ok), answer.why, raw, answer.gateway, answer.counter)
    found = store.rows("command_answered", *row)
    if not found:
        return False
    do, details = found[0]
    if do == "trust_key" and answer.ok:
        store.run("receipt_trust_put", answer.gateway, key_id_in(details), now_ms)
    return True


def told(store: Store, gateway: str, most: int) -> list[dict[str, Any]]:
    """The newest commands of a gateway and what became of them."""
    return [
        {
            "counter": counter,
            "do": do,
            "with": json.loads(details),
            "given_at": given_at,
            "sendings": sendings,
            "answered_at": answered_at,
            "state": _state(sendings, answered_at, ok),
            "why": why or "",
        }
        for counter, do, details, given_at, sendings, answered_at, ok, why in store.rows("commands_of", gateway, most)
    ]


def current_epoch(store: Store, gateway: str) -> str | None:
    """The epoch that the gateway is in, as far as its lines tell."""
    row = store.row("epoch_current", gateway)
    return None if row is None else str(row[0])


def key_id_in(details: str) -> str:
    """The id of the key that a kept `trust_key` names."""
    order = _order("trust_key", details)
    assert isinstance(order, TrustKey), "asked for by name"
    return order.public.id


def _order(do: str, details: str) -> Order:
    return order_of(do, json.loads(details))


def _refuse_unknown(store: Store, gateway: str) -> None:
    if store.row("gateway_one", gateway) is None:
        raise InvalidRecord(f"there is no gateway {gateway}")
    if store.rows("commands_open", gateway, COMMAND_SENDINGS_MAX)[0][0] >= COMMANDS_OPEN_MAX:
        raise InvalidRecord(f"{gateway} has {COMMANDS_OPEN_MAX} commands without an answer already")


def _command(gateway: str, key: SigningKey, epoch: str, counter: int, now_ms: int, order: Order) -> Command:
    return Command(gateway=gateway, key=key.public.id, epoch=epoch, counter=counter, at=now_ms // 1000, do=order)


def _backoff_ms(sendings: int) -> int:
    return min(COMMAND_BACKOFF_SECONDS_MAX, COMMAND_BACKOFF_SECONDS_MIN << min(sendings, 16)) * 1000


def _state(sendings: int, answered_at: int | None, ok: int | None) -> str:
    if answered_at is not None:
        return "done" if ok else "refused"
    if sendings >= COMMAND_SENDINGS_MAX:
        return "given up"
    return f"sent {sendings} times" if sendings > 1 else "sent" if sendings else "waits"
