"""At which positions a gateway's keys are valid: enrolled, introduced and replaced by `rotate` lines, revoked (P10).

Pure. The outcome depends on the set of rotations and revocations alone,
not on the order in which they came. Source: docs/reference/wire.md, section 3, and DESIGN's revocation:
what is revoked at a position is forbidden beyond it and in every epoch that had not been accepted.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

ChainName = tuple[str, str]
"""(log, epoch)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation:
    """A `rotate` line: from the next position on `new` signs in place of `old`; both are key ids."""

    log: str
    epoch: str
    seq: int
    old: str
    new: str


class Validity:
    """What is known of one gateway's keys."""

    def __init__(
        self,
        *,
        roots: Collection[str],
        rotations: Iterable[Rotation] = (),
        revoked: Iterable[tuple[str, Mapping[ChainName, int]]] = (),
    ) -> None:
        """`roots` were enrolled by people; each revocation names the last valid position of each chain."""
        self._roots = frozenset(roots)
        self._revoked: dict[str, list[Mapping[ChainName, int]]] = defaultdict(list)
        for key, limits in revoked:
            self._revoked[key].append(limits)
        self._given = tuple(sorted(rotations, key=lambda each: (each.log, each.epoch, each.seq, each.old, each.new)))
        self._chains: dict[ChainName, list[Rotation]] = defaultdict(list)
        for each in self._first_of_each(self._reachable(self._given)):
            self._chains[each.log, each.epoch].append(each)
        kept = [each for chain in self._chains.values() for each in chain]
        self._lineage = self._roots | {each.new for each in self._reachable(kept)}

    @property
    def plain(self) -> bool:
        """Whether every enrolled key is valid everywhere."""
        return not self._given and not self._revoked

    @property
    def revokes(self) -> bool:
        """Whether any key was revoked."""
        return bool(self._revoked)

    def revoked(self, key: str) -> bool:
        """Whether the key was revoked at any position: it says nothing new any more."""
        return key in self._revoked

    def joined(self, rotation: Rotation) -> "Validity":
        """The same with one more rotation."""
        revoked = [(key, limits) for key, found in self._revoked.items() for limits in found]
        return Validity(roots=self._roots, rotations=(*self._given, rotation), revoked=revoked)

    def fault(self, log: str, epoch: str, seq: int, key: str) -> str | None:
        """Why the key does not sign at this position; None where it does."""
        last = self._limit(key, log, epoch)
        if last is not None and seq > last:
            where = f"beyond {epoch}:{last} of {log}" if last else f"for the epoch {epoch} of {log}"
            return f"the key {key} was revoked {where}"
        here = self._chains.get((log, epoch), ())
        for each in here:
            if each.old == key and each.seq < seq:
                return f"the key {key} was replaced at {epoch}:{each.seq} of {log}"
        if key in self._roots:
            return None
        began = [each.seq for each in here if each.new == key]
        if began and seq <= min(began):
            return f"the key {key} signs {log} only after {epoch}:{min(began)}"
        return None if key in self._lineage else f"the key {key} was introduced by a key that was not valid there"

    def leads_to(self, key: str) -> bool:
        """Whether the key was enrolled, or introduced by one that was."""
        return key in self._lineage

    def retired(self, log: str, epoch: str) -> frozenset[str]:
        """The keys that were replaced in this chain: they open none of the epochs after it."""
        return frozenset(each.old for each in self._chains.get((log, epoch), ()))

    def retiring(self, log: str, key: str) -> list[str]:
        """The epochs of the log in which the key was replaced."""
        return [
            epoch for (name, epoch), chain in self._chains.items() if name == log and any(r.old == key for r in chain)
        ]

    def _limit(self, key: str, log: str, epoch: str) -> int | None:
        found = self._revoked.get(key)
        # An epoch that was not accepted when the key was revoked is named by no limit.
        return None if found is None else min(limits.get((log, epoch), 0) for limits in found)

    def _reachable(self, rotations: Collection[Rotation]) -> list[Rotation]:
        """The rotations whose key was enrolled, or introduced by another one of them, and not revoked there."""
        known, good = set(self._roots), list[Rotation]()
        rest = list(rotations)
        while found := [each for each in rest if each.old in known and self._permits(each)]:
            good += found
            known |= {each.new for each in found}
            rest = [each for each in rest if each not in found]
        return sorted(good, key=lambda each: (each.log, each.epoch, each.seq))

    def _permits(self, rotation: Rotation) -> bool:
        last = self._limit(rotation.old, rotation.log, rotation.epoch)
        return last is None or rotation.seq <= last

    @staticmethod
    def _first_of_each(rotations: Iterable[Rotation]) -> list[Rotation]:
        """A key is replaced once in a chain: what it says afterwards, it says without being valid."""
        kept: dict[tuple[str, str, str], Rotation] = {}
        for each in rotations:
            kept.setdefault((each.log, each.epoch, each.old), each)
        return list(kept.values())
