"""Warnings reach people and programs: signed, tried again, logged, sent once more when asked."""

import asyncio
import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from email.message import EmailMessage
from http.server import HTTPServer
from pathlib import Path
from random import Random

import pytest

from cloud_collector.cli.telling import Turns, _published, _round, secret_path, telling, watch_of
from cloud_collector.cli.webhook import _listener
from cloud_collector.insight.alerts import public
from cloud_collector.notify.deliveries import BACKOFF_SECONDS, Ways, deliver_due
from cloud_collector.notify.post import Fate, Posted
from cloud_collector.notify.webhook import BadSecret, NotGenuine, event, event_id, headers, verify
from cloud_collector.settings import CollectorSettings, MailSettings
from cloud_collector.store.store import Store
from shared.effects.clock import SystemClock
from shared.effects.link import Message
from shared.effects.memory import MemoryBroker, MemoryLink, SimpleClock
from shared.effects.web_post import Answer, web_post
from tests.cost_world import CATALOG, DAY, month
from tests.unit.billing_samples import OCTOBER, new_store, receive
from tests.unit.test_billing_cli import run

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NOW = (OCTOBER + 20 * DAY) * 1000
WARNED = CATALOG.replace('name = "Acme Oy"', 'name = "Acme Oy"\nemail = "billing@example.org"')
WARNED += "warn = { over = [50] }\n"


class Web:
    """Answers as it is told, and remembers what it got."""

    def __init__(self, *answers: int) -> None:
        self.answers = list(answers)
        self.got: list[tuple[str, dict[str, str], bytes]] = []

    def __call__(self, url: str, sent: Mapping[str, str], body: bytes) -> Answer:
        self.got.append((url, dict(sent), body))
        status = self.answers.pop(0) if self.answers else 204
        return Answer(status=status, why=str(status))


def ways(web: Web, post: list[EmailMessage] | None = None, fate: Fate = Fate.SENT) -> Ways:
    def posted(message: EmailMessage) -> Posted:
        assert post is not None
        post.append(message)
        return Posted(fate=fate, why="" if fate is Fate.SENT else "said no")

    return Ways(
        web=web,
        secret=lambda _: SECRET,
        source="urn:meterseal:test",
        post=None if post is None else posted,
        sender="bills@example.net",
        random=Random(1),
    )


@pytest.fixture
def store() -> Iterator[Store]:
    """A site that has used more than half of its budget; a webhook of its account, one of nobody, one of all."""
    made = new_store(catalog=WARNED)
    for name, account in (("mine", "acme"), ("theirs", "bolt"), ("every", "")):
        made.run("webhook_add", name, f"https://{name}.example/hook", account, NOW)
    for at, line in month()[1]:
        if at * 1000 <= NOW:
            receive(made, [line], at=at)
    known = CollectorSettings(mail=MailSettings(host="mail.example", sender="bills@example.net"))
    watch_of(known).round(made, NOW)
    assert ("budget", "over", "actual", "50") in {row[5:9] for row in made.rows("warnings")}
    yield made
    made.close()


def only(store: Store, target: str) -> None:
    """Everything else is done."""
    for row in store.rows("deliveries"):
        if row[3] != target or row[1] != store.rows("warnings")[0][0]:
            store.run("delivery_set", "delivered", 1, NOW, row[0])


def test_an_account_hears_of_its_own_warnings_by_email_and_webhook_and_nobody_else_does(store: Store) -> None:
    """P20."""
    web, letters = Web(), list[EmailMessage]()
    deliver_due(store, NOW, ways(web, letters))
    count = len(store.rows("warnings"))
    assert sorted({url for url, _, _ in web.got}) == ["https://every.example/hook", "https://mine.example/hook"]
    assert len(web.got) == 2 * count
    assert len(letters) == count
    assert {letter["To"] for letter in letters} == {"Acme Oy <billing@example.org>"}
    assert "EUR net has reached 50 % of the budget" in " ".join(letters[0].get_content().split())
    assert deliver_due(store, NOW + 10**9, ways(web, letters)) == (), "once"


def test_a_body_is_a_cloud_event_whose_signature_fits(store: Store) -> None:
    only(store, "mine")
    web = Web()
    deliver_due(store, NOW, ways(web))
    ((_, sent, body),) = web.got
    verify(SECRET, body, sent, now=NOW // 1000)
    found = json.loads(body)
    assert (found["specversion"], found["type"], found["subject"]) == ("1.0", "meterseal.warning.fired", "c")
    assert found["id"] == sent["webhook-id"]
    assert isinstance(found["data"]["figure"], str), "money is no float"
    with pytest.raises(NotGenuine):
        verify(SECRET, body.replace(b"over", b"ovre"), sent, now=NOW // 1000)
    with pytest.raises(NotGenuine, match="off"):
        verify(SECRET, body, sent, now=NOW // 1000 + 301)
    with pytest.raises(BadSecret):
        verify("whsec_short", body, sent, now=NOW // 1000)


def test_the_signature_is_that_of_the_public_specification() -> None:
    sent = headers(SECRET, b'{"test": 2432232314}', message="msg_p5jXN8AQM9LWM0D4loKWxJek", at=1_614_265_330)
    assert sent["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_same_warning_has_the_same_id_and_another_has_another(store: Store) -> None:
    told = [public(row) for row in store.rows("warnings")]
    assert len({event_id(each) for each in told}) == len(told) > 1
    assert event(told[0], "urn:x") == event(told[0], "urn:x")


def test_what_is_not_taken_is_tried_again_later_and_later_and_given_up_at_last(store: Store) -> None:
    """P8."""
    only(store, "mine")
    web, at, waits = Web(*[500] * 20), NOW, []
    for _ in range(len(BACKOFF_SECONDS) + 3):
        deliver_due(store, at, ways(web))
        (row,) = [each for each in store.rows("deliveries") if each[4] != "delivered"]
        waits.append((row[6] - at) // 1000)
        at = max(row[6], at + 1)
    assert row[4:6] == ("given_up", len(BACKOFF_SECONDS) + 1)
    assert all(0.8 * want <= wait <= 1.2 * want for want, wait in zip(BACKOFF_SECONDS, waits, strict=False))
    assert len({sent["webhook-id"] for _, sent, _ in web.got}) == 1, "a receiver knows it again"


def test_it_is_not_tried_before_its_time(store: Store) -> None:
    only(store, "mine")
    web = Web(503)
    deliver_due(store, NOW, ways(web))
    assert deliver_due(store, NOW + 3_000, ways(web)) == ()
    assert [each.ok for each in deliver_due(store, NOW + 7_000, ways(web))] == [True]


def test_a_receiver_that_is_gone_gets_nothing_any_more(store: Store) -> None:
    only(store, "mine")
    deliver_due(store, NOW, ways(Web(410)))
    assert store.rows("webhook_one", "mine")[0][4:] == (NOW, "it answered 410")


def test_what_was_delivered_is_sent_once_more_when_somebody_asks(store: Store) -> None:
    only(store, "mine")
    web = Web()
    (first,) = deliver_due(store, NOW, ways(web))
    assert first.ok
    delivery = next(row[0] for row in store.rows("deliveries") if row[3] == "mine")
    store.run("delivery_again", NOW + 5, delivery)
    deliver_due(store, NOW + 5, ways(web))
    assert web.got[0][1]["webhook-id"] == web.got[-1][1]["webhook-id"]


def test_an_email_that_may_have_arrived_is_not_sent_twice(store: Store) -> None:
    only(store, "billing@example.org")
    letters: list[EmailMessage] = []
    for at in (NOW, NOW + 10**9):
        deliver_due(store, at, ways(Web(), letters, Fate.UNCLEAR))
    assert len(letters) == 1


# --- a real listener, a real broker's place ------------------------------------------------------------------


def test_the_listener_takes_what_is_genuine_and_refuses_the_rest(capsys: pytest.CaptureFixture[str]) -> None:
    with HTTPServer(("127.0.0.1", 0), _listener(SECRET)) as server:
        thread = threading.Thread(target=_serve, args=(server, 3))
        thread.start()
        url, at = f"http://127.0.0.1:{server.server_port}/x", _now()
        sent = headers(SECRET, b'{"a":1}', message="msg_1", at=at)
        answers = [web_post(url, sent, body) for body in (b'{"a":1}', b'{"a":2}', b"x" * 70_000)]
        thread.join()
    assert [each.status for each in answers] == [204, 401, 413]
    assert capsys.readouterr().out == '{"a": 1}\n'
    assert not web_post(url, {}, b"").ok, "nobody listens any more"


def test_a_round_of_the_collector_warns_delivers_and_says_what_the_sites_topic_says(tmp_path: Path) -> None:
    known = CollectorSettings(store_path=tmp_path / "collector.db", webhooks_path=tmp_path / "hooks")
    store = new_store(known.store_path, catalog=WARNED)
    for at, line in month()[1]:
        if at * 1000 <= NOW:
            receive(store, [line], at=at)
    store.run("webhook_add", "every", "https://every.example/hook", "", NOW)
    store.close()
    web, turns = Web(), Turns(threading.Event(), SimpleClock())
    wanted = _round(known, watch_of(known), turns, replace(ways(web), secret=lambda _: SECRET), NOW)
    assert web.got
    assert json.loads(wanted["roof-1"])["warnings"]
    taken, heard = asyncio.run(_over_a_broker(known, wanted))
    assert taken == wanted
    assert heard == Message("meterseal/v1/roof-1/alert", wanted["roof-1"], retained=True), "also by who comes later"


@pytest.mark.parametrize("elected", ["elected", ""])
async def test_of_several_collectors_the_elected_one_warns(tmp_path: Path, elected: str) -> None:
    known = CollectorSettings(store_path=tmp_path / "collector.db")
    store = new_store(known.store_path, catalog=WARNED)
    for at, line in month()[1]:
        if at * 1000 <= NOW:
            receive(store, [line], at=at)
    broker, clock = MemoryBroker(), SimpleClock(utc_ms=NOW)
    async with telling(known, MemoryLink(broker, "_collector-alerts"), clock, lambda: bool(elected)):
        for _ in range(400 if elected else 20):
            clock.advance(known.tick_seconds * 1_000)
            # The round is on a thread of its own.
            await asyncio.sleep(0.01)
            if store.rows("warnings"):
                break
    assert bool(store.rows("warnings")) is bool(elected)
    store.close()


async def _over_a_broker(known: CollectorSettings, wanted: dict[str, bytes]) -> tuple[dict[str, bytes], Message]:
    broker = MemoryBroker()
    taken = await _published(known, MemoryLink(broker, "_collector-alerts"), wanted)
    async with MemoryLink(broker, "roof-1").session() as session:
        await session.subscribe("meterseal/v1/roof-1/alert")
        return taken, replace(await session.receive(), token=None)


def test_a_webhook_is_added_listed_logged_replayed_and_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METERSEAL_COLLECTOR__STORE_PATH", str(tmp_path / "collector.db"))
    new_store(tmp_path / "collector.db", catalog=WARNED).close()
    made = run("webhook", "add", "bot", "https://bot.example/hooks", "--account", "acme")
    assert made.stdout.startswith("whsec_")
    path = secret_path(CollectorSettings(store_path=tmp_path / "collector.db"), "bot")
    assert (path.read_text(encoding="ascii"), path.stat().st_mode & 0o777) == (made.stdout, 0o600)
    assert json.loads(run("webhook", "list", "--json").stdout)[0]["account"] == "acme"
    assert run("webhook", "add", "bot", "https://bot.example/hooks").exit_code == 4
    assert run("webhook", "add", "b2", "http://bot.example/hooks").exit_code == 2
    assert run("webhook", "add", "b2", "https://bot.example/hooks", "--account", "acm").exit_code == 3
    assert run("webhook", "add", "B 2", "https://bot.example/hooks").exit_code == 2
    assert run("webhook", "log", "bot").exit_code == 0
    assert run("webhook", "replay", "7").exit_code == 3
    assert run("webhook", "stop", "bot").exit_code == 0
    assert "stopped" in run("webhook", "list").stdout
    assert run("webhook", "stop", "bo").exit_code == 3
    assert run("webhook", "listen", "none").exit_code == 3


def test_warnings_are_listed_by_account_and_by_what_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METERSEAL_COLLECTOR__STORE_PATH", str(tmp_path / "collector.db"))
    store = new_store(tmp_path / "collector.db", catalog=WARNED)
    for at, line in month()[1]:
        if at * 1000 <= NOW:
            receive(store, [line], at=at)
    watch_of(CollectorSettings()).round(store, NOW)
    store.close()
    assert "has reached 50 % of the budget" in run("warnings", "acme").stdout
    assert json.loads(run("warnings", "c", "--standing", "--json").stdout)[0]["what"] == "fired"
    assert run("warnings", "acm").exit_code == 3


def _serve(server: HTTPServer, count: int) -> None:
    for _ in range(count):
        server.handle_request()


def _now() -> int:
    return SystemClock().utc_ms() // 1000
