"""Whoever asks, as far as the answer depends on it: a name, a role, the accounts in sight, the deeds allowed. Pure.

A role bounds what can be given: no token and no session holds a deed that its role does not have, and a customer
always sees some accounts and never all.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from shared.errors import InvalidRecord


class Role(StrEnum):
    """What somebody is to the operator."""

    OPERATOR = "operator"
    APPROVER = "approver"
    """Reads everything and approves what is to be issued."""
    AUDITOR = "auditor"
    """Reads everything."""
    CUSTOMER = "customer"
    """Sees accounts of his own."""


class Deed(StrEnum):
    """What can be done."""

    READ = "read"
    EXPORT = "export"
    """Takes data along: files, archives, proofs."""
    APPROVE = "approve"
    """Approves a billing run."""
    BILL = "bill"
    """Prepares and runs billing; voids, credits, records payments."""
    COMMAND = "command"
    """Gives orders to gateways and changes the states of devices."""
    ENROL = "enrol"
    """Invites, accepts, adopts, blocks and revokes gateways and keys."""
    CONFIGURE = "configure"
    """Applies catalogs; sets webhooks."""
    WARN = "warn"
    """Sets budgets, warnings and how they arrive."""
    DISPUTE = "dispute"
    """Says that a bill is wrong."""
    INGEST = "ingest"
    """Delivers facts over HTTP."""
    ADMIT = "admit"
    """Adds and removes people and tokens."""


ALLOWED: Final[Mapping[Role, frozenset[Deed]]] = {
    Role.OPERATOR: frozenset(Deed),
    Role.APPROVER: frozenset({Deed.READ, Deed.EXPORT, Deed.APPROVE}),
    Role.AUDITOR: frozenset({Deed.READ, Deed.EXPORT}),
    Role.CUSTOMER: frozenset({Deed.READ, Deed.EXPORT, Deed.WARN, Deed.DISPUTE}),
}
"""The most that each role may do."""


class Means(StrEnum):
    """How a viewer is known."""

    SESSION = "session"
    TOKEN = "token"  # noqa: S105 (a word, no secret)
    LOCAL = "local"
    """Opens the pages on the collector's own machine."""
    COMMAND = "command"
    """Uses the command line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Viewer:
    """Whoever asks."""

    name: str
    role: Role
    accounts: frozenset[str] | None
    """The accounts in sight; None: all of them."""
    scopes: frozenset[Deed]
    means: Means = Means.SESSION

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise InvalidRecord("a viewer has a name")
        if self.role is Role.CUSTOMER and self.accounts is None:
            raise InvalidRecord("P20: a customer sees accounts of his own, never all")
        beyond = self.scopes - ALLOWED[self.role]
        if beyond:
            raise InvalidRecord(f"the role {self.role} does not have {', '.join(sorted(beyond))}")

    def sees(self, account: str) -> bool:
        """Whether the account's data is in sight."""
        return self.accounts is None or account in self.accounts

    def may(self, deed: Deed) -> bool:
        """Whether the deed is allowed; on which accounts `sees` says."""
        return deed in self.scopes


def everything(role: Role, name: str, *, accounts: frozenset[str] | None = None, means: Means) -> Viewer:
    """A viewer with all that the role allows."""
    return Viewer(name=name, role=role, accounts=accounts, scopes=ALLOWED[role], means=means)


LOCAL_OPERATOR: Final = everything(Role.OPERATOR, "local", means=Means.LOCAL)
"""Whoever sits at the collector's own machine."""
