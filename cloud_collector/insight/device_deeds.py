"""Doing something to a device: what each word may be said of, and what it then says of the bill."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from cloud_collector.activity.lifecycle import FOREVER
from cloud_collector.billing.device_states import Deed, deeds_of, keep
from cloud_collector.contracts.catalog import State
from cloud_collector.contracts.period import iso
from cloud_collector.contracts.revision import Revision
from cloud_collector.insight.device_life import Chapter, chapters_of
from cloud_collector.store.store import Store
from cloud_collector.usage.span import UsageView
from shared.errors import MetersealError

REASON_CHARS_MAX: Final = 256
NAME_CHARS_MAX: Final = 64
DEEDS_MAX: Final = 1_000
"""What may be done to one device in its life."""


class Word(StrEnum):
    """What an operator may do to a device."""

    SUSPEND = "suspend"
    RESUME = "resume"
    END = "end"
    ACTIVATE = "activate"


class NotPossible(MetersealError):
    """It cannot be done to the device as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What came of it."""

    deed: Deed
    contract: str
    before: str
    new: bool
    """False where the very same had been said before."""
    billed: tuple[str, ...] = ()
    """Invoices of the time in which it now holds: what differs comes with the next one."""


def do(
    store: Store,
    view: UsageView,
    known: Sequence[Revision],
    word: Word,
    *,
    device: str,
    at: int,
    now_ms: int,
    by_whom: str,
    reason: str,
    dry_run: bool = False,
) -> Done:
    """It is a fact that the word holds of the device from `at` on; raises NotPossible, UnknownDevice."""
    with store.atomic():
        now = max(at, now_ms // 1000)
        chapter = _holder(chapters_of(store, view, known, device, now), device, at)
        said = deeds_of(store, device)
        before = chapter.state_at(at)
        deed = Deed(
            device=device,
            state=_state(chapter, word, at),
            at=at,
            said_at=now_ms,
            by_whom=by_whom,
            reason=reason,
        )
        again = [each for each in said if each.at == at and _says(each, word, deed)]
        if again:
            return Done(deed=again[-1], contract=chapter.held.contract, before=before, new=False)
        _judge(chapter, word, before, at)
        _judge_start(store, chapter, word, at)
        if len(said) >= DEEDS_MAX:
            raise NotPossible(f"{device} has changed its state {DEEDS_MAX} times already")
        if not dry_run:
            keep(store, deed)
    billed = tuple(row[0] for row in store.rows("invoices_touching", chapter.held.contract, at))
    return Done(deed=deed, contract=chapter.held.contract, before=before, new=True, billed=billed)


def _holder(found: Sequence[Chapter], device: str, at: int) -> Chapter:
    for chapter in found:
        if chapter.held.holds(at):
            return chapter
    times = "; ".join(
        f"{each.held.contract} has it from {iso(each.held.start)}"
        + ("" if each.held.end >= FOREVER else f" to {iso(each.held.end)}")
        for each in found
    )
    raise NotPossible(f"at {iso(at)} no contract has {device}: {times}")


def _state(chapter: Chapter, word: Word, at: int) -> State:
    match word:
        case Word.SUSPEND:
            return State.SUSPENDED
        case Word.END:
            return State.ENDED
        case Word.ACTIVATE:
            return State.ACTIVE
        case Word.RESUME:
            # Whoever resumes a device that was never used does not start to bill it by that.
            start = chapter.life.activation
            return State.ACTIVE if start is not None and start.at <= at else State.PROVISIONED


def _says(said: Deed, word: Word, deed: Deed) -> bool:
    resumed = word is Word.RESUME and said.state in (State.ACTIVE, State.PROVISIONED)
    return said.state is deed.state or resumed


def _judge_start(store: Store, chapter: Chapter, word: Word, at: int) -> None:
    """Raises NotPossible where an invoice has said when billing began, and the plan keeps what was said."""
    stated = store.rows("device_starts_stated", chapter.held.contract, chapter.device.id)
    if word is Word.ACTIVATE and stated and not chapter.terms.activation.late_evidence_adjusts:
        number, _, start, _ = stated[-1]
        if at < start:
            raise NotPossible(
                f"{number} says that billing of {chapter.device.id} began at {iso(start)}, and the plan's "
                "late_evidence keeps what an invoice has said"
            )


def _judge(chapter: Chapter, word: Word, before: str, at: int) -> None:
    """Raises NotPossible where the word would change nothing, or ended is said to be no end."""
    device, since = chapter.device.id, iso(chapter.since(at))
    if before == State.ENDED:
        raise NotPossible(
            f"{device} has ended on {since}, and ended is final: give it to a contract anew in the catalog"
        )
    match word:
        case Word.SUSPEND if before == State.SUSPENDED:
            raise NotPossible(f"{device} is suspended since {since}")
        case Word.RESUME if before != State.SUSPENDED:
            raise NotPossible(f"{device} is {before} since {since}: only what is suspended can be resumed")
        case Word.ACTIVATE if before == State.ACTIVE:
            raise NotPossible(f"{device} is active since {since}")
        case Word.ACTIVATE if before == State.SUSPENDED:
            raise NotPossible(f"{device} is suspended since {since}: resume it first")
        case _:
            return
