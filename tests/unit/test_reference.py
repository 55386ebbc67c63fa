"""The reference names every command, option, configuration key, metric, page, event and exit code, and no other."""

import argparse
import dataclasses
import json
import re
import typing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
import typer

from cloud_collector.cli.anywhere import GLOBAL
from cloud_collector.cli.main import app
from cloud_collector.intake.verdict import Verdict as Taken
from cloud_collector.proof import command as verify_invoice
from cloud_collector.proof.findings import STAGES
from cloud_collector.settings import (
    AlarmSettings,
    BackupSettings,
    BillingSettings,
    CollectorSettings,
    DatevSettings,
    DocumentSettings,
    MailSettings,
)
from cloud_collector.store.store import Store
from cloud_collector.web.app import create_app
from cloud_collector.web.console.screen import NAV
from cloud_collector.web.enrolment import create_enrolment_app
from cloud_collector.web.metrics import StoreExporter, registry
from cloud_collector.web.site import Site
from edge_agent.cli.exits import Exit
from edge_agent.cli.main import _parser
from edge_agent.home_assistant import HomeAssistantSettings
from edge_agent.plain import members, plain, type_name
from edge_agent.settings import AgentSettings, SourceSettings, StatusSettings
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
from edge_agent.sources.ocmf_settings import OcmfMeter, OcmfSettings
from edge_agent.sources.opcua_settings import OpcuaChannel, OpcuaSettings
from edge_agent.sources.proc import ProcSettings
from edge_agent.sources.pulse import PulseInput, PulseSettings
from edge_agent.sources.replay import ReplayChannel, ReplaySettings
from edge_agent.sources.sml import SmlSettings
from edge_agent.sources.snmp_settings import SnmpChannel, SnmpInterface, SnmpSettings
from shared.effects.broker import BrokerSettings
from shared.effects.memory import SimpleClock
from shared.effects.sqlite import SqliteDatabase
from tests.routes import every_route

ROOT: Final = Path(__file__).parents[2]
REFERENCE: Final = ROOT / "docs" / "reference"
Options = dict[str, set[str]]
"""The long options of each command."""


def page(name: str) -> str:
    return (REFERENCE / f"{name}.md").read_text(encoding="utf-8")


def part(text: str, heading: str) -> str:
    """What stands below a heading, down to the next one of any level."""
    found = re.search(rf"^#+ {re.escape(heading)}$(.*?)(?=^#|\Z)", text, re.DOTALL | re.MULTILINE)
    assert found is not None, heading
    return found[1]


def rows(text: str) -> list[list[str]]:
    """The cells of a part's tables, without their heads."""
    cells = [[cell.strip() for cell in line[1:-1].split(" | ")] for line in text.splitlines() if line.startswith("|")]
    return [row for row in cells if row[0].startswith("`") or row[0].isdecimal()]


def documented(name: str) -> Options:
    """The commands of a page and the options that its lists name, but for those that every command takes."""
    text = page(name)
    return {
        heading: set(re.findall(r"(?:^- |, )`(--[a-z-]+)", part(text, f"`{heading}`"), re.MULTILINE))
        for heading in re.findall(rf"^### `({name} [^`]*)`$", text, re.MULTILINE)
    }


def commands_of_agent() -> Options:
    found: Options = {}

    def walk(parser: argparse.ArgumentParser, name: str) -> None:
        groups = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
        for group in groups:
            for verb, below in group.choices.items():
                walk(below, f"{name} {verb}")
        if not groups:
            options = {option for action in parser._actions for option in action.option_strings}
            found[name] = {option for option in options if option.startswith("--")} - {"--help", "--config", "--set"}

    walk(_parser(), "edge-agent")
    return found


def commands_of_collector() -> Options:
    found: Options = {}

    def walk(command: Any, name: str) -> None:
        for verb, below in getattr(command, "commands", {}).items():
            walk(below, f"{name} {verb}")
        if not hasattr(command, "commands"):
            options = {option for parameter in command.params for option in parameter.opts if option.startswith("--")}
            found[name] = options - {"--help", *GLOBAL}

    walk(typer.main.get_command(app), "cloud-collector")
    return found


@pytest.mark.parametrize(
    ("name", "there"), [("edge-agent", commands_of_agent), ("cloud-collector", commands_of_collector)]
)
def test_a_programs_page_has_its_commands_with_their_options_and_no_other(
    name: str, there: Callable[[], Options]
) -> None:
    assert documented(name) == there()


def test_the_page_of_verify_invoice_has_its_options_stages_and_exit_codes() -> None:
    text = page("verify-invoice")
    assert documented("verify-invoice") == {"verify-invoice BUNDLE": {"--trust", "--json"}}
    assert re.findall(r"^\| ([a-z ]+) \| (?!what holds)", text, re.MULTILINE) == list(STAGES.values())
    codes = {int(code) for code in re.findall(r"(\d) [a-z]", text.partition("Exit codes: ")[2].partition(";")[0])}
    known = (verify_invoice.OK, verify_invoice.USAGE, verify_invoice.NOT_FOUND, verify_invoice.NOT_VERIFIED)
    assert codes == set(known)


def test_the_exit_codes_are_those_of_the_code() -> None:
    listed = {int(row[0]) for row in rows(page("exit-codes"))}
    assert listed >= {*map(int, Exit), verify_invoice.NOT_VERIFIED}
    used: set[int] = set()
    for path in (ROOT / "cloud_collector" / "cli").glob("*.py"):
        text = path.read_text(encoding="utf-8")
        used |= {int(code) for code in re.findall(r"\bExit\((\d+)\)", text)}
        used |= {int(code) for code in re.findall(r"^(?:REFUSED|PARTLY|NOT_FOUND): Final = (\d+)$", text, re.MULTILINE)}
    assert listed == used | {*map(int, Exit), verify_invoice.NOT_VERIFIED}


# --- configuration ------------------------------------------------------------------------------------------


def shown(value: Any) -> str:
    """A default as the page writes it."""
    return "none" if value is None else f"`{json.dumps(plain(value))}`"


def options_of(record: Any, above: str = "", *, without: tuple[str, ...] = ()) -> dict[str, str]:
    """Every option of a settings class, with its default as the page writes it."""
    found = {}
    for each in dataclasses.fields(record):
        hint = typing.get_type_hints(record)[each.name]
        if each.name in without or dataclasses.is_dataclass(hint):
            continue
        default = each.default_factory() if each.default_factory is not dataclasses.MISSING else each.default
        found[above + each.name] = "required" if default is dataclasses.MISSING else shown(default)
    return found


COMMON: Final = ("type", "name", "log", "poll_seconds")
TABLES: Final = {
    "Agent": options_of(AgentSettings, without=("sources",)),
    "Broker": options_of(BrokerSettings, "broker."),
    "Status page": options_of(StatusSettings, "status."),
    "Home Assistant": options_of(HomeAssistantSettings, "home_assistant."),
    "netdev": options_of(NetdevSettings, without=COMMON),
    "proc": options_of(ProcSettings, without=COMMON),
    "exec": options_of(ExecSettings, without=COMMON),
    "ocmf": options_of(OcmfSettings, without=COMMON) | options_of(OcmfMeter, "meters."),
    "opcua": options_of(OpcuaSettings, without=COMMON) | options_of(OpcuaChannel, "channels."),
    "pulse": options_of(PulseSettings, without=COMMON) | options_of(PulseInput, "inputs."),
    "replay": options_of(ReplaySettings, without=COMMON) | options_of(ReplayChannel, "channels."),
    "modbus": options_of(ModbusSettings, without=COMMON)
    | options_of(ModbusDevice, "devices.")
    | options_of(ModbusChannel, "devices.channels."),
    "mqtt": options_of(MqttSettings, without=COMMON)
    | options_of(MqttDevice, "devices.")
    | options_of(MqttChannel, "channels."),
    "dsmr": options_of(DsmrSettings, without=COMMON),
    "sml": options_of(SmlSettings, without=COMMON),
    "d0": options_of(D0Settings, without=COMMON),
    "Registers by OBIS code": options_of(ObisChannel, "channels."),
    "mbus": options_of(MbusSettings, without=COMMON) | options_of(MbusChannel, "channels."),
    "http": options_of(HttpSettings, without=COMMON) | options_of(HttpChannel, "channels."),
    "snmp": options_of(SnmpSettings, without=COMMON)
    | options_of(SnmpInterface, "interfaces.")
    | options_of(SnmpChannel, "channels."),
    "Collector": options_of(CollectorSettings)
    | options_of(typing.get_type_hints(CollectorSettings)["web"], "web.")
    | options_of(typing.get_type_hints(CollectorSettings)["enrolment"], "enrolment.")
    | options_of(typing.get_type_hints(CollectorSettings)["sign_in"], "sign_in.")
    | options_of(DocumentSettings, "documents.")
    | options_of(MailSettings, "mail.")
    | options_of(BillingSettings, "billing.")
    | options_of(DatevSettings, "datev.")
    | options_of(BackupSettings, "backup.")
    | options_of(AlarmSettings, "alarms."),
}


@pytest.mark.parametrize("heading", TABLES)
def test_the_configuration_page_has_every_option_with_its_default_and_no_other(heading: str) -> None:
    listed = {row[0].strip("`"): row[1] for row in rows(part(page("configuration"), heading))}
    assert listed == TABLES[heading]


def test_the_options_that_all_sources_have_are_listed_once() -> None:
    listed = [row[0].strip("`") for row in rows(part(page("configuration"), "Sources"))]
    assert listed == list(COMMON)
    for kind in members(SourceSettings):
        assert set(COMMON) <= {each.name for each in dataclasses.fields(kind)}


@pytest.mark.parametrize(("example", "heading"), [("agent", "Agent"), ("collector", "Collector")])
def test_the_example_configuration_shows_every_option(example: str, heading: str) -> None:
    text = (ROOT / "config" / f"{example}.toml").read_text(encoding="utf-8")
    options = [*TABLES[heading], *TABLES["Broker"]]
    if example == "agent":
        options += [*TABLES["Status page"], *TABLES["Home Assistant"]]
        options += [option for kind in members(SourceSettings) for option in TABLES[type_name(kind)]]
        options += TABLES["Registers by OBIS code"]
    names = {option.rpartition(".")[2] for option in options}
    assert [
        name for name in sorted(names) if not re.search(rf"^(# ?|)(\[\[sources\.)?{name}(\]\])? ?", text, re.MULTILINE)
    ] == []


# --- HTTP ---------------------------------------------------------------------------------------------------


class _Quiet:
    connected = False
    verdicts: typing.ClassVar[dict[str, int]] = {}


@contextmanager
def _store(path: Path) -> Iterator[Store]:
    store = Store(SqliteDatabase(path))
    yield store
    store.close()


def test_the_page_on_http_has_every_path_and_no_other(tmp_path: Path) -> None:
    web = create_app(
        Site(
            open_store=lambda: _store(tmp_path / "collector.db"),
            clock=SimpleClock(),
            zone=lambda _: "UTC",
            subscriptions=lambda *_: [],
            key_words="",
            readiness=dict,
            metrics=registry(_Quiet(), lambda: _store(tmp_path / "collector.db")),
        )
    )
    paths = {str(each.path).replace(":path", "") for each in every_route(web)}
    # Each page is there as JSON and as CSV too; the API's paths are told by its own description.
    twins = {f"{path}.{kind}" for path in {*paths, "/overview"} for kind in ("json", "csv")}
    listed = {
        row[0].strip("`") for heading in ("Pages", "Signing in", "Health") for row in rows(part(page("http"), heading))
    }
    assert listed == {path for path in paths - twins if not path.startswith("/api/")}
    assert [path for _, path in NAV if path != "/" and not {f"{path}.json", f"{path}.csv"} <= paths] == []


def test_the_page_on_http_has_every_path_of_the_enrolment_port_and_no_other(tmp_path: Path) -> None:
    desk: Any = None
    web = create_enrolment_app(desk, lambda: _store(tmp_path / "collector.db"), SimpleClock())
    listed = {row[0].strip("`") for row in rows(part(page("http"), "Enrolment"))}
    assert listed == {getattr(route, "path", "") for route in web.routes}


def test_the_page_on_http_has_every_metric_and_verdict_and_no_other(tmp_path: Path) -> None:
    families = list(StoreExporter(_Quiet(), lambda: _store(tmp_path / "collector.db")).collect())
    there = {family.name + ("_total" if family.type == "counter" else "") for family in families}
    listed = {row[0].strip("`"): row for row in rows(part(page("http"), "Metrics"))}
    assert set(listed) == there
    assert {name: row[1] for name, row in listed.items()} == {
        family.name + ("_total" if family.type == "counter" else ""): family.type for family in families
    }
    for verdict in typing.get_args(Taken):
        assert f"`{verdict.__name__.lower().removesuffix('line')}`" in listed["meterseal_lines_total"][2]


# --- events -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "folder"), [("edge-agent", "edge_agent"), ("cloud-collector", "cloud_collector")])
def test_a_programs_page_has_every_event_and_no_other(name: str, folder: str) -> None:
    said: set[str] = set()
    for path in (ROOT / folder).rglob("*.py"):
        calls = re.findall(r"_log\.(\w+)\([^\"']*[\"']event=([a-z_]+)", path.read_text(encoding="utf-8"), re.IGNORECASE)
        said |= {event for level, event in calls if level != "debug"}
    assert {row[0].strip("`") for row in rows(part(page(name), "Events"))} == said
