"""MqttLink against a real Mosquitto: the contract, what it says when it is refused, restarts, TLS."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.effects.broker import BrokerSettings
from shared.effects.mqtt import MqttLink
from shared.errors import LinkLost, LinkRefused
from tests.brokers import Mosquitto, mosquitto_broker
from tests.processes import free_port, wait_until
from tests.requirements import require
from tests.unit.test_effects_contract import PATIENCE, LinkContract, received, silence


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    require("mosquitto")
    return tmp_path


def run(*command: str) -> None:
    """Run a tool to its end."""
    subprocess.run(command, check=True, capture_output=True)


async def refusal(settings: BrokerSettings, name: str = "gw-1", **more: bool) -> str:
    """The sentence that a link gives for not being let in."""
    with pytest.raises(LinkRefused) as caught:
        async with MqttLink(settings, name, dates_checked=lambda: more.get("dates", True)).session():
            pass
    return str(caught.value)


class TestMqttLinkOnMosquitto(LinkContract):
    """The suite of every Link."""

    @pytest.fixture
    def broker(self, folder: Path) -> Iterator[Mosquitto]:
        with mosquitto_broker(folder) as broker:
            yield broker

    async def test_a_killed_broker_comes_back_with_what_it_persisted(self, broker: Mosquitto, folder: Path) -> None:
        """P8: the same names go on after a restart."""
        async with broker.link("b").session() as b:
            await b.subscribe("t")
        async with broker.link("a").session() as a:
            await a.publish("t", b"kept")
            store = folder / "mosquitto.db"
            os.kill(broker.process.pid, signal.SIGUSR1)  # mosquitto(8): write the store now.
            await asyncio.to_thread(wait_until, lambda: store.exists() and b"kept" in store.read_bytes(), 10, "kept")
            broker.process.kill()
            with pytest.raises(LinkLost):
                await asyncio.wait_for(a.receive(), PATIENCE)
        broker.restart()
        async with broker.link("b").session() as b:
            assert (await received(b, 1))[0].payload == b"kept"

    async def test_nothing_is_acknowledged_but_what_was_asked_for(self, broker: Mosquitto) -> None:
        """P6: fails when an upgrade of aiomqtt or paho acknowledges by itself."""
        async with broker.link("b").session() as b:
            await b.subscribe("t")
            async with broker.link("a").session() as a:
                for number in range(100):
                    await a.publish("t", b"%d" % number)
            for message in await received(b, 100, acknowledge=False):
                if int(message.payload) % 2:
                    b.acknowledge(message)
            # What was acknowledged has reached the broker once it answers what was sent after it.
            await b.publish("after", b"")
        async with broker.link("b").session() as b:
            assert [int(message.payload) for message in await received(b, 50)] == list(range(0, 100, 2))
            await silence(b)

    async def test_a_cancelled_connect_leaves_no_session_behind(self, broker: Mosquitto) -> None:
        for _ in range(3):
            async with asyncio.timeout(PATIENCE):
                connecting = asyncio.ensure_future(broker.link("a").session().__aenter__())
                await asyncio.sleep(0)
                connecting.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await connecting
        async with broker.link("a").session() as a:
            await a.publish("t", b"alive")
            await silence(a)


class TestARefusalSaysWhy:
    """One sentence for each way of not being let in."""

    async def test_nothing_listens(self) -> None:
        said = await refusal(BrokerSettings(host="127.0.0.1", port=free_port(), tls=False))
        assert "nothing listens at 127.0.0.1:" in said

    async def test_the_name_cannot_be_resolved(self) -> None:
        said = await refusal(BrokerSettings(host="no-such-host.invalid", tls=False))
        assert said == "the broker's name no-such-host.invalid cannot be resolved: check its spelling and the DNS"

    async def test_a_name_that_no_host_can_have(self) -> None:
        said = await refusal(BrokerSettings(host="x" * 70, tls=False))
        assert "is no host name" in said

    async def test_a_wrong_password(self, folder: Path) -> None:
        passwords = folder / "passwords"
        tool = require("mosquitto_passwd")
        await asyncio.to_thread(run, tool, "-c", "-b", str(passwords), "gw-1", "right")
        with mosquitto_broker(folder, [f"password_file {passwords}"], anonymous=False) as broker:
            (folder / "right").write_text("right\n", encoding="utf-8")
            (folder / "wrong").write_text("wrong\n", encoding="utf-8")
            async with broker.link("gw-1", password_file=folder / "right").session() as session:
                await session.publish("t", b"")
            settings = BrokerSettings(host="127.0.0.1", port=broker.port, tls=False, password_file=folder / "wrong")
            said = await refusal(settings)
            assert "refuses user gw-1: wrong name, password or certificate" in said
            settings = BrokerSettings(host="127.0.0.1", port=broker.port, tls=False, password_file=folder / "none")
            assert f"the password file {folder / 'none'} cannot be read" in await refusal(settings)

    async def test_tls_spoken_to_a_plain_port_and_plainly_to_a_tls_port(self, folder: Path) -> None:
        pki = Pki(folder)
        with mosquitto_broker(folder) as broker:
            said = await refusal(BrokerSettings(host="localhost", port=broker.port, ca_file=pki.ca))
            assert "TLS" in said
        with mosquitto_broker(folder, pki.listener(pki.server("localhost"))) as broker:
            said = await refusal(BrokerSettings(host="localhost", port=broker.port, tls=False))
            assert "is this its TLS port?" in said


class Pki:
    """A certificate authority made by openssl for one test."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        self._openssl = require("openssl")
        self._folder = folder
        self.ca, self._ca_key = folder / f"{name}.pem", folder / f"{name}.key"
        self._run(
            *"req -x509 -newkey ed25519 -nodes -days 2 -subj /CN=test-ca".split(),
            *("-keyout", str(self._ca_key), "-out", str(self.ca)),
        )

    def server(self, host: str, *, days: int = 2) -> tuple[Path, Path]:
        """A certificate for a host and its key; negative days make it expired."""
        return self.issue(f"server-{host}-{days}", f"/CN={host}", f"subjectAltName=DNS:{host}", days)

    def issue(self, name: str, subject: str, extension: str, days: int = 2) -> tuple[Path, Path]:
        """A certificate and its key."""
        cert, key, request = (self._folder / f"{name}.{suffix}" for suffix in ("pem", "key", "csr"))
        extensions = self._folder / f"{name}.ext"
        extensions.write_text(extension + "\n", encoding="ascii")
        self._run("req", "-newkey", "ed25519", "-nodes", "-subj", subject, "-keyout", str(key), "-out", str(request))
        self._run(
            *("x509", "-req", "-in", str(request), "-CA", str(self.ca), "-CAkey", str(self._ca_key)),
            *("-days", str(days), "-extfile", str(extensions), "-out", str(cert)),
        )
        return cert, key

    def listener(self, server: tuple[Path, Path], *more: str) -> list[str]:
        """Mosquitto's lines for TLS."""
        return [f"cafile {self.ca}", f"certfile {server[0]}", f"keyfile {server[1]}", *more]

    def _run(self, *arguments: str) -> None:
        run(self._openssl, *arguments)


class TestTls:
    """P10: the broker is who it says, and the gateway's certificate is its name."""

    async def test_a_trusted_broker_lets_in_by_certificate(self, folder: Path) -> None:
        pki = Pki(folder)
        cert, key = pki.issue("gw-1", "/CN=gw-1", "extendedKeyUsage=clientAuth")
        lines = pki.listener(pki.server("localhost"), "require_certificate true", "use_identity_as_username true")
        with mosquitto_broker(folder, lines) as broker:
            settings = {"host": "localhost", "tls": True, "ca_file": pki.ca, "cert_file": cert, "key_file": key}
            async with broker.link("gw-1", **settings).session() as session:
                await session.subscribe("t")
                await session.publish("t", b"x" * 200_000)
                assert len((await received(session, 1))[0].payload) == 200_000
            said = await refusal(BrokerSettings(host="localhost", port=broker.port, ca_file=pki.ca))
            assert "certificate" in said
            assert "set broker.cert_file" in said or "does it accept this client's certificate?" in said
            missing = BrokerSettings(host="localhost", port=broker.port, ca_file=pki.ca, cert_file=folder / "no.pem")
            assert "cannot be used" in await refusal(missing)

    async def test_an_untrusted_broker_is_not_spoken_to(self, folder: Path) -> None:
        pki, other = Pki(folder), Pki(folder, "other")
        with mosquitto_broker(folder, pki.listener(pki.server("localhost"))) as broker:
            said = await refusal(BrokerSettings(host="localhost", port=broker.port, ca_file=other.ca))
            assert f"is not trusted by {other.ca}" in said
            said = await refusal(BrokerSettings(host="localhost", port=broker.port))
            assert "is not trusted by the system's certificate authorities" in said

    async def test_another_name_in_the_certificate_is_named(self, folder: Path) -> None:
        pki = Pki(folder)
        with mosquitto_broker(folder, pki.listener(pki.server("elsewhere.example"))) as broker:
            said = await refusal(BrokerSettings(host="localhost", port=broker.port, ca_file=pki.ca))
            assert "is not for the name localhost" in said

    async def test_an_expired_certificate_is_refused_unless_the_clock_is_not_to_be_believed(self, folder: Path) -> None:
        """P13: a gateway that boots in 1970 must reach its broker to learn the time."""
        pki = Pki(folder)
        faketime = pki.server("localhost", days=0)
        await asyncio.sleep(1.1)  # A certificate of no days ends in the second of its making.
        with mosquitto_broker(folder, pki.listener(faketime)) as broker:
            settings = BrokerSettings(host="localhost", port=broker.port, ca_file=pki.ca)
            assert "has expired" in await refusal(settings)
            async with MqttLink(settings, "gw-1", dates_checked=lambda: False).session() as session:
                await session.publish("t", b"")
            other = BrokerSettings(host="localhost", port=broker.port, ca_file=Pki(folder, "other").ca)
            assert "is not trusted" in await refusal(other, dates=False)

    async def test_a_ca_file_that_is_none_is_named(self, folder: Path) -> None:
        (folder / "ca.txt").write_text("no certificate", encoding="ascii")
        said = await refusal(BrokerSettings(host="localhost", port=1, ca_file=folder / "ca.txt"))
        assert f"the CA file {folder / 'ca.txt'} cannot be used" in said
