"""Every method of the client, called once against the running server: it is there, and answers with its records.

Which requests each of them makes is recorded, so that every operation of the description is known to have its method.
"""

import inspect
import re
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import islice
from typing import Any, Final, get_args, get_origin, get_type_hints

import httpx
import pytest

from cloud_collector.access.viewer import Deed
from cloud_collector.billing.runs import begin
from cloud_collector.client.asking import PATH, Asking
from cloud_collector.client.client import Client, Refused
from cloud_collector.client.days import Place
from cloud_collector.web.app import create_app
from shared.key import SigningKey
from tests.api_world import DAYS, NOW, OCTOBER, filled, site_of
from tests.ingest_world import order
from tests.serving import served
from tests.system.test_client import Stopped, token
from tests.unit.billing_samples import Gateway, october, receive

FIRST: Final = datetime(2026, 10, 5, tzinfo=UTC)
DAY: Final = date(2026, 10, 5)
DEVICE: Final = "roof-1/sdm630-1"
DAY_MS: Final = 86_400_000
PENDING: Final = SigningKey(b"pending!" * 4).public
TOPIC: Final = "meterseal/v1/roof-3/report"

CALLS: Final[Mapping[str, Callable[["Recording"], Any]]] = {
    "me": lambda it: it.me(),
    "accounts": lambda it: it.accounts(),
    "account": lambda it: it.account("acme"),
    "contracts": lambda it: it.contracts(account="acme"),
    "contract": lambda it: it.contract("acme-chargers"),
    "periods": lambda it: it.periods("acme-chargers"),
    "standings": lambda it: it.standings("acme-chargers"),
    "devices": lambda it: it.devices(contract="acme-chargers"),
    "device": lambda it: it.device(DEVICE),
    "timeline": lambda it: it.timeline(DEVICE),
    "channels": lambda it: it.channels(DEVICE),
    "send": lambda it: it.send([order()]),
    "curves": lambda it: it.curves(DEVICE),
    "usage": lambda it: it.usage(DEVICE, start=FIRST, end=datetime(2026, 10, 6, tzinfo=UTC)),
    "cost": lambda it: it.cost("acme-chargers"),
    "costs": lambda it: it.costs("acme"),
    "ended": lambda it: it.ended("acme"),
    "invoices": lambda it: it.invoices(account="acme"),
    "invoice": lambda it: it.invoice("INV-1"),
    "lines": lambda it: it.lines("INV-1"),
    "document": lambda it: it.document("INV-1", "json"),
    "exported": lambda it: [
        *it.exported("/accounts/acme/usage.csv", step="month"),
        *it.exported("/accounts/acme/lines.csv"),
    ],
    "account_day": lambda it: it.account_day("acme", DAY),
    "intervals": lambda it: it.intervals("acme", DAY, DEVICE, "energy"),
    "signed_line": lambda it: it.signed_line("acme", _place(it.beside)),
    "device_month": lambda it: it.device_month("acme", DEVICE),
    "channel_days": lambda it: it.channel_days("acme", DEVICE, "energy", start=FIRST),
    "contract_days": lambda it: it.contract_days("acme-chargers"),
    "cost_lines": lambda it: it.cost_lines("acme-chargers"),
    "cost_line": lambda it: it.cost_line("acme-chargers", next(it.beside.cost_lines("acme-chargers")).id),
    "invoice_line": lambda it: it.invoice_line("INV-1", 1),
    "check": lambda it: it.check("INV-1"),
    "evidence": lambda it: it.evidence("INV-1"),
    "open_dispute": lambda it: it.open_dispute("INV-1", "Why?", line=1),
    "disputes": lambda it: it.disputes(account="acme"),
    "dispute": lambda it: it.dispute(1),
    "dispute_copy": lambda it: it.dispute_copy(1),
    "answer_dispute": lambda it: it.answer_dispute(1, "Because."),
    "reject_dispute": lambda it: it.reject_dispute(1, "No."),
    "uphold_dispute": lambda it: it.uphold_dispute(1, "Yes, after all."),
    "withdraw_dispute": lambda it: it.customer.withdraw_dispute(it.beside.open_dispute("INV-1", "Why?").id, "Settled."),
    "set_thresholds": lambda it: it.set_thresholds(
        "acme-chargers", budget=Decimal("9.50"), over=[80, Decimal("99.5")], under=[10], mail=["anna@acme.example"]
    ),
    "thresholds": lambda it: it.thresholds("acme-chargers"),
    "thresholds_history": lambda it: it.thresholds_history("acme-chargers"),
    "remove_thresholds": lambda it: it.remove_thresholds("acme-chargers"),
    "data_terms": lambda it: it.data_terms("acme"),
    "looks": lambda it: it.looks("acme"),
    "ask_deletion": lambda it: it.ask_deletion("acme", DAY),
    "deletions": lambda it: it.deletions("acme"),
    "warnings": lambda it: it.warnings(contract="acme-chargers"),
    "warning": lambda it: it.warning(1),
    "standing_warnings": lambda it: it.standing_warnings("acme-chargers"),
    "gateways": lambda it: it.gateways(),
    "gateway": lambda it: it.gateway("roof-1"),
    "holes": lambda it: it.holes("roof-1"),
    "resend": lambda it: it.resend("roof-1"),
    "read_now": lambda it: it.read_now("roof-1"),
    "say": lambda it: it.say(DEVICE, "suspend", "for the winter", dry_run=True),
    "unmatched": lambda it: it.unmatched(),
    "accept": lambda it: it.accept("roof-8", PENDING.words),
    "assign": lambda it: it.assign(_stranger(it.beside), "acme-chargers", start=date(2026, 11, 2)),
    "block": lambda it: it.block(TOPIC, "a neighbour's"),
    "blocked": lambda it: it.blocked(),
    "unblock": lambda it: it.unblock(TOPIC),
    "alarms": lambda it: it.alarms(ended=True),
    "webhooks": lambda it: it.webhooks(account="acme"),
    "webhook": lambda it: it.webhook("acme-bot"),
    "add_webhook": lambda it: it.add_webhook("fresh-bot", "https://bot.example/fresh", account="beta"),
    "stop_webhook": lambda it: it.stop_webhook("fresh-bot"),
    "deliveries": lambda it: it.deliveries(),
    "delivery": lambda it: it.delivery(1),
    "replay": lambda it: it.replay(1),
    "overview": lambda it: it.overview(),
    "ledger": lambda it: it.ledger(),
    "device_standings": lambda it: it.device_standings(account="acme"),
    "plan": lambda it: it.plan("acme-chargers"),
    "what_if": lambda it: it.what_if(["plans.charger.charges.Connection.price=19.90"], contracts=["acme-chargers"]),
    "billing": lambda it: it.billing(),
    "pay": lambda it: it.pay("INV-2", reference="statement 7"),
    "credit_dispute": lambda it: it.credit_dispute(1),
    "rebill_dispute": lambda it: it.rebill_dispute(1),
    "void": lambda it: it.void("INV-2", "the charger was off"),
    "credit_notes": lambda it: it.credit_notes(),
    "life": lambda it: it.life("INV-1"),
    "preview": lambda it: it.preview(),
    "resume": lambda it: it.resume(),
    "retry": lambda it: _still(it).retry(),
    "draft": lambda it: _still(it).draft(),
    "drafts": lambda it: it.drafts(),
    "rebill": lambda it: it.rebill("INV-2"),
    "runs": lambda it: it.runs(),
    "run": lambda it: it.run(1),
    "approve": lambda it: it.approve(next(it.beside.drafts()).run),
    "begin": lambda it: it.begin(),
    "parked": lambda it: it.parked(),
    "checkpoints": lambda it: it.checkpoints(),
    "checkpoint": lambda it: it.checkpoint(2),
    "inclusion": lambda it: it.inclusion(2, "INV-1"),
    "consistency": lambda it: it.consistency(2, 1),
    "revisions": lambda it: it.revisions(),
    "revision": lambda it: it.revision(1),
    "audit": lambda it: it.audit(account="acme"),
    "events": lambda it: [next(it.events()), next(it.events(account="acme"))],
}
"""In this order: some of them are about what those before have done."""
REFUSED: Final[Mapping[str, str]] = {"send": "there is nothing here"}
"""What this world has no use for, with the reason that the server gives; each is tested where it has."""
EMPTY: Final[Mapping[str, str]] = {
    "parked": "it was billed again",
    "standing_warnings": "the period of which somebody was warned is over",
}
"""Lists with nothing in them here, and why."""


@dataclass(frozen=True)
class Called:
    """What came of a call, and what was asked for it."""

    result: Any
    requests: list[tuple[str, str]]


class Recording(Client):
    """Writes down what it asks."""

    beside: Client
    """Asks what a call needs to be made, and is not written down."""
    customer: Client
    """Somebody of acme's, written down in the same place."""

    def __init__(self, url: str, token: str, asked: list[tuple[str, str]]) -> None:
        super().__init__(url, token=token, transport=_Recorder(asked))


class _Recorder(httpx.HTTPTransport):
    def __init__(self, asked: list[tuple[str, str]]) -> None:
        super().__init__()
        self._asked = asked

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self._asked.append((request.method, request.url.raw_path.decode().partition("?")[0].removeprefix(PATH)))
        return super().handle_request(request)


class Later(Stopped):
    """November is over: it is due."""

    def utc_ms(self) -> int:
        return super().utc_ms() + 30 * DAY_MS


@pytest.fixture(scope="module")
def called(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Called]:
    path = tmp_path_factory.mktemp("methods") / "collector.db"
    site = site_of(path, filled(path), clock=Later())
    with site.writing() as store:
        receive(store, october(Gateway(name="roof-1"), days=DAYS + 4).lines[-1:], at=NOW + 2, gateway="roof-1")
        store.run("claimed_put", "roof-8", PENDING.id, PENDING.raw, 0, NOW * 1_000, "10.0.0.9")
        store.run("park", "beta-chargers", OCTOBER, "nobody knows why", NOW)
        begin(store, by="Anna", at=NOW, as_of=NOW, contracts=["acme-chargers"])
    whole, found, asked = (
        token(site, "all", set(Deed) - {Deed.ADMIT}, None),
        dict[str, Called](),
        list[tuple[str, str]](),
    )
    mine = token(site, "mine", {Deed.READ, Deed.DISPUTE}, {"acme"})
    with (
        served(create_app(site)) as url,
        Recording(url, whole, asked) as client,
        Client(url, token=whole) as client.beside,
        Recording(url, mine, asked) as client.customer,
    ):
        for name, call in CALLS.items():
            asked.clear()
            try:
                result = call(client)
                result = list(islice(result, 500)) if isinstance(result, Iterator) else result
            except Refused as error:
                result = error
            found[name] = Called(result, list(asked))
        found["/openapi.json"] = Called(client._asked("GET", "/openapi.json").json(), [])
    return found


def methods() -> dict[str, Any]:
    """What the client can be asked."""
    return {
        name: method
        for name, method in inspect.getmembers(Client, inspect.isfunction)
        if not name.startswith("_") and not hasattr(Asking, name)
    }


def test_every_method_is_called() -> None:
    assert methods().keys() == CALLS.keys()


@pytest.mark.parametrize("name", CALLS)
def test_a_method_answers_with_what_it_promises(called: dict[str, Called], name: str) -> None:
    result = called[name].result
    if name in REFUSED:
        assert isinstance(result, Refused)
        assert REFUSED[name] in result.problem.detail
        return
    assert not isinstance(result, Refused), result
    promised = get_type_hints(methods()[name])["return"]
    if get_origin(promised) in {Iterator, Generator, list}:
        assert all(isinstance(each, get_args(promised)[0]) for each in result)
        assert bool(result) is (name not in EMPTY), f"{name} is empty, or is no longer"
    else:
        assert isinstance(result, get_origin(promised) or promised)


def test_every_operation_has_its_method_which_asks_that_and_nothing_else(called: dict[str, Called]) -> None:
    described = {
        (method.upper(), path) for path, ways in called["/openapi.json"].result["paths"].items() for method in ways
    }
    asked = {name: {_operation(described, *each) for each in done.requests} for name, done in called.items()}
    assert described - set().union(*asked.values()) == set(), "operations without a method"
    several = {name: each for name, each in asked.items() if len(each) > 1}
    assert several.keys() == {"exported", "events"}, "of one account, and of all"


def _operation(described: set[tuple[str, str]], method: str, asked: str) -> tuple[str, str]:
    """The one of the description that is meant: the one that names most of the path itself."""
    fits = [
        (way, path)
        for way, path in described
        if way == method and re.fullmatch(re.sub(r"{\w+}", "[^/]+", path.replace(".", r"\.")), asked)
    ]
    assert fits, f"{method} {asked} is not described"
    return min(fits, key=lambda each: each[1].count("{"))


def _place(it: Client) -> Place:
    line = next(it.intervals("acme", DAY, DEVICE, "energy")).line
    assert line is not None
    return line


def _stranger(it: Client) -> str:
    return next(each.name for each in it.unmatched() if each.kind == "device")


def _still(it: Recording) -> Recording:
    """Once no run is on its way."""
    while it.beside.billing().running is not None:
        assert it.beside.billing().progress is not None
    return it
