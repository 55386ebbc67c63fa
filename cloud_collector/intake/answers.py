"""Answers of gateways: opened like reports, by the keys of the topic's gateway, and set beside their commands (P10)."""

from collections.abc import Sequence
from dataclasses import dataclass

from cloud_collector.fleet.gateways import Keyring
from cloud_collector.fleet.orders import take_answer
from cloud_collector.fleet.validity import validity
from cloud_collector.intake.verdict import Unmatched, unmatched
from cloud_collector.store.store import Store
from shared.command import Answer, read_answer
from shared.errors import Refused
from shared.line import parse
from shared.topic import Leaf, gateway_of


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer that its topic's gateway signed."""

    answer: Answer
    raw: bytes


def is_answer(topic: str) -> bool:
    """Whether the topic is one on which gateways answer."""
    return topic.endswith(f"/{Leaf.RESPONSE}")


def open_answer(topic: str, payload: bytes, keys: Keyring, *, prefix: str) -> Answered | Unmatched:
    """The answer in a message, verified by a key of the topic's gateway; touches no store."""
    gateway = gateway_of(topic, prefix)
    if gateway is None:
        return unmatched(topic, "", "the topic names no gateway's response", payload)
    enrolled = keys.get(gateway)
    if enrolled is None:
        return unmatched(topic, gateway, "the gateway is unknown", payload)
    line = parse(payload)
    if isinstance(line, Refused):
        return unmatched(topic, gateway, line.reason, payload)
    signer = next((key for key in enrolled if line.verified_by(key.public)), None)
    if signer is None:
        return unmatched(topic, gateway, "no key of the gateway has signed the answer", payload)
    answer = read_answer(line)
    if isinstance(answer, Refused):
        return unmatched(topic, gateway, answer.reason, payload)
    if answer.gateway != gateway or answer.key != signer.public.id:
        return unmatched(topic, gateway, "the answer names another gateway or key than the one that signed", payload)
    return Answered(answer, payload)


def take_answers(store: Store, answers: Sequence[Answered], now_ms: int) -> None:
    """Each stands beside the command that it answers, unless its key was revoked; call within a transaction."""
    for each in answers:
        if not validity(store, each.answer.gateway).revoked(each.answer.key):
            take_answer(store, each.answer, each.raw, now_ms)
