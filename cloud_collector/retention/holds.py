"""Which lines issued invoices hold: all that may still be asked for, else those at the ends of each counter."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from cloud_collector.proof.evidence import needed
from cloud_collector.retention.horizon import Horizon
from cloud_collector.store.store import Store
from shared.errors import Refused
from shared.line import Body, parse, read_body

INVOICES_AT_ONCE: Final = 512
"""Invoices that are looked at in one step."""
ChainName = tuple[str, str, str]
"""gateway, log, epoch."""
Span = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Resting:
    """An invoice that may lose detail, and the lines that it rests on in one chain."""

    id: int
    number: str
    spans: tuple[Span, ...]


@dataclass(slots=True, kw_only=True)
class Holds:
    """What is held, by chain; `resting` are invoices whose lines in between may go once they are proven."""

    whole: dict[ChainName, list[Span]] = field(default_factory=lambda: defaultdict(list))
    ends: dict[ChainName, set[int]] = field(default_factory=lambda: defaultdict(set))
    resting: dict[ChainName, list[Resting]] = field(default_factory=lambda: defaultdict(list))

    def of(self, chain: ChainName) -> Callable[[int], bool]:
        """Whether a position is held."""
        merged = _merged(self.whole.get(chain, []))
        firsts, ends = [first for first, _ in merged], self.ends.get(chain, set())

        def held(seq: int) -> bool:
            at = bisect_right(firsts, seq) - 1
            return seq in ends or (at >= 0 and seq <= merged[at][1])

        return held


def survey(store: Store, horizons: Mapping[str, Horizon]) -> Generator[int, None, Holds]:
    """Look through every issued invoice, some at a time; yields how many were looked at, returns what they hold."""
    found = Holds()
    disputed = {number for (number,) in store.rows("retention_disputed")}
    newest: dict[str, Body] = {}
    last = 0
    while rows := store.rows("retention_invoices", last, INVOICES_AT_ONCE):
        for id_, number, contract, account, _, period_end, line in rows:
            body = _body(bytes(line))
            if "voids" in body:
                continue
            horizon = horizons.get(account)
            stretches = needed(body).stretches
            free = horizon is not None and period_end <= horizon.before and number not in disputed
            for chain, spans in stretches.items():
                if free:
                    found.resting[chain].append(Resting(id=id_, number=number, spans=spans))
                else:
                    found.whole[chain] += spans
            if free:
                _keep(found, body)
            newest[contract] = body
        last = rows[-1][0]
        yield len(rows)
    for body in newest.values():
        # What later invoices of the contract will look at again, before their own time.
        _keep_whole(found, body["beside"])
    return found


def _keep(found: Holds, body: Body) -> None:
    """Both ends of each counter, and whole what started a device or explains a hole."""
    for rows in (
        [rated["reads"] for rated in body["rated"]],
        [line["reads"] for line in body["lines"]],
        [body["beside"]],
    ):
        for gateway, log, _, _, epoch, first, _, last, _, _ in (row for each in rows for row in each):
            found.ends[gateway, log, epoch] |= {first, last}
    for start in body["activations"]:
        _keep_whole(found, start["reads"])
    for gateway, log, epoch, first, last in body["cutoff"]["also"]:
        found.whole[gateway, log, epoch].append((first, last))


def _keep_whole(found: Holds, reads: Sequence[Sequence[Any]]) -> None:
    for gateway, log, _, _, epoch, first, _, last, _, _ in reads:
        found.whole[gateway, log, epoch].append((first, last))


def _body(line: bytes) -> Body:
    parsed = parse(line)
    assert not isinstance(parsed, Refused), "an issued invoice is a sealed line"
    body = read_body(parsed)
    assert not isinstance(body, Refused), "an issued invoice has a body"
    return body


def _merged(spans: Sequence[Span]) -> list[Span]:
    found: list[Span] = []
    for first, last in sorted(spans):
        if found and first <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(found[-1][1], last))
        else:
            found.append((first, last))
    return found


def overlapping(resting: Sequence[Resting], first: int, last: int) -> Iterator[Resting]:
    """The invoices that rest on something in a stretch."""
    for each in resting:
        if any(low <= last and high >= first for low, high in each.spans):
            yield each
