"""A customer says that a line is wrong: what the evidence was then, what each side said since, what came of it."""

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from cloud_collector.billing.accounts import NOTE_MAX
from cloud_collector.contracts.period import iso
from cloud_collector.store.store import Store
from shared.errors import MetersealError

WORDS_MAX: Final = 2_000
"""Characters that one side says at once."""
OPEN_MAX: Final = 100
"""Disputes of an account that are open at once."""
LISTED_MAX: Final = 500


class DisputeRefused(MetersealError):
    """The dispute cannot be opened, answered or ended."""


class What(StrEnum):
    """What somebody did."""

    OPENED = "opened"
    SAID = "said"
    UPHELD = "upheld"
    """The operator: the customer is right."""
    REJECTED = "rejected"
    """The operator: the invoice is."""
    WITHDRAWN = "withdrawn"
    """The customer: it is settled."""


class Side(StrEnum):
    """Who speaks."""

    CUSTOMER = "customer"
    OPERATOR = "operator"


_ENDS: Final = {Side.OPERATOR: {What.SAID, What.UPHELD, What.REJECTED}, Side.CUSTOMER: {What.SAID, What.WITHDRAWN}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """One thing that was said."""

    what: What
    said: str
    at_ms: int
    who: str
    side: Side

    def to_json(self) -> dict[str, Any]:
        """The public form."""
        return {
            "what": self.what.value,
            "said": self.said,
            "at": iso(self.at_ms // 1_000),
            "who": self.who,
            "side": self.side.value,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispute:
    """A line of an invoice, or all of it, that is said to be wrong."""

    id: int
    account: str
    number: str
    place: int
    """The invoice's line, from 1; 0: the whole invoice."""
    amount: str
    evidence: str
    """SHA-256 of the evidence as it stood when the dispute was opened, in hex."""
    holds: bool
    """Whether that evidence verified."""
    at_ms: int
    who: str
    words: tuple[Word, ...]
    credit: tuple[str, str, str | None] | None
    """The credit note that took the invoice back, its reason, and what it was billed again as."""

    @property
    def state(self) -> str:
        """How it stands: `credited` once the invoice was taken back, else what was decided last."""
        decided = [word.what for word in self.words if word.what in (What.UPHELD, What.REJECTED, What.WITHDRAWN)]
        if self.credit is not None and (not decided or decided[-1] is not What.REJECTED):
            return "credited"
        return decided[-1].value if decided else "open"

    @property
    def reason(self) -> str:
        """What its credit note says unless somebody writes it otherwise: which dispute, and why it was upheld."""
        why = [" ".join(word.said.split()) for word in self.words if word.what is What.UPHELD]
        said = f"Dispute {self.id}: {why[-1]}" if why else f"Dispute {self.id}"
        return said if len(said) <= NOTE_MAX else f"{said[: NOTE_MAX - 1]}…"

    def to_json(self) -> dict[str, Any]:
        """The public form."""
        credit = None
        if self.credit is not None:
            credit = {"number": self.credit[0], "reason": self.credit[1], "billed_again": self.credit[2]}
        return {
            "id": self.id,
            "account": self.account,
            "invoice": self.number,
            "line": self.place or None,
            "amount": self.amount,
            "state": self.state,
            "evidence_sha256": self.evidence,
            "evidence_holds": self.holds,
            "at": iso(self.at_ms // 1_000),
            "who": self.who,
            "words": [word.to_json() for word in self.words],
            "credit_note": credit,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Complaint:
    """What a customer brings forward."""

    account: str
    number: str
    place: int
    amount: str
    why: str
    evidence: bytes
    holds: bool
    who: str


def open_dispute(store: Store, complaint: Complaint, *, now_ms: int) -> int:
    """It stands from now on, with the evidence's hash; in the caller's transaction; raises DisputeRefused."""
    said = _said(complaint.why)
    standing = [each for each in disputes(store, complaint.account) if each.state == "open"]
    if any((each.number, each.place) == (complaint.number, complaint.place) for each in standing):
        raise DisputeRefused("this is disputed already: say more there")
    if len(standing) >= OPEN_MAX:
        raise DisputeRefused(f"{OPEN_MAX} disputes are open: wait for an answer, or withdraw some")
    digest = hashlib.sha256(complaint.evidence).hexdigest()
    ((id_,),) = store.rows(
        "dispute_add",
        complaint.account,
        complaint.number,
        complaint.place,
        complaint.amount,
        digest,
        int(complaint.holds),
        now_ms,
        complaint.who,
    )
    store.run("dispute_say", id_, What.OPENED.value, said, now_ms, complaint.who, Side.CUSTOMER.value)
    return int(id_)


def say(store: Store, id_: int, what: What, words: str, *, who: str, side: Side, now_ms: int) -> None:
    """It was said, and perhaps decided; raises DisputeRefused."""
    if what not in _ENDS[side]:
        raise DisputeRefused(f"the {side.value} cannot say {what.value}")
    found = dispute(store, id_)
    if found is None:
        raise DisputeRefused(f"there is no dispute {id_}")
    if what is not What.SAID and found.state in ("withdrawn", "credited"):
        raise DisputeRefused(f"the dispute is {found.state}: nothing is left to decide")
    store.run("dispute_say", id_, what.value, _said(words), now_ms, who, side.value)


def dispute(store: Store, id_: int) -> Dispute | None:
    """One of them."""
    row = store.row("dispute_one", id_)
    return None if row is None else _dispute(store, row)


def disputes(store: Store, account: str = "", *, below: int = 2**62, limit: int = LISTED_MAX) -> list[Dispute]:
    """An account's, or everybody's, the newest first, with ids below that of a page before."""
    return [_dispute(store, row) for row in store.rows("disputes", account, account, below, limit)]


def _dispute(store: Store, row: tuple[Any, ...]) -> Dispute:
    id_, account, number, place, amount, evidence, holds, at_ms, who = row
    credit = store.row("dispute_credit", number)
    return Dispute(
        id=id_,
        account=account,
        number=number,
        place=place,
        amount=amount,
        evidence=evidence,
        holds=bool(holds),
        at_ms=at_ms,
        who=who,
        words=tuple(
            Word(what=What(what), said=said, at_ms=at, who=name, side=Side(side))
            for what, said, at, name, side in store.rows("dispute_words", id_)
        ),
        credit=None if credit is None else (credit[0], credit[1], credit[4]),
    )


def _said(words: str) -> str:
    said = words.strip()
    if not said:
        raise DisputeRefused("say in a few words why")
    if len(said) > WORDS_MAX:
        raise DisputeRefused(f"say it in at most {WORDS_MAX:,} characters; these are {len(said):,}")
    return said
