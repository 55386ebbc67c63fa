"""A typed client of the HTTP interface: each path a method, each answer a record, lists without their pages.

    with Client("https://meters.example", token="ms_…") as collector:
        for invoice in collector.invoices(account="acme"):
            print(invoice.number, invoice.total, invoice.currency)

It needs the extra `client`. A POST names itself (`Idempotency-Key`), and is sent again once where the line breaks.
"""

from collections.abc import Collection, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from types import TracebackType
from typing import Any, Final, Self, TypeVar
from urllib.parse import quote

import httpx
from pydantic import TypeAdapter

from cloud_collector.client.agreements import Account, Channel, Closed, Contract, Event, Held, Standing
from cloud_collector.client.money import Cost, Invoice, InvoiceLine
from cloud_collector.client.operations import (
    Alarm,
    Delivery,
    GatewayDetail,
    GatewayState,
    Hole,
    NewWebhook,
    Unmatched,
    Warned,
    Webhook,
)
from cloud_collector.client.page import Page, Problem
from cloud_collector.client.proofs import Checkpoint, Consistency, Inclusion, Revision, RevisionText
from cloud_collector.client.runs import Approved, Drafted, Outcome, Parked, Run, RunDetail
from cloud_collector.client.sent import TakenEvents
from cloud_collector.client.stream import Happening, happenings
from cloud_collector.client.usage import Step, Stretch
from shared.effects.chance import Chance, system_chance
from shared.errors import MetersealError

T = TypeVar("T")
PATH: Final = "/api/v1"
PAGE: Final = 200
"""Items that are asked for at once."""
_ADAPTERS: Final[dict[Any, TypeAdapter[Any]]] = {}


class Refused(MetersealError):
    """The collector has turned a request down; `problem` says why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


class NoCollector(MetersealError):
    """What answers is no collector, or nothing does."""


class Client:
    """Speaks with one collector, as whoever the token is."""

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        timeout: float = 30.0,
        transport: httpx.BaseTransport | None = None,
        chance: Chance = system_chance,
    ) -> None:
        """`url` is the collector's, without a path; `transport` may stand in for the network."""
        headers = {"Accept": "application/json", "User-Agent": "meterseal-client"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        self._chance = chance
        self._http = httpx.Client(
            base_url=url.rstrip("/") + PATH, headers=headers, timeout=timeout, transport=transport
        )

    def __enter__(self) -> Self:
        """For `with`."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """The connections are closed."""
        self.close()

    def close(self) -> None:
        """The connections are closed."""
        self._http.close()

    # Agreements

    def accounts(self) -> Iterator[Account]:
        """Every account in sight."""
        return self._pages(Account, "/accounts")

    def account(self, account: str) -> Account:
        """One account; raises Refused."""
        return self._get(Account, f"/accounts/{_part(account)}")

    def contracts(self, *, account: str | None = None) -> Iterator[Contract]:
        """Every contract in sight, or those of an account."""
        return self._pages(Contract, "/contracts", account=account)

    def contract(self, contract: str) -> Contract:
        """One contract; raises Refused."""
        return self._get(Contract, f"/contracts/{_part(contract)}")

    def periods(self, contract: str) -> Iterator[Closed]:
        """The contract's closed periods, the newest first."""
        return self._pages(Closed, f"/contracts/{_part(contract)}/periods")

    def standings(self, contract: str) -> Iterator[Standing]:
        """Where each device of the contract stands."""
        return self._pages(Standing, f"/contracts/{_part(contract)}/devices")

    def devices(self, *, account: str | None = None, contract: str | None = None) -> Iterator[Held]:
        """Every device in sight, in each of its times under a contract."""
        return self._pages(Held, "/devices", account=account, contract=contract)

    def device(self, device: str) -> list[Standing]:
        """Where `gateway/device` stands; raises Refused."""
        return self._get(list[Standing], f"/devices/{_device(device)}")

    def timeline(self, device: str) -> Iterator[Event]:
        """What happened to `gateway/device`."""
        return self._pages(Event, f"/devices/{_device(device)}/timeline")

    def channels(self, device: str) -> list[Channel]:
        """The meters of `gateway/device`."""
        return self._get(list[Channel], f"/devices/{_device(device)}/channels")

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
        path = f"/devices/{_device(device)}/usage"
        return self._pages(Stretch, path, start=_iso(start), end=_iso(end), step=Step(step).value, meter=meter)

    def cost(self, contract: str, *, as_of: datetime | None = None) -> Cost:
        """What the contract's running period costs; raises Refused."""
        return self._get(Cost, f"/contracts/{_part(contract)}/cost", as_of=_iso(as_of))

    def costs(self, account: str) -> Iterator[Cost]:
        """What each running contract of the account costs."""
        return self._pages(Cost, f"/accounts/{_part(account)}/cost", limit=20)

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
        return self._get(Invoice, f"/invoices/{_part(number)}")

    def lines(self, number: str) -> Iterator[InvoiceLine]:
        """The document's lines with the registers that they rest on."""
        return self._pages(InvoiceLine, f"/invoices/{_part(number)}/lines")

    def document(self, number: str, form: str) -> bytes:
        """The document as `pdf`, `html`, `json`, `sealed`, `factur-x`, `ubl` or `bundle`; raises Refused."""
        return self._asked("GET", f"/invoices/{_part(number)}/{_part(form)}").content

    def exported(self, path: str, **asked: str | None) -> Iterator[bytes]:
        """A file such as `/accounts/acme/usage.csv`, in the parts in which it comes; raises Refused."""
        with self._streamed(path, params=_given(asked)) as answer:
            yield from answer.iter_bytes()

    # Operations

    def warnings(self, *, account: str | None = None, contract: str | None = None) -> Iterator[Warned]:
        """Who was warned of what, the newest first."""
        return self._pages(Warned, "/warnings", account=account, contract=contract)

    def standing_warnings(self, contract: str) -> list[Warned]:
        """The contract's warnings that were not withdrawn."""
        return self._get(list[Warned], f"/contracts/{_part(contract)}/warnings")

    def gateways(self) -> Iterator[GatewayState]:
        """The fleet."""
        return self._pages(GatewayState, "/gateways")

    def gateway(self, gateway: str) -> GatewayDetail:
        """One gateway; raises Refused."""
        return self._get(GatewayDetail, f"/gateways/{_part(gateway)}")

    def holes(self, gateway: str) -> list[Hole]:
        """What is missing of a gateway."""
        return self._get(list[Hole], f"/gateways/{_part(gateway)}/holes")

    def unmatched(self) -> Iterator[Unmatched]:
        """What belongs to nobody that is known."""
        return self._pages(Unmatched, "/unmatched")

    def alarms(self, *, ended: bool = False) -> Iterator[Alarm]:
        """What is wrong; with `ended` also what was."""
        return self._pages(Alarm, "/alarms", open="false" if ended else "true")

    def webhooks(self, *, account: str | None = None) -> Iterator[Webhook]:
        """Where warnings are posted to."""
        return self._pages(Webhook, "/webhooks", account=account)

    def add_webhook(self, name: str, url: str, *, account: str | None = None) -> NewWebhook:
        """Warnings are posted there; its secret is told this once. Raises Refused."""
        return self._post(NewWebhook, "/webhooks", {"name": name, "url": url, "account": account})

    def stop_webhook(self, webhook: str) -> Webhook:
        """Nothing is sent there any more; raises Refused."""
        return self._post(Webhook, f"/webhooks/{_part(webhook)}/stop")

    def deliveries(self) -> Iterator[Delivery]:
        """Every warning on its way, the newest first."""
        return self._pages(Delivery, "/deliveries")

    def replay(self, delivery: int) -> Delivery:
        """A delivery is sent once more; raises Refused."""
        return self._post(Delivery, f"/deliveries/{delivery}/replay")

    # Billing

    def preview(self) -> Iterator[Outcome]:
        """What a run would do now."""
        return self._pages(Outcome, "/billing/preview")

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
        return self._post(Drafted, "/billing/drafts", {"contracts": _names(contracts)})

    def approve(self, run: int, *, contracts: Collection[str] | None = None, but: Collection[str] = ()) -> Approved:
        """Drafts of a run are approved; raises Refused."""
        return self._post(
            Approved, f"/billing/runs/{run}/approve", {"contracts": _names(contracts), "but": sorted(but)}
        )

    def begin(self, contracts: Collection[str] | None = None) -> RunDetail:
        """A run is begun; `run` says how far it is. Raises Refused."""
        return self._post(RunDetail, "/billing/runs", {"contracts": _names(contracts)})

    # Proofs

    def checkpoints(self) -> Iterator[Checkpoint]:
        """Every checkpoint, the newest first."""
        return self._pages(Checkpoint, "/checkpoints")

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
        path = "/events" if account is None else f"/accounts/{_part(account)}/events"
        headers = {"Accept": "text/event-stream"} | ({} if last is None else {"Last-Event-ID": last})
        with self._streamed(path, headers=headers, timeout=httpx.Timeout(30.0, read=60.0)) as answer:
            yield from happenings(answer.iter_lines())

    # How it is asked

    def _get(self, kind: type[T], path: str, **asked: str | None) -> T:
        return _shaped(kind, self._asked("GET", path, params=_given(asked)).content)

    def _post(self, kind: type[T], path: str, body: Any = None, more: Mapping[str, str] | None = None) -> T:
        headers = {"Idempotency-Key": self._chance(16).hex(), **(more or {})}

        def send() -> httpx.Response:
            return self._asked("POST", path, json=body, headers=headers)

        try:
            answer = send()
        except NoCollector:
            # It may have been done: under the same name it is done once.
            answer = send()
        return _shaped(kind, answer.content)

    def _pages(self, record: type[T], path: str, /, *, limit: int = PAGE, **asked: str | None) -> Iterator[T]:
        given: dict[str, str] = _given(asked) | {"limit": str(limit)}
        cursor: dict[str, str] = {}
        while True:
            page: Page[T] = _shaped(
                Page[record],  # type: ignore[valid-type]  # a record's type, known when it runs
                self._asked("GET", path, params=given | cursor).content,
            )
            yield from page.items
            if page.next is None:
                return
            cursor = {"cursor": page.next}

    def _asked(self, method: str, path: str, **how: Any) -> httpx.Response:
        try:
            answer = self._http.request(method, path, **how)
        except httpx.TransportError as error:
            raise NoCollector(f"{self._http.base_url} does not answer: {error}") from error
        if not answer.is_success:
            raise _refusal(answer)
        return answer

    @contextmanager
    def _streamed(self, path: str, **how: Any) -> Iterator[httpx.Response]:
        try:
            with self._http.stream("GET", path, **how) as answer:
                if not answer.is_success:
                    answer.read()
                    raise _refusal(answer)
                yield answer
        except httpx.TransportError as error:
            raise NoCollector(f"{self._http.base_url} does not answer any more: {error}") from error


def _refusal(answer: httpx.Response) -> MetersealError:
    if answer.headers.get("content-type", "").partition(";")[0] != "application/problem+json":
        return NoCollector(f"{answer.url} answered {answer.status_code} and no problem: is it a collector?")
    return Refused(_shaped(Problem, answer.content))


def _shaped(kind: type[T], raw: bytes) -> T:
    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = TypeAdapter(kind)
    found: T = _ADAPTERS[kind].validate_json(raw)
    return found


def _given(asked: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in asked.items() if value is not None}


def _part(name: str) -> str:
    """One part of a path, whatever is in the name."""
    return quote(name, safe="")


def _device(device: str) -> str:
    gateway, _, name = device.rpartition("/")
    return f"{_part(gateway)}/{_part(name)}"


def _iso(at: datetime | None) -> str | None:
    if at is not None and at.tzinfo is None:
        raise ValueError(f"{at} has no zone")
    return None if at is None else at.isoformat()


def _names(names: Iterable[str] | None) -> list[str] | None:
    return None if names is None else sorted(names)
