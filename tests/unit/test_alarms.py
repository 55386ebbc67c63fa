"""Alarms: each root cause once, with a beginning and an end; what nobody can judge neither begins nor ends."""

import json
from collections.abc import Sequence
from email.message import EmailMessage
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cloud_collector.cli.mailing import mail_once
from cloud_collector.cli.main import app
from cloud_collector.fleet.gateways import add_gateway
from cloud_collector.notify.post import Fate, Posted
from cloud_collector.settings import AlarmSettings, CollectorSettings, MailSettings
from cloud_collector.store.store import Store
from cloud_collector.upkeep.incidents import Cause, newest_incidents, open_incidents
from cloud_collector.upkeep.watch import Watch
from shared.effects.sqlite import SqliteDatabase
from shared.report import Clock, Usage, UsageRow, Verdict
from tests.unit.billing_samples import GATEWAY_KEY, OCTOBER, Gateway, new_store, receive

WINDOW = 900
MINUTE = 60


class Place:
    """A store with gateways that seal windows of a quarter of an hour, and what watches it."""

    def __init__(self, path: Path, *, gateways: int = 1, look_seconds: int = 60) -> None:
        self.path = path
        self.store = Store(SqliteDatabase(path))
        self.now = OCTOBER
        self.connected = True
        self.watch = Watch(
            AlarmSettings(hole_seconds=0, look_seconds=look_seconds),
            connected=lambda: self.connected,
            name="_collector",
            skew_seconds=300,
        )
        self.gateways = [Gateway(name=f"gw-{at}") for at in range(gateways)]
        for gateway in self.gateways:
            gateway.birth(self.now)
            self.deliver(gateway)

    def deliver(self, gateway: Gateway, *, behind: int = 0) -> None:
        """Everything that the gateway has sealed arrives."""
        add_gateway(self.store, gateway.name, GATEWAY_KEY.public, self.now * 1000)
        receive(self.store, gateway.lines, at=self.now + behind, gateway=gateway.name)
        gateway.lines.clear()

    def window(self, gateway: Gateway, *, dead: Sequence[str] = (), at: int | None = None) -> None:
        """The gateway seals the window that ends now."""
        end = self.now if at is None else at
        rows = []
        for device, register in gateway.registers.items():
            notes = {0: Verdict.MISSING} if device in dead else {}
            deltas = (0,) if device in dead else (5,)
            rows.append(UsageRow(device, "energy", "Wh", 0, register, deltas, notes))
            gateway.registers[device] = register + sum(deltas)
        header = gateway._header(end)
        gateway._seal(Usage(header=header, start=end - WINDOW - gateway.shift, step=WINDOW, count=1, rows=tuple(rows)))

    def pass_time(self, seconds: int, *, silent: Sequence[str] = (), dead: Sequence[str] = ()) -> None:
        """Time passes in minutes; who is not silent delivers each window."""
        for _ in range(seconds // MINUTE):
            self.now += MINUTE
            if self.now % WINDOW == 0:
                for gateway in self.gateways:
                    if gateway.name not in silent:
                        self.window(gateway, dead=dead)
                        self.deliver(gateway)
            self.watch(self.store, self.now * 1000)

    @property
    def wrong(self) -> list[tuple[str, str, str]]:
        """What is wrong now."""
        return [(each.spot.cause.value, each.spot.gateway, each.spot.part) for each in open_incidents(self.store)]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "collector.db", gateways=12)


def test_where_all_is_well_nothing_is_wrong(place: Place) -> None:
    place.pass_time(6 * WINDOW)
    assert newest_incidents(place.store, 10) == []


def test_a_gateway_that_misses_three_windows_is_silent_until_it_speaks(place: Place) -> None:
    place.pass_time(2 * WINDOW)
    place.pass_time(3 * WINDOW, silent=["gw-3"])
    assert place.wrong == []
    place.pass_time(2 * MINUTE, silent=["gw-3"])
    assert place.wrong == [("silent", "gw-3", "")]
    place.pass_time(2 * WINDOW)
    assert place.wrong == []
    (told,) = newest_incidents(place.store, 10)
    assert told.text == "gw-3 has sent nothing since 2026-09-30T21:30:00Z; it should every 15 min"
    assert told.ended_at is not None
    assert told.ended_at > told.begun_at


def test_a_lost_broker_is_one_alarm_and_not_one_for_each_gateway(place: Place) -> None:
    """One alarm for one root cause."""
    everyone = [gateway.name for gateway in place.gateways]
    place.pass_time(2 * WINDOW)
    place.connected = False
    place.pass_time(20 * WINDOW, silent=everyone)
    assert place.wrong == [("broker", "", "_collector")]
    place.connected = True
    place.pass_time(3 * MINUTE, silent=everyone)
    assert place.wrong == [], "they get the time that they need to come back"
    place.pass_time(2 * WINDOW)
    assert [each.spot.cause for each in newest_incidents(place.store, 100)] == [Cause.BROKER]


def test_a_collector_that_was_off_does_not_call_the_fleet_silent(place: Place) -> None:
    place.pass_time(2 * WINDOW)
    place.now += 40 * WINDOW
    place.pass_time(MINUTE, silent=[gateway.name for gateway in place.gateways])
    assert place.wrong == []


def test_a_collector_that_restarts_again_and_again_still_notices_silence(place: Place) -> None:
    place.pass_time(2 * WINDOW)
    for _ in range(4):
        place.watch = Watch(AlarmSettings(), connected=lambda: True, name="_collector", skew_seconds=300)
        place.pass_time(WINDOW, silent=["gw-3"])
    assert place.wrong == [("silent", "gw-3", "")]


def test_half_of_the_fleet_silent_at_once_is_one_alarm(place: Place) -> None:
    place.pass_time(2 * WINDOW)
    many = [f"gw-{at}" for at in range(7)]
    place.pass_time(4 * WINDOW, silent=many)
    assert place.wrong == [("fleet_silent", "", "")]
    place.pass_time(WINDOW, silent=many[:1])
    assert place.wrong == [("silent", "gw-0", "")]


def test_who_was_silent_before_the_broker_was_lost_is_silent_still(place: Place) -> None:
    place.pass_time(2 * WINDOW)
    place.pass_time(4 * WINDOW, silent=["gw-3"])
    place.connected = False
    place.pass_time(WINDOW, silent=[gateway.name for gateway in place.gateways])
    place.connected = True
    place.pass_time(WINDOW, silent=["gw-3"])
    assert place.wrong == [("silent", "gw-3", "")]
    assert [each.spot.cause for each in newest_incidents(place.store, 9)] == [Cause.BROKER, Cause.SILENT]


def test_a_dead_meter_behind_a_live_gateway_is_named(place: Place) -> None:
    place.pass_time(2 * WINDOW)
    place.pass_time(2 * WINDOW, dead=["sdm630-1"], silent=[f"gw-{at}" for at in range(1, 12)])
    assert place.wrong == []
    place.pass_time(WINDOW, dead=["sdm630-1"], silent=[f"gw-{at}" for at in range(1, 12)])
    assert ("meter", "gw-0", "sdm630-1") in place.wrong
    told = next(each for each in open_incidents(place.store) if each.spot.cause is Cause.METER)
    assert told.text == "gw-0 sends, and its meter sdm630-1 has given no reading since 2026-09-30T21:30:00Z"
    place.pass_time(WINDOW)
    assert place.wrong == []


def test_all_meters_of_a_gateway_dead_is_one_alarm(tmp_path: Path) -> None:
    place = Place(tmp_path / "collector.db")
    place.pass_time(2 * WINDOW)
    place.pass_time(4 * WINDOW, dead=["sdm630-1", "sdm630-2"])
    assert place.wrong == [("meters", "gw-0", "")]


def test_a_hole_is_an_alarm_until_it_is_closed_and_can_be_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(tmp_path / "collector.db")
    gateway = place.gateways[0]
    place.pass_time(2 * WINDOW)
    place.now += WINDOW
    place.window(gateway)
    lost = gateway.lines.pop()
    place.pass_time(WINDOW)
    assert place.wrong == [("hole", "gw-0", "main 5f2c91aa")]
    monkeypatch.setenv("METERSEAL_COLLECTOR__STORE_PATH", str(place.path))
    assert json.loads(run("gateway", "holes", "--json").stdout) == [
        {"gateway": "gw-0", "log": "main", "epoch": "5f2c91aa", "first": 4, "last": 4, "lines": 1}
    ]
    assert "log main, epoch 5f2c91aa, 4-4" in run("gateway", "resend", "gw-0").stdout
    again = json.loads(run("gateway", "resend", "gw-0", "--json").stdout)
    assert again == {"gateway": "gw-0", "missing": 1, "asked": []}
    assert run("gateway", "resend", "gw-9").exit_code == 3
    receive(place.store, [lost], at=place.now, gateway="gw-0")
    place.pass_time(MINUTE)
    assert place.wrong == []
    assert run("gateway", "holes").stderr == "no line is missing\n"
    place.store.close()


def test_a_clock_that_is_ahead_behind_or_unset_is_told(tmp_path: Path) -> None:
    """P13: usage is moved within a bound; an operator hears of it."""
    place = Place(tmp_path / "collector.db", gateways=3)
    place.pass_time(2 * WINDOW)
    ahead, behind, unset = place.gateways
    unset.reboot("b0000002", clock=Clock.RELATIVE, shift=OCTOBER)
    for _ in range(3):
        place.now += WINDOW
        place.window(ahead, at=place.now + 7200)
        place.window(behind, at=place.now - 90_000)
        place.window(unset)
        for gateway in place.gateways:
            place.deliver(gateway)
    place.watch(place.store, place.now * 1000)
    told = {each.spot.gateway: each.text for each in open_incidents(place.store) if each.spot.cause is Cause.CLOCK}
    assert told == {
        "gw-0": "the clock of gw-0 runs 2 h ahead",
        "gw-1": "the clock of gw-1 seems to run 25 h behind",
        "gw-2": "gw-2 does not know the time: what it meters is billed once it does",
    }


def test_a_backlog_is_no_clock_that_lies(tmp_path: Path) -> None:
    place = Place(tmp_path / "collector.db")
    gateway = place.gateways[0]
    place.pass_time(2 * WINDOW)
    for at in range(1, 40):
        place.window(gateway, at=place.now + at * WINDOW)
    place.now += 100 * WINDOW
    place.deliver(gateway)
    place.pass_time(MINUTE)
    assert "clock" not in [cause for cause, _, _ in place.wrong]


def test_contracts_that_cannot_be_billed_are_one_alarm(tmp_path: Path) -> None:
    store = new_store(tmp_path / "collector.db")
    store.run("park", "acme", OCTOBER, "an invoice needs operator.vat_id", OCTOBER)
    store.run("park", "beta", OCTOBER, "another reason", OCTOBER)
    Watch(AlarmSettings(), connected=lambda: True, name="_c", skew_seconds=300)(store, OCTOBER * 1000)
    (told,) = open_incidents(store)
    assert told.text == "2 contracts cannot be billed: acme: an invoice needs operator.vat_id; beta: another reason"
    store.close()


def test_a_watch_that_is_switched_off_never_looks(tmp_path: Path) -> None:
    place = Place(tmp_path / "collector.db", look_seconds=0)
    place.pass_time(10 * WINDOW, silent=["gw-0"])
    assert place.wrong == []


def run(*words: str) -> Result:
    return CliRunner().invoke(app, list(words), catch_exceptions=False)


def test_the_command_lists_what_is_wrong_and_what_was(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METERSEAL_COLLECTOR__STORE_PATH", str(place.path))
    assert run("alarms").stderr == "nothing is wrong\n"
    place.pass_time(2 * WINDOW)
    place.pass_time(4 * WINDOW, silent=["gw-3"])
    assert "gw-3 has sent nothing since" in run("alarms").stdout
    place.pass_time(WINDOW)
    assert run("alarms").stderr == "nothing is wrong\n"
    (told,) = json.loads(run("alarms", "--all", "--json").stdout)
    assert (told["kind"], told["gateway"], bool(told["ended_at"])) == ("silent", "gw-3", True)


class _Post:
    """A mail server that takes or refuses."""

    def __init__(self) -> None:
        self.fate = Fate.SENT
        self.taken: list[EmailMessage] = []

    def __call__(self, message: EmailMessage) -> Posted:
        if self.fate is Fate.SENT:
            self.taken.append(message)
        return Posted(fate=self.fate, why="" if self.fate is Fate.SENT else "the server is away")


def test_people_are_told_once_of_each_beginning_and_end(place: Place) -> None:
    known = CollectorSettings(
        alarms=AlarmSettings(mail_to="ops@example.org, on-call@example.org"),
        mail=MailSettings(host="localhost", sender="meterseal@example.org"),
    )
    post = _Post()
    assert mail_once(known, place.store, post, 0) is None
    assert post.taken == []
    place.pass_time(2 * WINDOW)
    place.pass_time(4 * WINDOW, silent=["gw-3", "gw-4"])
    post.fate = Fate.REFUSED
    assert mail_once(known, place.store, post, place.now * 1000) == "the server is away"
    post.fate = Fate.SENT
    for _ in range(2):
        assert mail_once(known, place.store, post, place.now * 1000) is None
    (message,) = post.taken
    assert message["Subject"] == "[collector] alarms: 2 new: silent gw-3"
    assert message["To"] == "ops@example.org, on-call@example.org"
    assert "gw-4 has sent nothing since" in message.get_content()
    place.pass_time(WINDOW)
    for _ in range(2):
        assert mail_once(known, place.store, post, place.now * 1000) is None
    assert post.taken[1]["Subject"] == "[collector] alarms: 2 over: silent gw-3"
    assert len(post.taken) == 2


def test_an_address_that_is_none_is_said(place: Place) -> None:
    known = CollectorSettings(
        alarms=AlarmSettings(mail_to="nobody"), mail=MailSettings(host="localhost", sender="meterseal@example.org")
    )
    place.pass_time(6 * WINDOW, silent=["gw-3"])
    assert "is no e-mail address" in (mail_once(known, place.store, _Post(), 0) or "")
