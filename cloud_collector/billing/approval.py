"""Draft, then approved, then issued: what a person has looked at is what is issued, or nothing is (P19).

A run drafts documents as they would be issued; a person approves them, where configured a second one; a run issues
those whose content is still the approved one. Drafts have no numbers.
"""

import hashlib
import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from cloud_collector.billing.accounts import NotPossible, require_name
from cloud_collector.contracts.period import iso
from cloud_collector.rating.draft import Draft
from cloud_collector.store.store import Store

EVERY_CONTRACT: Final = "[]"


class Approval(StrEnum):
    """Who must have approved a document before it is issued."""

    NONE = "none"
    ONE = "one"
    TWO = "two"
    """Another person than the one who drafted it."""
    PEOPLE = "people"
    """Another person than the one who drafted it, and signed in: a name that is merely said does not count."""


_SECOND: Final = (Approval.TWO, Approval.PEOPLE)
"""Rules by which nobody approves what he drafted."""


class Task(StrEnum):
    """What a draft is of."""

    PERIOD = "period"
    VOID = "void"
    REBILL = "rebill"


@dataclass(frozen=True, slots=True, kw_only=True)
class Drafted:
    """A document as it would be issued."""

    task: Task
    contract: str
    start: int
    end: int
    currency: str
    total: str
    digest: str
    draft: Draft | None = None
    invoice: int | None = None
    """Which one is to be taken back, or was."""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Approved:
    """What a run may issue."""

    draft: int
    by: str


def digest_of(draft: Draft) -> str:
    """SHA-256 over everything that a draft says: another amount, line or reason is another document."""
    return hashlib.sha256(json.dumps(draft.to_json(), separators=(",", ":"), sort_keys=True).encode()).hexdigest()


def keep_drafts(
    store: Store, drafts: Iterable[Drafted], *, by: str, at: int, as_of: int, contracts: Sequence[str]
) -> int:
    """Keep drafts as one run, for approval; its number."""
    name = require_name(by)
    with store.atomic():
        run: int = store.rows("run_begin", at, name, as_of, json.dumps(list(contracts)), 1)[0][0]
        store.run_many(
            "draft_add",
            [
                (
                    run,
                    each.task.value,
                    each.contract,
                    each.start,
                    each.end,
                    each.invoice,
                    each.reason,
                    each.digest,
                    each.currency,
                    each.total,
                    "" if each.draft is None else json.dumps(each.draft.to_json(), separators=(",", ":")),
                )
                for each in drafts
            ],
        )
    return run


def approve(
    store: Store,
    run: int,
    *,
    by: str,
    at: int,
    approval: Approval,
    only: Collection[str] | None = None,
    but: Collection[str] = (),
    signed_in: bool = False,
) -> int:
    """Approve the drafts of a run, all or those of some contracts; how many. Raises NotPossible.

    `signed_in`: whoever approves has signed in, and is not only said to be `by`.
    """
    name = require_name(by)
    if approval is Approval.PEOPLE and not signed_in:
        raise NotPossible("billing.approval is people: whoever approves signs in, and does it on the pages")
    with store.atomic():
        row = store.row("run_of_drafts", run)
        if row is None:
            raise NotPossible(f"there is no run {run} with drafts: `cloud-collector billing drafts` lists them")
        if approval in _SECOND and _same_person(row[0], name):
            why = f"another person must approve it (billing.approval is {approval})"
            raise NotPossible(f"{row[0]} drafted run {run}: {why}")
        drafts = store.rows("drafts_of_run", run)
        known = {each[2] for each in drafts}
        for contract in (*(only or ()), *but):
            if contract not in known:
                raise NotPossible(f"run {run} has no draft of {contract}")
        chosen = [each[0] for each in drafts if (only is None or each[2] in only) and each[2] not in but]
        store.run_many("approval_add", [(draft, name, at, int(signed_in)) for draft in chosen])
    return len(chosen)


def approved_period(
    store: Store, contract: str, start: int, approval: Approval, draft: Draft | None = None
) -> Approved | str:
    """The approval under which a period's document may be issued, or the sentence that says why not.

    Without a draft it only says whether it is worth making one.
    """
    rows = [
        row
        for row in store.rows("approvals_of_period", contract, start)
        if _counts(approval, row[4], row[5], signed_in=row[6])
    ]
    if not rows:
        return "waits for approval: `cloud-collector billing prepare`, then `billing approve`"
    if draft is None:
        return Approved(draft=rows[0][0], by=rows[0][5])
    digest = digest_of(draft)
    for id_, approved, _, _, _, by, _ in rows:
        if approved == digest:
            return Approved(draft=id_, by=by)
    _, _, total, currency, _, by, _ = rows[0]
    return (
        f"has changed since {by} approved {total} {currency}, to {draft.total:f} {draft.currency}: "
        "prepare and approve it again"
    )


def approved_corrections(store: Store, approval: Approval) -> list[tuple[Approved, Task, str, str, str]]:
    """Approved voids, then approved rebills, that are not issued yet: (approval, task, number, reason, digest)."""
    return [
        (Approved(draft=row[0], by=row[5]), Task(row[1]), row[2], row[3], row[4])
        for row in store.rows("approvals_of_corrections")
        if _counts(approval, row[5], row[6], signed_in=row[8])
    ]


def drafts(store: Store) -> list[dict[str, Any]]:
    """The newest draft of each document, with where it stands: draft, approved, issued or superseded."""
    found = []
    for row in store.rows("drafts_newest"):
        id_, run, task, contract, start, end, number, reason, currency, total, by, approved_by, at, issued, closed = row
        state = "issued" if issued else "superseded" if closed and task == Task.PERIOD.value else "draft"
        if state == "draft" and approved_by is not None:
            state = "approved"
        found.append(
            {
                "draft": id_,
                "run": run,
                "state": state,
                "task": task,
                "contract": contract,
                "period": {"start": iso(start), "end": iso(end)},
                "of": number,
                "reason": reason,
                "currency": currency,
                "total": total,
                "drafted_by": by,
                "approved_by": approved_by,
                "approved_at": None if at is None else iso(at),
                "number": issued,
            }
        )
    return found


def _counts(approval: Approval, drafted_by: str, approved_by: str, *, signed_in: bool) -> bool:
    """Whether an approval is one by the rule that is in force now."""
    if approval is Approval.PEOPLE and not signed_in:
        return False
    return approval not in _SECOND or not _same_person(drafted_by, approved_by)


def _same_person(one: str, other: str) -> bool:
    return one.casefold() == other.casefold()
