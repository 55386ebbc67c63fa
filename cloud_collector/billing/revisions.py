"""Every catalog that was ever applied, byte for byte, numbered and hashed: facts in the store."""

import hashlib
from dataclasses import dataclass
from functools import partial
from typing import Final

from cloud_collector.billing.billable import require_billable
from cloud_collector.contracts.catalog import Catalog
from cloud_collector.contracts.glance import Glance, glance, seen
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
    """Every revision, the newest last; raises NoCatalog where there is none. Each is read while the store is open."""
    rows = store.rows("catalog_revisions")
    if not rows:
        raise NoCatalog
    return tuple(
        Revision(
            number=number,
            effective_at=effective_at,
            read=partial(_read, store, number, digest),
            glance=partial(_glance, store, number, digest),
        )
        for number, digest, effective_at in rows
    )


PARSED_BYTES_MAX: Final = 32_000_000
"""Of catalogs that are kept as they were read; one of a hundred thousand devices has 1.6 MB, and takes 20 MB then."""
NAMES_MAX: Final = 500_000
"""Of contracts in glances that are kept."""
_PARSED: Final = Latest[str, Catalog](PARSED_BYTES_MAX, lambda catalog: len(catalog.text))
_GLANCES: Final = Latest[str, Glance](NAMES_MAX, lambda found: 1 + len(found.contracts or ()))
"""Both are pure functions of a catalog's bytes, which never change, by its hash."""


def _read(store: Store, number: int, digest: str) -> Catalog:
    found = _PARSED.get(digest)
    if found is None:
        found = _PARSED.put(digest, load_catalog(_content(store, number).decode()))
        _GLANCES.put(digest, seen(found))
    return found


def _glance(store: Store, number: int, digest: str) -> Glance:
    return _GLANCES.made(digest, lambda: glance(_content(store, number)))


def _content(store: Store, number: int) -> bytes:
    return bytes(store.rows("catalog_content", number)[0][0])
