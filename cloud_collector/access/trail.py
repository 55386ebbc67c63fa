"""The log of what was done and of who looked at whose data: appended, never changed, kept by the schema."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from cloud_collector.access.viewer import Deed, Viewer
from cloud_collector.contracts.period import iso
from cloud_collector.store.store import Store

NEWEST: Final = 2**62
"""Above the place of every entry."""
WHAT_MAX: Final = 500
"""Characters that are kept of what was done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Somebody did something, or looked at something."""

    at_ms: int
    who: str
    role: str
    means: str
    deed: str
    what: str
    account: str
    """Whose data it was; empty: nobody's own."""
    id: int = 0
    """Its place in the log."""

    def to_json(self) -> dict[str, Any]:
        """As commands and pages print it."""
        return {
            "at": iso(self.at_ms // 1000),
            "who": self.who,
            "role": self.role,
            "by": self.means,
            "deed": self.deed,
            "what": self.what,
            "account": self.account or None,
        }


def enter(store: Store, viewer: Viewer, deed: Deed, what: str, *, account: str = "", now_ms: int) -> None:
    """It stands in the log; inside a transaction, together with what was done."""
    told = " ".join(what.split())[:WHAT_MAX]
    store.run("trail_add", now_ms, viewer.name, viewer.role.value, viewer.means.value, deed.value, told, account)


def entries(
    store: Store,
    *,
    account: str | None = None,
    who: str | None = None,
    after_ms: int = 0,
    before: int = NEWEST,
    limit: int,
) -> Sequence[Entry]:
    """The newest entries first: of everybody, of an account, of a person, since an instant, before a place."""
    rows = store.rows("trail", account, account, who, who, after_ms, before, limit)
    return [
        Entry(id=id_, at_ms=at, who=name, role=role, means=means, deed=deed, what=what, account=of)
        for at, name, role, means, deed, what, of, id_ in rows
    ]


def has_looked(store: Store, viewer: Viewer, what: str, *, account: str, after_ms: int) -> bool:
    """Whether it stands there that this viewer looked at the same since then."""
    return store.row("trail_looked", account, viewer.name, what, after_ms) is not None
