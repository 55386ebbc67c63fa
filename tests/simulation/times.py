"""What goes wrong with an agent's time: the wall clock is set, repeats a second, or is not known for three boots."""

import random
from typing import TYPE_CHECKING

from tests.simulation.party import AgentParty

if TYPE_CHECKING:
    from tests.simulation.world import World

DARK_BOOTS = 3


def harm(world: "World", kind: str, agent: AgentParty, draw: random.Random) -> None:
    """Let it happen to this agent."""
    match kind:
        case "clock.step":
            world.note(kind, agent.name)
            size = draw.choice((1, 5, 90, 1_200, 3_600)) * draw.choice((-1, 1)) * 1_000
            lying = draw.random() < 0.3
            agent.lied |= lying
            agent.machine.step(size, synchronised=lying)
            world.loop.later(draw.uniform(60, 3 * 3_600), agent.machine.synchronise)
        case "clock.leap":
            if agent.machine.is_synchronised:
                world.note(kind, agent.name)
                # The second comes twice, or is skipped, and the clock is called right before and after it.
                agent.machine.step(draw.choice((-1_000, -1_000, 1_000)), synchronised=True)
                world.loop.later(draw.uniform(60, 12 * 3_600), agent.machine.synchronise)
        case "clock.dark":
            if agent.running:
                world.note(kind, agent.name)
                _reboot(world, agent, draw, DARK_BOOTS)


def _reboot(world: "World", agent: AgentParty, draw: random.Random, left: int) -> None:
    """One boot after another that does not learn the time; after the last one it is found."""

    def boot() -> None:
        agent.boots += 1
        agent.machine.power_on(f"{agent.draw.getrandbits(32):08x}", synchronised=False)
        if left > 1:
            world.loop.later(draw.uniform(1_200, 5_400), _reboot, world, agent, draw, left - 1)
        else:
            world.loop.later(draw.uniform(600, 7_200), agent.machine.synchronise)

    agent.crash("power_cut.agent", pause=draw.uniform(5, 600), then=boot)
