"""P10 and P19 of keys and clones, from raw lines and the world's own knowledge alone."""

from typing import TYPE_CHECKING

from shared.errors import Refused
from shared.key import PublicKey
from shared.line import Line, parse
from shared.report import Birth, Report, Rotate, read
from tests.simulation.facts import CommittedFacts
from tests.simulation.party import AgentParty

if TYPE_CHECKING:
    from tests.simulation.world import World

_COUNTED = (
    "select chain.log, chain.epoch, line.seq, line.key, line.raw, line.kind,"
    " exists (select 1 from span where span.line = line.id and span.kind in (3, 4) and span.reason is null"
    " and span.register_end > span.register)"
    " from line join chain on chain.id = line.chain where chain.gateway = ? and line.aside = 0"
    " order by chain.log, chain.epoch, line.seq"
)


def judge_keys(world: "World", facts: CommittedFacts) -> None:
    """Every line that counts is signed by the key in force at its position; clones park their gateway."""
    parked = {row[0] for row in facts.rows("select distinct gateway from alarm where kind = 'cloned'")}
    for agent in world.agents:
        _signed(world, facts, agent)
        _parked(world, facts, agent, agent.name in parked)


def _signed(world: "World", facts: CommittedFacts, agent: AgentParty) -> None:
    chain, in_force, last = None, "", 0
    own = {epoch for epoch, _ in agent.epochs}
    for log, epoch, seq, key, raw, _, counts in facts.rows(_COUNTED, agent.name):
        if (log, epoch) != chain:
            chain, in_force = (log, epoch), key
        elif seq != last + 1:
            # What lies in a hole may have rotated the key.
            in_force = key
        last = seq
        where = f"{agent.name} {log} {epoch}:{seq}"
        limits = world.keys.revoked.get((agent.name, key))
        if counts and limits is not None and seq > limits.get((log, epoch), 0):
            world.problem(f"P10: {where} counts, and its key {key} was revoked before")
        if counts and epoch not in own:
            world.problem(f"P10: {where} counts, an epoch that the gateway never had")
        if counts and key != in_force:
            world.problem(f"P10: {where} counts, signed by {key}, and {in_force} was in force")
        public = agent.publics.get(key)
        line, report = _said(raw, public)
        if line is None:
            world.problem(f"P10: {agent.name} never had the key that signed {where}")
        elif isinstance(report, Rotate):
            in_force = PublicKey.from_text(report.next).id


def _parked(world: "World", facts: CommittedFacts, agent: AgentParty, parked: bool) -> None:  # noqa: FBT001
    followers: dict[tuple[str, str], set[str]] = {}
    for log, epoch, seq, key, raw, kind, _ in facts.rows(_COUNTED, agent.name):
        if seq != 1 or kind != "birth":
            continue
        _, report = _said(raw, agent.publics.get(key))
        limits = world.keys.revoked.get((agent.name, key))
        disowned = limits is not None and limits.get((log, epoch), 0) < 1
        if isinstance(report, Birth) and report.previous is not None and not disowned:
            followers.setdefault((log, report.previous.epoch), set()).add(epoch)
    for (log, epoch), found in followers.items():
        if len(found) > 1 and not parked:
            world.problem(f"P19: {agent.name} {log}: {len(found)} epochs follow {epoch}, and nobody is asked")


def _said(raw: bytes, public: PublicKey | None) -> tuple[Line | None, Report | None]:
    line = parse(bytes(raw))
    if isinstance(line, Refused) or public is None or not line.verified_by(public):
        return None, None
    report = read(line)
    return line, None if isinstance(report, Refused) else report
