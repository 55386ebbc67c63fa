"""The lines of the cost so far: chosen, named, and each opened onto what it rests on."""

from dataclasses import dataclass
from typing import Any, Final

from cloud_collector.insight.cost import Cost
from cloud_collector.insight.grounds import line_id
from cloud_collector.insight.look import Look
from cloud_collector.insight.opened_line import ON_USAGE, Line, Rests, rests_on
from cloud_collector.invoice.basis import reads_of
from cloud_collector.rating.draft import DraftLine, LineKind

_REDUCING: Final = frozenset({LineKind.DISCOUNT, LineKind.CAP, LineKind.MINIMUM})


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedDraft:
    """One line of the cost so far with all that stands under it, and the lines that belong to it."""

    line: DraftLine
    cost: Cost
    rests: Rests
    beside: tuple[DraftLine, ...]

    def to_json(self) -> dict[str, Any]:
        """The public form."""
        return {**named(self.line), **self.rests.to_json(), "beside": [line_id(each.key) for each in self.beside]}


def named(line: DraftLine) -> dict[str, Any]:
    """A line with what it is called in addresses."""
    return {"line": line_id(line.key), **line.to_json()}


def lines_of(cost: Cost, *, charge: str = "", device: str = "", tax: str = "") -> list[DraftLine]:
    """The lines of one charge, of one device, or under one tax; all where nothing is asked for."""
    under = {place for each in cost.draft.taxes if each.name == tax for place in each.lines}
    return [
        line
        for place, line in enumerate(cost.draft.lines)
        if charge in {"", line.charge}
        and (not tax or place in under)
        # What is the whole contract's is shared out by usage: it is a part of every device's figure.
        and (not device or line.device == device or (line.device is None and line.kind in ON_USAGE))
    ]


def opened_draft(at: Look, name: str) -> OpenedDraft | None:
    """A line of the running period; None where there is none of that name now. Raises UnlikeUnits."""
    cost = at.cost(foretold=False)
    line = next((each for each in cost.draft.lines if line_id(each.key) == name), None)
    if line is None:
        return None
    opened = Line(key=line.key, end=line.service_end, reads=reads_of(line.reads), sealed={})
    return OpenedDraft(
        line=line,
        cost=cost,
        rests=rests_on(at.known, at.period, opened),
        beside=tuple(each for each in cost.draft.lines if _stands_beside(each, line)),
    )


def _stands_beside(other: DraftLine, line: DraftLine) -> bool:
    """Whether one of them is a discount, a cap or a minimum of the other."""
    same = (other.charge, other.device, other.service_start) == (line.charge, line.device, line.service_start)
    return same and (other.kind in _REDUCING) is not (line.kind in _REDUCING)
