"""How a spool comes to be open: sound, new, or anew from what a damaged one still tells (P2, P3)."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from enum import StrEnum
from random import Random
from typing import Final

from edge_agent import tables
from edge_agent.disk import Disk
from edge_agent.handover import held_line
from edge_agent.receipts import Chain, successor
from edge_agent.salvage import Salvaged, salvage
from edge_agent.sealed import Place, SealedLine
from shared.effects.database import Database
from shared.errors import DatabaseCorrupt, DatabaseError, DatabaseFailed
from shared.key import PublicKey
from shared.report import Rotate

_LOG: Final = logging.getLogger(__name__)


class SpoolForeign(DatabaseFailed):
    """The spool belongs to another gateway."""


class Origin(StrEnum):
    """Where an opened spool comes from."""

    KEPT = "kept"
    NEW = "new"
    """There was none: this gateway's first, or the last one is lost without a trace."""
    SALVAGED = "salvaged"
    """The last one was damaged; what was readable in it is here."""


def recover(disk: Disk, *, gateway: str, keys: Sequence[PublicKey], random: Random) -> tuple[Database, Origin]:
    """Open, check, and where needed create or salvage; raises DatabaseError.

    A cut at any moment of it is harmless: as long as the new spool is not created, the next start
    salvages the damaged one again.
    """
    database, moved_aside = _opened(disk)
    origin = Origin.KEPT
    if not tables.created(database):
        files = _salvaged(disk, gateway, keys)
        lines = [line for found in files for line in found.lines]
        origin = Origin.SALVAGED if moved_aside else Origin.NEW
        ends = _ends(lines)
        epoch = drawn_epoch(random, {chain.epoch for chain in ends.values()})
        # Files of earlier accidents may lie about, whose last lines have a successor already: only what
        # was put away just now is surely the epoch before, and only where the epoch that it was in is among
        # what can be read: an earlier one has a successor already. Without it, null follows the current one.
        found = files[-1] if moved_aside and files else Salvaged()
        latest = {chain.log: chain for chain in _ends(found.lines).values() if chain.epoch == found.epoch}
        heirs = [replace(successor(chain), epoch=epoch) for chain in latest.values()]
        behind = _behind(lines, keys[0].id)
        chains = [*ends.values(), *heirs]
        tables.create(database, gateway=gateway, epoch=epoch, chains=chains, lines=lines, behind=behind)
    return database, origin


def drawn_epoch(random: Random, taken: set[str]) -> str:
    """8 hex digits that name no epoch yet."""
    while (epoch := f"{random.getrandbits(32):08x}") in taken:
        pass
    return epoch


def _opened(disk: Disk) -> tuple[Database, bool]:
    """The database, sound or empty, and whether a damaged one was put away for it."""
    try:
        database = disk.open()
    except DatabaseCorrupt as error:
        return _replaced(disk, error), True
    try:
        tables.check(database)
    except DatabaseCorrupt as error:
        database.close()
        return _replaced(disk, error), True
    return database, False


def _replaced(disk: Disk, error: DatabaseCorrupt) -> Database:
    _LOG.error('event=spool_damaged why="%s"', error)
    disk.move_aside()
    return disk.open()


def _salvaged(disk: Disk, gateway: str, keys: Sequence[PublicKey]) -> list[Salvaged]:
    files = [_salvaged_from(opener, gateway, keys) for opener in disk.damaged()]
    _LOG.log(
        logging.WARNING if files else logging.INFO,
        "event=spool_created salvaged_lines=%d unreadable_rows=%d",
        sum(len(found.lines) for found in files),
        sum(found.unreadable for found in files),
    )
    return files


def _salvaged_from(opener: Callable[[], Database], gateway: str, keys: Sequence[PublicKey]) -> Salvaged:
    try:
        database = opener()
    except DatabaseError as error:
        _LOG.warning('event=salvage_failed why="%s"', error)
        return Salvaged()
    try:
        return salvage(database, gateway=gateway, keys=keys)
    finally:
        database.close()


def _behind(lines: Sequence[SealedLine], key: str) -> list[Place]:
    """Where lines stand whose key no other has replaced: people gave the gateway this one, and nobody may take them."""
    reports = [(line.place, held_line(line.raw)[1]) for line in lines]
    rotations = [(said.header.key, said.next) for _, said in reports if isinstance(said, Rotate)]
    introduced = [(old, PublicKey.from_text(new).id) for old, new in rotations]
    lineage = {key}
    while found := {old for old, new in introduced if new in lineage} - lineage:
        lineage |= found
    return [place for place, said in reports if said.header.key not in lineage]


def _ends(lines: Sequence[SealedLine]) -> dict[tuple[str, str], Chain]:
    """Each chain's last line, in the order in which they were sealed: a log's last entry is its last epoch."""
    ends: dict[tuple[str, str], Chain] = {}
    for line in lines:
        place = line.place
        before = ends.pop((place.log, place.epoch), None)
        here = Chain(log=place.log, epoch=place.epoch, seq=place.seq, head=line.hash)
        ends[place.log, place.epoch] = before if before is not None and before.seq > here.seq else here
    return ends
