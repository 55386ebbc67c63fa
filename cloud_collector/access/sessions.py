"""Signing in and staying so: links that work once, sessions that end, both kept as hashes.

A link opens nothing by being looked at: mail scanners and previews follow links, people press a button.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from cloud_collector.access.people import Person, person_of
from cloud_collector.access.secret import SECRET_CHARACTERS_MAX, hash_of, secret_of
from cloud_collector.contracts.period import iso
from cloud_collector.store.store import Store

SEEN_MS: Final = 600_000
"""When a session was last used is kept to ten minutes: a page seldom writes."""
KEPT_MS: Final = 30 * 86_400_000
"""What has ended is forgotten after this time."""
AGENT_MAX: Final = 200
ID_CHARACTERS: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A browser that somebody signed in with."""

    id: str
    """Part of the hash of its secret: names it, and opens nothing."""
    email: str
    way: str
    agent: str
    begun_at: int
    seen_at: int
    ends_at: int

    def to_json(self) -> dict[str, Any]:
        """As pages print it."""
        return {
            "id": self.id,
            "way": self.way,
            "browser": self.agent,
            "begun_at": iso(self.begun_at // 1000),
            "seen_at": iso(self.seen_at // 1000),
            "ends_at": iso(self.ends_at // 1000),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Lasting:
    """How long sessions live."""

    idle_ms: int
    whole_ms: int


def id_of(secret: str) -> str:
    """The name of the session with this secret."""
    return hash_of(secret)[:ID_CHARACTERS]


def offer_link(store: Store, email: str, after: str, *, chance: bytes, now_ms: int, lasts_ms: int) -> str:
    """The secret of a link that signs a known person in, once; what ended long ago goes."""
    secret = secret_of(chance)
    with store.atomic():
        store.run("links_prune", now_ms - KEPT_MS)
        store.run("link_add", hash_of(secret), email, after, now_ms, now_ms + lasts_ms)
    return secret


def take_link(store: Store, secret: str, now_ms: int) -> tuple[Person, str] | None:
    """Who signs in with it, and where to; None where it was used, has ended, or never was."""
    if len(secret) > SECRET_CHARACTERS_MAX:
        return None
    with store.atomic():
        # One statement: of two that come at once, one gets it.
        row = store.row("link_take", now_ms, hash_of(secret), now_ms)
        found = None if row is None else person_of(store, row[0])
    return None if row is None or found is None else (found, row[1])


def begin_session(
    store: Store, email: str, *, way: str, agent: str, chance: bytes, now_ms: int, lasting: Lasting
) -> str:
    """The secret that the browser keeps in a cookie from now on."""
    secret = secret_of(chance)
    told = " ".join(agent.split())[:AGENT_MAX]
    with store.atomic():
        store.run("sessions_prune", now_ms - KEPT_MS)
        store.run("session_add", hash_of(secret), email, way, told, now_ms, now_ms, now_ms + lasting.whole_ms)
    return secret


def session_of(store: Store, secret: str, now_ms: int, lasting: Lasting) -> tuple[Session, Person] | None:
    """The session with this secret and whose it is; None where it has ended, for whichever reason."""
    if len(secret) > SECRET_CHARACTERS_MAX:
        return None
    row = store.row("session_of_secret", hash_of(secret))
    if row is None:
        return None
    found = _session(row)
    person = person_of(store, found.email)
    if person is None or not _lives(found, now_ms, lasting):
        return None
    return found, person


def mark_seen(store: Store, secret: str, now_ms: int) -> None:
    """It was used now."""
    store.run("session_seen", now_ms, hash_of(secret))


def sessions_of(store: Store, email: str, now_ms: int, lasting: Lasting) -> Sequence[Session]:
    """Where a person is signed in, the latest use first."""
    return [each for each in map(_session, store.rows("sessions_of", email)) if _lives(each, now_ms, lasting)]


def end_session(store: Store, email: str, id_: str, now_ms: int) -> bool:
    """The person's session is over; False where there is none of that name among his own (P20)."""
    with store.atomic():
        mine = [row for row in store.rows("sessions_of", email) if _session(row).id == id_]
        for row in mine:
            store.run("session_end", now_ms, row[0])
    return bool(mine)


def _lives(found: Session, now_ms: int, lasting: Lasting) -> bool:
    return now_ms < found.ends_at and now_ms - found.seen_at < lasting.idle_ms


def _session(row: tuple[Any, ...]) -> Session:
    secret, email, way, agent, begun_at, seen_at, ends_at = row
    return Session(
        id=secret[:ID_CHARACTERS],
        email=email,
        way=way,
        agent=agent,
        begun_at=begun_at,
        seen_at=seen_at,
        ends_at=ends_at,
    )
