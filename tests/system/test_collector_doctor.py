"""`cloud-collector doctor` against a real Mosquitto: what is well is said to be, and what is not is found and named."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from cloud_collector.cli.doctor_broker import limits_of
from shared.effects.sqlite import SqliteDatabase
from shared.finding import Word
from tests.enrolled_site import Site
from tests.processes import free_port, wait_until
from tests.requirements import require

pytestmark = [pytest.mark.system, pytest.mark.deep]

ORDER: Final = [
    "clock", "store", "checkpoints", "time zones", "alarms", "disk", "invoices", "backup disk", "receipt key",
    "recovery key", "certificates", "broker", "TLS", "strangers", "access list", "queues", "mail", "backups",
]  # fmt: skip


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    require("mosquitto")
    made = Site(tmp_path)
    made.begin()
    yield made
    for process in reversed(made.processes):
        process.kill()


def examined(site: Site, *words: str) -> dict[str, dict[str, str]]:
    done = site.cloud("doctor", "--json", "--mosquitto", site.folder / "mosquitto.conf", *words, check=False)
    told: dict[str, Any] = json.loads(done.stdout)
    assert done.exit_code == (0 if told["ok"] else 1), done.stderr
    assert told["ok"] is all(each["word"] != "bad" for each in told["checks"])
    assert all(each["next"] or each["word"] in ("good", "skipped") for each in told["checks"]), "it says what to do"
    return {each["name"]: each for each in told["checks"]}


def test_a_sound_collector_is_called_sound_and_its_session_is_left_alone(site: Site) -> None:
    site.start_broker()
    collector = site.start_collector()
    wait_until(lambda: "link_up" in collector.events, 20, "the collector is connected")
    found = examined(site)
    assert list(found) == ORDER
    assert [name for name, each in found.items() if each["word"] == "bad"] == []
    for name in ("store", "disk", "receipt key", "certificates", "broker", "TLS", "strangers", "access list", "queues"):
        assert found[name]["word"] == "good", found[name]
    assert (found["recovery key"]["word"], found["mail"]["word"]) == ("look", "skipped")
    said = site.cloud("doctor", "--mosquitto", site.folder / "mosquitto.conf").stdout
    assert "good     access list" in said
    assert said.rstrip().endswith("all is well")
    assert list(collector.events).count("link_up") == 1, "nobody has taken its place"
    assert site.told("unmatched", "list") == [], "and nothing of it has arrived"


OPEN: Final = "topic readwrite #\npattern readwrite #\n"
READABLE: Final = "pattern readwrite meterseal/v1/%u/+\npattern read meterseal/v1/#\n"


@pytest.mark.parametrize(("acl", "named"), [(OPEN, "may write"), (READABLE, "may write")])
def test_an_access_list_that_is_too_open_is_found(site: Site, acl: str, named: str) -> None:
    """P10, P21."""
    broker = site.broker()
    config = site.folder / "mosquitto.conf"
    (site.folder / "open.acl").write_text(acl, encoding="ascii")
    lines = config.read_text(encoding="ascii").splitlines()
    lines = [f"acl_file {site.folder}/open.acl" if line.startswith("acl_file") else line for line in lines]
    config.write_text("\n".join(lines) + "\n", encoding="ascii")
    site.started(broker)
    wait_until(lambda: examined(site)["broker"]["word"] == "good", 10, "the broker answers")
    found = examined(site)["access list"]
    assert (found["word"], named in found["says"]) == ("bad", True), found


def test_a_broker_that_lets_in_strangers_is_found(site: Site) -> None:
    broker = site.broker()
    config = site.folder / "mosquitto.conf"
    text = config.read_text(encoding="ascii")
    for old, new in (
        ("require_certificate true", "require_certificate false"),
        ("use_identity_as_username true\n", ""),
        ("use_username_as_clientid true\n", ""),
        ("allow_anonymous false", "allow_anonymous true"),
        ("max_queued_messages 0\n", ""),
    ):
        assert old in text
        text = text.replace(old, new)
    config.write_text(text, encoding="ascii")
    site.started(broker)
    wait_until(lambda: examined(site)["broker"]["word"] == "good", 10, "the broker answers")
    found = examined(site)
    assert found["strangers"]["word"] == "bad", found["strangers"]
    assert (found["queues"]["word"], "no name" in found["queues"]["says"]) == ("bad", True)


def test_each_fault_is_named_where_it_is_and_what_rests_on_it_is_skipped(site: Site) -> None:
    site.cloud("gateway", "list", check=False)
    store = site.folder / "collector" / "collector.db"
    held = SqliteDatabase(store)
    held.execute("create table migration (version integer primary key)")
    held.execute("insert into migration (version) values (999)")
    held.close()
    (site.folder / "collector" / "receipt.key").chmod(0o644)
    backups = site.folder / "collector" / "backups"
    backups.mkdir()
    (backups / "2020-01-01T00-00-00Z.meterseal-backup.zip").touch()
    mail = ("mail.host=127.0.0.1", f"mail.port={free_port()}", "mail.sender=a@b.c", "mail.tls=none")
    found = examined(site, *(word for each in mail for word in ("--set", each)))
    assert {name for name, each in found.items() if each["word"] == "bad"} == {
        "store", "receipt key", "broker", "mail", "backups",
    }  # fmt: skip
    assert "schema 999" in found["store"]["says"]
    assert "chmod 600" in found["receipt key"]["next"]
    assert "2020-01-01" in found["backups"]["says"]
    assert {found[name]["says"] for name in ("TLS", "strangers", "access list")} == {"because of broker"}


def test_a_dump_of_a_server_is_a_backup_too(site: Site) -> None:
    backups = site.folder / "collector" / "backups"
    backups.mkdir(parents=True)
    dump = backups / "2026-11-20T03-00-00Z.dump"
    dump.touch()
    assert examined(site)["backups"]["word"] == "good"
    old = time.time() - 3 * 86_400
    os.utime(dump, (old, old))
    assert examined(site)["backups"]["word"] == "bad"


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("max_queued_messages 0\nmax_inflight_messages 1000\n", Word.GOOD),
        ("# max_queued_messages 0\n", Word.BAD),
        ("max_queued_messages 1000\n", Word.BAD),
        ("max_queued_messages 200000\nmax_inflight_messages 0\n", Word.GOOD),
        ("max_queued_messages 0\n", Word.LOOK),
        ("max_queued_messages 0\nmax_inflight_messages 1000\nallow_anonymous true\n", Word.BAD),
    ],
)
def test_the_bounds_of_mosquittos_queues_are_read_as_mosquitto_reads_them(
    tmp_path: Path, text: str, word: Word
) -> None:
    (tmp_path / "mosquitto.conf").write_text(text, encoding="ascii")
    assert limits_of(tmp_path / "mosquitto.conf").word is word
    assert limits_of(tmp_path / "none.conf").word is Word.SKIPPED
