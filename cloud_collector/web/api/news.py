"""What has happened in the store since it was looked at last: costs that moved, warnings, gateways, alarms.

It asks for little: sums of chains and the newest ids. Only contracts that somebody listens to are rated.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from cloud_collector.activity.holding import holdings
from cloud_collector.billing.revisions import NoCatalog, revisions
from cloud_collector.contracts.catalog import Catalog
from cloud_collector.contracts.money import as_written
from cloud_collector.contracts.period import iso
from cloud_collector.contracts.revision import Revision
from cloud_collector.fleet.progress import progress
from cloud_collector.fleet.roster import seen_one
from cloud_collector.insight.alerts import public
from cloud_collector.insight.cost import Cost
from cloud_collector.insight.kept import Kept
from cloud_collector.insight.look import NotRunning, look
from cloud_collector.store.store import Store
from cloud_collector.store.view import StoreView
from cloud_collector.usage.quantity import UnlikeUnits

COSTS_A_ROUND_MAX: Final = 20
"""Contracts rated in one round; the next one goes on. It shares a processor with intake."""
FACTS_A_ROUND_MAX: Final = 500
"""Warnings, and gateways, that one round tells."""
LINES_TOLD_MAX: Final = 200
"""A contract with more lines or devices is told by its sums alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """Something that somebody may want to know at once."""

    kind: str
    """`cost`, `warning`, `gateway` or `alarm`."""
    accounts: frozenset[str] | None
    """Whom it concerns; None: the operator alone."""
    data: Mapping[str, Any]
    warning: int = 0
    """Of a warning, its id."""


class News:
    """Remembers which facts it has seen."""

    def __init__(self, memory: Kept) -> None:
        self._memory = memory
        self._sums: dict[str, int] | None = None
        self._line = 0
        self._warning = 0
        self._alarms: dict[int, None] = {}
        self._standings: dict[str, str] = {}
        self._due: dict[str, None] = {}
        """Contracts to be rated, in the order in which they moved."""

    @property
    def warning(self) -> int:
        """The id of the newest warning that was told."""
        return self._warning

    @property
    def owes(self) -> bool:
        """Whether contracts have moved that the last round had no room for."""
        return bool(self._due)

    def want(self, contracts: Collection[str]) -> None:
        """These are told with the next rounds, whether they moved or not."""
        self._due |= dict.fromkeys(contracts)

    def round(self, store: Store, now_ms: int, wanted: Callable[[str], bool]) -> list[Happening]:
        """What is new; `wanted` says of an account whether anybody listens. Raises DatabaseError."""
        first = self._sums is None
        moved = self._moved(store)
        try:
            known = revisions(store)
        except NoCatalog:
            known = ()
        served = _served(known[-1].catalog) if known else {}
        found = [*self._warnings(store, first=first), *self._incidents(store, first=first)]
        told = moved[:FACTS_A_ROUND_MAX] if not first else []
        found += list(_gateways(store, {*told, *self._stood(store, first=first)}, served, now_ms))
        if known and not first:
            for gateway in moved:
                self._due |= dict.fromkeys(_contracts(known[-1].catalog, gateway))
        found += self._costs(store, known, now_ms, wanted)
        return found

    def _moved(self, store: Store) -> list[str]:
        """Gateways of which lines have come."""
        sums = progress(store)
        before, self._sums = self._sums or {}, sums
        found = {gateway for gateway, total in sums.items() if before.get(gateway) != total}
        # A line that fills a hole in part moves no sum.
        lines = store.rows("live_lines", self._line, FACTS_A_ROUND_MAX)
        self._line = store.rows("live_line_newest")[0][0]
        return sorted(found | {row[0] for row in lines})

    def _warnings(self, store: Store, *, first: bool) -> list[Happening]:
        if first:
            self._warning = store.rows("live_warning_newest")[0][0]
            return []
        rows = store.rows("live_warnings", self._warning, FACTS_A_ROUND_MAX)
        self._warning = rows[-1][0] if rows else self._warning
        return [warned(row) for row in rows]

    def _incidents(self, store: Store, *, first: bool) -> list[Happening]:
        rows = {row[0]: row for row in store.rows("incidents_open")}
        before, self._alarms = self._alarms, dict.fromkeys(rows)
        if first:
            return []
        begun = [_alarm(row, ended=False) for id_, row in rows.items() if id_ not in before]
        ended = [
            Happening(kind="alarm", accounts=None, data={"id": id_, "ended": True}) for id_ in before if id_ not in rows
        ]
        return begun + ended

    def _stood(self, store: Store, *, first: bool) -> set[str]:
        """Gateways that stand otherwise than at the last look."""
        standings: dict[str, str] = {row[0]: row[1] for row in store.rows("gateway_standings")}
        before, self._standings = self._standings, standings
        return set() if first else {name for name, stands in standings.items() if before.get(name) != stands}

    def _costs(
        self, store: Store, known: tuple[Revision, ...], now_ms: int, wanted: Callable[[str], bool]
    ) -> list[Happening]:
        found: list[Happening] = []
        while self._due and known and len(found) < COSTS_A_ROUND_MAX:
            contract = next(iter(self._due))
            del self._due[contract]
            agreed = known[-1].catalog.contracts.get(contract)
            if agreed is None or not wanted(agreed.account):
                continue
            try:
                cost = look(store, known, contract, now_ms, StoreView, memory=self._memory).cost(foretold=False)
            except (NotRunning, UnlikeUnits):
                continue
            found.append(Happening(kind="cost", accounts=frozenset({cost.account}), data=_told(cost)))
        return found


def warned(row: tuple[Any, ...]) -> Happening:
    """A stored warning as it is told."""
    told = public(row)
    return Happening(kind="warning", accounts=frozenset({told["account"]}), data=told, warning=told["id"])


def _told(cost: Cost) -> dict[str, Any]:
    """What moved: money and quantities by charge and device, where they are not too many."""
    told: dict[str, Any] = {
        "account": cost.account,
        "contract": cost.contract,
        "as_of": iso(cost.as_of_ms // 1_000),
        "known_until": None if cost.known_until is None else iso(cost.known_until),
        "currency": cost.draft.currency,
        "net": as_written(cost.draft.net),
        "total": as_written(cost.draft.total),
        "charges": [{"charge": name, "net": as_written(net)} for name, net in cost.charges.items()],
    }
    if len(cost.draft.lines) <= LINES_TOLD_MAX and len(cost.devices) <= LINES_TOLD_MAX:
        names = ("charge", "device", "window", "quantity", "unit", "amount")
        told["lines"] = [{name: line[name] for name in names} for line in (each.to_json() for each in cost.draft.lines)]
        told["devices"] = [
            {"device": each.device, "state": each.state.value, "net": as_written(each.net)} for each in cost.devices
        ]
    return told


def _alarm(row: tuple[Any, ...], *, ended: bool) -> Happening:
    id_, kind, gateway, part, text, begun_at = row
    data = {
        "id": id_,
        "kind": kind,
        "gateway": gateway or None,
        "part": part or None,
        "text": text,
        "begun_at": iso(begun_at // 1_000),
        "ended": ended,
    }
    return Happening(kind="alarm", accounts=None, data=data)


def _gateways(
    store: Store, names: Collection[str], served: Mapping[str, frozenset[str]], now_ms: int
) -> Iterator[Happening]:
    for name in sorted(names):
        seen = seen_one(store, name, now_ms)
        if seen is None:
            continue
        accounts = served.get(name, frozenset())
        data = {
            "gateway": name,
            "state": seen.standing.value,
            "heard_at": None if seen.heard_at is None else iso(int(seen.heard_at.timestamp())),
            "backlog": seen.backlog,
        }
        # P20: when a gateway of several customers speaks, none of them learns it.
        yield Happening(kind="gateway", accounts=accounts if len(accounts) == 1 else None, data=data)


def _served(catalog: Catalog) -> dict[str, frozenset[str]]:
    """By gateway the accounts whose devices it has, at whatever time."""
    if catalog.hash not in _SERVED:
        _SERVED.clear()
        found: dict[str, set[str]] = {}
        for device, held in holdings(catalog).items():
            found.setdefault(device.rpartition("/")[0], set()).update(each.account for each in held)
        _SERVED[catalog.hash] = {name: frozenset(accounts) for name, accounts in found.items()}
    return _SERVED[catalog.hash]


def _contracts(catalog: Catalog, gateway: str) -> list[str]:
    """The contracts that have a device of a gateway."""
    if catalog.hash not in _CONTRACTS:
        _CONTRACTS.clear()
        found: dict[str, dict[str, None]] = {}
        for device, held in holdings(catalog).items():
            found.setdefault(device.rpartition("/")[0], {}).update(dict.fromkeys(each.contract for each in held))
        _CONTRACTS[catalog.hash] = {name: sorted(contracts) for name, contracts in found.items()}
    return _CONTRACTS[catalog.hash].get(gateway, [])


_SERVED: Final[dict[str, dict[str, frozenset[str]]]] = {}
_CONTRACTS: Final[dict[str, dict[str, list[str]]]] = {}
"""Pure functions of the newest catalog's bytes."""
