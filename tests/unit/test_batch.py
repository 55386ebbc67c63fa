"""A batch is bounded by messages and by bytes, whatever a backlog sends (P9)."""

import asyncio

from cloud_collector.intake.batch import Inbox
from cloud_collector.limits import BATCH_BYTES_MAX
from shared.effects.clock import SystemClock
from shared.effects.link import Message
from shared.errors import LinkLost


class Sent:
    """A session that delivers what it was given and then ends."""

    def __init__(self, payloads: list[bytes]) -> None:
        self.messages = [Message("meterseal/v1/gw-1/report", payload) for payload in payloads]

    async def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> None:
        raise NotImplementedError

    async def subscribe(self, topic_filter: str, *, qos: int = 1) -> None:
        raise NotImplementedError

    async def receive(self) -> Message:
        if not self.messages:
            raise LinkLost("the broker ended the session")
        return self.messages.pop(0)

    def acknowledge(self, message: Message) -> None:
        raise NotImplementedError


async def batches(payloads: list[bytes], most: int) -> list[list[int]]:
    inbox = Inbox(Sent(payloads))
    await asyncio.wait_for(inbox.fill(), 5)
    found: list[list[int]] = []
    while taken := await inbox.batch(SystemClock(), most=most, milliseconds=0):
        found.append([len(message.payload) for message in taken])
    return found


async def test_a_batch_ends_before_the_message_that_would_exceed_its_bytes() -> None:
    half = BATCH_BYTES_MAX // 2
    assert await batches([bytes(half), bytes(half), b"a", b"b"], 256) == [[half, half], [1, 1]]
    assert await batches([bytes(half), bytes(half + 1), b"a"], 256) == [[half], [half + 1, 1]]


async def test_a_message_that_is_larger_than_a_batch_is_taken_alone() -> None:
    """P8: nothing blocks."""
    assert await batches([b"a", bytes(BATCH_BYTES_MAX + 1), b"b"], 256) == [[1], [BATCH_BYTES_MAX + 1], [1]]


async def test_a_batch_has_no_more_messages_than_asked_for() -> None:
    assert await batches([b"a"] * 5, 2) == [[1, 1], [1, 1], [1]]
