"""Spools so small that an outage fills them: who has one, how it is cut off, and what of it was seen to be folded."""

import dataclasses
import random
from typing import Final

from edge_agent.settings import AgentSettings
from shared.errors import Refused
from shared.line import parse
from shared.report import Summary, read
from tests.simulation.disk import SimDatabase
from tests.simulation.party import AgentParty

KIND: Final = "spool.full"
BYTES: Final = 290_000
"""Little more than what a day of short windows takes, as much of which is kept after its receipt."""
WINDOW: Final = (300, 2)
"""Short windows fill it within hours."""
HOURS: Final = (12.0, 44.0)


def small(settings: AgentSettings, draw: random.Random) -> AgentSettings:
    """The settings of an agent whose spool an outage fills, for two agents of three."""
    if draw.random() < 1 / 3:
        return settings
    step, count = WINDOW
    return dataclasses.replace(settings, step_seconds=step, interval_count=count, spool_bytes_max=BYTES)


def is_small(agent: AgentParty) -> bool:
    """Whether an outage fills this agent's spool."""
    return agent.settings.spool_bytes_max == BYTES


def watch(agent: AgentParty, database: SimDatabase) -> None:
    """Note it when the agent has folded lines, and when it has folded summaries again."""
    if not is_small(agent):
        return
    sql = "select seq, raw from line where kind = 'summary' and seq > ? order by seq"
    for seq, raw in database.inner.execute(sql, (agent.folded_seq,)):
        agent.folded_seq = seq
        line = parse(bytes(raw))
        report = line if isinstance(line, Refused) else read(line)
        if isinstance(report, Summary):
            agent.folded = True
            agent.stage.note("spool.folded" if report.step == 3_600 else "spool.refolded", agent.name)


def is_told(database: SimDatabase, log: str, epoch: str, seq: int) -> bool:
    """Whether a summary that the same spool holds covers this position (P7)."""
    sql = "select raw from line where kind = 'summary' and log = ? and epoch = ? and seq > ? order by seq desc"
    for (raw,) in database.inner.execute(sql, (log, epoch, seq)):
        line = parse(bytes(raw))
        report = line if isinstance(line, Refused) else read(line)
        if isinstance(report, Summary) and any(cover.first <= seq <= cover.last for cover in report.covers):
            return True
    return False
