"""What operators do with the console, for programs: the audit log, orders, strangers, plans tried out, runs resumed."""

from collections.abc import Collection, Iterator
from datetime import date, datetime
from decimal import Decimal

from cloud_collector.client.asking import Asking, dated, device_path, listed, part, written
from cloud_collector.client.money import Correction, InvoiceLife
from cloud_collector.client.orders import AskedAgain, DeviceDone, Ordered
from cloud_collector.client.overview import (
    BillingState,
    DeviceStanding,
    Overview,
    Owed,
    PlanWords,
    WaitingDraft,
    WhatIf,
)
from cloud_collector.client.runs import RunDetail
from cloud_collector.client.strangers import Accepted, Assigned, Blocked, Unmatched
from cloud_collector.client.trail import Entry
from cloud_collector.client.usage import Curve


class Desk(Asking):
    """The operators' part of the client."""

    def audit(
        self, *, who: str | None = None, account: str | None = None, since: datetime | None = None
    ) -> Iterator[Entry]:
        """Who did what, and who looked at whose data, the newest first."""
        return self._pages(Entry, "/audit", who=who, account=account, since=written(since))

    def overview(self) -> Overview:
        """What there is, and what waits for a person."""
        return self._get(Overview, "/overview")

    def ledger(self, *, search: str | None = None) -> Iterator[Owed]:
        """What each account owes, by its name."""
        return self._pages(Owed, "/ledger", search=search)

    def device_standings(
        self, *, account: str | None = None, contract: str | None = None, search: str | None = None
    ) -> Iterator[DeviceStanding]:
        """Every device of every contract with its state, since when, and why."""
        return self._pages(DeviceStanding, "/standings", account=account, contract=contract, search=search)

    def curves(self, device: str, *, by: str = "day", days: int = 35) -> list[Curve]:
        """Each meter of `gateway/device` by `day` or `hour` up to now; raises Refused."""
        return self._get(list[Curve], f"/devices/{device_path(device)}/curves", by=by, days=str(days))

    # Plans

    def plan(self, contract: str) -> PlanWords:
        """What the contract's plan says, in sentences; raises Refused."""
        return self._get(PlanWords, f"/contracts/{part(contract)}/plan")

    def what_if(
        self,
        changes: Collection[str] = (),
        *,
        catalog: str | None = None,
        contracts: Collection[str] | None = None,
        alike: str | None = None,
        first: str = "",
        last: str = "",
    ) -> WhatIf:
        """What changes `KEY=VALUE`, or a whole catalog, would have cost whom; nothing is changed. Raises Refused."""
        told = {
            "catalog": catalog,
            "changes": list(changes),
            "contracts": listed(contracts),
            "alike": alike,
            "first": first,
            "last": last,
        }
        return self._post(WhatIf, "/catalog/what-if", told)

    # Billing

    def billing(self) -> BillingState:
        """Where billing stands."""
        return self._get(BillingState, "/billing")

    def drafts(self, *, state: str = "draft") -> Iterator[WaitingDraft]:
        """The newest draft of each document that is a `draft`, or `approved`, `issued`, `superseded`."""
        return self._pages(WaitingDraft, "/billing/drafts", state=state)

    def resume(self) -> RunDetail:
        """The run that was stopped goes on; raises Refused."""
        return self._post(RunDetail, "/billing/resume")

    def retry(self) -> RunDetail:
        """The contracts that are parked are billed, and no other; raises Refused."""
        return self._post(RunDetail, "/billing/retry")

    def life(self, number: str) -> InvoiceLife:
        """A document and what became of it; raises Refused."""
        return self._get(InvoiceLife, f"/invoices/{part(number)}/life")

    def pay(self, number: str, amount: Decimal | None = None, *, reference: str = "") -> InvoiceLife:
        """The document was paid, wholly or with an amount; raises Refused."""
        told = {"amount": None if amount is None else format(amount, "f"), "reference": reference}
        return self._post(InvoiceLife, f"/invoices/{part(number)}/payments", told)

    def void(self, number: str, reason: str) -> Correction:
        """The document is taken back in full, or that is drafted; raises Refused."""
        return self._post(Correction, f"/invoices/{part(number)}/void", {"reason": reason})

    def rebill(self, number: str) -> Correction:
        """The period of a document that was taken back is billed again, or that is drafted; raises Refused."""
        return self._post(Correction, f"/invoices/{part(number)}/rebill")

    def credit_dispute(self, dispute: int, reason: str = "") -> Correction:
        """The invoice of a dispute that was upheld is taken back, or that is drafted; raises Refused."""
        return self._post(Correction, f"/disputes/{dispute}/credit", {"reason": reason})

    def rebill_dispute(self, dispute: int) -> Correction:
        """The period of a disputed invoice is billed again, or that is drafted; raises Refused."""
        return self._post(Correction, f"/disputes/{dispute}/rebill")

    # Orders

    def resend(self, gateway: str) -> AskedAgain:
        """The gateway is asked for what is missing and was not asked for before; raises Refused."""
        return self._post(AskedAgain, f"/gateways/{part(gateway)}/resend")

    def read_now(self, gateway: str) -> Ordered:
        """The gateway is asked to read its meters now; raises Refused."""
        return self._post(Ordered, f"/gateways/{part(gateway)}/read")

    def say(
        self, device: str, word: str, reason: str, *, at: datetime | None = None, dry_run: bool = False
    ) -> DeviceDone:
        """`suspend`, `resume`, `end` or `activate` is said of `gateway/device`; raises Refused."""
        told = {"word": word, "reason": reason, "at": written(at), "dry_run": dry_run}
        return self._post(DeviceDone, f"/devices/{device_path(device)}/state", told)

    # Strangers

    def unmatched(self) -> Iterator[Unmatched]:
        """What belongs to nobody that is known."""
        return self._pages(Unmatched, "/unmatched")

    def blocked(self) -> Iterator[Blocked]:
        """What is heard of no more."""
        return self._pages(Blocked, "/unmatched/blocked")

    def accept(self, name: str, words: str) -> Accepted:
        """The pending key of a gateway that has these words is enrolled; raises Refused."""
        return self._post(Accepted, "/unmatched/accept", {"name": name, "words": words})

    def assign(self, name: str, contract: str, *, start: date | None = None) -> Assigned:
        """A device that nobody has belongs to the contract from a day on; raises Refused."""
        told = {"name": name, "contract": contract, "start": dated(start)}
        return self._post(Assigned, "/unmatched/assign", told)

    def block(self, name: str, reason: str = "") -> Blocked:
        """It is heard of no more; raises Refused."""
        return self._post(Blocked, "/unmatched/block", {"name": name, "reason": reason})

    def unblock(self, name: str) -> Blocked:
        """It may knock again; raises Refused."""
        return self._post(Blocked, "/unmatched/unblock", {"name": name})
