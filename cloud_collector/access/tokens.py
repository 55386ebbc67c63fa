"""API tokens: what programs show instead of a session; each with a name, scopes, an end, and perhaps accounts."""

import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

from cloud_collector.access.secret import SECRET_CHARACTERS_MAX, TOKEN_PREFIX, hash_of, secret_of
from cloud_collector.access.viewer import ALLOWED, Deed, Means, Role, Viewer
from cloud_collector.contracts.period import iso
from cloud_collector.limits import TOKEN_DAYS_MAX, TOKENS_MAX
from cloud_collector.store.store import Store
from shared.errors import MetersealError

NAME: Final = re.compile(r"[a-z0-9][a-z0-9_.-]{0,47}")
DAY_MS: Final = 86_400_000
USED_MS: Final = 3_600_000
"""When a token was last used is kept to the hour: a request seldom writes."""


class TokenRefused(MetersealError):
    """The token cannot be made or revoked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A token that was one: why it is none any more, in a sentence."""

    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """What is kept of a token."""

    name: str
    role: Role
    accounts: frozenset[str] | None
    scopes: frozenset[Deed]
    made_at: int
    made_by: str
    ends_at: int
    revoked_at: int | None
    used_at: int | None

    def state(self, now_ms: int) -> str:
        """How it stands."""
        if self.revoked_at is not None:
            return "revoked"
        return "active" if now_ms < self.ends_at else "expired"

    def viewer(self) -> Viewer:
        """Whoever shows it."""
        return Viewer(
            name=f"token {self.name}",
            role=self.role,
            accounts=self.accounts,
            scopes=self.scopes,
            means=Means.TOKEN,
        )

    def to_json(self, now_ms: int) -> dict[str, Any]:
        """As commands and pages print it."""
        return {
            "name": self.name,
            "state": self.state(now_ms),
            "role": self.role.value,
            "accounts": None if self.accounts is None else sorted(self.accounts),
            "scopes": sorted(self.scopes),
            "made_at": _iso(self.made_at),
            "made_by": self.made_by,
            "ends_at": _iso(self.ends_at),
            "revoked_at": _iso(self.revoked_at),
            "used_at": _iso(self.used_at),
        }


def role_for(scopes: Collection[Deed], accounts: Collection[str] | None) -> Role:
    """The least role that has these scopes; raises TokenRefused where none has."""
    for role in (Role.CUSTOMER, Role.AUDITOR, Role.APPROVER, Role.OPERATOR):
        if set(scopes) <= ALLOWED[role] and (role is not Role.CUSTOMER or accounts is not None):
            return role
    raise TokenRefused("a token has at least one scope, of those that there are")


def make_token(
    store: Store,
    name: str,
    *,
    scopes: Collection[Deed],
    accounts: Collection[str] | None,
    days: int,
    by: str,
    chance: bytes,
    now_ms: int,
) -> str:
    """A new token's secret, of which nothing but the hash is kept; raises TokenRefused."""
    if NAME.fullmatch(name) is None:
        raise TokenRefused(f"{name[:48]!r} is no name of a token: 1 to 48 of a-z, 0-9, dot, - and _")
    if not 1 <= days <= TOKEN_DAYS_MAX:
        raise TokenRefused(f"a token lasts 1 to {TOKEN_DAYS_MAX:,} days, not {days:,}")
    if not scopes:
        raise TokenRefused("a token without a scope can do nothing: name one, such as read")
    if accounts is not None and not accounts:
        raise TokenRefused("a token that sees no account can do nothing: name one, or none for all")
    role = role_for(scopes, accounts)
    secret = TOKEN_PREFIX + secret_of(chance)
    with store.atomic():
        if store.row("token_named", name) is not None:
            raise TokenRefused(f"there is a token {name} already, and a name is never used twice")
        if store.rows("tokens_count")[0][0] >= TOKENS_MAX:
            raise TokenRefused(f"there are {TOKENS_MAX:,} tokens: revoke those that are not used")
        told = None if accounts is None else json.dumps(sorted(set(accounts)))
        ends_at = now_ms + days * DAY_MS
        store.run("token_add", name, hash_of(secret), role.value, told, json.dumps(sorted(scopes)), now_ms, by, ends_at)
    return secret


def token_viewer(store: Store, secret: str, now_ms: int) -> Viewer | Ended | None:
    """Whoever shows this secret; None: it is nobody's."""
    if not secret.startswith(TOKEN_PREFIX) or len(secret) > SECRET_CHARACTERS_MAX:
        return None
    row = store.row("token_of_secret", hash_of(secret))
    if row is None:
        return None
    found = _token(row)
    match found.state(now_ms):
        case "active":
            return found.viewer()
        case state:
            return Ended(why=f"the token {found.name} is {state}: ask for another one")


def needs_mark(store: Store, secret: str, now_ms: int) -> bool:
    """Whether its last use is an hour old, so that this one is to be kept."""
    row = store.row("token_of_secret", hash_of(secret))
    return row is not None and (row[8] is None or now_ms - row[8] >= USED_MS)


def mark_used(store: Store, secret: str, now_ms: int) -> None:
    """It was used in this hour."""
    store.run("token_used", now_ms // USED_MS * USED_MS, hash_of(secret))


def tokens(store: Store) -> list[Token]:
    """All that were ever made, by name."""
    return [_token(row) for row in store.rows("tokens")]


def revoke_token(store: Store, name: str, *, now_ms: int) -> bool:
    """It is worth nothing from now on; False where it was revoked before. Raises TokenRefused for an unknown one."""
    with store.atomic():
        row = store.row("token_named", name)
        if row is None:
            raise TokenRefused(f"there is no token {name[:48]}: `cloud-collector token list` names them all")
        if _token(row).revoked_at is not None:
            return False
        store.run("token_revoke", now_ms, name)
    return True


def _token(row: tuple[Any, ...]) -> Token:
    name, role, accounts, scopes, made_at, made_by, ends_at, revoked_at, used_at = row
    return Token(
        name=name,
        role=Role(role),
        accounts=None if accounts is None else frozenset(json.loads(accounts)),
        # A scope that a later version has dropped is not held.
        scopes=frozenset(Deed(each) for each in json.loads(scopes) if each in set(Deed)) & ALLOWED[Role(role)],
        made_at=made_at,
        made_by=made_by,
        ends_at=ends_at,
        revoked_at=revoked_at,
        used_at=used_at,
    )


def _iso(at_ms: int | None) -> str | None:
    return None if at_ms is None else iso(at_ms // 1000)
