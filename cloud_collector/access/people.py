"""People: the operator's own and customers, known by their e-mail address; what each may do follows from the role."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

from cloud_collector.access.viewer import Means, Role, Viewer, everything
from cloud_collector.contracts.period import iso
from cloud_collector.limits import PEOPLE_MAX
from cloud_collector.notify.letter import NoAddress, addressed
from cloud_collector.store.store import Store
from shared.errors import MetersealError

EMAIL_MAX: Final = 254
"""Characters of an address (RFC 5321)."""


class PersonRefused(MetersealError):
    """The person cannot be added or changed."""


class NoSuchPerson(PersonRefused):
    """Nobody is known by this address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody who can sign in."""

    email: str
    role: Role
    accounts: frozenset[str] | None
    added_at: int
    added_by: str
    removed_at: int | None

    def viewer(self, means: Means) -> Viewer:
        """Whoever signed in as this person."""
        return everything(self.role, self.email, accounts=self.accounts, means=means)

    def to_json(self) -> dict[str, Any]:
        """As commands and pages print it."""
        return {
            "email": self.email,
            "state": "active" if self.removed_at is None else "removed",
            "role": self.role.value,
            "accounts": None if self.accounts is None else sorted(self.accounts),
            "added_at": iso(self.added_at // 1000),
            "added_by": self.added_by,
            "removed_at": None if self.removed_at is None else iso(self.removed_at // 1000),
        }


def email_of(text: str) -> str:
    """The address as it is kept: whoever writes it in capitals is the same person. Raises PersonRefused."""
    told = text.strip().lower()
    if not 3 <= len(told) <= EMAIL_MAX or not told.isprintable():
        raise PersonRefused(f"{told[:64]!r} is no e-mail address")
    try:
        return addressed(told)
    except NoAddress as error:
        raise PersonRefused(str(error)) from None


def put_person(
    store: Store, email: str, *, role: Role, accounts: Collection[str] | None, by: str, now_ms: int, new: bool
) -> Person:
    """Somebody new, or somebody known with another role; raises PersonRefused."""
    name = email_of(email)
    if role is Role.CUSTOMER and not accounts:
        raise PersonRefused("a customer sees accounts of his own: name them with --account")
    if role is not Role.CUSTOMER and accounts:
        raise PersonRefused(f"the role {role} sees every account; only customers see some")
    told = None if role is not Role.CUSTOMER else json.dumps(sorted(set(accounts or ())))
    with store.atomic():
        row = store.row("person_of", name)
        there = row is not None and row[5] is None
        if new and there:
            raise PersonRefused(f"{name} is known already: `cloud-collector person role` changes what they may do")
        if not new and not there:
            raise NoSuchPerson(f"nobody is known as {name}: `cloud-collector person list` names them all")
        if row is None and store.rows("people_count")[0][0] >= PEOPLE_MAX:
            raise PersonRefused(f"there are {PEOPLE_MAX:,} people already: remove some first")
        if new:
            store.run("person_add", name, role.value, told, now_ms, by)
        else:
            store.run("person_role", role.value, told, name)
        return _person(store.rows("person_of", name)[0])


def remove_person(store: Store, email: str, *, now_ms: int) -> Person:
    """The person cannot sign in any more, and is signed out everywhere; raises PersonRefused."""
    name = email_of(email)
    with store.atomic():
        found = person_of(store, name)
        if found is None:
            raise NoSuchPerson(f"nobody is known as {name}: `cloud-collector person list` names them all")
        store.run("person_remove", now_ms, name)
        store.run("sessions_end", now_ms, name)
        store.run("links_drop", name)
    return found


def person_of(store: Store, email: str) -> Person | None:
    """The person with this address who may sign in."""
    row = store.row("person_of", email)
    return None if row is None or row[5] is not None else _person(row)


def people(store: Store) -> list[Person]:
    """Everybody who was ever added, by address."""
    return [_person(row) for row in store.rows("people")]


def _person(row: tuple[Any, ...]) -> Person:
    email, role, accounts, added_at, added_by, removed_at = row
    return Person(
        email=email,
        role=Role(role),
        accounts=None if accounts is None else frozenset(json.loads(accounts)),
        added_at=added_at,
        added_by=added_by,
        removed_at=removed_at,
    )
