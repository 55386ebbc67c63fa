"""What customers see and do on their pages, for programs: disputes, thresholds, and whose the data is."""

from collections.abc import Iterable, Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from cloud_collector.client.agreements import DataTerms
from cloud_collector.client.asking import Asking, dated, device_path, part, written
from cloud_collector.client.days import DeviceDay, DeviceMonth, Interval, MeterDays, Place, SignedLine
from cloud_collector.client.disputes import Dispute, DisputeDetail
from cloud_collector.client.opened import ChannelDays, Check, NamedLine, OpenedInvoiceLine, OpenedLine
from cloud_collector.client.ownership import DeletionRequest, Deletions
from cloud_collector.client.thresholds import Thresholds
from cloud_collector.client.trail import Entry


class Portal(Asking):
    """The customers' part of the client."""

    # What lies under a figure

    def account_day(self, account: str, day: date) -> Iterator[DeviceDay]:
        """What each device of the account used on a local day."""
        return self._pages(DeviceDay, f"/accounts/{part(account)}/days/{day.isoformat()}")

    def intervals(self, account: str, day: date, device: str, meter: str) -> Iterator[Interval]:
        """A day of a meter of `gateway/device`, interval by interval, each with the line that says it."""
        path = f"/accounts/{part(account)}/days/{day.isoformat()}/{device_path(device)}/{part(meter)}"
        return self._pages(Interval, path)

    def signed_line(self, account: str, place: Place) -> SignedLine:
        """The line at that place, byte for byte; raises Refused."""
        chain = "/".join(part(each) for each in (place.gateway, place.log, place.epoch))
        return self._get(SignedLine, f"/accounts/{part(account)}/lines/{chain}/{place.seq}")

    def device_month(self, account: str, device: str) -> DeviceMonth:
        """What `gateway/device` costs in the running period, and its days; raises Refused."""
        return self._get(DeviceMonth, f"/accounts/{part(account)}/devices/{device_path(device)}")

    def contract_days(self, contract: str) -> list[MeterDays]:
        """The contract's meters day by day, over all of its devices; raises Refused."""
        return self._get(list[MeterDays], f"/contracts/{part(contract)}/days")

    def channel_days(
        self,
        account: str,
        device: str,
        meter: str,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        window: tuple[str, str, str] | None = None,
    ) -> ChannelDays:
        """A meter of `gateway/device` by day, or in a window (contract, charge, name) of it; raises Refused."""
        path = f"/accounts/{part(account)}/usage/{device_path(device)}/{part(meter)}"
        contract, charge, name = window or (None, None, None)
        asked = {"start": written(start), "end": written(end), "contract": contract, "charge": charge, "window": name}
        return self._get(ChannelDays, path, **asked)

    # Lines and what they rest on

    def cost_lines(
        self,
        contract: str,
        *,
        charge: str | None = None,
        device: str | None = None,
        tax: str | None = None,
        period: date | None = None,
    ) -> Iterator[NamedLine]:
        """The lines of the cost so far; or of a period that began on that date, has ended and is not billed yet."""
        path = f"/contracts/{part(contract)}/cost/lines"
        return self._pages(
            NamedLine,
            path,
            charge=charge,
            device=device,
            tax=tax,
            period=dated(period),
        )

    def cost_line(self, contract: str, line: str, *, period: date | None = None) -> OpenedLine:
        """One of them with all that it rests on; raises Refused."""
        return self._get(
            OpenedLine,
            f"/contracts/{part(contract)}/cost/lines/{part(line)}",
            period=dated(period),
        )

    def invoice_line(self, number: str, place: int) -> OpenedInvoiceLine:
        """A line of an issued document with all that it rests on; raises Refused."""
        return self._get(OpenedInvoiceLine, f"/invoices/{part(number)}/lines/{place}")

    def check(self, number: str) -> Check:
        """What the server finds in the document's evidence; raises Refused."""
        return self._get(Check, f"/invoices/{part(number)}/check")

    def evidence(self, number: str) -> bytes:
        """The document's evidence as it stands, as a zip for `verify-invoice`; raises Refused."""
        return self._asked("GET", f"/invoices/{part(number)}/evidence").content

    # Disputes

    def disputes(self, *, account: str | None = None) -> Iterator[Dispute]:
        """Every dispute in sight, the newest first."""
        return self._pages(Dispute, "/disputes", account=account)

    def dispute(self, dispute: int) -> DisputeDetail:
        """One of them, and the invoice worked out again; raises Refused."""
        return self._get(DisputeDetail, f"/disputes/{dispute}")

    def dispute_copy(self, dispute: int) -> dict[str, Any]:
        """What the disputed invoice would say now; raises Refused."""
        return self._get(dict[str, Any], f"/disputes/{dispute}/copy")

    def open_dispute(self, number: str, why: str, *, line: int | None = None) -> Dispute:
        """A line of an invoice is said to be wrong, or all of it; raises Refused."""
        return self._post(Dispute, f"/invoices/{part(number)}/disputes", {"line": line, "why": why})

    def answer_dispute(self, dispute: int, said: str) -> Dispute:
        """Something is said to a dispute; raises Refused."""
        return self._decide(dispute, "said", said)

    def withdraw_dispute(self, dispute: int, said: str) -> Dispute:
        """The customer is content; raises Refused."""
        return self._decide(dispute, "withdrawn", said)

    def uphold_dispute(self, dispute: int, said: str) -> Dispute:
        """The operator says that the customer is right; raises Refused."""
        return self._decide(dispute, "upheld", said)

    def reject_dispute(self, dispute: int, said: str) -> Dispute:
        """The operator says that the invoice is; raises Refused."""
        return self._decide(dispute, "rejected", said)

    def _decide(self, dispute: int, what: str, said: str) -> Dispute:
        return self._post(Dispute, f"/disputes/{dispute}/words", {"what": what, "said": said})

    # Thresholds

    def thresholds(self, contract: str) -> Thresholds:
        """The budget, thresholds and recipients that count; raises Refused."""
        return self._get(Thresholds, f"/contracts/{part(contract)}/thresholds")

    def thresholds_history(self, contract: str) -> Iterator[Thresholds]:
        """Everything that was asked for, the newest first."""
        return self._pages(Thresholds, f"/contracts/{part(contract)}/thresholds/history")

    def set_thresholds(
        self,
        contract: str,
        *,
        budget: Decimal | None = None,
        over: Iterable[Decimal | int] = (),
        under: Iterable[Decimal | int] = (),
        mail: Iterable[str] = (),
    ) -> Thresholds:
        """They count from now on, in place of what counted before; raises Refused."""
        wanted = {
            "budget": None if budget is None else format(budget, "f"),
            "over": [_percent(each) for each in over],
            "under": [_percent(each) for each in under],
            "mail": list(mail),
        }
        return self._post(Thresholds, f"/contracts/{part(contract)}/thresholds", wanted)

    def remove_thresholds(self, contract: str) -> Thresholds:
        """Nothing is asked for any more; raises Refused."""
        return self._post(Thresholds, f"/contracts/{part(contract)}/thresholds/remove")

    # Whose the data is

    def data_terms(self, account: str) -> DataTerms:
        """Who owns the account's data and who may see it; raises Refused."""
        return self._get(DataTerms, f"/accounts/{part(account)}/data")

    def looks(self, account: str) -> Iterator[Entry]:
        """Who looked at the account's data, and when, the newest first."""
        return self._pages(Entry, f"/accounts/{part(account)}/looks")

    def deletions(self, account: str) -> Deletions:
        """What detail is asked to be deleted, and what was; raises Refused."""
        return self._get(Deletions, f"/accounts/{part(account)}/deletions")

    def ask_deletion(self, account: str, until: date) -> DeletionRequest:
        """Detail before that day is asked to be deleted; raises Refused."""
        return self._post(DeletionRequest, f"/accounts/{part(account)}/deletions", {"until": until.isoformat()})


def _percent(value: Decimal | int) -> str:
    return format(Decimal(value), "f")
