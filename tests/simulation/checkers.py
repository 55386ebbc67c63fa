"""The promises as checks, some at every event, some at the end; each names the promise that is broken."""

from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Final

from cloud_collector.fleet.gateways import add_gateway
from cloud_collector.intake.replay import audit
from cloud_collector.store.account import account
from cloud_collector.store.store import Store
from cloud_collector.store.view import StoreView
from cloud_collector.usage.span import ChannelName
from shared.effects.database import Database, Parameters
from shared.effects.sqlite import SqliteDatabase
from shared.errors import Refused
from shared.key import PublicKey
from shared.limits import PAYLOAD_BYTES_MAX, PAYLOAD_DEFLATED_BYTES_MAX, TIME_SECONDS_MAX
from shared.line import Line, hash_of, parse
from shared.payload import unpack
from shared.receipt import Receipt, read_receipt
from shared.report import Birth, Exchange, Gap, Report, Usage, read
from shared.topic import Leaf, topic_of
from tests.simulation.clocks import EPOCH_SECONDS
from tests.simulation.disk import SimDatabase
from tests.simulation.facts import CommittedFacts
from tests.simulation.full_spool import is_told
from tests.simulation.key_checkers import judge_keys
from tests.simulation.ledger import expected_totals
from tests.simulation.party import AgentParty

if TYPE_CHECKING:
    from tests.simulation.world import World

PROBLEMS_MAX: Final = 20
QUIET_SENDINGS_MAX: Final = 240
"""Of lines that nobody takes, such as those of a revoked key: the collector asks for them every five minutes, in each
of two logs, for six hours."""


class Checkers:
    """Watches one world."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._facts: CommittedFacts | None = None
        self._judged: Store | None = None
        self.expected: dict[tuple[str, str, str], set[int]] = {}
        """What the world says of each channel."""
        self._receipts = {topic_of(agent.name, Leaf.RECEIPT): agent.name for agent in world.agents}
        self._reports = {topic_of(agent.name, Leaf.REPORT) for agent in world.agents}
        self._sent_in_quiet: Counter[bytes] = Counter()
        world.broker.taps.append(self._publication)
        for agent in world.agents:
            agent.drive.before = self._watch_spool(agent)

    @property
    def facts(self) -> CommittedFacts:
        """The collector's committed facts."""
        if self._facts is None:
            self._facts = CommittedFacts(self._world.collector.drive.path)
        return self._facts

    def knows(self, gateway: str) -> bool:
        """Whether the collector has accepted a line of this gateway."""
        return self.facts.knows(gateway)

    def judge(self) -> None:
        """Check everything that must hold once trouble is over."""
        for agent in self._world.agents:
            self._drained(agent)
            self._chains(agent)
            self._conserved(agent)
        judge_keys(self._world, self.facts)
        self._linked()
        self._unique()
        self._audited()
        self._store().close()
        self.facts.close()

    def _problem(self, text: str) -> None:
        if len(self._world.problems) < PROBLEMS_MAX:
            self._world.problem(text)

    def _publication(self, client: str, topic: str, payload: bytes) -> None:
        limit = PAYLOAD_DEFLATED_BYTES_MAX if payload[:1] == b"x" else PAYLOAD_BYTES_MAX
        if len(payload) > limit:
            self._problem(f"P9: {client} published {len(payload)} bytes on {topic}")
        if client.startswith("collector") and topic in self._receipts:
            self._receipt(self._receipts[topic], payload)
        if topic in self._reports and self._world.quiet:
            self._no_storm(client, payload)

    def _no_storm(self, client: str, payload: bytes) -> None:
        """P8: once trouble is over and nothing is used any more, no line is sent again and again."""
        raws = unpack(payload)
        for raw in [] if isinstance(raws, Refused) else raws:
            self._sent_in_quiet[raw] += 1
            if self._sent_in_quiet[raw] == QUIET_SENDINGS_MAX + 1:
                self._problem(f"P8: {client} sends a line more than {QUIET_SENDINGS_MAX} times: {raw[:160]!r}")

    def _receipt(self, gateway: str, payload: bytes) -> None:
        raws = unpack(payload)
        if isinstance(raws, Refused):
            self._problem(f"P6: the receipt for {gateway} is no payload: {raws.reason}")
            return
        for raw in raws:
            line = parse(raw)
            receipt = line if isinstance(line, Refused) else read_receipt(line)
            if isinstance(receipt, Refused):
                self._problem(f"P6: the receipt for {gateway} does not read: {receipt.reason}")
            else:
                self._receipt_holds(receipt)

    def _receipt_holds(self, receipt: Receipt) -> None:
        held = self.facts.told_through(receipt.gateway, receipt.log, receipt.epoch, receipt.through)
        where = f"{receipt.gateway} {receipt.log} {receipt.epoch}"
        if held != receipt.through:
            self._problem(f"P6: a receipt for {where} through {receipt.through}, committed are {held}")
        elif receipt.through:
            head = self.facts.head_at(receipt.gateway, receipt.log, receipt.epoch, receipt.through)
            if head != receipt.head:
                self._problem(f"P6: the receipt's head for {where} at {receipt.through} is not the line's")
        for name in receipt.aside:
            if not self.facts.holds(receipt.gateway, name):
                self._problem(f"P6: the receipt for {where} says aside {name}, which is not committed")

    def _watch_spool(self, agent: AgentParty) -> Callable[[SimDatabase, str, Parameters], None]:
        def watch(database: SimDatabase, sql: str, parameters: Parameters) -> None:
            if _deletes_line(sql):
                rows = database.inner.execute("select hash, log, epoch, seq from line where id = ?", parameters)
                for name, log, epoch, seq in rows:
                    if not self.facts.holds(agent.name, name) and not is_told(database, log, epoch, seq):
                        self._problem(f"P7: {agent.name} deletes a line that nobody else holds or tells of")

        return watch

    def _drained(self, agent: AgentParty) -> None:
        """P8: after the last fault the backlog drains, and the collector holds every line of the current epoch."""
        if not agent.running or not agent.drive._open:
            self._problem(f"P8: {agent.name} is not running at the end")
            return
        database = agent.drive._open[0].inner
        rows = database.execute("select epoch, hash from line where receipted_at is null and rested = 0")
        if agent.spoils:
            # Above a line that a damaged spool has destroyed no receipt reaches, though what lies there is held.
            current = agent.epochs[-1][0]
            rows = [row for row in rows if row[0] == current or not self.facts.holds(agent.name, row[1])]
        if len(rows) > 1:
            self._problem(f"P8: {agent.name} still has {len(rows)} lines without a receipt")
        for log, epoch, seq in database.execute("select log, epoch, seq from chain join identity using (epoch)"):
            held = self.facts.told_through(agent.name, log, epoch, seq)
            if held < seq - 1:
                self._problem(f"P8: of {agent.name} {log} {epoch} {held} of {seq} lines arrived")

    def _chains(self, agent: AgentParty) -> None:
        """P11, and registers that never fall or jump: read from the raw lines, with none of the collector's code."""
        before: dict[tuple[str, str], tuple[int, str]] = {}
        registers: dict[tuple[str, str, str, str], tuple[int, int]] = {}
        whole_since: dict[tuple[str, str], int] = {}
        own = {epoch for epoch, _ in agent.epochs}
        for log, epoch, seq, name, raw in self.facts.raw_lines(agent.name):
            if epoch not in own:
                continue  # A thief's, whose lines must not count: `judge_keys`.
            line = parse(raw)
            if isinstance(line, Refused) or hash_of(raw) != name or not _is_own(line, agent):
                self._problem(f"P10: {agent.name} never signed the line at {log} {epoch} {seq}")
                continue
            report = read(line)
            if isinstance(report, Refused):
                self._problem(f"{agent.name} sealed what does not read, at {log} {epoch} {seq}: {report.reason}")
                continue
            last = before.get((log, epoch))
            joined = last is not None and last[0] == seq - 1
            if last is not None and joined and report.header.prev != last[1]:
                self._problem(f"P11: {agent.name} {log} {epoch} {seq} does not follow the line before it")
            before[log, epoch] = (seq, name)
            if not joined:
                whole_since[log, epoch] = seq
            for device, meter, start, end in _registers(report):
                key = (log, epoch, device, meter)
                said, known = registers.get(key, (0, start))
                if start < known or (said >= whole_since[log, epoch] and start != known):
                    self._problem(f"P4: {agent.name} {device}.{meter} goes from {known} to {start} at {epoch} {seq}")
                registers[key] = (seq, end)

    def _linked(self) -> None:
        """P11: what counts as whole is linked by hashes, whoever sealed it."""
        hostile = self._world.hostile.name
        throughs = self.facts.throughs(hostile)
        last: tuple[str, str, int, str] | None = None
        for log, epoch, seq, name, raw in self.facts.raw_lines(hostile):
            follows = b'"prev":"' + last[3].encode() + b'"' if last is not None else b""
            if (
                last is not None
                and last[:3] == (log, epoch, seq - 1)
                and seq <= throughs[log, epoch]
                and follows not in raw
            ):
                self._problem(f"P11: {hostile} {log} {epoch} {seq} is taken and does not follow the line before it")
            last = (log, epoch, seq, name)

    def _conserved(self, agent: AgentParty) -> None:
        """P1: what is accounted for is what the world counted, less what meters and faults hid."""
        store = self._store()
        accounts = {(found.channel.device, found.channel.meter): found for found in account(store, agent.name)}
        view = StoreView(store)
        for meter in agent.site.meters:
            found = accounts.get((meter.device, meter.name))
            if found is None:
                self._problem(f"P1: {agent.name} {meter.device}.{meter.name} was never accounted for")
                continue
            accounted, set_apart, gaps = found.counted + found.unplaced, found.quarantined, found.unknown
            epochs = [look for _, look in agent.epochs[1:]]
            expected = expected_totals(meter, agent.lives, epochs)
            self.expected[agent.name, meter.device, meter.name] = expected
            where = f"{agent.name} {meter.device}.{meter.name} ({meter.style.value})"
            if set_apart and (agent.cloned or (agent.lied and epochs)):
                # A gateway that speaks as two, or seals before its successor's birth by a clock that lies, is
                # set apart until somebody decides; bridges may span the same units, which bills them once.
                if accounted > max(expected):
                    self._problem(f"P1: {where}: {accounted} are accounted, {max(expected)} were counted")
                continue
            if agent.cloned and accounted <= max(expected):
                continue
            if agent.revoked and (agent.cut_back or meter.breaks) and accounted <= max(expected):
                # Beyond a revoked position nothing is believed: what two births cannot tell is declared instead.
                continue
            if accounted + set_apart not in expected:
                nearest = min(expected, key=lambda total: abs(total - accounted - set_apart))
                more = f" or one of {len(expected) - 1} others" if len(expected) > 1 else ""
                self._problem(
                    f"P1: {where}: accounted {accounted} + set apart {set_apart}, the world says {nearest}{more}"
                    f" (off by {accounted + set_apart - nearest}; {len(meter.breaks)} breaks, {len(epochs)} epochs)"
                )
            name = ChannelName(gateway=agent.name, device=meter.device, meter=meter.name)
            measured = view.measure(name, 0, TIME_SECONDS_MAX)
            if measured is not None and measured.units != found.counted:
                self._problem(f"P1: {where}: {measured.units} are measured over all time, {found.counted} are counted")
            if found.unplaced:
                self._problem(f"P13: {where}: {found.unplaced} units still have no place in time")
            if set_apart:
                self._problem(f"P1: {where}: {set_apart} units are quarantined, and no fault explains it")
            if gaps and not meter.breaks:
                self._problem(f"P1: {where}: a gap of unknown amount, and no fault explains it: {gaps[0]}")

    def _unique(self) -> None:
        """P5: one line a position."""
        for row in self.facts.doubled_positions():
            self._problem(f"P5: two lines at {row}")

    def _audited(self) -> None:
        """Projections are what a rebuild from the facts would make of them, byte for byte."""
        scratch = Store(SqliteDatabase(self._world.folder / "scratch.db"))
        try:
            difference = audit(self._store(), scratch, self._world.collector.settings)
        finally:
            scratch.close()
        if difference is not None:
            self._problem(
                f"audit: {difference.table} holds {str(difference.held)[:200]},"
                f" the facts say {str(difference.computed)[:200]}"
            )

    def _store(self) -> Store:
        """The collector's store on a connection of the checkers' own."""
        if self._judged is None:
            self._judged = Store(SqliteDatabase(self._world.collector.drive.path))
        return self._judged


@cache
def _deletes_line(sql: str) -> bool:
    return sql.lstrip().lower().startswith("delete from line")


def _is_own(line: Line, agent: AgentParty) -> bool:
    return any(line.verified_by(public) for public in agent.publics.values())


def _registers(report: Report) -> Sequence[tuple[str, str, int, int]]:
    match report:
        case Birth(channels=channels):
            return [(c.device, c.meter, c.register, c.register) for c in channels]
        case Usage(rows=rows):
            return [(r.device, r.meter, r.register, r.register + sum(r.deltas)) for r in rows]
        case Gap(rows=gaps):
            return [
                (g.device, g.meter, g.before, g.after) for g in gaps if g.before is not None and g.after is not None
            ]
        case Exchange(rows=exchanges):
            return [(e.device, e.meter, e.register, e.register) for e in exchanges]
        case _:
            return []


def enrol(database: Database, keys: Sequence[tuple[str, PublicKey]]) -> None:
    """Enrol gateways in a fresh store."""
    store = Store(database)
    for name, public in keys:
        add_gateway(store, name, public, EPOCH_SECONDS * 1000)
