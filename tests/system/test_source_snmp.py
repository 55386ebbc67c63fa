"""The source `snmp` asks net-snmp's snmpd, by version 2c and by version 3 with authentication and encryption."""

import asyncio
import re
import textwrap
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from edge_agent.invalid import InvalidSetting
from edge_agent.plain import record
from edge_agent.reading import ChannelName, Reading, SourceDown
from edge_agent.sources.snmp import SnmpSource
from edge_agent.sources.snmp_settings import SnmpChannel, SnmpInterface, SnmpSettings
from shared.effects.clock import SystemClock
from tests.processes import Process, free_port, wait_until
from tests.requirements import require

LOOPBACK = SnmpInterface(interface="lo")
CONFIG = """
agentaddress udp:127.0.0.1:{port}
rocommunity site 127.0.0.1
rocommunity blind 127.0.0.1 .1.3.6.1.2.1.1
createUser meter SHA-256 "right passphrase" AES "right privacy"
createUser old MD5 "right passphrase" DES "right privacy"
rouser meter authPriv
rouser old authPriv
pass .1.3.6.1.4.1.8072.9999.1 /bin/sh {folder}/answer.sh
"""
ANSWERS = """#!/bin/sh
# snmpd.conf(5), pass: what the object is, as three lines.
case "$2" in
.1.3.6.1.4.1.8072.9999.1.1.0) printf '%s\\n' "$2" counter 4294967290 ;;
.1.3.6.1.4.1.8072.9999.1.2.0) printf '%s\\n' "$2" string '1234.5 ' ;;
.1.3.6.1.4.1.8072.9999.1.3.0) printf '%s\\n' "$2" gauge 230 ;;
.1.3.6.1.4.1.8072.9999.1.4.0) printf '%s\\n' "$2" string 'out of order' ;;
esac
"""


class Agent:
    """An snmpd on this machine, with secrets beside it."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port
        config = folder / "snmpd.conf"
        config.write_text(CONFIG.format(port=port, folder=folder), encoding="ascii")
        (folder / "answer.sh").write_text(ANSWERS, encoding="ascii")
        for name, text in {
            "community": "site",
            "blind": "blind",
            "auth": "right passphrase",
            "privacy": "right privacy",
            "wrong": "wrong passphrase",
        }.items():
            (folder / name).write_text(f"{text}\n", encoding="ascii")
        self.process = Process("snmpd", [require("snmpd"), "-f", "-Le", "-C", "-c", str(config)], folder / "snmpd.log")

    def start(self) -> None:
        """Start it, or start it again."""
        self.process.start()
        # What it is asked before it is ready waits in its socket.
        wait_until(lambda: f":{self.port:04X} " in Path("/proc/net/udp").read_text(encoding="ascii"), 20, "snmpd")

    def settings(self, *interfaces: SnmpInterface, channels: Sequence[SnmpChannel] = (), **more: Any) -> SnmpSettings:
        """Settings of a source that asks it."""
        fields: dict[str, Any] = {
            "host": "127.0.0.1",
            "port": self.port,
            "interfaces": interfaces,
            "channels": tuple(channels),
            "timeout_seconds": 1.0,
            "retries": 1,
        }
        if more.get("version") != "3":
            fields["community_file"] = self.folder / "community"
        return SnmpSettings(**(fields | more))

    def third(self, **more: Any) -> dict[str, Any]:
        """What version 3 needs."""
        files = {"auth_file": self.folder / "auth", "privacy_file": self.folder / "privacy"}
        return {"version": "3", "username": "meter", **files} | more


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    require("snmpd")
    folder = tmp_path_factory.mktemp("snmpd")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SNMP_PERSISTENT_DIR", str(folder / "state"))  # snmpd rewrites what lies there.
        patch.setenv("MIBS", "")
        agent = Agent(folder, free_port())
        try:
            agent.start()
            yield agent
        finally:
            agent.process.kill()


async def read(told: SnmpSettings, generations: dict[ChannelName, str] | None = None) -> Sequence[Reading]:
    source = SnmpSource(told, SystemClock(trusted=True))
    source.remember(generations or {})
    try:
        return await source.read()
    finally:
        await source.close()


async def down(told: SnmpSettings) -> str:
    with pytest.raises(SourceDown) as caught:
        await read(told)
    return str(caught.value)


def loopback_bytes() -> int:
    """What the kernel itself says of lo."""
    return int(Path("/sys/class/net/lo/statistics/rx_bytes").read_text(encoding="ascii"))


class TestInterfaces:
    @pytest.mark.parametrize("version", ["2c", "3"])
    async def test_octets_are_those_that_the_kernel_counts(self, agent: Agent, version: str) -> None:
        """P1: within what flowed meanwhile; snmpd looks at most every few seconds."""
        await asyncio.sleep(0.1)
        told = agent.settings(LOOPBACK, **(agent.third() if version == "3" else {}))
        found = {reading.meter: reading for reading in await read(told)}
        assert set(found) == {"data_up", "data_down"}
        assert 0 < found["data_down"].value <= loopback_bytes()
        assert re.fullmatch(r"up\d{10}\.1\.0", found["data_down"].generation)

    async def test_a_port_that_faces_a_customer_counts_from_the_customers_side(self, agent: Agent) -> None:
        (up, down_) = await read(agent.settings(SnmpInterface(interface="lo", device="flat-3", faces_customer=True)))
        assert (up.device, up.meter, down_.meter) == ("flat-3", "data_up", "data_down")

    async def test_a_restart_of_the_snmp_agent_alone_is_no_new_life(self, agent: Agent) -> None:
        """P4: the kernel goes on counting; a false reset would bill every octet again."""
        before = {
            ChannelName(each.device, each.meter): each.generation for each in await read(agent.settings(LOOPBACK))
        }
        agent.process.kill()
        agent.start()
        after = await read(agent.settings(LOOPBACK), before)
        assert [reading.generation for reading in after] == list(before.values())

    async def test_an_index_that_means_another_interface_is_looked_up_again(self, agent: Agent) -> None:
        source = SnmpSource(agent.settings(LOOPBACK), SystemClock(trusted=True))
        try:
            source._indexes = {"lo": 2}
            found = await source.read()
            assert source._indexes == {"lo": 1}
            assert len(found) == 2
        finally:
            await source.close()

    async def test_one_that_is_not_there_is_named_with_those_that_are(
        self, agent: Agent, caplog: pytest.LogCaptureFixture
    ) -> None:
        absent = SnmpInterface(interface="Gi1/0/3")
        assert "127.0.0.1 has no interface Gi1/0/3: it has lo" in await down(agent.settings(absent))
        assert len(await read(agent.settings(absent, LOOPBACK))) == 2
        assert "event=device_silent source=snmp" in caplog.text

    async def test_a_user_who_may_not_see_them_is_told(self, agent: Agent) -> None:
        told = agent.settings(LOOPBACK, community_file=agent.folder / "blind")
        assert "it has none that this user may see" in await down(told)

    async def test_many_at_once_take_several_requests(self, agent: Agent) -> None:
        """P9: an answer fits one packet."""
        count = SnmpChannel(
            device="d", meter="m", unit="{packet}", rate_max=10**9, oid="1.3.6.1.2.1.11.1.0", width_bits=32
        )
        channels = [record(SnmpChannel, _fields(count) | {"meter": f"m{number}"}) for number in range(60)]
        found = await read(agent.settings(LOOPBACK, channels=channels))
        assert len(found) == 62


def _fields(channel: SnmpChannel) -> dict[str, Any]:
    return {name: getattr(channel, name) for name in ("device", "meter", "unit", "rate_max", "oid", "width_bits")}


def extra(number: int, **more: Any) -> SnmpChannel:
    fields: dict[str, Any] = {"device": "d", "meter": f"m{number}", "unit": "W.h", "rate_max": 10**6}
    return SnmpChannel(oid=f".1.3.6.1.4.1.8072.9999.1.{number}.0", **(fields | more))


class TestObjects:
    async def test_any_number_is_a_channel(self, agent: Agent) -> None:
        channels = [
            extra(1, width_bits=32),
            extra(2, unit="kW.h", exponent=-3, begins_with_device=True),
            extra(3, kind="gauge"),
            extra(1, meter="tenths", scale="0.1"),
        ]
        found = await read(agent.settings(channels=channels))
        assert [reading.value for reading in found] == [4_294_967_290, 1_234_500, 230, 429_496_729]
        assert [bool(reading.generation) for reading in found] == [False, True, False, False]

    async def test_what_is_none_is_said_in_a_sentence(self, agent: Agent) -> None:
        assert "it has no .1.3.6.1.4.1.8072.9999.1.9.0" in await down(agent.settings(channels=[extra(9)]))
        assert "'out of order' is no number" in await down(agent.settings(channels=[extra(4)]))


class TestWhoAsks:
    async def test_the_old_ways_work_where_a_device_has_no_other(self, agent: Agent) -> None:
        told = agent.settings(LOOPBACK, **agent.third(username="old", auth="md5", privacy="des"))
        assert len(await read(told)) == 2

    @pytest.mark.parametrize(
        ("more", "sentence"),
        [
            ({"username": "stranger"}, "does not know user stranger: check username"),
            ({"auth_file": "wrong"}, "does not believe user meter: check auth and what auth_file holds"),
            ({"privacy_file": "wrong"}, "does user meter have this passphrase in privacy_file?"),
            ({"privacy_file": None}, "(authorizationError): may this user read it, and without privacy_file?"),
            ({"auth_file": "absent"}, "cannot be read: No such file"),
        ],
    )
    async def test_version_3_says_what_is_wrong(self, agent: Agent, more: dict[str, Any], sentence: str) -> None:
        """P10."""
        files = {key: agent.folder / value if key != "username" and value else value for key, value in more.items()}
        assert sentence in await down(agent.settings(LOOPBACK, **agent.third(**files)))

    async def test_a_wrong_community_and_nobody_there_sound_alike_and_say_so(self, agent: Agent) -> None:
        """They are alike: an agent answers a stranger with silence."""
        for more in ({"community_file": agent.folder / "wrong"}, {"port": free_port()}):
            said = await down(agent.settings(LOOPBACK, **more, timeout_seconds=0.2))
            assert "does not answer: is SNMP on, is this machine let in, and is the community right?" in said

    async def test_no_such_name_is_said(self, agent: Agent) -> None:
        assert "cannot be asked" in await down(agent.settings(LOOPBACK, host="no-such-host.invalid"))


async def test_the_how_to_is_metered(agent: Agent) -> None:
    how_to = Path(__file__).parents[2] / "docs" / "how-to" / "http-and-snmp.md"
    blocks = re.findall(r"^```toml\n(.*?)^```", how_to.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    told = [tomllib.loads(textwrap.dedent(block))["sources"][0] for block in blocks]
    (tree,) = [each for each in told if each["type"] == "snmp"]
    files = {"auth_file": str(agent.folder / "auth"), "privacy_file": str(agent.folder / "privacy")}
    found = await read(record(SnmpSettings, tree | files | {"port": agent.port}))
    assert [f"{reading.device}.{reading.meter}" for reading in found] == [
        "flat-3.data_up",
        "flat-3.data_down",
        "switch-1.answers",
    ]


@pytest.mark.parametrize(
    ("given", "key"),
    [
        ({"host": ""}, "host"),
        ({"port": 0}, "port"),
        ({"timeout_seconds": 9.0, "retries": 3}, "timeout_seconds"),
        ({"username": "me"}, "username"),
        ({"version": "3"}, "username"),
        ({"version": "3", "username": "me", "community_file": Path("c")}, "community_file"),
        ({"version": "3", "username": "me", "privacy_file": Path("c")}, "auth_file"),
        ({"interfaces": ()}, "interfaces"),
        ({"interfaces": (LOOPBACK, LOOPBACK)}, "interfaces"),
    ],
)
def test_a_source_that_cannot_be_is_refused_by_its_key(given: dict[str, Any], key: str) -> None:
    fields: dict[str, Any] = {"host": "h", "interfaces": (LOOPBACK,)}
    with pytest.raises(InvalidSetting) as caught:
        SnmpSettings(**(fields | given))
    assert caught.value.key == key


@pytest.mark.parametrize("oid", ["", "1", "3.1", "1.3.x", "1.3.6.", "sysUpTime.0", "1." * 101 + "0"])
def test_an_object_is_numbers_with_dots(oid: str) -> None:
    with pytest.raises(InvalidSetting) as caught:
        SnmpChannel(device="d", meter="m", unit="By", rate_max=1, oid=oid)
    assert caught.value.key == "oid"
