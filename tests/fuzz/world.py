"""Poison among good lines, into the real intake on a real store: every one has its verdict, and nobody else notices."""

import base64
import json
import random
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from cloud_collector.intake.intake import Opened
from cloud_collector.intake.replay import audit
from cloud_collector.intake.verdict import Accepted, Aside, Duplicate, Quarantined, RefusedLine, Unmatched, Verdict
from cloud_collector.limits import ASIDE_LINES_MAX, UNMATCHED_ROWS_MAX
from cloud_collector.store.account import account, quarantine
from cloud_collector.store.store import Store
from shared.effects.database import Database
from shared.effects.sqlite import SqliteDatabase
from shared.key import SigningKey
from shared.limits import REFUSED_SAMPLES_MAX
from shared.payload import pack
from shared.topic import Leaf
from tests.fuzz.poison import Mallory, Poison
from tests.sealing import NOW_MS, PaperGateway, paper_collector

BATCH: Final = 64
LIFE: Final = 2_500
"""Messages until the store is judged as a whole and begun anew."""
REASON_CHARS_MAX: Final = 512
KEPT: Final = Path(__file__).parents[1] / "property" / "corpus" / "intake.jsonl"
_NUMBER: Final = re.compile(r"'[^']*'|[0-9a-f]{16}|\d+")
_SAID: Final = (Accepted, Quarantined, Duplicate, Aside, Unmatched, RefusedLine)


class Broken(AssertionError):
    """A promise is broken; the message says by which poison."""


class FuzzWorld:
    """One store, two good gateways, Mallory, and everything that the intake said."""

    def __init__(self, seed: int, database: Database | None = None) -> None:
        self.seed = seed
        self.draw = random.Random(f"fuzz {seed}")
        self.mallory = Mallory(self.draw, kept())
        self.reasons: Counter[str] = Counter()
        """What was said, without the numbers and names in it."""
        self.found: dict[str, Poison] = {}
        """The first message of each reason that was new."""
        self.taken = 0
        self.good = [PaperGateway(name=f"gw-{at}", key=SigningKey(bytes([at]) * 32)) for at in (1, 2)]
        self._units = dict.fromkeys(("gw-1", "gw-2"), 0)
        self._database = database or SqliteDatabase(":memory:")
        paper = PaperGateway(name=self.mallory.name, key=self.mallory.key)
        self.collector = paper_collector(*self.good, paper, store=Store(self._database))
        self._now = NOW_MS

    def run(self, messages: int) -> None:
        """Take that many, then judge the whole."""
        for first in range(0, messages, BATCH):
            self.batch([self.mallory.breed() for _ in range(min(BATCH, messages - first))])
        self.judge()

    def batch(self, poisons: list[Poison]) -> None:
        """One transaction of poison, with a good line of each neighbour somewhere in it."""
        sent: list[tuple[str, bytes]] = [(poison.topic, poison.payload) for poison in poisons]
        lines = {paper.name: self._good_line(paper) for paper in self.good}
        for paper in self.good:
            sent.insert(self.draw.randrange(len(sent) + 1), (paper.topic, pack([lines[paper.name]])))
        verdicts = self._commit(sent, poisons)
        self.taken += len(poisons)
        for paper in self.good:
            at = len(paper.lines)
            fine = [
                each
                for each in verdicts
                if isinstance(each, Accepted) and (each.place.gateway, each.place.epoch) == (paper.name, paper.epoch)
            ]
            if [each.place.seq for each in fine] != [at]:
                raise Broken(f"line {at} of {paper.name} was not accepted once, in a batch of {_names(poisons)}")

    def judge(self) -> None:
        """Everything in the store follows from its lines, is within its bounds, and is the neighbours' to the unit."""
        store = self.collector.store
        for name, units in self._units.items():
            found = account(store, name)
            if sum(each.counted for each in found) != units or quarantine(store, name):
                raise Broken(f"{name} used {units}, the collector says {found}")
        held = self._database.execute("select count(*) from unmatched")[0][0]
        samples = self._database.execute(
            "select coalesce(max(n), 0) from (select count(*) as n from refused group by gateway) x"
        )
        aside = self._database.execute("select coalesce(max(asides), 0) from chain")
        if held > UNMATCHED_ROWS_MAX or samples[0][0] > REFUSED_SAMPLES_MAX or aside[0][0] > ASIDE_LINES_MAX:
            raise Broken(f"kept beyond the bounds: {held} unmatched, {samples} samples, {aside} aside")
        scratch = Store(SqliteDatabase(":memory:"))
        difference = audit(store, scratch, self.collector.settings)
        scratch.close()
        if difference is not None:
            raise Broken(f"the store is not what its lines say: {difference}")

    def close(self) -> None:
        """Nothing is left."""
        self.collector.store.close()

    def _good_line(self, paper: PaperGateway) -> bytes:
        if not paper.lines:
            return paper.birth(("meter", "energy", 0, 0))
        units = self.draw.randrange(100)
        line = paper.usage(("meter", "energy", self._units[paper.name], (units,)))
        self._units[paper.name] += units
        self.mallory.overheard = [*self.mallory.overheard[-200:], line]
        return line

    def _commit(self, sent: list[tuple[str, bytes]], poisons: list[Poison]) -> tuple[Verdict, ...]:
        intake = self.collector.intake
        self._now += 1_500
        opened = intake.open(sent, intake.keys_for([topic for topic, _ in sent]))
        answers = sum(topic.endswith(f"/{Leaf.RESPONSE}") for topic, _ in sent)
        verdicts = intake.commit(opened, self._now).verdicts
        if not len(sent) - answers <= len(verdicts) <= len(opened):
            raise Broken(f"{len(sent)} messages had {len(verdicts)} verdicts: {_names(poisons)}")
        for each in verdicts:
            for reason in reasons_of(each):
                # A reason stands on pages and in logs: one line that people can read.
                if not (reason and reason.isprintable() and len(reason) <= REASON_CHARS_MAX):
                    raise Broken(f"{type(each).__name__} for the reason {reason[:600]!r}")
        self._hear(opened, poisons)
        return verdicts

    def _hear(self, opened: Iterable[Opened], poisons: Iterable[Poison]) -> None:
        new = set()
        for each in opened:
            said = said_of(each)
            self.reasons[said] += 1
            if said not in self.found:
                new.add(said)
        for poison in poisons if new else ():
            for said in new & set(self.said(poison.topic, poison.payload)) - self.found.keys():
                self.found[said] = poison
                self.mallory.learn(poison)

    def said(self, topic: str, payload: bytes) -> list[str]:
        """What each line of a message is said to be, by the pure room, which what the store holds does not change."""
        intake = self.collector.intake
        return [said_of(each) for each in intake.open([(topic, payload)], intake.keys_for([topic]))]


def reasons_of(verdict: Verdict) -> list[str]:
    """Why, wherever a verdict says so."""
    match verdict:
        case Quarantined(rows=rows):
            return [row.reason for row in rows]
        case Aside(reason=reason) | Unmatched(reason=reason) | RefusedLine(reason=reason):
            return [reason]
        case _:
            return []


def said_of(opened: object) -> str:
    """What the pure room made of one line, without the names and numbers in it."""
    reason = getattr(opened, "reason", None)
    if reason is None:
        content = getattr(opened, "content", None)
        bad = getattr(content, "bad", ())
        reason = bad[0].reason if bad else getattr(content, "kind", "")
    return f"{type(opened).__name__} {_NUMBER.sub('…', str(reason))}"[:160]


def kept() -> list[tuple[str, bytes]]:
    """The messages that were kept, a topic and a payload each."""
    return [(topic, payload) for topic, payload, _ in kept_verdicts()]


def kept_verdicts() -> list[tuple[str, bytes, list[str]]]:
    """The messages that were kept, with what is said of each."""
    if not KEPT.exists():
        return []
    rows = [json.loads(row) for row in KEPT.read_text(encoding="utf-8").splitlines()]
    return [(row["topic"], base64.b64decode(row["payload"]), row["said"]) for row in rows]


def _names(poisons: Iterable[Poison]) -> str:
    return ", ".join(f"{breed} {count}" for breed, count in Counter(poison.breed for poison in poisons).items())
