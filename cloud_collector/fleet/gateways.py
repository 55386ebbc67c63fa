"""Gateways and the keys that are enrolled for them: who may say what, by topic, never by body (P10)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from cloud_collector.limits import GATEWAY_KEYS_MAX
from cloud_collector.store.store import Store
from shared.errors import InvalidRecord
from shared.key import PublicKey
from shared.report import GATEWAY_PATTERN


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolledKey:
    """A key and the positions at which it is valid; an empty log or epoch means every one."""

    public: PublicKey
    log: str = ""
    epoch: str = ""
    first: int = 1
    last: int | None = None

    def valid_at(self, log: str, epoch: str, seq: int) -> bool:
        """Whether a line at this position may be signed with it."""
        return (
            self.log in ("", log)
            and self.epoch in ("", epoch)
            and self.first <= seq
            and (self.last is None or seq <= self.last)
        )


Keyring = Mapping[str, Sequence[EnrolledKey]]
"""The keys of each gateway that is known; one that is known may have none."""


def keyring(store: Store, gateways: Iterable[str]) -> dict[str, list[EnrolledKey]]:
    """The keys of those gateways that are known."""
    found: dict[str, list[EnrolledKey]] = {}
    for gateway in gateways:
        rows = store.rows("gateway_and_keys", gateway)
        if rows:
            found[gateway] = [
                EnrolledKey(public=PublicKey(bytes(public)), log=log, epoch=epoch, first=first, last=last)
                for public, log, epoch, first, last in rows
                if public is not None
            ]
            # Where a key that a `rotate` line introduced is valid, `fleet.validity` says.
            known = {each.public.raw for each in found[gateway]}
            introduced = [bytes(row[1]) for row in store.rows("rotated_keys", gateway)]
            found[gateway] += [EnrolledKey(public=PublicKey(raw)) for raw in introduced if raw not in known]
    return found


def add_gateway(store: Store, name: str, public: PublicKey, now_ms: int) -> bool:
    """The gateway is known and the key enrolled for it; False where both were so before. Raises InvalidRecord."""
    if not GATEWAY_PATTERN.fullmatch(name):
        raise InvalidRecord(f"{name[:48]!r} is no gateway id: {GATEWAY_PATTERN.pattern}")
    with store.atomic():
        keys = {row[0]: bytes(row[1]) for row in store.rows("gateway_keys", name)}
        if public.id in keys:
            if keys[public.id] != public.raw:
                raise InvalidRecord(f"another key of {name} has the id {public.id}")
            return False
        if len(keys) >= GATEWAY_KEYS_MAX:
            raise InvalidRecord(f"{name} has {GATEWAY_KEYS_MAX} keys already")
        store.run("gateway_add", name, now_ms)
        store.run("gateway_key_add", name, public.id, public.raw, now_ms)
    return True


def names(store: Store) -> list[str]:
    """Every gateway, by name."""
    return [row[0] for row in store.rows("gateway_names")]


def nearest(name: str, known: Sequence[str]) -> str:
    """The known name that looks most like this one, or nothing."""
    return next(iter(get_close_matches(name, known, 1)), "")
