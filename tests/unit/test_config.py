"""The agent's configuration: merged by rank, every value's origin known, every mistake named with its place."""

import dataclasses
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from edge_agent.config import Config, load, main
from edge_agent.invalid import ConfigInvalid
from edge_agent.plain import members, plain, type_name
from edge_agent.settings import AgentSettings, SourceSettings
from edge_agent.sources.d0 import D0Settings
from edge_agent.sources.dsmr import DsmrSettings
from edge_agent.sources.exec import ExecSettings
from edge_agent.sources.http_settings import HttpChannel, HttpSettings
from edge_agent.sources.mbus import MbusChannel, MbusSettings
from edge_agent.sources.modbus_channel import ModbusChannel
from edge_agent.sources.modbus_settings import ModbusDevice, ModbusSettings
from edge_agent.sources.mqtt_settings import MqttChannel, MqttDevice, MqttSettings
from edge_agent.sources.netdev import NetdevSettings
from edge_agent.sources.obis_channel import ObisChannel
from edge_agent.sources.proc import ProcSettings
from edge_agent.sources.replay import ReplayChannel, ReplaySettings
from edge_agent.sources.sml import SmlSettings
from edge_agent.sources.snmp_settings import SnmpChannel, SnmpInterface, SnmpSettings
from shared.effects.broker import BrokerSettings

EXAMPLE = Path(__file__).resolve().parents[2] / "config/agent.toml"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "conf.d").mkdir()
    return tmp_path / "agent.toml"


def loaded(
    file: Path, text: str | None = None, *, environment: Mapping[str, str] | None = None, flags: Sequence[str] = ()
) -> Config:
    if text is not None:
        file.write_text(text, encoding="utf-8")
    return load(file, environment=environment or {}, flags=flags)


def problems(file: Path, text: str, **more: Any) -> list[str]:
    """The sentences of a configuration that cannot be."""
    with pytest.raises(ConfigInvalid) as caught:
        loaded(file, text, **more)
    return str(caught.value).splitlines()


class TestRanks:
    def test_each_rank_overrides_the_one_below_and_leaves_the_rest(self, file: Path) -> None:
        (file.parent / "conf.d/20-late.toml").write_text("[broker]\nport = 3\n", encoding="utf-8")
        (file.parent / "conf.d/10-early.toml").write_text("[broker]\nport = 2\ntls = false\n", encoding="utf-8")
        text = 'gateway = "gw-1"\ncommit_seconds = 10\n[broker]\nhost = "a"\nport = 1\nkeepalive_seconds = 11\n'
        config = loaded(
            file,
            text,
            environment={"METERSEAL_AGENT__BROKER__HOST": "b", "METERSEAL_AGENT__COMMIT_SECONDS": "20", "OTHER": "x"},
            flags=["commit_seconds=30"],
        )
        broker = config.settings.broker
        assert (broker.host, broker.port, broker.tls, broker.keepalive_seconds) == ("b", 3, False, 11)
        assert config.settings.commit_seconds == 30
        origins = {
            ("gateway",): "agent.toml:1",
            ("broker", "host"): "environment METERSEAL_AGENT__BROKER__HOST",
            ("broker", "port"): "conf.d/20-late.toml:2",
            ("broker", "tls"): "conf.d/10-early.toml:3",
            ("broker", "keepalive_seconds"): "agent.toml:6",
            ("commit_seconds",): "flag --set commit_seconds",
            ("step_seconds",): "default",
            ("broker", "ca_file"): "default",
        }
        assert {where: config.origin(where) for where in origins} == origins

    def test_sources_of_every_file_are_added_up(self, file: Path) -> None:
        (file.parent / "conf.d/a.toml").write_text('[[sources]]\ntype = "netdev"\nname = "b"\n', encoding="utf-8")
        config = loaded(file, 'gateway = "gw-1"\n[[sources]]\ntype = "netdev"\n')
        assert [source.name for source in config.settings.sources] == ["netdev", "b"]
        assert config.origin(("sources", 1, "name")) == "conf.d/a.toml:3"

    def test_a_flag_reaches_into_a_source(self, file: Path) -> None:
        text = 'gateway = "gw-1"\n[[sources]]\ntype = "netdev"\n'
        config = loaded(file, text, flags=["sources.0.poll_seconds=5", 'sources.0.interfaces=["lo", "eth0"]'])
        (source,) = config.settings.sources
        assert isinstance(source, NetdevSettings)
        assert (source.poll_seconds, source.interfaces) == (5.0, ("lo", "eth0"))
        assert "there is no sources.7" in problems(file, text, flags=["sources.7.poll_seconds=5"])[0]

    def test_a_file_s_paths_are_relative_to_its_folder(self, file: Path) -> None:
        text = 'gateway = "gw-1"\nkey_file = "k"\nreceipt_key_files = ["r", "/abs"]\n[broker]\nca_file = "c"\n'
        settings = loaded(file, text, flags=["spool_path=s"]).settings
        assert settings.key_file == file.parent / "k"
        assert settings.receipt_key_files == (file.parent / "r", Path("/abs"))
        assert settings.broker.ca_file == file.parent / "c"
        assert settings.spool_path == Path("s")


class TestMistakes:
    def test_an_unknown_key_is_named_with_its_line_and_the_nearest_one(self, file: Path) -> None:
        text = '# comment\ngateway = "gw-1"\n\n[broker]\nhost = """\na"""\nhots = "b"\n'
        assert problems(file, text) == ['agent.toml:7: unknown key "hots", did you mean "host"?']

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("step_secods = 1", 'agent.toml:2: unknown key "step_secods", did you mean "step_seconds"?'),
            ("qqq = 1", 'agent.toml:2: unknown key "qqq", known are gateway, key_file'),
            ("broker.hots = 1", 'agent.toml:2: unknown key "hots", did you mean "host"?'),
            ('"step_seconds" = "60"', 'agent.toml:2: "step_seconds": must be a whole number; this is "60"'),
            ("step_seconds = true", 'agent.toml:2: "step_seconds": must be a whole number'),
            ("step_seconds = 60.0", 'agent.toml:2: "step_seconds": must be a whole number'),
            ("step_seconds = 0", "agent.toml:2: step_seconds must be from 1 to 86400, this is 0"),
            ('broker = "x"', "agent.toml:2: must be a table, begun by [broker]"),
            ("[broker]\n\nport = 70000", "agent.toml:4: port is 70000, not an integer from 1 to 65535"),
            ('sources = "x"', "agent.toml:2: must be tables, each begun by [[sources]]"),
            ("[[sources]]\nname = 'x'", 'agent.toml:2: "type" is missing: one of netdev, replay, proc, exec'),
            ("[[sources]]\ntype = 'netdv'", 'agent.toml:3: unknown type "netdv", did you mean "netdev"?'),
            ("[[sources]]\ntype = 'netdev'\nintefaces = []", 'agent.toml:4: unknown key "intefaces", did you mean'),
            ("[[sources]]\ntype = 'netdev'\ninterfaces = []", "agent.toml:4: interfaces must name at least one"),
            (
                "[[sources]]\ntype = 'netdev'\n[[sources]]\ntype = 'netdev'\nlog = 'X'",
                "agent.toml:6: log must fit",
            ),
            (
                "[[sources]]\ntype='replay'\npath='x'\n[[sources.channels]]\ndevice='d'\nmeter='m'\nunit=''\nrate = 1",
                'agent.toml:9: unknown key "rate", did you mean "rate_max"?',
            ),
            (
                (
                    "[[sources]]\ntype='replay'\npath='x'\nchannels=[\n{device='d', meter='m', unit='1', rate_max=1},\n"
                    " {device='d', meter='M', unit='1', rate_max=1},\n]"
                ),
                "agent.toml:7: meter must fit",
            ),
            ("gateway 7", "agent.toml:2: this is not TOML"),
            ("a = 1\na = 2", "agent.toml:3: this is not TOML"),
        ],
    )
    def test_each_is_said_with_its_place(self, file: Path, text: str, said: str) -> None:
        assert problems(file, f'gateway = "gw-1"\n{text}\n')[0].startswith(said)

    def test_all_mistakes_are_said_at_once(self, file: Path) -> None:
        found = problems(file, 'stepp = 1\n[[sources]]\ntype = "exec"\n')
        assert found[0].startswith('agent.toml:1: unknown key "stepp"')
        assert 'agent.toml: "gateway" is missing' in found
        assert 'agent.toml:2: "command" is missing' in found

    def test_the_environment_and_flags_are_named_as_such(self, file: Path) -> None:
        text = 'gateway = "gw-1"\n'
        environment = {"METERSEAL_AGENT__BROKR__HOST": "x", "METERSEAL_AGENT__STEP_SECONDS": "soon"}
        assert problems(file, text, environment=environment) == [
            'environment METERSEAL_AGENT__BROKR__HOST: unknown key "brokr", did you mean "broker"?',
            'environment METERSEAL_AGENT__STEP_SECONDS: "step_seconds": must be a whole number; this is "soon"',
        ]
        assert problems(file, text, flags=["step_seconds"])[0].startswith("--set takes KEY=VALUE")

    def test_a_mistake_in_conf_d_names_its_own_file(self, file: Path) -> None:
        (file.parent / "conf.d/site.toml").write_text("\n\nstepp = 1\n", encoding="utf-8")
        assert problems(file, 'gateway = "gw-1"\n')[0].startswith('conf.d/site.toml:3: unknown key "stepp"')

    def test_a_file_that_is_none_is_named(self, file: Path) -> None:
        with pytest.raises(ConfigInvalid, match=r"there is no .*agent\.toml: `edge-agent enrol .*--config"):
            loaded(file)
        file.write_bytes(b'gateway = "\xff"\n')
        with pytest.raises(ConfigInvalid, match="this is not TOML"):
            loaded(file)
        file.write_bytes(b"#" * (1024 * 1024 + 1))
        with pytest.raises(ConfigInvalid, match="larger than"):
            loaded(file)

    def test_the_child_ends_with_2_and_says_why_on_stderr(self, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
        file.write_text("stepp = 1\n", encoding="utf-8")
        assert main([str(file)]) == 2
        out, complaint = capsys.readouterr()
        assert not out
        assert "stepp" in complaint


class TestTheExample:
    """config/agent.toml works, shows every option, and its defaults are the code's."""

    def test_it_is_valid_as_it_stands(self) -> None:
        assert loaded(EXAMPLE).settings == AgentSettings(gateway="gw-1", sources=(NetdevSettings(),))

    def test_every_commented_option_shows_the_default(self) -> None:
        text = EXAMPLE.read_text(encoding="utf-8")
        table: str = ""
        agent = AgentSettings(gateway="x")
        tables = {each.name: getattr(agent, each.name) for each in dataclasses.fields(agent)}
        defaults = tables | {"": agent, "sources": NetdevSettings()}
        seen = set()
        for line in text.splitlines():
            header = re.match(r"\[+(\w+)\]+$", line)
            if header:
                table = header[1]
            option = re.match(r"#(\w+) = (.*)$", line)
            if option:
                default = plain(getattr(defaults[table], option[1]))
                shown = tomllib.loads(f"v = {option[2]}")["v"]
                assert shown == (default if default is not None else ""), line
                seen.add((table, option[1]))
        assert len(seen) > 20

    @pytest.mark.parametrize(
        "cls",
        [
            *(AgentSettings, BrokerSettings, NetdevSettings, ProcSettings, ExecSettings, ReplaySettings, ReplayChannel),
            *(ModbusSettings, ModbusDevice, ModbusChannel, MqttSettings, MqttDevice, MqttChannel),
            *(DsmrSettings, SmlSettings, D0Settings, ObisChannel, MbusSettings, MbusChannel),
            *(HttpSettings, HttpChannel, SnmpSettings, SnmpInterface, SnmpChannel),
        ],
    )
    def test_every_option_stands_in_it(self, cls: Any) -> None:
        text = EXAMPLE.read_text(encoding="utf-8")
        for field in dataclasses.fields(cls):
            pattern = rf"^\[{field.name}\]" if field.name == "broker" else rf"^#? ?(\[+[\w.]*)?{field.name}(\]| =)"
            assert re.search(pattern, text, re.MULTILINE), f"{cls.__name__}.{field.name}"

    def test_the_commented_sources_are_valid_too(self, file: Path) -> None:
        """Each block, uncommented, with one of proc's three ways and of modbus' two, and opcua without certificates."""
        text = EXAMPLE.read_text(encoding="utf-8")
        begin = text.index("# [[sources]]")
        rows = [row.removeprefix("# ") for row in text[begin:].splitlines() if re.match(r"# (\[\[|\w+ = )", row)]
        others = ("process =", "cgroup =", "serial_port =", "cert_file =", "key_file =", "server_cert_file =")
        kept = [row for row in rows if not row.startswith(others)]
        settings = loaded(file, 'gateway = "gw-1"\n' + "\n".join(kept)).settings
        documented = {type_name(kind) for kind in members(SourceSettings)} - {"netdev"}
        assert {source.type for source in settings.sources} == documented
        for source in settings.sources:
            for field in dataclasses.fields(source):
                shown = field.default not in (dataclasses.MISSING, None, (), "")
                if shown and field.name not in ("host", "chip", "name", "version"):
                    assert getattr(source, field.name) == field.default, field.name
