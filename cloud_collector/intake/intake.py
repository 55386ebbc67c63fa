"""Intake: what was admitted becomes facts, rows and receipts in one transaction (P5, P6).

Called on the workers, one call at a time. Nothing leaves before the transaction is durable: receipts
are timed inside it and sealed after it.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from cloud_collector.fleet.gateways import Keyring, keyring, names, nearest
from cloud_collector.fleet.orders import Due, take_due
from cloud_collector.fleet.positions import Chain, Entry, Known, Overflow, Positions, PutAside, Taken, chain_of
from cloud_collector.intake.admit import Admitted, Genuine, admit
from cloud_collector.intake.answers import Answered, is_answer, open_answer, take_answers
from cloud_collector.intake.fact import Fact, fact
from cloud_collector.intake.keys import rotation_of
from cloud_collector.intake.linking import opens_after_its_end
from cloud_collector.intake.projection import Projection
from cloud_collector.intake.receipts import FindKey, Signers, may_repeat, seal_all, take_receipt
from cloud_collector.intake.turns import take_turns
from cloud_collector.intake.verdict import (
    Accepted,
    Aside,
    Duplicate,
    Place,
    Quarantined,
    RefusedLine,
    Unmatched,
    Verdict,
    unmatched,
)
from cloud_collector.limits import COMMAND_SENDINGS_MAX, HOLES_AT_ONCE_MAX, SAMPLE_BYTES_MAX, UNMATCHED_ROWS_MAX
from cloud_collector.settings import CollectorSettings
from cloud_collector.store.store import Store
from shared.key import SigningKey
from shared.limits import GATEWAY_LOGS_MAX, REFUSED_SAMPLES_MAX
from shared.receipt import Receipt
from shared.report import Forgotten, Rotate, Summary
from shared.topic import gateway_of
from shared.validity import Validity

Opened = Admitted | Answered
Sealed = tuple[str, bytes]
"""A gateway and a sealed receipt for it."""
UNKNOWN_GATEWAY: Final = "the gateway is unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a batch has come to, durably."""

    verdicts: tuple[Verdict, ...]
    receipts: tuple[Sealed, ...]

    def counts(self) -> Counter[str]:
        """How many verdicts of each name."""
        return Counter(type(verdict).__name__.lower().removesuffix("line") for verdict in self.verdicts)


class Intake:
    """The only writer of facts."""

    def __init__(
        self,
        store: Store,
        settings: CollectorSettings,
        key: SigningKey,
        find_key: FindKey = lambda _: None,
        holder: int = 1,
    ) -> None:
        """`find_key` finds a receipt key that replaces `key`, for the gateways that have confirmed it.

        `holder` is a number that no other process has that takes in into the same store.
        """
        self._store = store
        self._settings = settings
        self._signers = Signers(store, key, find_key)
        self._projection = Projection(store, skew_seconds=settings.clock_skew_seconds, rates_max=settings.rates_max)
        self._owed: dict[int, str] = {}
        """Chains that wait for a receipt, each with its gateway."""
        self._near: dict[str, str] = {}
        self._version: object = None
        self._holder = holder

    def keys_for(self, topics: Iterable[str]) -> Keyring:
        """The keys of every gateway that the topics name."""
        named = {gateway_of(topic, self._settings.prefix) for topic in topics}
        return keyring(self._store, sorted(name for name in named if name is not None))

    def open(self, messages: Sequence[tuple[str, bytes]], keys: Keyring) -> list[Opened]:
        """Open and verify messages; touches no store, so that it may run beside a transaction."""
        prefix = self._settings.prefix
        known = dict(keys)
        found: list[Opened] = []
        for topic, payload in messages:
            if is_answer(topic):
                found.append(open_answer(topic, payload, known, prefix=prefix))
            else:
                found += admit(topic, payload, known, prefix=prefix)
        return found

    def commit(self, admitted: Sequence[Opened], now_ms: int) -> Outcome:
        """Everything admitted is durable and answered; raises DatabaseError, and then nothing of it is."""
        return self._transaction({_speaker(each) for each in admitted}, lambda: self._take(admitted, now_ms))

    def set_apart(self, topic: str, payload: bytes, error: Exception, now_ms: int) -> Outcome:
        """A message that cannot be taken in stands among what is unmatched, and why; the gateway has no receipt for it.

        Raises where not even an empty transaction can be done: then no message is at fault.
        """
        gateway = gateway_of(topic, self._settings.prefix) or ""
        # P9: the reason is a row's key there, so that it names the kind of fault and nothing that varies.
        reason = (
            f"it sets off a fault of the collector ({type(error).__name__}) and is not taken in: the log says where, "
            "and whoever sent it goes on sending it"
        )
        self._transaction((), lambda: self._take((), now_ms))
        verdict = unmatched(topic, gateway, reason, payload)
        return self._transaction((), lambda: self._keep_apart(verdict, now_ms))

    def _keep_apart(self, verdict: Unmatched, now_ms: int) -> tuple[list[Verdict], list[Receipt]]:
        self._set_down(verdict, now_ms)
        self._store.run("unmatched_trim", UNMATCHED_ROWS_MAX)
        return [verdict], []

    def answer_owed(self, now_ms: int) -> tuple[Sealed, ...]:
        """Receipts that were asked for too soon after the last one, now that they may be given."""
        if not self._owed:
            return ()
        owed = dict(self._owed)
        return self._transaction(owed.values(), lambda: self._answer(owed, now_ms)).receipts

    def answer_holes(self, now_ms: int) -> tuple[Sealed, ...]:
        """Receipts of chains with holes, which ask for them again."""
        torn: dict[int, str] = dict(self._store.rows("chains_with_holes", HOLES_AT_ONCE_MAX))
        return self._transaction(torn.values(), lambda: self._answer(torn, now_ms)).receipts if torn else ()

    def follow_decisions(self) -> None:
        """The rows say what the operator has decided since the last transaction."""
        if self._store.rows("rejudge_marks"):
            self._transaction((), lambda: ([], []))

    def take_commands(self, now_ms: int) -> list[Due]:
        """Commands that are due, counted as sent."""
        if not self._store.rows("commands_due", now_ms, COMMAND_SENDINGS_MAX, COMMAND_SENDINGS_MAX, 1):
            return []
        with self._store.atomic():
            return take_due(self._store, self._signers.of, now_ms)

    @property
    def owes(self) -> bool:
        """Whether a receipt waits for its time."""
        return bool(self._owed)

    def _transaction(
        self, gateways: Iterable[str], work: "Callable[[], tuple[list[Verdict], list[Receipt]]]"
    ) -> Outcome:
        owed = dict(self._owed)
        try:
            with self._store.atomic():
                marked = [gateway for (gateway,) in self._store.rows("rejudge_marks")]
                self._notice_others({*gateways, *marked} - {""})
                for gateway in marked:
                    # Another collector may have been here while this one waited for its turn.
                    if self._store.rows("rejudge_done", gateway):
                        self._projection.rejudge(gateway)
                verdicts, receipts = work()
        except BaseException:
            # What is cached speaks of a transaction that never was.
            self._projection.forget()
            self._signers.forget()
            self._owed, self._version = owed, None
            raise
        # P6: the receipt follows the commit.
        return Outcome(verdicts=tuple(verdicts), receipts=tuple(seal_all(receipts, self._signers.of)))

    def _notice_others(self, gateways: Iterable[str]) -> None:
        """Until the transaction ends nobody else works on these gateways, and nothing is remembered that is not so."""
        for gateway in take_turns(self._store, gateways, self._holder):
            self._projection.forget_gateway(gateway)
            self._signers.forget_gateway(gateway)
        version = self._store.rows("changed_elsewhere")
        if version != self._version:
            self._projection.forget()
            self._signers.forget()
            self._near.clear()
            self._version = version

    def _answer(self, ids: Iterable[int], now_ms: int) -> tuple[list[Verdict], list[Receipt]]:
        receipts = []
        for id_ in ids:
            chain = chain_of(self._store.rows("chain_by_id", id_)[0])
            if may_repeat(self._store, chain, now_ms):
                self._owed.pop(id_, None)
                receipts.append(take_receipt(self._store, chain, self._signers.of(chain.gateway).public.id, now_ms))
        return [], receipts

    def _take(self, admitted: Sequence[Opened], now_ms: int) -> tuple[list[Verdict], list[Receipt]]:
        verdicts: list[Verdict] = []
        positions = Positions(self._store)
        arrived: dict[int, Fact] = {}
        grown: dict[int, Chain] = {}
        asked: dict[int, Chain] = {}
        keys: dict[str, Validity] = {}
        genuine = sum(isinstance(each, Genuine) for each in admitted)
        ids = iter(self._store.rows("line_ids", genuine))
        (id_,) = next(ids, (0,))
        for each in self._answered(admitted, now_ms):
            if not isinstance(each, Genuine):
                verdicts.append(self._set_down(each, now_ms))
                continue
            line = Fact(id=id_, content=each.content, raw=each.raw, hash=each.hash, received_at=now_ms)
            fault = self._fault(positions, keys, line)
            if fault is not None:
                verdicts.append(self._set_down(_refused(line, fault), now_ms))
                continue
            chain, verdict = place(self._store, positions, line)
            if isinstance(verdict, Duplicate | Aside):
                self._touch(chain, line, verdict, now_ms)
                asked[chain.id] = chain
            elif isinstance(verdict, RefusedLine):
                self._set_down(verdict, now_ms)
            else:
                grown[chain.id] = chain
            if not isinstance(verdict, Duplicate | RefusedLine):
                arrived[line.id] = line
                (id_,) = next(ids, (0,))
                _learn(keys, line, verdict)
            verdicts.append(verdict)
        if any(isinstance(verdict, Unmatched) for verdict in verdicts):
            self._store.run("unmatched_trim", UNMATCHED_ROWS_MAX)
        project(self._store, self._projection, positions, arrived)
        receipts = [
            take_receipt(self._store, chain, self._signers.of(chain.gateway).public.id, now_ms)
            for chain in grown.values()
        ]
        for chain_id, chain in asked.items():
            if chain_id in grown:
                continue
            if may_repeat(self._store, chain, now_ms):
                receipts.append(take_receipt(self._store, chain, self._signers.of(chain.gateway).public.id, now_ms))
            else:
                self._owed[chain_id] = chain.gateway
        return verdicts, receipts

    def _answered(self, admitted: Sequence[Opened], now_ms: int) -> list[Admitted]:
        """Answers stand beside their commands; what else was admitted."""
        answers = [each for each in admitted if isinstance(each, Answered)]
        if answers:
            take_answers(self._store, answers, now_ms)
            self._signers.forget()
        return [each for each in admitted if not isinstance(each, Answered)]

    def _fault(self, positions: Positions, keys: dict[str, Validity], line: Fact) -> str | None:
        """P10: why the line's key does not sign at its position; what is held already is answered all the same."""
        header = line.content.header
        known = keys.get(header.gateway)
        if known is None:
            known = keys[header.gateway] = self._projection.validity(header.gateway)
        if known.plain:
            return None
        fault = known.fault(header.log, header.epoch, header.seq, header.key)
        fault = fault or opens_after_its_end(self._store, known, line)
        return None if fault is None or positions.holds(header, line.hash) else fault

    def _nearest(self, gateway: str) -> str:
        # P21: comparing with every name takes long, so a stranger who repeats himself costs it once.
        if gateway not in self._near:
            if len(self._near) >= UNMATCHED_ROWS_MAX:
                self._near.clear()
            self._near[gateway] = nearest(gateway, names(self._store))
        return self._near[gateway]

    def _touch(self, chain: Chain, line: Fact, verdict: Duplicate | Aside, now_ms: int) -> None:
        # The 32 most recently *received* lines aside are listed, so a repeated one comes to the front.
        if isinstance(verdict, Duplicate) and chain.asides:
            self._store.run("aside_seen", now_ms, chain.id, verdict.place.seq, line.hash)

    def _set_down(self, verdict: Unmatched | RefusedLine, now_ms: int) -> Verdict:
        match verdict:
            case Unmatched(topic=topic, gateway=gateway, reason=reason, sample=sample):
                near = self._nearest(gateway) if reason == UNKNOWN_GATEWAY else ""
                self._store.run("unmatched_put", topic, gateway, reason, near, now_ms, now_ms, sample)
                return Unmatched(topic=topic, gateway=gateway, reason=reason, nearest=near, sample=sample)
            case RefusedLine(gateway=gateway, reason=reason, sample=sample):
                count = self._store.rows("refusals_add", gateway)[0][0]
                if count <= REFUSED_SAMPLES_MAX:
                    self._store.run("refused_put", gateway, reason, now_ms, sample[:SAMPLE_BYTES_MAX])
                return verdict


def _speaker(each: Opened) -> str:
    """The gateway whose rows it may change, or nothing."""
    match each:
        case Genuine(content=content):
            return content.header.gateway
        case Answered(answer=answer):
            return answer.gateway
        case _:
            return ""


def place(store: Store, positions: Positions, line: Fact) -> tuple[Chain, Verdict]:
    """Let a genuine line take its position: what becomes of it."""
    content, header = line.content, line.content.header
    chain = positions.chain(header.gateway, header.log, header.epoch)
    if chain is None:
        nowhere = Chain(id=0, gateway=header.gateway, log=header.log, epoch=header.epoch)
        return nowhere, _refused(line, f"the gateway has {GATEWAY_LOGS_MAX} logs already")
    where = Place(gateway=header.gateway, log=header.log, epoch=header.epoch, seq=header.seq)
    entry = Entry(
        id=line.id,
        seq=header.seq,
        hash=line.hash,
        prev=header.prev,
        received_at=line.received_at,
        row=(
            header.key,
            content.kind,
            header.boot,
            header.clock.value,
            header.sealed_at,
            line.received_at,
            line.raw,
        ),
        covers=content.report.covers if isinstance(content.report, Summary) else (),
    )
    outcome = positions.place(chain, entry)
    if isinstance(content.report, Summary) and isinstance(outcome, Taken | PutAside):
        # Of one set aside as well: what it covers counts from when it holds its position.
        positions.flush()
        rows = [(line.id, at, chain.id, header.seq, *cover) for at, cover in enumerate(content.report.covers)]
        store.run_many("cover_put", rows)
        positions.forget(chain, len(rows))
    match outcome:
        case Known():
            return chain, Duplicate(place=where)
        case PutAside(reason):
            return chain, Aside(place=where, reason=reason)
        case Overflow():
            return chain, _refused(line, "too many lines of this epoch stand aside already")
        case _:
            pass
    if isinstance(content.report, Forgotten):
        lost = content.report.lost
        forgotten = positions.chain(header.gateway, header.log, lost.epoch)
        assert forgotten is not None, "the log is known"
        # Its own row may still be held back, and what it has lost may be another epoch's.
        positions.flush()
        store.run("gone_put", line.id, forgotten.id, lost.first, lost.last)
        positions.forget(forgotten)
    if content.bad:
        return chain, Quarantined(place=where, rows=content.bad)
    return chain, Accepted(place=where)


def _learn(keys: dict[str, Validity], line: Fact, verdict: Verdict) -> None:
    """What comes after a `rotate` line in this batch may be signed by the key that it introduces."""
    if isinstance(verdict, Accepted) and isinstance(line.content.report, Rotate):
        gateway = line.content.header.gateway
        keys[gateway] = keys[gateway].joined(rotation_of(line, line.content.report))


def _refused(line: Fact, reason: str) -> RefusedLine:
    return RefusedLine(gateway=line.content.header.gateway, reason=reason, sample=line.raw[:SAMPLE_BYTES_MAX])


def project(store: Store, projection: Projection, positions: Positions, arrived: dict[int, Fact]) -> None:
    """The rows follow what the positions have come to."""
    positions.flush()
    projection.apply(
        [arrived.get(id_) or fact(store, id_) for id_ in positions.events],
        [arrived.get(id_) or fact(store, id_) for id_ in positions.taken],
        list(positions.lost.items()),
    )
