"""What an operator does to devices while their reports arrive: suspended, resumed, ended, sometimes said days later.

Only where a contract is billed from its start: there, what a state does is all that there is to know.
"""

import random
from typing import TYPE_CHECKING, Final

from cloud_collector.billing.device_states import Deed, keep
from cloud_collector.contracts.catalog import State
from cloud_collector.store.store import Store
from shared.effects.sqlite import SqliteDatabase
from shared.errors import DatabaseError
from tests.simulation.clocks import EPOCH_SECONDS

if TYPE_CHECKING:
    from tests.simulation.world import World

SHARE: Final = 0.6
"""Of the contracts in which a device's state changes."""
DAY: Final = 86_400.0
LATE_SECONDS_MAX: Final = 30 * 3_600
"""So long after the fact an operator may say it."""

Changes = dict[str, dict[str, list[tuple[int, str]]]]
"""By gateway and device: from when on which state, in order."""


class Deeds:
    """Draws what will be done, and keeps what was said to the collector."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.said: Changes = {}
        """Of what the store has taken."""

    def schedule(self) -> None:
        """Call it when the agreements are applied."""
        for gateway, agreement in self._world.billing.agreements.items():
            draw = random.Random(f"deeds {gateway} {self._world.seed}")
            if agreement.threshold is not None or draw.random() > SHARE:
                continue
            device, at = draw.choice(agreement.devices), draw.uniform(0.2, 1.6) * DAY
            states = draw.choice(
                ((State.SUSPENDED,), (State.SUSPENDED, State.ACTIVE), (State.ENDED,), (State.SUSPENDED, State.ENDED))
            )
            for state in states:
                late = draw.choice((0.0, 0.0, draw.uniform(0, LATE_SECONDS_MAX)))
                instant = max(EPOCH_SECONDS + int(at), agreement.provisioned + 1)
                self._world.loop.later(at + late, self._say, gateway, device, state, instant)
                at += draw.uniform(0.1, 1.2) * DAY

    def _say(self, gateway: str, device: str, state: State, at: int) -> None:
        """What an operator's command does beside the running collector."""
        said_at = int((EPOCH_SECONDS + self._world.loop.now) * 1000)
        deed = Deed(
            device=f"{gateway}/{device}", state=state, at=at, said_at=said_at, by_whom="Anna", reason="asked for it"
        )
        database = SqliteDatabase(self._world.collector.drive.path)
        try:
            store = Store(database)
            with store.atomic():
                keep(store, deed)
        except DatabaseError as error:
            self._world.note("refused", str(error)[:100])
            return
        finally:
            database.close()
        self._world.note(f"rule.{state.value}", f"{gateway}/{device} {at}")
        changes = self.said.setdefault(gateway, {}).setdefault(device, [])
        changes.append((at, state.value))
        changes.sort()
