"""Rules of the agent, broken one at a time from here: what it meters, what it keeps, what it sends."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final
from unittest.mock import patch

import edge_agent.meter
import edge_agent.receipts
from edge_agent.flights import Flights
from edge_agent.limits import RESEND_SECONDS_MIN
from edge_agent.meter import Judgement
from edge_agent.meter_state import Metered, MeterState
from edge_agent.reading import Reading
from edge_agent.receipts import HeardAs
from edge_agent.sealed import Place
from edge_agent.spool import Spool
from edge_agent.timekeeping import Moment
from edge_agent.uplink import Uplink
from shared.errors import Refused
from shared.line import hash_of
from shared.payload import unpack
from shared.report import Verdict
from shared.topic import Leaf


@contextlib.contextmanager
def forget_on_puback() -> Iterator[None]:
    """P7: a line counts as safe as soon as the broker has taken it."""
    publish = Uplink._publish

    async def forgetful(self: Uplink, session: Any, leaf: Leaf, payload: bytes, *, retain: bool = False) -> None:
        await publish(self, session, leaf, payload, retain=retain)
        raws = unpack(payload) if leaf is Leaf.REPORT else []
        for raw in [] if isinstance(raws, Refused) else raws:
            for row in self._spool._database.execute("select id from line where hash = ?", (hash_of(raw),)):
                self._spool._database.execute("delete from line where id = ?", row)

    with patch.object(Uplink, "_publish", forgetful):
        yield


@contextlib.contextmanager
def head_unchecked() -> Iterator[None]:
    """P7: a receipt is believed whatever line it names as its head."""
    judge = edge_agent.receipts.judge

    def gullible(*args: Any, **kwargs: Any) -> HeardAs:
        meaning = judge(*args, **kwargs)
        return HeardAs.CONFIRMED if meaning is HeardAs.CONTRADICTED else meaning

    with patch("edge_agent.spool.judge", gullible):
        yield


@contextlib.contextmanager
def reset_read_as_rollback() -> Iterator[None]:
    """P4: what was counted since a reset is lost."""
    judge_fall = edge_agent.meter.judge_fall

    def mistaken(*args: Any, **more: Any) -> Judgement:
        found = judge_fall(*args, **more)
        return found._replace(amount=0, verdict=Verdict.ROLLBACK) if found.verdict is Verdict.RESET else found

    with patch("edge_agent.meter.judge_fall", mistaken):
        yield


@contextlib.contextmanager
def guessed_reset() -> Iterator[None]:
    """P4: a lower value is taken for a reset and counted from zero, however much that is."""
    judge_fall = edge_agent.meter.judge_fall

    def guessing(state: MeterState, value: int, *args: Any, **more: Any) -> Judgement:
        found = judge_fall(state, value, *args, **more)
        return found._replace(amount=value, verdict=Verdict.RESET) if found.verdict is Verdict.ROLLBACK else found

    with patch("edge_agent.meter.judge_fall", guessing):
        yield


@contextlib.contextmanager
def register_outside_the_transaction() -> Iterator[None]:
    """P2: the line is committed first, and the windows without it afterwards."""
    seal = Spool._seal

    def torn(self: Spool, unsealed: Any, snapshot: Any, *rest: Any) -> Any:
        before = self.snapshot()
        if before is None:
            return seal(self, unsealed, snapshot, *rest)
        lines = seal(self, unsealed, before, *rest)
        self.commit(snapshot)
        return lines

    with patch.object(Spool, "_seal", torn):
        yield


@contextlib.contextmanager
def baseline_billed() -> Iterator[None]:
    """P4: the first reading of a channel counts as usage."""
    baseline = edge_agent.meter.baseline

    def greedy(state: MeterState, reading: Reading, at: Moment) -> tuple[MeterState, Metered]:
        after, metered = baseline(state, reading, at)
        return after, Metered(tuple(step._replace(amount=reading.value % 1_000 + 1) for step in metered.steps))

    with patch("edge_agent.meter.baseline", greedy):
        yield


@contextlib.contextmanager
def no_backoff() -> Iterator[None]:
    """P8: what nobody answers is sent again every few seconds."""
    with patch.object(Flights, "_backoff_ms", lambda *_: int(RESEND_SECONDS_MIN * 1_000)):
        yield


@contextlib.contextmanager
def rotation_never_rests() -> Iterator[None]:
    """P8: a line that announces a key and that nobody can confirm any more begins anew whenever it is answered."""
    answer = Flights.answer

    def forgetful(self: Flights, log: str, epoch: str, through: int, *, above: int = 0) -> Sequence[Place]:
        resting = answer(self, log, epoch, through, above=above)
        for place in resting:
            del self._flights[place]
        return resting

    with patch.object(Flights, "answer", forgetful), patch.object(Spool, "heard_epoch", None):
        yield


EDGE_SABOTAGES: Final[dict[str, Callable[[], contextlib.AbstractContextManager[None]]]] = {
    "forget-on-puback": forget_on_puback,
    "head-unchecked": head_unchecked,
    "reset-read-as-rollback": reset_read_as_rollback,
    "guessed-reset": guessed_reset,
    "register-outside-the-transaction": register_outside_the_transaction,
    "baseline-billed": baseline_billed,
    "no-backoff": no_backoff,
    "rotation-never-rests": rotation_never_rests,
}
