"""A typed client of the HTTP interface: each path a method, each answer a record, lists without their pages.

    with Client("https://meters.example", token="ms_…") as collector:
        for invoice in collector.invoices(account="acme"):
            print(invoice.number, invoice.total, invoice.currency)

It needs the extra `client`. A POST names itself (`Idempotency-Key`), and is sent again once where the line breaks.
"""

from collections.abc import Collection, Generator, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

import httpx

from cloud_collector.client.agreements import Account, Channel, Closed, Contract, Event, Held, Standing
from cloud_collector.client.asking import NoCollector, Refused, device_path, given, listed, part, written
from cloud_collector.client.desk import Desk
from cloud_collector.client.me import Me
from cloud_collector.client.money import Cost, Ended, Invoice, InvoiceLine
from cloud_collector.client.operations import (
    Alarm,
    Delivery,
    GatewayDetail,
    GatewayState,
    Hole,
    NewWebhook,
    Warned,
    Webhook,
)
from cloud_collector.client.portal import Portal
from cloud_collector.client.proofs import Checkpoint, Consistency, Inclusion, Revision, RevisionText
from cloud_collector.client.runs import Approved, Drafted, Outcome, Parked, Run, RunDetail
from cloud_collector.client.sent import TakenEvents
from cloud_collector.client.stream import Happening, happenings
from cloud_collector.client.usage import Step, Stretch

__all__ = ["Client", "NoCollector", "Refused"]


class Client(Desk, Portal):
    """Speaks with one collector, as whoever the token is."""

    def me(self) -> Me:
        """Who the token is, and what it may do."""
        return self._get(Me, "/me")

    # Agreements

    def accounts(self) -> Iterator[Account]:
        """Every account in sight."""
        return self._pages(Account, "/accounts")

    def account(self, account: str) -> Account:
        """One account; raises Refused."""
        return self._get(Account, f"/accounts/{part(account)}")

    def contracts(self, *, account: str | None = None) -> Iterator[Contract]:
        """Every contract in sight, or those of an account."""
        return self._pages(Contract, "/contracts", account=account)

    def contract(self, contract: str) -> Contract:
        """One contract; raises Refused."""
        return self._get(Contract, f"/contracts/{part(contract)}")

    def periods(self, contract: str) -> Iterator[Closed]:
        """The contract's closed periods, the newest first."""
        return self._pages(Closed, f"/contracts/{part(contract)}/periods")

    def standings(self, contract: str) -> Iterator[Standing]:
        """Where each device of the contract stands."""
        return self._pages(Standing, f"/contracts/{part(contract)}/devices")

    def devices(self, *, account: str | None = None, contract: str | None = None) -> Iterator[Held]:
        """Every device in sight, in each of its times under a contract."""
        return self._pages(Held, "/devices", account=account, contract=contract)

    def device(self, device: str) -> list[Standing]:
        """Where `gateway/device` stands; raises Refused."""
        return self._get(list[Standing], f"/devices/{device_path(device)}")

    def timeline(self, device: str) -> Iterator[Event]:
        """What happened to `gateway/device`."""
        return self._pages(Event, f"/devices/{device_path(device)}/timeline")

    def channels(self, device: str) -> list[Channel]:
        """The meters of `gateway/device`."""
        return self._get(list[Channel], f"/devices/{device_path(device)}/channels")

    # Usage and money

    def send(self, events: Iterable[Mapping[str, Any]]) -> TakenEvents:
        """CloudEvents of usage are counted, each once, all of them or none; raises Refused."""
        return self._post(TakenEvents, "/events", list(events), {"Content-Type": "application/cloudevents-batch+json"})

    def usage(
        self,
        device: str,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        step: Step | str = Step.HOUR,
        meter: str | None = None,
    ) -> Iterator[Stretch]:
        """What `gateway/device` used."""
        path = f"/devices/{device_path(device)}/usage"
        return self._pages(Stretch, path, start=written(start), end=written(end), step=Step(step).value, meter=meter)

    def cost(self, contract: str, *, as_of: datetime | None = None) -> Cost:
        """What the contract's running period costs; raises Refused."""
        return self._get(Cost, f"/contracts/{part(contract)}/cost", as_of=written(as_of))

    def costs(self, account: str) -> Iterator[Cost]:
        """What each running contract of the account costs."""
        return self._pages(Cost, f"/accounts/{part(account)}/cost", limit=20)

    def ended(self, account: str) -> list[Ended]:
        """What of the account's contracts has ended and is not billed yet."""
        return self._get(list[Ended], f"/accounts/{part(account)}/ended")

    def invoices(
        self, *, account: str | None = None, contract: str | None = None, kind: str | None = None
    ) -> Iterator[Invoice]:
        """Every issued document in sight, the newest first."""
        return self._pages(Invoice, "/invoices", account=account, contract=contract, kind=kind)

    def credit_notes(self, *, account: str | None = None) -> Iterator[Invoice]:
        """Every credit note in sight, the newest first."""
        return self._pages(Invoice, "/credit-notes", account=account)

    def invoice(self, number: str) -> Invoice:
        """One document; raises Refused."""
        return self._get(Invoice, f"/invoices/{part(number)}")

    def lines(self, number: str) -> Iterator[InvoiceLine]:
        """The document's lines with the registers that they rest on."""
        return self._pages(InvoiceLine, f"/invoices/{part(number)}/lines")

    def document(self, number: str, form: str) -> bytes:
        """The document as `pdf`, `html`, `json`, `sealed`, `factur-x`, `ubl` or `bundle`; raises Refused."""
        return self._asked("GET", f"/invoices/{part(number)}/{part(form)}").content

    def exported(self, path: str, **asked: str | None) -> Iterator[bytes]:
        """A file such as `/accounts/acme/usage.csv`, in the parts in which it comes; raises Refused."""
        with self._streamed(path, params=given(asked)) as answer:
            yield from answer.iter_bytes()

    # Operations

    def warnings(
        self, *, account: str | None = None, contract: str | None = None, standing: bool = False
    ) -> Iterator[Warned]:
        """Who was warned of what, the newest first; with `standing` only what nothing has withdrawn."""
        only = "true" if standing else None
        return self._pages(Warned, "/warnings", account=account, contract=contract, standing=only)

    def warning(self, warning: int) -> Warned:
        """One of them; raises Refused."""
        return self._get(Warned, f"/warnings/{warning}")

    def standing_warnings(self, contract: str) -> list[Warned]:
        """The contract's warnings that were not withdrawn."""
        return self._get(list[Warned], f"/contracts/{part(contract)}/warnings")

    def gateways(self, *, state: str | None = None, search: str | None = None) -> Iterator[GatewayState]:
        """The fleet, or what of it stands so or is called so."""
        return self._pages(GatewayState, "/gateways", state=state, search=search)

    def gateway(self, gateway: str) -> GatewayDetail:
        """One gateway; raises Refused."""
        return self._get(GatewayDetail, f"/gateways/{part(gateway)}")

    def holes(self, gateway: str) -> list[Hole]:
        """What is missing of a gateway."""
        return self._get(list[Hole], f"/gateways/{part(gateway)}/holes")

    def alarms(self, *, ended: bool = False) -> Iterator[Alarm]:
        """What is wrong; with `ended` also what was."""
        return self._pages(Alarm, "/alarms", open="false" if ended else "true")

    def webhooks(self, *, account: str | None = None) -> Iterator[Webhook]:
        """Where warnings are posted to."""
        return self._pages(Webhook, "/webhooks", account=account)

    def webhook(self, webhook: str) -> Webhook:
        """One webhook; raises Refused."""
        return self._get(Webhook, f"/webhooks/{part(webhook)}")

    def add_webhook(self, name: str, url: str, *, account: str | None = None) -> NewWebhook:
        """Warnings are posted there; its secret is told this once. Raises Refused."""
        return self._post(NewWebhook, "/webhooks", {"name": name, "url": url, "account": account})

    def stop_webhook(self, webhook: str) -> Webhook:
        """Nothing is sent there any more; raises Refused."""
        return self._post(Webhook, f"/webhooks/{part(webhook)}/stop")

    def deliveries(self) -> Iterator[Delivery]:
        """Every warning on its way, the newest first."""
        return self._pages(Delivery, "/deliveries")

    def delivery(self, delivery: int) -> Delivery:
        """One delivery, and what came of its last try; raises Refused."""
        return self._get(Delivery, f"/deliveries/{delivery}")

    def replay(self, delivery: int) -> Delivery:
        """A delivery is sent once more; raises Refused."""
        return self._post(Delivery, f"/deliveries/{delivery}/replay")

    # Billing

    def preview(self, *, outliers: bool = False) -> Iterator[Outcome]:
        """What a run would do now, or what of it a person should look at."""
        return self._pages(Outcome, "/billing/preview", outliers="true" if outliers else None)

    def runs(self) -> Iterator[Run]:
        """Every run, the newest first."""
        return self._pages(Run, "/billing/runs")

    def run(self, run: int) -> RunDetail:
        """One run with its drafts, and how far it is; raises Refused."""
        return self._get(RunDetail, f"/billing/runs/{run}")

    def parked(self) -> list[Parked]:
        """What cannot be billed."""
        return self._get(list[Parked], "/billing/parked")

    def draft(self, contracts: Collection[str] | None = None) -> Drafted:
        """What is due is drafted for approval; raises Refused."""
        return self._post(Drafted, "/billing/drafts", {"contracts": listed(contracts)})

    def approve(self, run: int, *, contracts: Collection[str] | None = None, but: Collection[str] = ()) -> Approved:
        """Drafts of a run are approved; raises Refused."""
        return self._post(
            Approved, f"/billing/runs/{run}/approve", {"contracts": listed(contracts), "but": sorted(but)}
        )

    def begin(self, contracts: Collection[str] | None = None) -> RunDetail:
        """A run is begun; `run` says how far it is. Raises Refused."""
        return self._post(RunDetail, "/billing/runs", {"contracts": listed(contracts)})

    # Proofs

    def checkpoints(self) -> Iterator[Checkpoint]:
        """Every checkpoint, the newest first."""
        return self._pages(Checkpoint, "/checkpoints")

    def checkpoint(self, checkpoint: int) -> Checkpoint:
        """One of them; raises Refused."""
        return self._get(Checkpoint, f"/checkpoints/{checkpoint}")

    def inclusion(self, checkpoint: int, number: str) -> Inclusion:
        """That a document is in a checkpoint; raises Refused."""
        return self._get(Inclusion, f"/checkpoints/{checkpoint}/inclusion", number=number)

    def consistency(self, checkpoint: int, older: int) -> Consistency:
        """That a checkpoint only added to an older one; raises Refused."""
        return self._get(Consistency, f"/checkpoints/{checkpoint}/consistency", older=str(older))

    def revisions(self) -> Iterator[Revision]:
        """The catalog's revisions, the newest first."""
        return self._pages(Revision, "/catalog/revisions")

    def revision(self, revision: int) -> RevisionText:
        """One of them with its text; raises Refused."""
        return self._get(RevisionText, f"/catalog/revisions/{revision}")

    # What happens

    def events(self, *, account: str | None = None, last: str | None = None) -> Generator[Happening, None, None]:
        """What happens, as it happens, until the stream ends; go on with the last event's id. Raises Refused."""
        path = "/events" if account is None else f"/accounts/{part(account)}/events"
        headers = {"Accept": "text/event-stream"} | ({} if last is None else {"Last-Event-ID": last})
        with self._streamed(path, headers=headers, timeout=httpx.Timeout(30.0, read=60.0)) as answer:
            yield from happenings(answer.iter_lines())
