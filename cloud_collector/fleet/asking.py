"""Asking a gateway again for lines of it that are missing: which ranges, and which of them it was asked for before."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cloud_collector.fleet.holes import missing
from cloud_collector.fleet.orders import current_epoch, give_order, told
from cloud_collector.fleet.positions import chain_of
from cloud_collector.limits import COMMANDS_OPEN_MAX
from cloud_collector.store.store import Store
from shared.command import Resend
from shared.errors import InvalidRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Hole:
    """A range of positions that is missing."""

    gateway: str
    log: str
    epoch: str
    first: int
    last: int

    @property
    def lines(self) -> int:
        """How many positions it has."""
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is missing of a gateway, and what it is asked for."""

    wanted: tuple[Hole, ...]
    new: tuple[Hole, ...]
    """Those for which no command is open yet."""
    counters: tuple[int, ...] = ()
    """The commands that were given."""
    why: str = ""
    """Why some of the new ones were not asked for."""

    @property
    def lines(self) -> int:
        """How many lines the commands that were given ask for."""
        return sum(hole.lines for hole in self.new[: len(self.counters)])


def holes_of(store: Store, gateway: str) -> Iterator[Hole]:
    """Every range of the gateway that is missing."""
    for row in store.rows("chains_of_gateway", gateway):
        chain = chain_of(store.rows("chain_by_name", gateway, row[0], row[1])[0])
        if chain.through < chain.top:
            for first, last in missing(store, chain):
                yield Hole(gateway=gateway, log=row[0], epoch=row[1], first=first, last=last)


def ask_again(store: Store, gateway: str, now_ms: int, *, dry_run: bool = False) -> Asked:
    """The gateway is asked, by signed commands, for what is missing and was not asked for before."""
    wanted = tuple(holes_of(store, gateway))
    before = {
        (row["with"]["log"], row["with"]["epoch"], *row["with"]["seq"])
        for row in told(store, gateway, COMMANDS_OPEN_MAX)
        if row["do"] == "resend" and row["answered_at"] is None and row["state"] != "given up"
    }
    new = tuple(hole for hole in wanted if (hole.log, hole.epoch, hole.first, hole.last) not in before)
    if new and current_epoch(store, gateway) is None:
        return Asked(wanted=wanted, new=new, why=f"{gateway} has not spoken yet: there is nothing to ask for")
    counters, why = ([], "") if dry_run else _give(store, gateway, new, now_ms)
    return Asked(wanted=wanted, new=new, counters=tuple(counters), why=why)


def _give(store: Store, gateway: str, holes: Sequence[Hole], now_ms: int) -> tuple[list[int], str]:
    given: list[int] = []
    for hole in holes:
        order = Resend(log=hole.log, epoch=hole.epoch, first=hole.first, last=hole.last)
        try:
            given.append(give_order(store, gateway, order, now_ms))
        except InvalidRecord as error:
            return given, str(error)
    return given, ""
