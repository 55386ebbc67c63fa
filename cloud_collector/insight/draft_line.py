"""The lines of what is not billed yet, so far or ended: chosen, named, and each opened onto what it rests on."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cloud_collector.contracts.period import Period
from cloud_collector.contracts.revision import Revision
from cloud_collector.insight.ended import ended_in
from cloud_collector.insight.grounds import line_id
from cloud_collector.insight.kept import Kept
from cloud_collector.insight.look import Look, NotRunning, look
from cloud_collector.insight.opened_line import ON_USAGE, Line, Rests, rests_on
from cloud_collector.invoice.basis import reads_of
from cloud_collector.rating.draft import Draft, DraftLine, LineKind
from cloud_collector.store.store import Store
from cloud_collector.store.view import StoreView

_REDUCING: Final = frozenset({LineKind.DISCOUNT, LineKind.CAP, LineKind.MINIMUM})


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedLine:
    """A line of a draft, and what it is called in addresses."""

    name: str
    line: DraftLine

    def to_json(self) -> dict[str, Any]:
        """The public form."""
        return {"line": self.name, **self.line.to_json()}


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedDraft:
    """One line of a draft with all that stands under it, and the lines that belong to it."""

    named: NamedLine
    draft: Draft
    rests: Rests
    beside: tuple[NamedLine, ...]

    @property
    def line(self) -> DraftLine:
        """It without its name."""
        return self.named.line

    def to_json(self) -> dict[str, Any]:
        """The public form."""
        return {**self.named.to_json(), **self.rests.to_json(), "beside": [each.name for each in self.beside]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Charged:
    """What a contract costs so far, or what a period that has ended will be billed with."""

    draft: Draft
    period: Period
    _seen: Callable[[DraftLine], Look]
    """The contract in the period of a line."""

    def opened(self, name: str) -> OpenedDraft | None:
        """One of its lines; None where there is none of that name now. Raises NotRunning and UnlikeUnits."""
        every = lines_of(self.draft)
        found = next((each for each in every if each.name == name), None)
        if found is None:
            return None
        line = found.line
        at = self._seen(line)
        opened = Line(key=line.key, end=line.service_end, reads=reads_of(line.reads), sealed={})
        return OpenedDraft(
            named=found,
            draft=self.draft,
            rests=rests_on(at.known, at.period, opened),
            beside=tuple(each for each in every if _stands_beside(each.line, line)),
        )


def charged(
    store: Store,
    known: Sequence[Revision],
    contract: str,
    now_ms: int,
    period: str = "",
    *,
    memory: Kept | None = None,
) -> Charged | None:
    """The running period; or the one that began on the local date `period`, None where none such waits to be billed.

    Raises NotRunning and UnlikeUnits.
    """
    if not period:
        running = look(store, known, contract, now_ms, StoreView, memory=memory)
        draft = running.cost(foretold=False).draft
        return Charged(draft=draft, period=running.period, _seen=lambda _: running)
    (ended,) = ended_in(store, known, [contract], now_ms) or (None,)
    if ended is None or ended.draft is None or ended.period.first.isoformat() != period:
        return None
    begins = ended.draft.period.start

    def seen(line: DraftLine) -> Look:
        # Beside its own lines stand those that come too late for an earlier invoice.
        try:
            return look(store, known, contract, now_ms, StoreView, within=line.service_start, memory=memory)
        except NotRunning:
            # What falls due as the contract ends, and what was billed beyond its end, lies in no period of it.
            return look(store, known, contract, now_ms, StoreView, within=begins, memory=memory)

    return Charged(draft=ended.draft, period=ended.period, _seen=seen)


def lines_of(draft: Draft, *, charge: str = "", device: str = "", tax: str = "") -> list[NamedLine]:
    """The lines of one charge, of one device, or under one tax; all where nothing is asked for.

    Where a line takes back what was billed under its key and another bills it anew, the second has a name of its own.
    """
    under = {place for each in draft.taxes if each.name == tax for place in each.lines}
    return [
        NamedLine(name=name, line=line)
        for place, (name, line) in enumerate(zip(_names(draft.lines), draft.lines, strict=True))
        if charge in {"", line.charge}
        and (not tax or place in under)
        # What is the whole contract's is shared out by usage: it is a part of every device's figure.
        and (not device or line.device == device or (line.device is None and line.kind in ON_USAGE))
    ]


def _names(lines: Sequence[DraftLine]) -> Iterator[str]:
    seen: Counter[str] = Counter()
    for line in lines:
        name = line_id(line.key)
        seen[name] += 1
        yield name if seen[name] == 1 else f"{name}-{seen[name]}"


def _stands_beside(other: DraftLine, line: DraftLine) -> bool:
    """Whether one of them is a discount, a cap or a minimum of the other, or takes back what the other bills anew."""
    same = (other.charge, other.device, other.service_start) == (line.charge, line.device, line.service_start)
    again = other is not line and other.key == line.key
    return again or (same and (other.kind in _REDUCING) is not (line.kind in _REDUCING))
