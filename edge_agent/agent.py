"""The agent: wiring, tasks and shutdown; no rule lives here."""

import random
from collections.abc import Sequence

from edge_agent.disk import Disk
from edge_agent.reading import Source
from edge_agent.settings import AgentSettings
from shared.effects.clock import Clock
from shared.effects.link import Link
from shared.key import PublicKey, SigningKey


class Agent:
    """One gateway's agent, everything it touches handed in."""

    def __init__(
        self,
        settings: AgentSettings,
        *,
        key: SigningKey,
        receipt_keys: Sequence[PublicKey],
        sources: Sequence[Source],
        clock: Clock,
        link: Link,
        disk: Disk,
        random: random.Random,
    ) -> None:
        self._settings = settings

    async def run(self) -> None:
        """Meter, seal and send until `stop`; raises DatabaseError, SpoolFull when the disk fails or is full."""

    async def stop(self) -> None:
        """Ask `run` to commit, say farewell and return; returns when it has."""
