"""`edge-agent doctor` on the way to a broker with TLS: each failure is named at its own step, with what to do."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from edge_agent.installer.way import way_of
from edge_agent.settings import AgentSettings
from shared.effects.broker import BrokerSettings
from shared.finding import Finding
from shared.topic import PREFIX
from tests.brokers import mosquitto_broker
from tests.system.test_link_mosquitto import Pki

ACL = f"pattern write {PREFIX}/%u/health\npattern read {PREFIX}/%u/receipt\npattern read {PREFIX}/%u/command\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tmp_path.chmod(0o755)
    return tmp_path


async def steps(port: int, *, dates_count: bool = True, **broker: Any) -> dict[str, Finding]:
    """Every step of the way, by its name."""
    values: dict[str, Any] = {"host": "localhost", "port": port} | broker
    settings = AgentSettings(gateway="gw-1", broker=BrokerSettings(**values))
    return {each.name: each async for each in way_of(settings, dates_count=dates_count)}


async def test_a_gateway_with_a_certificate_of_its_own_is_let_in(folder: Path) -> None:
    """P10: its name at the broker is the certificate's."""
    pki = Pki(folder)
    (folder / "acl").write_text(ACL, encoding="ascii")
    identity = ("require_certificate true", "use_identity_as_username true", f"acl_file {folder}/acl")
    cert, key = pki.issue("gw-1", "/CN=gw-1", "extendedKeyUsage=clientAuth", days=200)
    short = pki.issue("short", "/CN=gw-1", "extendedKeyUsage=clientAuth", days=9)
    other = pki.issue("gw-2", "/CN=gw-2", "extendedKeyUsage=clientAuth", days=200)
    with mosquitto_broker(folder, pki.listener(pki.server("localhost", days=300), *identity)) as broker:
        found = await steps(broker.port, ca_file=pki.ca, cert_file=cert, key_file=key)
        assert [each.word for each in found.values()] == ["good"] * 6, found
        found = await steps(broker.port, ca_file=pki.ca, cert_file=short[0], key_file=short[1])
        assert found["certificate"].word == "look"
        assert "edge-agent renew" in found["certificate"].next
        found = await steps(broker.port, ca_file=pki.ca, cert_file=other[0], key_file=other[1])
        assert found["topics"].word == "bad", "another gateway's certificate writes no topic of this one"
        found = await steps(broker.port, ca_file=pki.ca)
        assert "bad" in {found["TLS"].word, found["login"].word}


@pytest.mark.parametrize(
    ("host", "days", "said", "todo"),
    [
        ("elsewhere.example", 200, "not for the name localhost", "set broker.host"),
        ("localhost", 0, "has ended", "operator to renew"),
    ],
)
async def test_a_brokers_certificate_that_is_wrong_is_named(
    folder: Path, host: str, days: int, said: str, todo: str
) -> None:
    pki = Pki(folder)
    server = pki.server(host, days=days)
    await asyncio.sleep(0 if days else 1.1)  # A certificate of no days ends in the second of its making.
    with mosquitto_broker(folder, pki.listener(server)) as broker:
        found = await steps(broker.port, ca_file=pki.ca)
        assert said in found["TLS"].says
        assert todo in found["TLS"].next
        assert found["login"].word == "skipped"
        if not days:
            unset = await steps(broker.port, ca_file=pki.ca, dates_count=False)
            assert "clock first" in unset["TLS"].next, "P13: the clock is what is wrong"


async def test_a_broker_of_another_authority_and_a_port_without_tls_are_named(folder: Path) -> None:
    pki, other = Pki(folder), Pki(folder, "other")
    with mosquitto_broker(folder, pki.listener(pki.server("localhost", days=200))) as broker:
        found = await steps(broker.port, ca_file=other.ca)
        assert "is not of" in found["TLS"].says
        assert "ca.pem" in found["TLS"].next
        found = await steps(broker.port, ca_file=folder / "none.pem")
        assert found["TLS"].word == "bad"
    (folder / "plain").mkdir()
    with mosquitto_broker(folder / "plain") as broker:
        found = await steps(broker.port, ca_file=pki.ca)
        assert "TLS port" in found["TLS"].next
