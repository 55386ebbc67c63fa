"""The spool: what was metered and sealed and is not yet known to be safe elsewhere (P2, P7).

One SQLite file, held by one agent. A commit stores the open windows; sealing inserts lines, stores
the windows without what was sealed and advances the chains, in one transaction; only then may a line
be published. Memory follows the disk: it changes after a transaction ended, never before. Any
DatabaseError ends the process, and recovery is at start.

    MetersealError
    └── SpoolFull      the bound is reached and nothing more may be forgotten or folded: exit code 75
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from random import Random
from typing import Any, Final

from edge_agent import kept, tables
from edge_agent.disk import Disk
from edge_agent.folding import LINE_OVERHEAD_BYTES
from edge_agent.handover import Handover, held_line
from edge_agent.limits import SPOOL_CHAINS_MAX, SPOOL_ROOM_SHARE
from edge_agent.receipts import Chain, Heard, HeardAs, follow, judge, successor
from edge_agent.recovery import Origin, SpoolForeign, drawn_epoch, recover
from edge_agent.room import Room
from edge_agent.sealable import ForgottenContent, RotateContent, Sealable
from edge_agent.sealed import Author, Place, SealedLine, report_of
from edge_agent.statements import statements
from shared.effects.database import Database
from shared.errors import MetersealError
from shared.key import PublicKey, SigningKey
from shared.limits import RECEIPTED_KEEP_SECONDS
from shared.receipt import Receipt
from shared.report import Birth, Header, seal_report

_LOG: Final = logging.getLogger(__name__)


class SpoolFull(MetersealError):
    """The spool is full of what cannot be folded any more: bring the link up or raise spool_bytes_max."""


class Spool:
    """The open spool of one gateway."""

    def __init__(
        self, database: Database, *, key: SigningKey, author: Author, bytes_max: int, origin: Origin = Origin.KEPT
    ) -> None:
        self._database = database
        self._author = author
        self._key = key
        self._sql = statements()
        loaded = tables.load(database)
        self.origin: Final = origin
        self.gateway: Final = loaded.gateway
        self._epoch = loaded.epoch
        self._chains = {(chain.log, chain.epoch): chain for chain in loaded.chains}
        self._heard = loaded.heard
        kept.prepare(database)
        self.handover: Final = Handover(database)
        self._waiting_count = self._counted()
        self._room = Room(database, bytes_max=bytes_max)

    @classmethod
    def open(
        cls,
        disk: Disk,
        *,
        gateway: str,
        key: SigningKey,
        author: Author,
        random: Random,
        bytes_max: int,
        former: Sequence[PublicKey] = (),
    ) -> "Spool":
        """Open, check, and where needed create or salvage the spool; raises DatabaseError.

        `former` are keys of this gateway whose lines may be in it beside those of `key`.
        """
        database, origin = recover(disk, gateway=gateway, keys=(key.public, *former), random=random)
        spool = cls(database, key=key, author=author, bytes_max=bytes_max, origin=origin)
        if spool.gateway != gateway:
            database.close()
            raise SpoolForeign(
                f"the spool belongs to the gateway {spool.gateway}, not to {gateway}: name another with spool_path"
            )
        return spool

    def reconfigure(self, author: Author) -> None:
        """Seal in this name from now on."""
        self._author = author

    @property
    def epoch(self) -> str:
        """The current epoch: 8 hex digits."""
        return self._epoch

    @property
    def logs(self) -> list[str]:
        """The logs that have lines in the current epoch."""
        return sorted(log for (log, epoch), chain in self._chains.items() if epoch == self._epoch and chain.seq)

    @property
    def contradicted(self) -> bool:
        """Whether a receipt has shown the current epoch to be a fork: `begin_epoch` is due."""
        return any(chain.contradicted for chain in self._chains.values() if chain.epoch == self._epoch)

    @property
    def heard_epoch(self) -> str | None:
        """The current epoch, once the collector has taken a line of it."""
        taken = any(chain.through for chain in self._chains.values() if chain.epoch == self._epoch)
        return self._epoch if taken else None

    @property
    def waiting_count(self) -> int:
        """Lines that are still to be sent, or sent and not confirmed."""
        return self._waiting_count

    @property
    def last_receipt_at(self) -> int | None:
        """The highest `at` of all receipts, in the collector's milliseconds."""
        return max(self._heard.values(), default=None)

    @property
    def bytes_max(self) -> int:
        """The bound on `bytes_used`."""
        return self._room.bytes_max

    @property
    def bytes_used(self) -> int:
        """What the spool's pages take that are not free."""
        return self._room.bytes_used

    def has_room(self) -> bool:
        """Whether a good many more lines fit, after what may be forgotten is."""
        return self._room.is_left(keep_after=self._keep_after, epoch=self._epoch)

    def chain(self, log: str, epoch: str | None = None) -> Chain | None:
        """Where a log stands in an epoch, by default the current one."""
        return self._chains.get((log, epoch or self._epoch))

    def snapshot(self) -> Any:
        """The snapshot last committed, or None; raises DatabaseCorrupt."""
        return tables.load_snapshot(self._database)

    def commit(self, snapshot: Any) -> None:
        """Store the open windows durably; raises DatabaseError."""
        with self._database.atomic():
            self._put_snapshot(snapshot)

    def seal(self, sealables: Sequence[Sealable], snapshot: Any) -> list[SealedLine]:
        """Seal lines and store the windows without them, in one transaction; raises SpoolFull, DatabaseError."""
        return self._seal(sealables, snapshot, self._epoch, lambda: self._chains)

    def begin_epoch(
        self, sealables: Sequence[Sealable], snapshot: Any, *, random: Random, alone: bool = False
    ) -> list[SealedLine]:
        """Begin a new epoch in all logs with these births, in one transaction; raises SpoolFull, DatabaseError.

        Nothing is renumbered; the old lines go on being sent under their epoch. `alone`: it is not known how the
        old one went on, so the births name nothing before them.
        """
        epoch = drawn_epoch(random, {chain.epoch for chain in self._chains.values()})
        return self._seal(sealables, snapshot, epoch, lambda: self._chains | self._heirs(epoch, alone=alone))

    def receive(self, receipt: Receipt) -> Heard:
        """Follow a verified receipt of this gateway; what it confirms may be forgotten one day (P7)."""
        log, epoch, through = receipt.log, receipt.epoch, receipt.through
        chain = self._chains.get((log, epoch))
        own = self._value("line_hash", log, epoch, through) or self._room.hash_at(log, epoch, through)
        meaning = judge(chain, receipt, heard_at=self._heard.get(log, -1), own_hash=own)
        if meaning is HeardAs.STALE:
            return Heard(meaning=meaning)
        confirmed = reopened = aside = 0
        after = chain
        with self._database.atomic():
            self._run("set_heard", *tables.summed(log, receipt.at))
            if chain is not None:
                after = follow(chain, receipt, meaning)
                if meaning is HeardAs.CONFIRMED:
                    confirmed = self._changed("confirm", receipt.at, log, epoch, min(chain.through, through), through)
                if meaning in (HeardAs.CONFIRMED, HeardAs.UNPROVEN):
                    # A restored collector has lost what lies above: it is sent again from there (P22).
                    reopened = self._changed("unconfirm", log, epoch, through)
                if chain.contradicted or through < chain.through:
                    reopened += self._changed("unrest", log, epoch, through)
                for name in receipt.aside:
                    aside += self._changed("set_aside", receipt.at, log, epoch, name)
                if after != chain:
                    self._run("put_chain", *tables.chain_row(after))
        self._heard[log] = receipt.at
        if after is not None:
            self._chains[log, epoch] = after
        if confirmed or reopened or aside:
            self._waiting_count = self._counted()
        return Heard(meaning=meaning, confirmed_lines=confirmed, reopened_lines=reopened, aside_lines=aside)

    def waiting(self, limit: int) -> list[Place]:
        """The oldest places that wait for a receipt."""
        rows = self._database.execute(self._sql["waiting"], (limit,))
        if len(rows) < limit:
            rows = [*rows, *self.handover.waiting_behind(limit - len(rows))]
        return [Place(*row) for row in rows]

    def waiting_within(self, log: str, epoch: str, first: int, last: int, limit: int) -> list[Place]:
        """The waiting places that tell of a range that the collector asks for: lines, summaries, what is forgotten."""
        return self._room.telling_within(log, epoch, first, last, limit)

    def waiting_newest(self) -> Place | None:
        """The newest place that waits for a receipt."""
        rows = self._database.execute(self._sql["waiting_newest"])
        return Place(*rows[0]) if rows else None

    def waiting_oldest_sealed_at(self) -> int | None:
        """When the oldest waiting line was sealed, by its own clock."""
        rows = self._database.execute(self._sql["waiting_oldest_sealed_at"])
        return int(rows[0][0]) if rows else None

    def raw(self, place: Place) -> bytes | None:
        """The line's bytes, or None where it is no longer held."""
        rows = self._database.execute(self._sql["line_raw"], (place.log, place.epoch, place.seq))
        return bytes(rows[0][0]) if rows else None

    def last_usage(self, log: str) -> bytes | None:
        """The log's usage line that was sealed last, of whatever epoch."""
        rows = self._database.execute(self._sql["last_usage"], (log,))
        return bytes(rows[0][0]) if rows else None

    def rest(self, places: Iterable[Place], held: Iterable[tuple[str, str, int, int]] = ()) -> None:
        """Send these no more unless they are asked for: the collector needs nothing at their positions.

        `held` are ranges (log, epoch, first, last) that it has said it holds.
        """
        with self._database.atomic():
            for place in places:
                self._run("rest", place.log, place.epoch, place.seq, place.seq)
            for log, epoch, first, last in held:
                self._run("rest", log, epoch, first, last)
        self._waiting_count = self._counted()

    def kept(self, name: str) -> Any:
        """What is kept beside the lines under this name, as plain JSON data, or None."""
        return kept.get(self._database, name)

    def keep(self, name: str, value: Any) -> None:
        """Keep something beside the lines, durably."""
        self._run("put_kept", *kept.put_row(name, value))

    def sign_with(self, key: SigningKey) -> None:
        """Seal with this key from now on, as the spool remembers."""
        if self.kept(kept.SIGNER) != key.public.id:
            self.keep(kept.SIGNER, key.public.id)
        self._key = key

    def readmit(self, raws: Iterable[bytes]) -> None:
        """Hold these lines of this gateway, and send them, though this spool has never sealed them."""
        with self._database.atomic():
            for raw in raws:
                sealed = held_line(raw)[0]
                place = sealed.place
                self._run("put_salvaged_line", *tables.line_row(sealed))
                self._run("readmit", place.log, place.epoch, place.seq)
                chain = self._chains.get((place.log, place.epoch)) or Chain(log=place.log, epoch=place.epoch)
                if place.seq > chain.seq:
                    chain = replace(chain, seq=place.seq, head=sealed.hash)
                    self._run("put_chain", *tables.chain_row(chain))
                    self._chains[place.log, place.epoch] = chain
        self._waiting_count = self._counted()
        self.handover.look()

    def lost(self, log: str, epoch: str, missing: Iterable[tuple[int, int]]) -> list[ForgottenContent]:
        """Of the positions that the collector asks for those that were receipted and are gone, and not yet said so."""
        return self._room.lost(log, epoch, missing)

    def relieve(self) -> bool:
        """Make sure that a good many lines fit, by forgetting and folding; whether they do. Raises DatabaseError."""
        try:
            self._make_room(self.bytes_max // SPOOL_ROOM_SHARE)
        except SpoolFull:
            return False
        return True

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    def _seal(
        self,
        sealables: Sequence[Sealable],
        snapshot: Any,
        epoch: str,
        chains: Callable[[], dict[tuple[str, str], Chain]],
    ) -> list[SealedLine]:
        after = dict(chains())
        lines = [self._sealed(item, epoch, after) for item in sealables]
        if self._make_room(sum(len(line.raw) + LINE_OVERHEAD_BYTES for line in lines)):
            # A summary has taken the position that the first of them was to have.
            after = dict(chains())
            lines = [self._sealed(item, epoch, after) for item in sealables]
        _LOG.debug("event=seal_begun lines=%d", len(lines))
        with self._database.atomic():
            self._database.executemany(self._sql["put_line"], [tables.line_row(line) for line in lines])
            # P2: the register's next start, the chain's head and the line go to disk together or not at all.
            self._database.executemany(
                self._sql["put_chain"],
                [tables.chain_row(chain) for key, chain in after.items() if chain != self._chains.get(key)],
            )
            self._put_snapshot(snapshot)
            if epoch != self._epoch:
                self._run("set_identity", *tables.summed(self.gateway, epoch))
                self._drop_chains(epoch, after)
            following = next((item.content.next for item in sealables if isinstance(item.content, RotateContent)), None)
            if following is not None:
                # P10: with the lines that announce it, or not at all.
                self._run("put_kept", *kept.put_row(kept.SIGNER, following.public.id))
        if following is not None:
            self._key = following
            self.handover.look()
        _LOG.debug("event=seal_ended lines=%d", len(lines))
        self._room.note(lines)
        self._epoch, self._chains = epoch, after
        self._waiting_count += len(lines)
        return lines

    def _heirs(self, epoch: str, *, alone: bool) -> dict[tuple[str, str], Chain]:
        forked = self.contradicted
        here = [chain for chain in self._chains.values() if chain.epoch == self._epoch]
        heirs = [
            Chain(log=chain.log, epoch=epoch) if alone else replace(successor(chain, forked=forked), epoch=epoch)
            for chain in here
        ]
        return {(chain.log, epoch): chain for chain in heirs}

    def _sealed(self, item: Sealable, epoch: str, chains: dict[tuple[str, str], Chain]) -> SealedLine:
        chain = chains.get((item.log, epoch)) or Chain(log=item.log, epoch=epoch)
        header = Header(
            gateway=self.gateway,
            log=item.log,
            key=self._key.public.id,
            epoch=epoch,
            seq=chain.seq + 1,
            prev=chain.head,
            boot=item.boot,
            clock=item.clock,
            sealed_at=item.sealed_at,
        )
        report = report_of(item, header, author=self._author, previous=chain.last or chain.previous)
        assert header.seq > 1 or isinstance(report, Birth), "seq 1 of each log is a birth"
        line = SealedLine.of(report, seal_report(report, self._key))
        chains[item.log, epoch] = replace(chain, seq=header.seq, head=line.hash)
        return line

    def _put_snapshot(self, snapshot: Any) -> None:
        self._run("put_snapshot", *tables.pack_snapshot(snapshot))

    def _make_room(self, needed_bytes: int) -> bool:
        """So much fits after what is receipted has gone, and then the oldest has been folded; whether it was."""
        folded = False
        while self.bytes_used + needed_bytes > self.bytes_max:
            if not self._room.forget(keep_after=self._keep_after, epoch=self._epoch):
                # P3: a full spool gives up detail, never totals; at last what is kept for a collector's bad day.
                if not (self._fold() or self._fold(receipted=True)):
                    raise SpoolFull
                folded = True
        while self._room.is_short(needed_bytes, epoch=self._epoch) and self._fold():
            folded = True
        return folded

    def _fold(self, *, receipted: bool = False) -> bool:
        epochs = [self._epoch, *sorted({name for _, name in self._chains} - {self._epoch} if receipted else ())]
        after = self._room.fold(epochs, self._chains, self._key, receipted=receipted)
        if after is not None:
            self._chains[after.log, after.epoch] = after
            self._waiting_count = self._counted()
        return after is not None

    @property
    def _keep_after(self) -> int:
        """What was receipted after this is kept (P7), in the collector's milliseconds."""
        return (self.last_receipt_at or 0) - RECEIPTED_KEEP_SECONDS * 1_000

    def _drop_chains(self, epoch: str, chains: dict[tuple[str, str], Chain]) -> None:
        empty = self._database.execute(self._sql["chains_without_lines"], (epoch,))
        for log, old in empty[: max(0, len(chains) - SPOOL_CHAINS_MAX)]:
            self._run("drop_chain", log, old)
            del chains[log, old]

    def _run(self, name: str, *parameters: object) -> None:
        self._database.execute(self._sql[name], parameters)

    def _value(self, name: str, *parameters: object) -> Any:
        rows = self._database.execute(self._sql[name], parameters)
        return rows[0][0] if rows else None

    def _changed(self, name: str, *parameters: object) -> int:
        self._run(name, *parameters)
        return int(self._value("changed"))

    def _counted(self) -> int:
        return int(self._value("waiting_count"))
