"""The lines of what is not billed yet, so far or ended: chosen, named, and each opened onto what it rests on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cloud_collector.contracts.revision import Revision
from cloud_collector.insight.ended import ended_in
from cloud_collector.insight.grounds import line_id
from cloud_collector.insight.look import Look, look
from cloud_collector.insight.opened_line import ON_USAGE, Line, Rests, rests_on
from cloud_collector.invoice.basis import reads_of
from cloud_collector.rating.draft import Draft, DraftLine, LineKind
from cloud_collector.store.store import Store
from cloud_collector.store.view import StoreView

_REDUCING: Final = frozenset({LineKind.DISCOUNT, LineKind.CAP, LineKind.MINIMUM})


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedDraft:
    """One line of a draft with all that stands under it, and the lines that belong to it."""

    line: DraftLine
    draft: Draft
    rests: Rests
    beside: tuple[DraftLine, ...]

    def to_json(self) -> dict[str, Any]:
        """The public form."""
        return {**named(self.line), **self.rests.to_json(), "beside": [line_id(each.key) for each in self.beside]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Charged:
    """What a contract costs so far, or what a period that has ended will be billed with."""

    draft: Draft
    _seen: Callable[[DraftLine], Look]
    """The contract in the period of a line."""

    def opened(self, name: str) -> OpenedDraft | None:
        """One of its lines; None where there is none of that name now. Raises NotRunning and UnlikeUnits."""
        line = next((each for each in self.draft.lines if line_id(each.key) == name), None)
        if line is None:
            return None
        at = self._seen(line)
        opened = Line(key=line.key, end=line.service_end, reads=reads_of(line.reads), sealed={})
        return OpenedDraft(
            line=line,
            draft=self.draft,
            rests=rests_on(at.known, at.period, opened),
            beside=tuple(each for each in self.draft.lines if _stands_beside(each, line)),
        )


def charged(store: Store, known: Sequence[Revision], contract: str, now_ms: int, period: str = "") -> Charged | None:
    """The running period; or the one that began on the local date `period`, None where none such waits to be billed.

    Raises NotRunning and UnlikeUnits.
    """
    if not period:
        running = look(store, known, contract, now_ms, StoreView)
        return Charged(draft=running.cost(foretold=False).draft, _seen=lambda _: running)
    for each in ended_in(store, known, [contract], now_ms):
        if each.draft is not None and each.period.first.isoformat() == period:
            # Beside its own lines stand those that come too late for an earlier invoice.
            return Charged(
                draft=each.draft,
                _seen=lambda line: look(store, known, contract, now_ms, StoreView, within=line.service_start),
            )
    return None


def named(line: DraftLine) -> dict[str, Any]:
    """A line with what it is called in addresses."""
    return {"line": line_id(line.key), **line.to_json()}


def lines_of(draft: Draft, *, charge: str = "", device: str = "", tax: str = "") -> list[DraftLine]:
    """The lines of one charge, of one device, or under one tax; all where nothing is asked for."""
    under = {place for each in draft.taxes if each.name == tax for place in each.lines}
    return [
        line
        for place, line in enumerate(draft.lines)
        if charge in {"", line.charge}
        and (not tax or place in under)
        # What is the whole contract's is shared out by usage: it is a part of every device's figure.
        and (not device or line.device == device or (line.device is None and line.kind in ON_USAGE))
    ]


def _stands_beside(other: DraftLine, line: DraftLine) -> bool:
    """Whether one of them is a discount, a cap or a minimum of the other."""
    same = (other.charge, other.device, other.service_start) == (line.charge, line.device, line.service_start)
    return same and (other.kind in _REDUCING) is not (line.kind in _REDUCING)
