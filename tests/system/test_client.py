"""The typed client against the running server: every path, every page, and what happens as it happens."""

import itertools
import re
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from cloud_collector.access.tokens import make_token
from cloud_collector.access.viewer import Deed
from cloud_collector.client.client import Client, NoCollector, Refused
from cloud_collector.client.stream import Happening, happenings
from cloud_collector.client.usage import Step
from cloud_collector.web.app import create_app
from cloud_collector.web.site import Site
from shared.effects.clock import SystemClock
from tests.api_world import DAYS, NOW, filled, site_of
from tests.ingest_world import order
from tests.serving import served
from tests.unit.billing_samples import Gateway, october, receive


class Stopped:
    """The world's own day, at the machine's own pace."""

    def __init__(self) -> None:
        self._real = SystemClock()
        self._ahead = NOW * 1_000 - self._real.utc_ms()
        self.boot_ms = self._real.boot_ms
        self.synchronised = self._real.synchronised
        self.boot_id = self._real.boot_id
        self.sleep = self._real.sleep

    def utc_ms(self) -> int:
        return self._real.utc_ms() + self._ahead


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    path = tmp_path_factory.mktemp("client") / "collector.db"
    archive = filled(path)
    return site_of(path, archive, clock=Stopped())


@pytest.fixture(scope="module")
def url(site: Site) -> Iterator[str]:
    with served(create_app(site)) as found:
        yield found


def token(site: Site, name: str, scopes: set[Deed], accounts: set[str] | None) -> str:
    with site.writing() as store:
        return make_token(
            store,
            name,
            scopes=scopes,
            accounts=accounts,
            days=30,
            by="tests",
            chance=name.encode().ljust(32, b".")[:32],
            now_ms=site.clock.utc_ms(),
        )


@pytest.fixture(scope="module")
def desk(site: Site, url: str) -> Iterator[Client]:
    with Client(url, token=token(site, "desk", set(Deed) - {Deed.ADMIT}, None)) as client:
        yield client


@pytest.fixture(scope="module")
def acme(site: Site, url: str) -> Iterator[Client]:
    with Client(url, token=token(site, "acme", {Deed.READ, Deed.EXPORT}, {"acme"})) as client:
        yield client


def test_every_list_is_read_whole(desk: Client) -> None:
    assert [each.account for each in desk.accounts()] == ["acme", "beta"]
    assert [each.contract for each in desk.contracts()] == ["acme-chargers", "beta-chargers"]
    assert [each.number for each in desk.periods("acme-chargers")] == ["INV-1"]
    assert {each.state for each in desk.standings("acme-chargers")} == {"active"}
    assert len(list(desk.devices())) == 4
    assert "provisioned" in [each.what for each in desk.timeline("roof-1/sdm630-1")]
    assert {each.number for each in desk.invoices()} == {"INV-1", "INV-2"}
    assert list(desk.credit_notes()) == []
    assert {each.account for each in desk.warnings()} == {"acme", "beta"}
    assert {"roof-1", "roof-2"} <= {each.gateway for each in desk.gateways()}
    assert [each.nearest for each in desk.unmatched() if each.kind == "topic"] == ["roof-2"]
    assert len(list(desk.alarms())) == 3
    assert list(desk.preview()) == []
    assert [each.by for each in desk.runs()] == ["Anna"]
    assert desk.parked() == []
    assert len(list(desk.checkpoints())) == 2
    assert [each.number for each in desk.revisions()] == [1]
    assert {each.name for each in desk.webhooks()} == {"acme-bot", "everyone"}
    assert {each.way for each in desk.deliveries()} == {"webhook"}


def test_every_record_is_typed(desk: Client) -> None:
    assert desk.account("acme").contracts == ["acme-chargers"]
    assert desk.contract("acme-chargers").budget == Decimal("10.00")
    (standing,) = desk.device("roof-1/sdm630-1")
    assert standing.since.tzinfo is not None
    assert desk.channels("roof-1/sdm630-1")[0].unit == "Wh"
    start, end = datetime(2026, 10, 2, tzinfo=UTC), datetime(2026, 10, 3, tzinfo=UTC)
    hours = list(desk.usage("roof-1/sdm630-1", start=start, end=end, step=Step.HOUR))
    assert [each.quantity for each in hours] == [Decimal(330 * 4)] * 24
    cost = desk.cost("acme-chargers")
    assert sum((each.net for each in cost.charges), Decimal(0)) == cost.net == next(desk.costs("acme")).net
    assert desk.ended("acme") == []
    invoice = desk.invoice("INV-1")
    lines = list(desk.lines("INV-1"))
    assert sum((each.line.amount for each in lines), Decimal(0)) < invoice.total
    assert lines[-1].reads
    assert desk.document("INV-1", "bundle").startswith(b"PK")
    assert b"".join(desk.exported("/accounts/acme/usage.csv", step="day")).startswith(b"device,meter")
    assert desk.gateway("roof-1").chains[0].log == "main"
    assert desk.holes("roof-1") == []
    newest, oldest = (each.id for each in desk.checkpoints())
    assert desk.inclusion(newest, "INV-1").inclusion
    assert desk.consistency(newest, oldest).older.startswith("MK1|")
    assert desk.revision(1).text.startswith("\n[operator]")
    assert desk.standing_warnings("acme-chargers")[0].what == "fired"


def test_what_is_done_is_done_once_though_the_line_breaks(desk: Client) -> None:
    delivery = next(iter(desk.deliveries()))
    assert desk.replay(delivery.id).state == "due"
    drafted = desk.draft()
    assert drafted.run is None
    begun = desk.begin()
    assert desk.run(begun.run.run).run.by == "token desk"
    with pytest.raises(Refused, match="there is nothing here"):
        desk.approve(begun.run.run + 9)


def test_a_webhook_is_added_and_stopped(desk: Client) -> None:
    made = desk.add_webhook("fresh-bot", "https://bot.example/fresh", account="beta")
    assert made.secret is not None
    assert made.secret.startswith("whsec_")
    assert [each.name for each in desk.webhooks(account="beta")] == ["fresh-bot"]
    assert desk.stop_webhook("fresh-bot").stopped_at is not None
    with pytest.raises(Refused, match="never used twice"):
        desk.add_webhook("fresh-bot", "https://bot.example/fresh", account="beta")


def test_usage_for_no_log_is_refused(desk: Client) -> None:
    with pytest.raises(Refused, match="there is nothing here"):
        desk.send([order()])


def test_a_customers_token_sees_its_own(acme: Client) -> None:
    """P20: over real HTTP, with a real token."""
    assert [each.account for each in acme.accounts()] == ["acme"]
    with pytest.raises(Refused) as refused:
        acme.account("beta")
    assert refused.value.problem.status == 404
    with pytest.raises(Refused, match="operator"):
        list(acme.gateways())


def test_nobody_is_told_to_show_a_token(url: str) -> None:
    with Client(url, token="ms_nothing") as nobody, pytest.raises(Refused) as refused:
        list(nobody.accounts())
    assert refused.value.problem.status == 401


def test_what_is_no_collector_is_said_so() -> None:
    with Client("http://127.0.0.1:9") as nobody, pytest.raises(NoCollector, match="does not answer"):
        list(nobody.accounts())


def test_a_report_moves_the_cost_within_a_second(desk: Client, acme: Client, site: Site) -> None:
    """From the report's commit to the listener; and nobody hears what is another's (P20)."""
    wanted = {"desk": {"acme-chargers", "beta-chargers"}, "acme": {"acme-chargers"}}
    heard: dict[str, list[Happening]] = {name: [] for name in wanted}
    moved: dict[str, dict[str, float]] = {name: {} for name in wanted}
    begun = {name: threading.Event() for name in wanted}

    def listen(name: str, client: Client) -> None:
        for each in client.events():
            heard[name].append(each)
            if each.kind == "cost" and each.data["known_until"] == "2026-11-05T21:00:00Z":
                moved[name][each.data["contract"]] = time.monotonic()
            if {one.data["contract"] for one in heard[name] if one.kind == "cost"} == wanted[name]:
                begun[name].set()
            if moved[name].keys() == wanted[name]:
                return

    threads = [threading.Thread(target=listen, args=each, daemon=True) for each in (("desk", desk), ("acme", acme))]
    for thread in threads:
        thread.start()
    assert all(each.wait(20) for each in begun.values()), "the first costs are told at once"
    committed = {}
    with site.writing() as store:
        for name, contract in (("roof-1", "acme-chargers"), ("roof-2", "beta-chargers")):
            receive(store, _grown(name).lines[-1:], at=NOW + 2, gateway=name)
            committed[contract] = time.monotonic()
    for thread in threads:
        thread.join(20)
    assert moved["desk"].keys() == wanted["desk"]
    late = max(at - committed[contract] for contract, at in moved["desk"].items())
    print(f"told after {late:.3f} s")
    assert late < 2, "a second, and what a busy machine takes"
    assert {one.data["account"] for one in heard["acme"] if "account" in one.data} == {"acme"}
    assert "roof-2" not in str(heard["acme"])


def _grown(name: str) -> Gateway:
    """The gateway of this world with one more day."""
    return october(Gateway(name=name), days=DAYS + 1)


def test_a_stream_is_taken_up_where_it_was_left(acme: Client, site: Site) -> None:
    first = next(iter(acme.events()))
    stream = acme.events(last=first.id)
    with site.writing() as store:
        store.run("incident_begin", "clock", "roof-7", "", "not for customers", NOW * 1_000)
    old = acme.events(last="1-1-0")
    told = list(itertools.islice(old, 2))
    assert [each.kind for each in told] == ["reset", "warning"], "what is a fact is told again"
    stream.close()
    old.close()


def test_events_are_read_as_the_standard_has_it() -> None:
    lines = [
        ": hello",
        "id: 1-2-3",
        "event: cost",
        'data: {"a":',
        "data: 1}",
        "",
        "data: {}",
        "",
        "event: cut",
        "data: {",
    ]
    assert list(happenings(lines)) == [
        Happening(id="1-2-3", kind="cost", data={"a": 1}),
        Happening(id="1-2-3", kind="message", data={}),
    ]


def test_the_how_to_runs(url: str, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "use-the-api.md").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    told = {"url": url, "token": token(site, "how-to", {Deed.READ, Deed.EXPORT}, {"acme"})}
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(blocks) == 3
    for block in blocks:
        exec(compile(block, "use-the-api.md", "exec"), dict(told))
    assert (tmp_path / "usage.csv").read_text().startswith("device,meter,start")
