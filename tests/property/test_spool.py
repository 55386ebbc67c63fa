"""P2, P7: whatever is sealed, receipted, reopened and forked, no line is forgotten before its receipt.

The model is a dict: each line ever sealed, and whether a receipt that proves it has come. The spool
must hold every unproven line, send it unless it rests, and keep its chains whole.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from random import Random

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from edge_agent.sealed import Place, SealedLine
from edge_agent.spool import Spool, SpoolFull
from shared.errors import Refused
from shared.line import hash_of, parse
from shared.receipt import Receipt
from shared.report import Birth, Cause, Summary, read
from tests.examples import examples
from tests.spools import COLLECTOR_KEY, DAY_MS, GATEWAY, birth, held, open_spool, usage

LOGS = ("main", "flat-2")
BYTES_MAX = 300_000


class SpoolMachine(RuleBasedStateMachine):
    """The spool beside a dict."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "spool.db"
        self.lines: dict[Place, bytes] = {}
        self.receipted: dict[Place, int] = {}
        self.aside: set[Place] = set()
        self.folded: set[Place] = set()
        self.at = 0
        self.heard: dict[str, int] = {}
        self.numbers = 0
        self.snapshot: object = None
        self.spool: Spool

    @initialize()
    def begin(self) -> None:
        self.spool = open_spool(self.path, bytes_max=BYTES_MAX)
        self._keep(self.spool.seal([birth(log) for log in LOGS], {}))
        self.snapshot = {}

    @rule(log=st.sampled_from(LOGS), count=st.integers(1, 3), intervals=st.sampled_from((1, 60, 600)))
    def seal(self, log: str, count: int, intervals: int) -> None:
        self.numbers += count
        contents = [usage(self.numbers + extra, log, intervals=intervals) for extra in range(count)]
        try:
            lines = self.spool.seal(contents, {"number": self.numbers})
        except SpoolFull:
            self._note_folded()
            return
        self._keep(lines)
        self.snapshot = {"number": self.numbers}

    @rule()
    def commit(self) -> None:
        self.numbers += 1
        self.spool.commit({"number": self.numbers})
        self.snapshot = {"number": self.numbers}

    @rule(seed=st.integers(0, 2**32))
    def reopen(self, seed: int) -> None:
        self.spool.close()
        self.spool = open_spool(self.path, seed=seed, bytes_max=BYTES_MAX)

    @rule(data=st.data(), days=st.sampled_from((0, 0, 1, 2)), newer=st.booleans())
    def hear_own_head(self, data: st.DataObject, days: int, *, newer: bool) -> None:
        place = data.draw(st.sampled_from(sorted(self.lines)))
        self._hear(place.log, place.epoch, place.seq, hash_of(self.lines[place]), days=days, newer=newer)

    @rule(log=st.sampled_from(LOGS))
    def hear_nothing(self, log: str) -> None:
        self._hear(log, self.spool.epoch, 0, "")

    @rule(data=st.data(), beyond=st.integers(0, 3))
    def hear_a_fork(self, data: st.DataObject, beyond: int) -> None:
        log = data.draw(st.sampled_from(LOGS))
        chain = self.spool.chain(log)
        assert chain is not None
        self._hear(log, self.spool.epoch, max(1, chain.seq + beyond), hash_of(b"of another history"))

    @rule(data=st.data())
    def hear_aside(self, data: st.DataObject) -> None:
        place = data.draw(st.sampled_from(sorted(self.lines)))
        raw = self.spool.raw(place)
        waits = raw is not None and place not in self.receipted and place not in self.folded
        self.at += 1
        self.heard[place.log] = self.at
        unknown = Receipt(
            gateway=GATEWAY,
            log=place.log,
            key=COLLECTOR_KEY.public.id,
            epoch=place.epoch,
            through=2**40,
            head=hash_of(b"of another history"),
            missing=(),
            aside=(hash_of(self.lines[place]),),
            at=self.at,
        )
        self.spool.receive(unknown)
        if waits:
            self.receipted[place] = self.at
            self.aside.add(place)
        self._follow_fork()

    @precondition(lambda self: self.lines)
    @rule(data=st.data())
    def rest(self, data: st.DataObject) -> None:
        old = sorted(place for place in self.lines if place.epoch != self.spool.epoch)
        if old:
            self.spool.rest([data.draw(st.sampled_from(old))])

    @invariant()
    def every_unproven_line_is_held_and_unchanged(self) -> None:
        for place, raw in self.lines.items():
            kept = self.spool.raw(place)
            if place in self.folded:
                assert kept is None
            elif place in self.receipted:
                assert kept in (raw, None)
            else:
                assert kept == raw, f"{place} was forgotten before its receipt"

    @invariant()
    def receipted_lines_are_kept_for_a_day(self) -> None:
        newest = max(self.heard.values(), default=0)
        for place, at in self.receipted.items():
            if place in self.folded:
                continue
            assert self.spool.raw(place) is not None or at <= newest - DAY_MS

    @invariant()
    def only_unproven_lines_wait(self) -> None:
        waiting = set(self.spool.waiting(10_000))
        assert waiting.isdisjoint(self.receipted)
        assert waiting <= self.lines.keys()
        assert len(waiting) == self.spool.waiting_count
        current = {place for place in self.lines if place.epoch == self.spool.epoch} - self.folded
        assert current - self.receipted.keys() <= waiting, "lines of the current epoch never rest"

    @invariant()
    def chains_are_whole_and_the_bound_is_kept(self) -> None:
        for log in LOGS:
            chain = self.spool.chain(log)
            assert chain is not None
            assert Place(log, self.spool.epoch, chain.seq) in self.lines
        assert self.spool.snapshot() == self.snapshot
        assert self.spool.bytes_used <= BYTES_MAX + 100_000, "a snapshot and receipts need a little more"

    def teardown(self) -> None:
        for log in LOGS:
            assert held(self.spool, log)
        self.spool.close()
        self.folder.cleanup()

    def _hear(self, log: str, epoch: str, through: int, head: str, *, days: int = 0, newer: bool = True) -> None:
        if newer:
            self.at += 1 + days * DAY_MS
        at = self.at if newer else self.heard.get(log, 0)
        receipt = Receipt(
            gateway=GATEWAY,
            log=log,
            key=COLLECTOR_KEY.public.id,
            epoch=epoch,
            through=through,
            head=head,
            missing=(),
            aside=(),
            at=at,
        )
        chain = self.spool.chain(log, epoch)
        self.spool.receive(receipt)
        if not newer and log in self.heard:
            return
        self.heard[log] = at
        own = self.lines.get(Place(log, epoch, through))
        proven = through == 0 or (own is not None and hash_of(own) == head)
        if chain is None or not proven:
            self._follow_fork()
            return
        gone = through > 0 and through != chain.seq and self._hash_at(Place(log, epoch, through)) is None
        for place in self.lines:
            if place.log != log or place.epoch != epoch or place in self.aside:
                continue
            if place.seq > through:
                self._unreceipt(place)
            elif not gone:
                self.receipted.setdefault(place, at)

    def _hash_at(self, place: Place) -> str | None:
        """The hash that the spool knows of: of a line that it holds, or with which a summary ends."""
        raw = self.spool.raw(place)
        return self.spool._room.hash_at(place.log, place.epoch, place.seq) if raw is None else hash_of(raw)

    def _unreceipt(self, place: Place) -> None:
        # What was receipted and is gone cannot be sent again; the collector bridges it by registers.
        if self.spool.raw(place) is not None:
            self.receipted.pop(place, None)

    def _follow_fork(self) -> None:
        if not self.spool.contradicted:
            return
        births = [birth(log, cause=Cause.EPOCH) for log in LOGS]
        lines = self.spool.begin_epoch(births, {"number": self.numbers}, random=Random(self.at))
        self.snapshot = {"number": self.numbers}
        self._keep(lines)
        for line in lines:
            parsed = parse(line.raw)
            assert not isinstance(parsed, Refused)
            report = read(parsed)
            assert isinstance(report, Birth)
            assert report.header.seq == 1

    def _note_folded(self) -> None:
        """Summaries that a full spool has sealed by itself: their lines are told of, and gone (P7)."""
        rows = self.spool._database.execute("select log, epoch, seq, raw from line where kind = 'summary'")
        for log, epoch, seq, raw in rows:
            if Place(log, epoch, seq) in self.lines:
                continue
            parsed = parse(raw)
            assert not isinstance(parsed, Refused)
            report = read(parsed)
            assert isinstance(report, Summary)
            self.lines[Place(log, epoch, seq)] = raw
            for cover in report.covers:
                covered = {Place(log, epoch, at) for at in range(cover.first, cover.last + 1)}
                assert covered <= self.lines.keys()
                self.folded |= covered

    def _keep(self, lines: Sequence[SealedLine]) -> None:
        self._note_folded()
        for line in lines:
            assert line.place not in self.lines, "no position is ever used twice"
            self.lines[line.place] = line.raw


TestSpool = SpoolMachine.TestCase
TestSpool.settings = settings(
    max_examples=examples(40), stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
