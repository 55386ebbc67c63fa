"""Nodes of a real OPC UA server are read in one request, exactly, and one that is bad harms no other."""

import asyncio
import re
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio
from asyncua import ua
from asyncua.crypto.cert_gen import setup_self_signed_certificate
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.crypto.truststore import TrustStore
from asyncua.crypto.validator import CertificateValidator, CertificateValidatorOptions
from asyncua.server.server import Server
from asyncua.ua.status_codes import StatusCodes
from cryptography.x509.oid import ExtendedKeyUsageOID

from edge_agent.config import load
from edge_agent.invalid import InvalidSetting
from edge_agent.reading import SourceDown
from edge_agent.sources.opcua import OpcuaSource
from edge_agent.sources.opcua_settings import OpcuaChannel, OpcuaSettings
from shared.effects.memory import SimpleClock
from shared.limits import LINE_ROWS_MAX
from tests.metering_site import Bench

NAMESPACE: Final = "urn:meterseal:test"
CONFIGURATION: Final = Path(__file__).parents[2] / "docs" / "reference" / "configuration.md"


def channel(node: str = "ns=2;s=energy", **changes: Any) -> OpcuaChannel:
    given: dict[str, Any] = {"device": "m1", "meter": "energy", "unit": "W.h", "rate_max": 1_000, "node": node}
    return OpcuaChannel(**(given | changes))


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class OneUser:
    """Lets one in by name and password."""

    def get_user(self, _: Any, username: str = "", password: str = "", certificate: Any = None) -> User | None:
        del certificate
        return User(role=UserRole.User) if (username, password) == ("meter", "geheim") else None


class Peer:
    """A server with nodes to set."""

    def __init__(self, **more: Any) -> None:
        self.port = free_port()
        self.url = f"opc.tcp://127.0.0.1:{self.port}/plant"
        self._more = more
        self.nodes: dict[str, Any] = {}
        self.server: Any = None

    async def start(self) -> None:
        self.server = Server(user_manager=self._more.get("users"))
        await self.server.init()
        self.server.set_endpoint(self.url)
        await self.server.set_application_uri("urn:meterseal:peer")
        policies = self._more.get("policies", [ua.SecurityPolicyType.NoSecurity])
        self.server.set_security_policy(policies)
        if "users" in self._more:
            self.server.set_identity_tokens([ua.UserNameIdentityToken])
        if "folder" in self._more:
            folder: Path = self._more["folder"]
            await self.server.load_certificate(str(folder / "peer.der"))
            await self.server.load_private_key(str(folder / "peer.pem"))
            self.server.set_certificate_validator(self._more["validator"])
        await self.server.register_namespace(NAMESPACE)
        await self.server.start()

    async def stop(self) -> None:
        await self.server.stop()

    async def put(self, name: str, value: Any, kind: Any = None) -> None:
        if name not in self.nodes:
            identity = ua.NodeId.from_string(f"ns=2;s={name}")
            self.nodes[name] = await self.server.nodes.objects.add_variable(identity, name, value, kind)
        await self.nodes[name].write_value(ua.DataValue(ua.Variant(value, kind)))

    async def spoil(self, name: str, status: Any) -> None:
        await self.server.write_attribute_value(
            self.nodes[name].nodeid, ua.DataValue(ua.Variant(1.0), StatusCode=ua.StatusCode(status))
        )


@asynccontextmanager
async def serving(**more: Any) -> AsyncIterator[Peer]:
    peer = Peer(**more)
    await peer.start()
    try:
        yield peer
    finally:
        await peer.stop()


@asynccontextmanager
async def reading(url: str, *channels: OpcuaChannel, **more: Any) -> AsyncIterator[OpcuaSource]:
    settings = OpcuaSettings(url=url, channels=channels or (channel(),), **({"timeout_seconds": 4.0} | more))
    source = OpcuaSource(settings, SimpleClock(boot_ms=5))
    try:
        yield source
    finally:
        await source.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def plant() -> AsyncIterator[Peer]:
    """One server for all tests that only read it: it takes seconds to start."""
    async with serving() as peer:
        yield peer


async def values(source: OpcuaSource) -> dict[str, int]:
    return {one.device: one.value for one in await source.read()}


async def down(source: OpcuaSource) -> str:
    with pytest.raises(SourceDown) as caught:
        await source.read()
    return str(caught.value)


@pytest.mark.asyncio(loop_scope="module")
async def test_numbers_of_every_type_become_whole_steps_exactly(plant: Peer) -> None:
    """P1: no float in between; 32 bits say 0.7 and mean it."""
    numbers = [
        ("int", 1_234, ua.VariantType.Int64, {}, 1_234),
        ("bytes", 255, ua.VariantType.Byte, {"scale": "0.01", "exponent": -2}, 255),
        ("double", 1234.5678, ua.VariantType.Double, {"exponent": -3}, 1_234_567),
        ("float", 0.7, ua.VariantType.Float, {"exponent": -1}, 7),
        ("kwh", 12.345, ua.VariantType.Double, {"scale": "1000"}, 12_345),
        ("third", 100, ua.VariantType.Int32, {"scale": "1/3"}, 33),
        ("on", True, ua.VariantType.Boolean, {"kind": "state", "unit": "s"}, 1),
        ("off", 0.0, ua.VariantType.Double, {"kind": "state", "unit": "s"}, 0),
        ("power", -3.5, ua.VariantType.Double, {"kind": "gauge"}, -4),
    ]
    for name, value, kind, _, _ in numbers:
        await plant.put(name, value, kind)
    channels = [channel(f"ns=2;s={name}", device=name, **more) for name, _, _, more, _ in numbers]  # type: ignore[arg-type]
    async with reading(plant.url, *channels) as source:
        assert await values(source) == {name: steps for name, *_, steps in numbers}


@pytest.mark.asyncio(loop_scope="module")
async def test_a_node_that_is_not_good_is_absent_and_the_others_are_read(
    plant: Peer, caplog: pytest.LogCaptureFixture
) -> None:
    for name, value in (("good", 1.0), ("bad", 1.0), ("unsure", 1.0), ("nan", float("nan")), ("huge", 1e300)):
        await plant.put(name, value, ua.VariantType.Double)
    await plant.put("text", "12", ua.VariantType.String)
    await plant.put("list", [1, 2], ua.VariantType.Int64)
    await plant.spoil("bad", StatusCodes.BadSensorFailure)
    await plant.spoil("unsure", StatusCodes.UncertainLastUsableValue)
    names = ["good", "bad", "unsure", "text", "list", "nan", "huge", "missing"]
    async with reading(plant.url, *[channel(f"ns=2;s={name}", device=name) for name in names]) as source:
        for _ in range(2):
            assert await values(source) == {"good": 1}
        await plant.put("bad", 5.0, ua.VariantType.Double)
        assert await values(source) == {"good": 1, "bad": 5}
    said = re.findall(r"event=device_silent source=opcua why=\"(.*)\"", caplog.text)
    assert sorted(said) == [
        "bad.energy: the status of ns=2;s=bad is BadSensorFailure",
        "huge.energy: the value of ns=2;s=huge is too large",
        "list.energy: the value of ns=2;s=list is no number",
        "missing.energy: the status of ns=2;s=missing is BadNodeIdUnknown",
        "nan.energy: the value of ns=2;s=nan is nan",
        "text.energy: the value of ns=2;s=text is no number",
        "unsure.energy: the status of ns=2;s=unsure is UncertainLastUsableValue",
    ], "each is said once"


@pytest.mark.asyncio(loop_scope="module")
async def test_a_namespace_is_found_by_its_name_wherever_the_server_has_it(plant: Peer) -> None:
    await plant.put("energy", 7)
    async with reading(plant.url, channel(f"nsu={NAMESPACE};s=energy")) as source:
        assert await values(source) == {"m1": 7}
    async with reading(plant.url, channel("nsu=urn:other;s=energy")) as source:
        assert await down(source) == "the server has no namespace urn:other, of m1.energy"
    async with reading(plant.url, channel("ns=two;s=energy")) as source:
        assert await down(source) == "m1.energy: 'ns=two;s=energy' is no node id"


@pytest.mark.deep
async def test_a_server_that_goes_and_comes_back_is_read_again() -> None:
    """P8: and what it counted meanwhile is metered, for it is a counter."""
    peer = Peer()
    async with reading(peer.url, timeout_seconds=2.0) as source:
        assert "cannot be read" in await down(source)
        bench = Bench(*source.channels)
        for count in (100, 150):
            await peer.start()
            await peer.put("energy", count)
            bench.read(next(iter((await values(source)).values())))
            await peer.stop()
            peer.nodes.clear()
            assert peer.url in await down(source)
            bench.fail()
            bench.wait(60)
        assert bench.register == 150
        assert sum(bench.reader.used.values(), 0) <= 50


async def test_a_server_that_says_nothing_is_given_up() -> None:
    """P9: every wait has its bound."""
    taken: list[asyncio.StreamWriter] = []
    silent = await asyncio.start_server(lambda _, writer: taken.append(writer), "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    async with reading(f"opc.tcp://127.0.0.1:{port}", timeout_seconds=0.5) as source, asyncio.timeout(6):
        assert await down(source) == f"opc.tcp://127.0.0.1:{port} does not answer within 0.5 s"
    for writer in taken:
        writer.close()
        await writer.wait_closed()
    silent.close()


async def test_a_user_is_let_in_by_password_and_nobody_else(tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("geheim\n", encoding="utf-8")
    async with serving(users=OneUser()) as peer:
        await peer.put("energy", 7)
        async with reading(peer.url, username="meter", password_file=password) as source:
            assert await values(source) == {"m1": 7}
        password.write_text("falsch\n", encoding="utf-8")
        async with reading(peer.url, username="meter", password_file=password) as source:
            assert re.search(r"refuses: .*(BadUserAccessDenied|rejected|access)", await down(source))
        async with reading(peer.url, username="meter", password_file=tmp_path / "none") as source:
            assert "No such file or directory" in await down(source)


async def certificate(folder: Path, name: str, uri: str) -> None:
    use = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
    await setup_self_signed_certificate(
        folder / f"{name}.pem", folder / f"{name}.der", uri, socket.gethostname(), use, {"commonName": name}
    )


@pytest.mark.parametrize(
    ("security", "policy"),
    [
        pytest.param("sign", ua.SecurityPolicyType.Basic256Sha256_Sign, marks=pytest.mark.deep),
        ("sign_encrypt", ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt),
    ],
)
async def test_both_sides_know_each_other_by_certificate(tmp_path: Path, security: str, policy: Any) -> None:
    """P10: an agent whose certificate the server does not trust, and a server of another certificate, are refused."""
    for name in ("peer", "agent", "stranger"):
        await certificate(tmp_path, name, f"urn:meterseal:{name}")
    trusted = tmp_path / "trusted"
    trusted.mkdir()
    (trusted / "agent.der").write_bytes((tmp_path / "agent.der").read_bytes())
    store = TrustStore([trusted], [])
    await store.load()
    options = CertificateValidatorOptions.TRUSTED_VALIDATION | CertificateValidatorOptions.PEER_CLIENT
    validator = CertificateValidator(options, store)
    files = {
        "cert_file": tmp_path / "agent.der",
        "key_file": tmp_path / "agent.pem",
        "server_cert_file": tmp_path / "peer.der",
    }
    async with serving(policies=[policy], folder=tmp_path, validator=validator) as peer:
        await peer.put("energy", 7)
        async with reading(peer.url, security=security, **files) as source:
            assert await values(source) == {"m1": 7}
        strange = {"cert_file": tmp_path / "stranger.der", "key_file": tmp_path / "stranger.pem"}
        async with reading(peer.url, security=security, **(files | strange), timeout_seconds=2.0) as source:
            assert peer.url in await down(source)
        wrong = files | {"server_cert_file": tmp_path / "stranger.der"}
        async with reading(peer.url, security=security, **wrong, timeout_seconds=2.0) as source:
            assert peer.url in await down(source)
        async with reading(peer.url, timeout_seconds=2.0) as source:
            assert peer.url in await down(source)
        (tmp_path / "agent.pem").write_text("no key", encoding="ascii")
        async with reading(peer.url, security=security, **files) as source:
            assert "cannot be used" in await down(source)


async def test_without_its_library_the_source_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "asyncua", None)
    async with reading("opc.tcp://127.0.0.1:1") as source:
        assert "pip install 'meterseal[opcua]'" in await down(source)


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"node": ""}, "node"),
        ({"node": "energy"}, "node"),
        ({"scale": "0"}, "scale"),
        ({"kind": "state"}, "unit"),
        ({"kind": "pulse"}, "kind"),
        ({"hold_seconds": 0}, "hold_seconds"),
        ({"width_bits": 65}, "width_bits"),
    ],
)
def test_a_channel_that_cannot_be_is_refused_by_its_key(changes: dict[str, Any], key: str) -> None:
    with pytest.raises(InvalidSetting) as caught:
        channel(**changes)
    assert caught.value.key == key


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"url": "http://x"}, "url"),
        ({"channels": ()}, "channels"),
        ({"channels": (channel(), channel())}, "channels"),
        ({"channels": tuple(channel(device=f"d{number}") for number in range(LINE_ROWS_MAX + 1))}, "channels"),
        ({"security": "sign"}, "cert_file"),
        ({"server_cert_file": Path("x")}, "server_cert_file"),
        ({"username": "x"}, "password_file"),
        ({"password_file": Path("x")}, "password_file"),
        ({"timeout_seconds": 13.0}, "timeout_seconds"),
    ],
)
def test_a_source_that_cannot_be_is_refused_by_its_key(changes: dict[str, Any], key: str) -> None:
    with pytest.raises(InvalidSetting) as caught:
        OpcuaSettings(**({"url": "opc.tcp://h:4840", "channels": (channel(),)} | changes))
    assert caught.value.key == key


@pytest.mark.asyncio(loop_scope="module")
async def test_the_example_of_the_reference_meters(plant: Peer, tmp_path: Path) -> None:
    section = CONFIGURATION.read_text(encoding="utf-8").partition("#### opcua\n")[2].partition("####")[0]
    (example,) = re.findall(r"```toml\n(.*?)```", section, re.DOTALL)
    file = tmp_path / "agent.toml"
    await plant.put("Line1.Energy", 12.5, ua.VariantType.Double)
    text = re.sub(r'url = "[^"]*"', f'url = "{plant.url}"', example)
    file.write_text(f'gateway = "gw-1"\n{text}', encoding="utf-8")
    (settings,) = load(file, environment={}).settings.sources
    assert isinstance(settings, OpcuaSettings)
    source = OpcuaSource(replace(settings, timeout_seconds=4.0), SimpleClock())
    assert await values(source) == {"line-1": 12_500}
    await source.close()
