"""Whose an account's data is, who may see it, and what of its detail is to be deleted."""

from dataclasses import dataclass
from datetime import date
from typing import Any

from cloud_collector.contracts.catalog import Account
from cloud_collector.contracts.period import iso
from cloud_collector.store.store import Store

REQUESTS_MAX = 50
"""Requests of an account that are listed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What was agreed on the data."""

    owner: str
    purposes: tuple[str, ...]
    shared_with: tuple[str, ...]
    keep_detail: str | None

    def to_json(self) -> dict[str, Any]:
        """The public form."""
        return {
            "owner": self.owner,
            "purposes": list(self.purposes),
            "shared_with": list(self.shared_with),
            "keep_detail": self.keep_detail,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """That detail before a day be deleted."""

    id: int
    until: date
    """Not included."""
    at: int
    who: str
    done_at: int | None
    """When it was last carried out; None: not yet."""

    def to_json(self) -> dict[str, Any]:
        """The public form."""
        return {
            "id": self.id,
            "until": self.until.isoformat(),
            "at": iso(self.at),
            "who": self.who,
            "done_at": None if self.done_at is None else iso(self.done_at),
        }


def terms_of_data(who: Account) -> Terms:
    """What was agreed; where nothing was, the data is the account's own."""
    data = who.data
    keep = None if data is None or data.keep_detail is None else str(data.keep_detail)
    return Terms(
        owner=who.name if data is None or data.owner is None else data.owner,
        purposes=() if data is None else tuple(data.purposes),
        shared_with=() if data is None else tuple(data.shared_with),
        keep_detail=keep,
    )


def requests(store: Store, account: str) -> list[Request]:
    """What was asked for, the newest first, and when it was carried out."""
    done: dict[int, int] = dict(store.rows("let_go_requests_done"))
    return [
        Request(
            id=id_,
            until=date.fromisoformat(until),
            at=at // 1_000,
            who=name,
            done_at=done[id_] // 1_000 if id_ in done else None,
        )
        for id_, until, at, name in store.rows("deletions", account, REQUESTS_MAX)
    ]


def ask_deletion(store: Store, account: str, until: date, *, who: str, now_ms: int) -> str:
    """The request stands, in the caller's transaction; what is to be said of it in the log."""
    store.run("deletion_add", account, until.isoformat(), now_ms, who)
    return f"asked that detail before {until} be deleted"
