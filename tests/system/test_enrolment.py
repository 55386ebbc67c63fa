"""Enrolment and what it is worth, against a real Mosquitto with the very files of config/mosquitto (P10, P13, P21)."""

import asyncio
import contextlib
import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from cloud_collector.fleet.authority import key_from_pem
from cloud_collector.fleet.pki import Pki, begin, write
from shared.claim import SECRET_BYTES, ClaimCode
from shared.effects.mqtt import MqttLink
from shared.errors import CertificateRefused, LinkLost, LinkRefused
from shared.key import PublicKey, SigningKey
from tests.enrolled_site import COLLECTOR, Site
from tests.processes import free_port, wait_until
from tests.requirements import require
from tests.unit.test_effects_contract import PATIENCE, received, silence

pytestmark = pytest.mark.system

PREFIX: Final = "meterseal/v1"


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[Site]:
    require("mosquitto")
    site = Site(tmp_path)
    site.begin()
    yield site
    for process in reversed(site.processes):
        process.kill()


@pytest.fixture
def site(bare: Site) -> Site:
    bare.start_broker()
    bare.start_collector()
    return bare


async def publish(link: MqttLink, topic: str, payload: bytes) -> None:
    """Try to; Mosquitto with max_queued_messages 0 ends the session of whoever may not."""
    with contextlib.suppress(LinkLost):
        async with link.session() as session:
            await session.publish(topic, payload)


async def delivered(site: Site, topic: str, link: MqttLink, payload: bytes = b"x") -> bool:
    """Whether the collector receives what the link publishes to a topic."""
    async with site.collector_link().session() as collector:
        await collector.subscribe(topic)
        await publish(link, topic, payload)
        try:
            message = await asyncio.wait_for(collector.receive(), 0.5)
        except TimeoutError:
            return False
        collector.acknowledge(message)
        return message.payload == payload


async def refusal(link: MqttLink) -> LinkRefused:
    """Why the link is not let in."""
    with pytest.raises(LinkRefused) as caught:
        async with link.session() as session:
            await session.subscribe("nothing")
    return caught.value


def test_from_an_invitation_to_accepted_lines(site: Site) -> None:
    """What a pending gateway sends is unmatched, is not lost, and is taken once its words were compared."""
    gateway = site.gateway("house-7")
    invited = site.told("gateway", "invite", "house-7")
    assert invited["command"] == f"edge-agent enrol {site.url} {invited['code']}"
    assert site.state_of("house-7") == "invited"
    first = gateway.enrol(invited["code"])
    assert first.returncode == 0, first.stderr
    assert gateway.words in first.stdout
    assert site.state_of("house-7") == "pending"
    key = (gateway.folder / "state" / "gateway.key").read_bytes()
    again = gateway.enrol(invited["code"].lower().replace("-", " "))
    assert again.returncode == 0, again.stderr
    assert (gateway.folder / "state" / "gateway.key").read_bytes() == key
    gateway.process()
    wait_until(lambda: site.told("unmatched", "list") != [], 20, "its lines are unmatched")
    assert "its key awaits acceptance" in site.told("unmatched", "list")[0]["reason"]
    assert {row["gateway"] for row in site.told("gateway", "list")} == {"house-7"}
    others = SigningKey(bytes(32)).public.words
    assert site.cloud("gateway", "accept", "house-7", others, check=False).exit_code == 4
    site.cloud("gateway", "accept", "house-7", *gateway.words.split("-"))
    assert site.state_of("house-7") == "enrolled"
    wait_until(lambda: site.told("gateway", "list")[0]["lines"] > 3, 30, "its lines are accepted")
    wait_until(lambda: json.loads(gateway.edge("backlog", "--json").stdout)["backlog_lines"] <= 1, 20, "they drain")
    waiting = gateway.edge("enrol", site.url, invited["code"])
    assert "house-7 is enrolled" in waiting.stdout
    config = gateway.edge("config", "show", "--origin").stdout
    assert re.search(r"^gateway = \"house-7\" +# conf.d/50-enrolled.toml", config, re.MULTILINE)


def test_a_code_is_used_once_and_only_for_its_collector(site: Site) -> None:
    """P10: no second gateway, no other collector, no wrong letter."""
    gateway, thief = site.gateway("house-7"), site.gateway("thief")
    code = site.told("gateway", "invite", "house-7")["code"]
    assert gateway.enrol(code).returncode == 0
    stolen = thief.enrol(code)
    assert (stolen.returncode, stolen.stdout) == (4, "")
    assert "was used by another gateway: ask for a new invitation" in stolen.stderr
    other = ClaimCode.draw(os.urandom(SECRET_BYTES), b"another collector's CA").text
    imposed = thief.enrol(other)
    assert imposed.returncode == 4
    assert "somebody is in between" in imposed.stderr
    wrong = thief.enrol(code[:-1] + ("A" if code[-1] != "A" else "B"))
    assert (wrong.returncode, "a letter of this claim code is wrong" in wrong.stderr) == (2, True)
    nobody = thief.enrol(code, url=f"https://localhost:{free_port()}")
    assert (nobody.returncode, "nothing listens at" in nobody.stderr) == (75, True)
    unsuitable = thief.enrol(site.told("gateway", "invite", "thief")["code"], url=f"https://127.0.0.2:{site.port}")
    assert unsuitable.returncode == 75
    assert not (thief.folder / "conf.d").exists(), "a refused gateway has got nothing"


async def test_a_gateway_can_neither_read_nor_write_what_is_not_its_own(site: Site) -> None:
    """P10, P21: the broker binds the certificate to the topic."""
    seven, eight = await asyncio.to_thread(lambda: (site.enrolled("house-7"), site.enrolled("house-8")))
    site.processes.pop(1).kill()  # The collector: its place at the broker is the test's.
    assert await delivered(site, f"{PREFIX}/house-7/report", seven.link())
    assert await delivered(site, f"{PREFIX}/house-7/response", seven.link())
    assert not await delivered(site, f"{PREFIX}/house-8/report", seven.link())
    assert not await delivered(site, f"{PREFIX}/house-8/response", seven.link())
    async with site.collector_link().session() as collector, eight.link().session() as victim:
        for leaf in ("receipt", "command", "alert"):
            await victim.subscribe(f"{PREFIX}/house-8/{leaf}")
        for leaf in ("receipt", "command", "alert"):
            for name in ("house-7", "house-8"):
                await publish(seven.link(), f"{PREFIX}/{name}/{leaf}", b"forged")
        async with seven.link().session() as spy:
            for topic in ("#", f"{PREFIX}/house-8/receipt", f"{PREFIX}/+/command", f"{PREFIX}/house-8/#", "$SYS/#"):
                with contextlib.suppress(LinkRefused):
                    await spy.subscribe(topic)
            await collector.publish(f"{PREFIX}/house-8/receipt", b"genuine")
            assert (await received(victim, 1))[0].payload == b"genuine"
            await silence(victim, 0.5)
            await silence(spy, 0.5)


async def test_nobody_takes_over_another_ones_session(site: Site) -> None:
    """P21: a session bears the name of its certificate, whatever the client says."""
    seven, eight = await asyncio.to_thread(lambda: (site.enrolled("house-7"), site.enrolled("house-8")))
    async with eight.link().session() as victim:
        await victim.subscribe(f"{PREFIX}/house-8/receipt")
        async with seven.link(client_id="house-8").session() as spy:
            await spy.subscribe(f"{PREFIX}/house-7/receipt")
            site.processes.pop(1).kill()
            async with site.collector_link().session() as collector:
                await collector.publish(f"{PREFIX}/house-8/receipt", b"still here")
            assert (await received(victim, 1))[0].payload == b"still here"


async def test_a_revoked_gateway_cannot_connect_once_the_broker_has_read_the_list(site: Site) -> None:
    seven, eight = await asyncio.to_thread(lambda: (site.enrolled("house-7"), site.enrolled("house-8")))
    async with seven.link().session():
        pass
    said = await asyncio.to_thread(site.cloud, "gateway", "revoke", "house-7")
    assert "sudo systemctl reload mosquitto" in said.stderr
    assert len(site.told("pki", "crl")) == 2, "the pending gateway's and the enrolled one's"
    os.kill(site.processes[0].pid, signal.SIGHUP)  # What systemd's reload of Mosquitto does.

    async def refused() -> bool:
        try:
            async with seven.link().session():
                return False
        except CertificateRefused:
            return True

    async with asyncio.timeout(PATIENCE):
        while not await refused():  # noqa: ASYNC110 - another program reads a file.
            await asyncio.sleep(0.2)
    async with eight.link().session():
        pass
    # The alert may be overtaken by the broker's closing; one attempt of several hears it.
    heard = {str(await refusal(seven.link())) for _ in range(8)}
    assert any("refuses this client's certificate: it is revoked" in sentence for sentence in heard), heard
    renewal = await asyncio.to_thread(seven.edge, "renew", check=False)
    assert (renewal.returncode, "was revoked" in renewal.stderr) == (4, True)


async def test_whoever_has_no_certificate_of_the_ca_stays_outside(site: Site, tmp_path: Path) -> None:
    seven = await asyncio.to_thread(site.enrolled, "house-7")
    assert "lets in clients with a certificate alone" in str(await refusal(seven.link(cert_file=None, key_file=None)))
    (tmp_path / "foreign").mkdir()
    foreign = Site(tmp_path / "foreign")
    text = COLLECTOR.format(broker=site.port, enrolment=site.enrolment_port)
    (foreign.folder / "collector.toml").write_text(text, encoding="utf-8")
    await asyncio.to_thread(foreign.cloud, "pki", "init", "--host", "localhost")
    own: dict[str, Any] = {"cert_file": foreign.pki / "_collector.pem", "key_file": foreign.pki / "_collector.key"}
    assert isinstance(await refusal(seven.link(**own)), CertificateRefused)
    said = str(await refusal(seven.link(ca_file=foreign.pki / "ca.pem")))
    assert f"is not trusted by {foreign.pki / 'ca.pem'}" in said


def test_an_expired_certificate_is_renewed_by_the_running_agent(site: Site) -> None:
    """A gateway that was switched off for years comes back by its key alone."""
    gateway = site.enrolled("house-7")
    state = gateway.folder / "state"
    public = PublicKey.from_pem((state / "gateway.key").read_text(encoding="ascii"))
    long_ago = datetime.now(UTC) - timedelta(days=3 * 365)
    expired = Pki.open(site.pki).authority.issue_gateway("house-7", public, long_ago, days=365)
    (state / "gateway.pem").write_text(expired.pem, encoding="ascii")
    process = gateway.process()
    wait_until(lambda: "link_up" in process.events, 30, "the broker lets it in again")
    events = list(process.events)
    assert events.index("certificate_renewed") < events.index("link_up")
    assert "link_down" in events, "it had been refused"
    wait_until(lambda: site.told("gateway", "list")[0]["lines"] > 1, 30, "its lines are accepted")


def test_new_hardware_takes_the_place_of_the_old(site: Site) -> None:
    old = site.enrolled("house-7")
    process = old.process()
    wait_until(lambda: site.told("gateway", "list")[0]["lines"] > 2, 30, "the old one's lines are accepted")
    process.stop()
    new = site.gateway("new-hardware")
    refused = site.cloud("gateway", "invite", "house-7", check=False)
    assert (refused.exit_code, "--replace" in refused.stderr) == (4, True)
    new.enrol(site.told("gateway", "invite", "house-7", "--replace")["code"])
    accepted = site.told("gateway", "accept", "house-7", new.words)
    assert len(accepted["replaced"]) == 1
    new.process()
    before = site.told("gateway", "list")[0]["lines"]
    wait_until(lambda: site.told("gateway", "list")[0]["lines"] > before + 1, 30, "the new one's lines are accepted")
    assert old.edge("renew", check=False).returncode == 4


def test_a_gateway_enrols_whose_clock_is_decades_behind(bare: Site) -> None:
    """P13: the CA is pinned by the code, and dates say nothing to a gateway whose own is wrong."""
    ahead = datetime.now(UTC) + timedelta(days=30 * 365)
    for path in bare.pki.iterdir():
        path.unlink()
    secret = SigningKey(os.urandom(32))
    recovery = (secret.pem, secret.public.pem)
    hosts = ("localhost",)
    write(bare.pki, begin(bare.pki, name="Test", client="_collector", hosts=hosts, recovery=recovery, now=ahead))
    bare.start_broker()
    bare.start_collector()
    gateway = bare.gateway("house-7")
    code = bare.told("gateway", "invite", "house-7")["code"]
    misnamed = gateway.enrol(code, url=f"https://127.0.0.1:{bare.enrolment_port}")
    assert misnamed.returncode == 75
    assert "is not for the name 127.0.0.1: use a name that it is for" in misnamed.stderr
    done = gateway.enrol(code)
    assert done.returncode == 0, done.stderr
    assert bare.state_of("house-7") == "pending"
    gateway.edge("renew")


def test_a_certificate_that_nobody_renews_is_named_in_the_log(bare: Site) -> None:
    authority = Pki.open(bare.pki).authority
    key = key_from_pem((bare.pki / "broker.key").read_text(encoding="ascii"))
    due = authority.issue_server(("localhost", "127.0.0.1"), key.public_key(), datetime.now(UTC) - timedelta(days=600))
    (bare.pki / "broker.pem").write_text(due.pem, encoding="ascii")
    process = bare.start_collector()
    wait_until(lambda: "certificates_due" in process.events, 10, "it is said")
    process.stop()
    assert 'files="broker.pem"' in (bare.folder / "collector.log").read_text(encoding="utf-8")
    assert [Path(row["file"]).name for row in bare.told("pki", "renew")] == ["broker.pem"]
    assert bare.told("pki", "renew") == []


def test_keys_are_for_their_owner_alone_and_the_ca_is_made_once(bare: Site) -> None:
    modes = {path.name: path.stat().st_mode & 0o777 for path in bare.pki.iterdir()}
    assert {mode for name, mode in modes.items() if name.endswith(".key")} == {0o600}
    assert {mode for name, mode in modes.items() if not name.endswith(".key")} == {0o644}
    before = {path.name: path.read_bytes() for path in bare.pki.iterdir()}
    assert bare.cloud("pki", "init", "--host", "localhost", check=False).exit_code == 4
    assert bare.told("pki", "renew", "--all", "--dry-run") != []
    assert {path.name: path.read_bytes() for path in bare.pki.iterdir()} == before
    assert bare.told("pki", "renew") == [], "nothing is due on the first day"
    bare.cloud("pki", "renew", "--host", "localhost", "--host", "broker.example")
    after = {path.name: path.read_bytes() for path in bare.pki.iterdir()}
    assert {name for name in after if after[name] != before[name]} == {"broker.pem", "enrolment.pem"}
    assert Pki.open(bare.pki).hosts == ("localhost", "broker.example")


def test_openssl_finds_the_certificates_in_order(bare: Site) -> None:
    trusted = ["-CAfile", str(bare.pki / "ca.pem"), "-CRLfile", str(bare.pki / "crl.pem"), "-crl_check", "-x509_strict"]
    for name, purpose in (("broker", "sslserver"), ("enrolment", "sslserver"), ("_collector", "sslclient")):
        words = [require("openssl"), "verify", *trusted, "-purpose", purpose, str(bare.pki / f"{name}.pem")]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_a_port_without_a_ca_is_a_sentence(tmp_path: Path) -> None:
    site = Site(tmp_path)
    text = COLLECTOR.format(broker=site.port, enrolment=site.enrolment_port)
    (tmp_path / "collector.toml").write_text(text, encoding="utf-8")
    site.cloud("key", "new")
    done = site.cloud("run", check=False)
    assert done.exit_code == 1
    assert "`cloud-collector pki init` makes one" in done.stderr
    invited = site.cloud("gateway", "invite", "house-7", check=False)
    assert (invited.exit_code, "`cloud-collector pki init`" in invited.stderr) == (3, True)
