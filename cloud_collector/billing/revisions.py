"""Every catalog that was ever applied, byte for byte, numbered and hashed: facts in the store."""

import hashlib
from dataclasses import dataclass
from typing import Final

from cloud_collector.billing.billable import require_billable
from cloud_collector.contracts.catalog import Catalog
from cloud_collector.contracts.read import load_catalog
from cloud_collector.contracts.revision import Revision
from cloud_collector.store.store import Store
from shared.errors import MetersealError
from shared.latest import Latest


class NoCatalog(MetersealError):
    """No catalog has been applied yet: run `cloud-collector catalog apply FILE`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """Where a catalog stands after `apply`."""

    number: int
    sha256: str
    effective_at: int
    new: bool
    """False where it is the newest revision already."""


def apply(store: Store, catalog: Catalog, *, now_ms: int, effective_at: int | None = None) -> Applied:
    """The catalog is the newest revision; its plans rate periods that begin at `effective_at` (now) or later.

    The very bytes of the newest revision are no new one. Raises CannotBill.
    """
    content = catalog.text.encode()
    digest = hashlib.sha256(content).hexdigest()
    with store.atomic():
        require_billable(store, catalog)
        newest = store.row("catalog_newest")
        if newest is not None and newest[1] == digest and effective_at in (None, newest[2]):
            return Applied(number=newest[0], sha256=digest, effective_at=newest[2], new=False)
        number = 1 if newest is None else newest[0] + 1
        effective = now_ms // 1000 if effective_at is None else effective_at
        store.run("catalog_add", number, digest, now_ms, effective, content)
    return Applied(number=number, sha256=digest, effective_at=effective, new=True)


def revisions(store: Store) -> tuple[Revision, ...]:
    """Every revision, the newest last; raises NoCatalog where there is none."""
    rows = store.rows("catalog_revisions")
    if not rows:
        raise NoCatalog
    return tuple(
        Revision(number=number, effective_at=effective_at, catalog=_parsed(digest, bytes(content)))
        for number, digest, effective_at, content in rows
    )


_KNOWN: Final = Latest[str, Catalog](64)


def _parsed(digest: str, content: bytes) -> Catalog:
    """Parsing is a pure function of bytes that never change, so the last few are kept."""
    return _KNOWN.made(digest, lambda: load_catalog(content.decode()))
