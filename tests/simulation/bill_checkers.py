"""The promises about money, judged at a seed's end from the sealed invoices, the final usage and the world's ledger.

Nothing here asks the product what an amount, a period or a start should be: what is billed is read
from the invoices' bytes, and computed a second time from usage and the agreements.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from cloud_collector.billing.archive import MemoryArchive
from cloud_collector.billing.export import NotHandedOut, as_bundle, invoice
from cloud_collector.billing.run import bill_due
from cloud_collector.intake.replay import rebuild
from cloud_collector.store.account import account
from cloud_collector.store.store import Store
from cloud_collector.store.view import StoreView
from cloud_collector.usage.span import Span
from shared.effects.sqlite import SqliteDatabase
from shared.errors import Refused
from shared.line import parse
from tests.simulation.agreements import UNITS_EACH, Agreement
from tests.simulation.bill_witness import FOREVER, Start, started, within, witnessed
from tests.simulation.billing import Billing, copied
from tests.simulation.clocks import EPOCH_SECONDS
from tests.simulation.party import AgentParty
from tests.simulation.tariff import Key, due

if TYPE_CHECKING:
    from tests.simulation.world import World

LAST_BILL_SECONDS: Final = int(4.7 * 86_400)
"""When everything is billed: the day on which the world ends has closed, and booked what came late."""
AGAIN_SECONDS: Final = 86_400
TWICE_EVERY: Final = 3
"""In one seed of so many the last bill is made twice."""
PROBLEMS_MAX: Final = 20


def judge_bills(world: "World") -> None:
    """Bill everything a last time, and check what all invoices together say."""
    _Judge(world).judge()


class _Judge:
    def __init__(self, world: "World") -> None:
        self._world = world
        self._billing: Billing = world.billing
        self._now = EPOCH_SECONDS + LAST_BILL_SECONDS
        self._bodies: list[dict[str, Any]] = []

    def judge(self) -> None:
        again = copied(self._world, "again.db") if self._world.seed % TWICE_EVERY == 0 else None
        store = Store(SqliteDatabase(self._world.collector.drive.path))
        try:
            self._last_bill(store, again)
            self._read(store)
            self._numbered()
            self._totals()
            self._contracts(store)
            self._nothing_more(store)
        finally:
            store.close()

    def _problem(self, text: str) -> None:
        if len(self._world.problems) < PROBLEMS_MAX:
            self._world.problem(text)

    def _last_bill(self, store: Store, again: Store | None) -> None:
        """P16: the folder is complete after a run; P15: the same facts make the same bytes, rebuilt or not."""
        other = MemoryArchive()
        other.lines.update(self._billing.archive.lines)
        bill_due(store, self._now * 1000, self._billing.biller(self._billing.archive))
        self._billing.observe()
        if again is not None:
            rebuild(again, self._world.collector.settings)
            bill_due(again, self._now * 1000, self._billing.biller(other))
            again.close()
            if other.lines != self._billing.archive.lines:
                self._problem("P15: a last bill on a rebuilt copy of the store makes other bytes")

    def _read(self, store: Store) -> None:
        issued = {row[0]: bytes(store.rows("invoice_line", row[0])[0][1]) for row in store.rows("invoices")}
        if issued != self._billing.seen:
            self._problem("P16: an issued invoice is not what it was")
        if issued != self._billing.archive.lines:
            self._problem("P16: the folder of issued invoices is not what the store holds")
        key = self._world.collector.key.public
        for number, raw in issued.items():
            line = parse(raw)
            if isinstance(line, Refused) or not line.verified_by(key):
                self._problem(f"P16: {number} is not sealed by the operator")
                continue
            self._bodies.append(json.loads(line.body))

    def _numbered(self) -> None:
        """P14: one invoice for each contract, period, kind and revision; numbers and revisions without gaps."""
        bodies = self._bodies
        ordinals: dict[str, list[int]] = defaultdict(list)
        for body in bodies:
            series, _, ordinal = body["number"].rpartition("-")
            ordinals[series].append(int(ordinal))
        for series, found in ordinals.items():
            if sorted(found) != list(range(1, len(found) + 1)):
                self._problem(f"P14: the numbers of {series} have gaps or come twice: {sorted(found)}")
        positions = Counter((body["contract"], body["period"]["start"]) for body in bodies)
        for position, times in positions.items():
            if times != 1:
                self._problem(f"P14: {times} invoices for {position}")
        for body in bodies:
            if body["revision"] != 1:
                self._problem(f"P14: {body['number']} says that it is revision {body['revision']}")

    def _totals(self) -> None:
        """P17: lines sum to totals, and the tax is on their sum."""
        for body in self._bodies:
            agreement = self._billing.agreements[body["contract"]]
            net = sum((Decimal(line["amount"]) for line in body["lines"]), Decimal(0))
            tax = agreement.amount(Fraction(net) * Fraction(agreement.percent) / 100)
            said = (Decimal(body["net"]), Decimal(body["taxes"][0]["amount"]), Decimal(body["total"]))
            if said != (net, tax, net + tax) or len(body["taxes"]) != 1:
                self._problem(f"P17: {body['number']} says {said}, its lines say {(net, tax, net + tax)}")
            if any(_instant(line["service_start"]) < _instant(body["period"]["start"]) for line in body["lines"]):
                self._world.note("billing.late")
            if body["cutoff"]["silent"]:
                self._world.note("billing.settled")
            for fact in body["activations"]:
                self._world.note(f"billing.{fact['rule']}")

    def _contracts(self, store: Store) -> None:
        parked = {row[0]: row[2] for row in store.rows("parked")}
        clones = {row[0] for row in store.rows("gateways_parked")}
        for gateway, agreement in self._billing.agreements.items():
            if gateway in clones:
                if gateway not in parked:
                    self._problem(f"P19: {gateway} has been cloned and is billed")
                self._world.note("billing.parked")
                continue
            if gateway in parked:
                self._problem(f"P19: {gateway} is parked, and no fault explains it: {parked[gateway]}")
                continue
            self._contract(store, agreement)

    def _contract(self, store: Store, agreement: Agreement) -> None:
        gateway = agreement.gateway
        bounds = agreement.boundaries(self._now - agreement.settle_hours * 3_600)
        closed = store.rows("periods_closed", gateway)
        if [row[:2] for row in closed[: len(bounds) - 1]] != list(pairwise(bounds)):
            self._problem(f"P14: the closed periods of {gateway} are not its days up to now")
            return
        bounds = [*(row[0] for row in closed), closed[-1][1]]
        view = StoreView(store)
        names = [name for device in agreement.devices for name in view.channels(gateway, device)]
        spans = {(name.device, name.meter): view.spans(name, 0, FOREVER) for name in names}
        starts = self._starts(agreement, spans)
        self._amounts(agreement, spans, starts, bounds)
        agent = next((each for each in self._world.agents if each.name == gateway), None)
        if agent is not None:
            self._conserved(store, agent, spans, bounds)
            self._witnessed(agent, agreement, starts, spans)
            self._proven(store, gateway)

    def _starts(self, agreement: Agreement, spans: Mapping[tuple[str, str], list[Span]]) -> dict[str, Start]:
        """P18: what the contract's last invoice says of each device's start is what the final usage gives."""
        own = [body for body in self._bodies if body["contract"] == agreement.gateway]
        facts = max(own, key=lambda body: str(body["period"]["start"]))["activations"] if own else []
        said = {fact["device"]: (_instant(fact["at"]), fact["rule"]) for fact in facts}
        found = {}
        for device in agreement.devices:
            start = started(agreement, spans.get((device, "energy"), ()))
            if start is not None:
                found[device] = start
            told = said.get(f"{agreement.gateway}/{device}")
            if told != (None if start is None else (start.at, start.cause)):
                self._problem(f"P18: {agreement.gateway}/{device} is billed from {told}, its usage gives {start}")
        return found

    def _amounts(
        self,
        agreement: Agreement,
        spans: Mapping[tuple[str, str], list[Span]],
        starts: Mapping[str, Start],
        bounds: list[int],
    ) -> None:
        """P1, P14: all invoices' quantities and amounts of a key are those of the final usage, to the last unit."""
        expected = due(agreement, spans, starts, bounds, self._billing.deeds.said.get(agreement.gateway, {}))
        for rule in sorted(expected.met):
            self._world.note(f"rule.{rule}")
        units: dict[Key, Decimal] = defaultdict(Decimal)
        paid: dict[Key, Decimal] = defaultdict(Decimal)
        for body in self._bodies:
            for line in body["lines"] if body["contract"] == agreement.gateway else ():
                device = (line["device"] or "").rpartition("/")[2]
                key = Key(line["charge"], device, line["window"] or "", _instant(line["service_start"]))
                paid[key] += Decimal(line["amount"])
                if line["kind"] == "usage":
                    units[key] += Decimal(line["quantity"]) * UNITS_EACH
                if line["kind"] == "true_up" and Decimal(line["amount"]) < 0:
                    self._world.note("rule.true_up.lowered")
        for key in sorted(units.keys() | expected.units.keys()):
            if units[key] != expected.units[key]:
                self._problem(
                    f"P1: {agreement.gateway} {key}: {units[key].normalize():f} are billed, "
                    f"{expected.units[key]} were counted"
                )
        for key in sorted(paid.keys() | expected.amounts.keys()):
            if paid[key] != expected.amounts[key]:
                self._problem(f"P14: {agreement.gateway} {key}: {paid[key]} is booked, {expected.amounts[key]} is due")

    def _conserved(
        self,
        store: Store,
        agent: AgentParty,
        spans: Mapping[tuple[str, str], list[Span]],
        bounds: list[int],
    ) -> None:
        """P1: what is billed, free before the start, set apart and unplaced is what the world counted."""
        accounts = {(found.channel.device, found.channel.meter): found for found in account(store, agent.name)}
        broken = {(each.device, each.name) for each in agent.site.meters if each.breaks}
        for (device, meter), held in spans.items():
            expected = self._world.checkers.expected.get((agent.name, device, meter))
            found = accounts[device, meter]
            cut_off = agent.revoked and (device, meter) in broken
            if expected is None or cut_off or (found.quarantined and (agent.cloned or agent.lied or agent.revoked)):
                continue  # What the checker of P1 says of it is all that can be said.
            # A folded day is spread evenly, also over its hours before the contract and the world began.
            everything = within(held, 0 if agent.folded else bounds[0], bounds[-1])
            total = everything + found.quarantined + found.unplaced
            if total not in expected:
                nearest = min(expected, key=lambda each: abs(each - total))
                self._problem(f"P1: {agent.name} {device}.{meter}: {total} in all periods, the world says {nearest}")

    def _witnessed(
        self,
        agent: AgentParty,
        agreement: Agreement,
        starts: Mapping[str, Start],
        spans: Mapping[tuple[str, str], list[Span]],
    ) -> None:
        """P18: a start is when the world saw the meter pass the threshold, and what is free is what it saw before."""
        is_clock_true = not self._world.mix.on("clock.step")
        for meter in agent.site.meters:
            seen = None
            if meter.name == "energy":
                seen = witnessed(agent, meter, agreement, is_clock_true=is_clock_true)
            if seen is None:
                continue
            self._world.note("billing.witnessed")
            start = starts.get(meter.device)
            if start is None or not seen.earliest <= start.at <= seen.latest:
                self._problem(f"P18: {agent.name}/{meter.device} starts by {start}, the world saw {seen}")
                continue
            before = within(spans[meter.device, meter.name], agreement.provisioned, start.at)
            if not seen.least <= before <= seen.most:
                self._problem(f"P18: {agent.name}/{meter.device} has {before} before its start, the world saw {seen}")

    def _proven(self, store: Store, contract: str) -> None:
        """P12: the evidence of the contract's richest invoice proves it."""
        own = [body for body in self._bodies if body["contract"] == contract]
        if not own:
            return
        number = max(own, key=lambda body: (len(body["rated"]), len(body["gaps"]), body["period"]["start"]))["number"]
        try:
            as_bundle(store, invoice(store, self._billing.archive, number), self._world.collector.key.public)
        except NotHandedOut as error:
            self._problem(f"P12: {error}")

    def _nothing_more(self, store: Store) -> None:
        """P14: once everything is billed, a further run bills a further day and nothing else."""
        before = len(self._billing.seen)
        bill_due(store, (self._now + AGAIN_SECONDS) * 1000, self._billing.biller(self._billing.archive))
        for row in store.rows("invoices")[before:]:
            line = parse(bytes(store.rows("invoice_line", row[0])[0][1]))
            assert not isinstance(line, Refused), "the operator has just sealed it"
            body = json.loads(line.body)
            for each in body["lines"]:
                late = each["service_start"] != body["period"]["start"]
                if late or (each["kind"] == "usage" and Decimal(each["quantity"])):
                    self._problem(f"P14: a rerun bills {each['charge']} of {each['service_start']} once more")


def _instant(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())
