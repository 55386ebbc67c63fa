"""The collector's orchestrator: wiring, tasks, shutdown; no rule lives here."""

import random as random_module
from collections import Counter
from collections.abc import Callable, Sequence

from cloud_collector.settings import CollectorSettings
from cloud_collector.store.store import Store
from shared.effects.clock import Clock
from shared.effects.link import Link
from shared.effects.workers import Workers
from shared.key import SigningKey

Chore = Callable[[Store, int], None]
"""What a tick does besides intake's own: `(store, now in milliseconds)`, on the workers, one at a time."""


class Collector:
    """Takes what arrives into the store and answers with receipts, until stopped.

    `verdicts` counts by verdict's name. A failing database ends `run` with its DatabaseError:
    DatabaseFull means exit 75.
    """

    def __init__(
        self,
        settings: CollectorSettings,
        *,
        key: SigningKey,
        store: Store,
        clock: Clock,
        link: Link,
        workers: Workers,
        random: random_module.Random,
        chores: Sequence[Chore] = (),
    ) -> None:
        self.verdicts: Counter[str] = Counter()

    async def run(self) -> None:
        """Take until `stop`; reconnect with backoff and full jitter; raises DatabaseError."""
        raise NotImplementedError

    def stop(self) -> None:
        """Let `run` finish its batch and return."""

    async def tick(self, now_ms: int) -> None:
        """Do what is due at this instant: receipts of logs with holes, then the chores in their order."""
