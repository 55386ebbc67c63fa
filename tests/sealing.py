"""A gateway on paper: seals any lines it is told to, honest or not, for tests of what receives them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from cloud_collector.fleet.gateways import add_gateway
from cloud_collector.intake.intake import Intake, Outcome
from cloud_collector.settings import CollectorSettings
from cloud_collector.store.store import Store
from edge_agent.fold import Fold, Foldable
from shared.effects.sqlite import SqliteDatabase
from shared.key import SigningKey
from shared.line import Line, hash_of, parse
from shared.payload import pack
from shared.receipt import Receipt, read_receipt
from shared.report import (
    Birth,
    Cause,
    Channel,
    Clock,
    ClockLine,
    Exchange,
    ExchangeRow,
    Forgotten,
    Gap,
    GapCause,
    GapRow,
    Header,
    Lost,
    Position,
    Report,
    Summary,
    Usage,
    UsageRow,
    Verdict,
    read,
    seal_report,
)

NOON = 1_790_000_000
"""A UTC second in September 2026 from which tests count; a multiple of 100, not of an hour."""
NOW_MS = (NOON + 40 * 86_400) * 1000
CONFIG = "A" * 43
OPERATOR = SigningKey(b"operator" * 4)


@dataclass(slots=True, kw_only=True)
class PaperGateway:
    """Seals lines one after another into one epoch of one log."""

    name: str = "gw-1"
    log: str = "main"
    epoch: str = "aaaaaaaa"
    boot: str = "b0000001"
    clock: Clock = Clock.SYNCHRONISED
    key: SigningKey = field(default_factory=lambda: SigningKey(b"gateway1" * 4))
    lines: list[bytes] = field(default_factory=list)
    now: int = NOON

    @property
    def topic(self) -> str:
        """Where its reports go."""
        return f"meterseal/v1/{self.name}/report"

    @property
    def position(self) -> Position:
        """Where its last line stands."""
        return Position(self.epoch, len(self.lines), hash_of(self.lines[-1]))

    def header(self, **changes: object) -> Header:
        """The header of the next line."""
        fields: dict[str, object] = {
            "gateway": self.name,
            "log": self.log,
            "key": self.key.public.id,
            "epoch": self.epoch,
            "seq": len(self.lines) + 1,
            "prev": hash_of(self.lines[-1]) if self.lines else "",
            "boot": self.boot,
            "clock": self.clock,
            "sealed_at": self.now,
        }
        return Header(**(fields | changes))  # type: ignore[arg-type]

    def seal(self, report: Report) -> bytes:
        """The line is the next of the chain."""
        raw = seal_report(report, self.key)
        self.lines.append(raw)
        return raw

    def birth(
        self,
        *channels: tuple[str, str, int, int | None],
        previous: Position | None = None,
        serial: str = "s-1",
        cause: Cause = Cause.START,
    ) -> bytes:
        """Channels as (device, meter, register, raw)."""
        rows = tuple(Channel(d, m, "Wh", 0, "source", serial, register, raw) for d, m, register, raw in channels)
        return self.seal(
            Birth(header=self.header(), agent="paper", config=CONFIG, cause=cause, previous=previous, channels=rows)
        )

    def usage(
        self,
        *rows: tuple[str, str, int, Sequence[int]],
        start: int | None = None,
        step: int = 60,
        notes: dict[int, Verdict] | None = None,
        unit: str = "Wh",
    ) -> bytes:
        """Rows as (device, meter, register, deltas); the window starts where the last one ended."""
        begin = self.now if start is None else start
        count = len(rows[0][3])
        self.now = begin + step * count
        found = tuple(UsageRow(d, m, unit, 0, register, tuple(deltas), notes or {}) for d, m, register, deltas in rows)
        return self.seal(Usage(header=self.header(), start=begin, step=step, count=count, rows=found))

    def gap(self, device: str, meter: str, start: int, end: int, before: int | None, after: int | None) -> bytes:
        """One channel could not be metered."""
        row = GapRow(device, meter, start, end, GapCause.SOURCE_DOWN, before, after)
        return self.seal(Gap(header=self.header(), rows=(row,)))

    def exchange(self, device: str, meter: str, old: int | None, new: int, register: int) -> bytes:
        """One channel's meter was swapped."""
        row = ExchangeRow(device, meter, "s-1", old, "s-2", new, register)
        return self.seal(Exchange(header=self.header(), rows=(row,)))

    def clock_line(self, offset: int) -> bytes:
        """The boot's time is known."""
        return self.seal(ClockLine(header=self.header(), offset=offset))

    def forgotten(self, first: int, last: int, epoch: str | None = None) -> bytes:
        """Receipted lines are gone."""
        lost = Lost(epoch or self.epoch, first, last)
        return self.seal(Forgotten(header=self.header(), lost=lost, receipted_at=NOW_MS))

    def summary(self, seqs: Sequence[int], step: int = 3_600) -> bytes | None:
        """The lines at these positions, folded as an agent folds them; None where they do not fold into one."""
        fold = Fold(step)
        for seq in sorted(seqs, key=lambda seq: self.foldable(seq).at):
            if not fold.take(self.foldable(seq)):
                return None
        if fold.whole() is not fold:
            return None
        return self.seal(fold.summary(key=self.key.public.id, seq=len(self.lines) + 1, prev=hash_of(self.lines[-1])))

    def foldable(self, seq: int) -> Foldable:
        """The line at this position, as folding sees it."""
        raw = self.lines[seq - 1]
        line = parse(raw)
        assert isinstance(line, Line)
        report = read(line)
        assert isinstance(report, Usage | Gap | Summary)
        return Foldable(report, hash_of(raw))

    def next_epoch(self, epoch: str) -> "PaperGateway":
        """The same gateway with another spool."""
        return PaperGateway(name=self.name, log=self.log, epoch=epoch, boot="b0000002", key=self.key, now=self.now)


@dataclass(slots=True, kw_only=True)
class PaperCollector:
    """Intake on a store in memory."""

    store: Store
    intake: Intake
    settings: CollectorSettings

    def take(self, topic: str, lines: Iterable[bytes], now_ms: int = NOW_MS) -> Outcome:
        """Lines that arrive in one batch, a message each."""
        messages = [(topic, pack([line], deflate=False)) for line in lines]
        return self.intake.commit(self.intake.open(messages, self.intake.keys_for([topic])), now_ms)

    def receipts(self, outcome: Outcome) -> list[Receipt]:
        """The receipts of an outcome, verified."""
        found = []
        for _, sealed in outcome.receipts:
            line = parse(sealed)
            assert isinstance(line, Line)
            assert line.verified_by(OPERATOR.public)
            receipt = read_receipt(line)
            assert isinstance(receipt, Receipt)
            found.append(receipt)
        return found


def paper_collector(*gateways: PaperGateway, store: Store | None = None, **settings: object) -> PaperCollector:
    """A collector that knows these gateways."""
    known = CollectorSettings(**settings)  # type: ignore[arg-type]
    held = store or Store(SqliteDatabase(":memory:"))
    for gateway in gateways:
        add_gateway(held, gateway.name, gateway.key.public, 0)
    return PaperCollector(store=held, intake=Intake(held, known, OPERATOR), settings=known)
