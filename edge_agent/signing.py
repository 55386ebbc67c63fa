"""How this gateway comes from one key to the next, whatever happens in between (P2, P10).

The next key is durable before a line is signed with it. The lines that announce it, one in each log and
signed by the old key, go into the spool together with the word that the new one signs from now on; they
are durable beside the key before anything of it leaves. So at every start one of these is found:

- the next key and no line of it: nothing was announced, it is announced another time;
- lines in the spool that announce it: the word beside the key is made good;
- lines beside the key that a lost spool no longer holds: they are sent from here, those of earlier keys that the
  collector may not know yet before them;
- lines whose positions another life of this gateway has taken before them: the old key goes on, and announces
  the new one in another epoch;
- a spool of another key: an image from before, or a gateway that people gave a new key. Nobody knows how
  its epoch went on, so another one begins.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random
from typing import Final

from edge_agent import kept
from edge_agent.disk import Disk
from edge_agent.handover import held_line
from edge_agent.keyring import Keyring, Keys, Trusted
from edge_agent.sealable import RotateContent, Sealable
from edge_agent.sealed import Author, SealedLine
from edge_agent.spool import Spool
from edge_agent.timekeeping import Tick
from shared.key import PublicKey, SigningKey
from shared.report import Clock, Report, Rotate

LINES_MAX: Final = 64
"""Lines that announce keys and are not confirmed: what is kept of them beside the keys is bounded (P9)."""


class Signing:
    """The keys of a running agent and the spool that is sealed with them."""

    def __init__(self, keyring: Keyring, random: Random, configured: Sequence[PublicKey]) -> None:
        self._keyring: Final = keyring
        self._random: Final = random
        self._configured = tuple(configured)
        self._keys = keyring.load()
        self._spool: Spool
        self._stranger = False

    @property
    def current(self) -> SigningKey:
        """The key that signs now."""
        return self._keys.current

    @property
    def receipt_keys(self) -> tuple[PublicKey, ...]:
        """The operator's keys whose receipts and commands count."""
        return self._keys.receipt_keys(self._configured)

    @property
    def begins_epoch(self) -> bool:
        """Whether the spool is of another key, so that a new epoch is due."""
        return self._stranger

    @property
    def rotating(self) -> bool:
        """Whether the last rotation still waits for its receipts."""
        return bool(self._keys.lines)

    def open_spool(self, disk: Disk, *, gateway: str, author: Author, bytes_max: int) -> Spool:
        """The spool, sealed from now on with the present key; raises DatabaseError, KeyUnusable."""
        keys = self._keys
        former = (*keys.former, *([keys.next.public] if keys.next else ()))
        spool = self._spool = Spool.open(
            disk,
            gateway=gateway,
            key=keys.current,
            former=former,
            author=author,
            random=self._random,
            bytes_max=bytes_max,
        )
        if keys.next is not None:
            lines = spool.handover.announcing(keys.next.public)
            if lines:
                keys = self._keep(keys.promoted(_beside(keys, lines)))
        signer = spool.kept(kept.SIGNER)
        self._stranger = signer is not None and signer != keys.current.public.id
        if not self._stranger:
            spool.readmit(keys.lines)
            spool.sign_with(keys.current)
        return spool

    def began_epoch(self) -> None:
        """The epoch that was due has begun under the present key; what another key signed waits behind it."""
        if self._stranger:
            self._stranger = False
            self._spool.handover.put_behind(self._spool.epoch)
            self._spool.readmit(self._keys.lines)
            self._spool.sign_with(self._keys.current)

    def rotate(self, tick: Tick, seal: Callable[[Sequence[Sealable]], Sequence[SealedLine]]) -> SigningKey:
        """Go on with a new key: announced in each log, durable here and there; returns it. Raises as `seal` does."""
        keys = self._keys
        if keys.next is None:
            # P2: a key is on disk before a line is signed with it.
            keys = self._keep(replace(keys, next=SigningKey(self._random.randbytes(32))))
        assert keys.next is not None, "made above"
        sealed = seal([_announcement(log, keys.next, tick) for log in self._spool.logs])
        lines = [line.raw for line in sealed if line.kind == "rotate"]
        self._keys = self._keep(keys.promoted(_beside(keys, lines)))
        return self._keys.current

    @property
    def unheard(self) -> bool:
        """Whether every line that announces the present key was set aside, so that nobody will ever know it."""
        lines = self._announcing()
        return bool(lines) and all(self._spool.handover.is_aside(line) for line in lines)

    def withdraw(self) -> None:
        """The key before signs again, until the present one is announced in another epoch."""
        keys = self._keys
        if keys.old is not None:
            # The lines stay beside the key: what is interrupted here is found again by them.
            keys = self._keep(replace(keys, current=keys.old, next=keys.current, old=None))
        self._spool.sign_with(keys.current)

    def finish(self) -> bool:
        """Forget what the last rotation needed, once the collector holds its lines; whether that was now."""
        lines, heard = self._announcing(), self._spool.heard_epoch
        if not lines or not all(self._spool.handover.is_done(line, heard) for line in lines):
            return False
        self._keep(replace(self._keys, lines=(), old=None))
        return True

    def trusts_by(self, name: str) -> int | None:
        """The counter of the command with these bytes, where it is the one that brought in the receipt keys."""
        trusted = self._keys.trusted
        return trusted.by[0] if trusted is not None and trusted.by is not None and trusted.by[1] == name else None

    def trust(self, key: PublicKey, *, instead_of: str | None, by: tuple[int, str]) -> None:
        """Receipts of this key count in place of one of that id, or of all; durable when this returns."""
        found = [key if instead_of in (None, each.id) else each for each in self.receipt_keys]
        known = tuple(dict.fromkeys(found)) or (key,)
        base = tuple(each.id for each in self._configured)
        self._keep(replace(self._keys, trusted=Trusted(instead_of=base, keys=known, by=by)))

    def configure(self, receipt_keys: Sequence[PublicKey]) -> None:
        """These are the operator's keys as people have configured them."""
        self._configured = tuple(receipt_keys)

    def _announcing(self) -> list[SealedLine]:
        """The lines that announce the present key."""
        present = self._keys.current.public.text
        return [line for line, said in map(held_line, self._keys.lines) if _announces(said, present)]

    def _keep(self, keys: Keys) -> Keys:
        self._keyring.keep(keys)
        self._keys = keys
        return keys


def _beside(keys: Keys, lines: Sequence[bytes]) -> list[bytes]:
    """These lines announce the next key, after those by which the collector comes to know the present one (P10)."""
    assert keys.next is not None, "a key is made before it is announced"
    earlier = [raw for raw in keys.lines if not _announces(held_line(raw)[1], keys.next.public.text)]
    return [*earlier, *lines][-LINES_MAX:]


def _announces(said: Report, key: str) -> bool:
    return isinstance(said, Rotate) and said.next == key


def _announcement(log: str, key: SigningKey, tick: Tick) -> Sealable:
    clock = Clock.SYNCHRONISED if tick.synchronised else Clock.RELATIVE
    now = (tick.utc_ms if tick.synchronised else tick.boot_ms) // 1_000
    return Sealable(log=log, boot=tick.boot_id, clock=clock, sealed_at=now, content=RotateContent(next=key))
