"""What monitoring is given rests on the names that the collector really exposes, and promtool takes it."""

import json
import os
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Final

import pytest
from prometheus_client import generate_latest

from cloud_collector.settings import BackupSettings, CollectorSettings
from cloud_collector.store.store import Store
from cloud_collector.upkeep.incidents import Cause
from cloud_collector.upkeep.surroundings import Surroundings, surroundings
from cloud_collector.web.metrics import registry
from shared.effects.sqlite import SqliteDatabase
from tests.requirements import require

ROOT: Final = Path(__file__).parents[2]
RULES: Final = ROOT / "config" / "prometheus" / "meterseal-alerts.yml"
DASHBOARD: Final = ROOT / "config" / "grafana" / "meterseal.json"
NAME: Final = re.compile(r"\bmeterseal_[a-z_]+")
HOUR: Final = 3600


class Running:
    connected: ClassVar = True
    verdicts: ClassVar = Counter({"accepted": 5, "refused": 1})


@pytest.fixture
def exposed(tmp_path: Path) -> str:
    store = Store(SqliteDatabase(tmp_path / "collector.db"))
    store.run("incident_begin", "silent", "gw-1", "", "gw-1 has sent nothing", 0)
    store.close()

    @contextmanager
    def open_store() -> Iterator[Store]:
        held = Store(SqliteDatabase(tmp_path / "collector.db", read_only=True), migrated=True)
        yield held
        held.close()

    around = Surroundings(disk_bytes_free=1, store_bytes=2, backup_at=3, certificate_ends_at=4)
    return generate_latest(registry(Running(), open_store, lambda: around)).decode()


def names(exposed: str) -> set[str]:
    return set(re.findall(r"^(meterseal_\w+)", exposed, re.MULTILINE))


def test_rules_and_dashboard_name_only_what_is_exposed(exposed: str) -> None:
    known = names(exposed)
    assert set(NAME.findall(RULES.read_text(encoding="utf-8"))) <= known
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    asked = {name for panel in panels for target in panel["targets"] for name in NAME.findall(target["expr"])}
    assert asked <= known
    assert known - asked - {"meterseal_build_info"} == set(), "and everything that is exposed is shown"


def test_every_kind_of_alarm_is_exposed_and_has_a_rule(exposed: str) -> None:
    for cause in Cause:
        assert f'meterseal_alarms{{kind="{cause.value}"}} {1.0 if cause is Cause.SILENT else 0.0}' in exposed
    ruled = set(re.findall(r'kind=~?"([a-z_|]+)"', RULES.read_text(encoding="utf-8")))
    told = {kind for each in ruled for kind in each.split("|")} | {"broker", "parked"}  # by gauges of their own
    assert told == {cause.value for cause in Cause}


def test_no_label_holds_a_name(exposed: str) -> None:
    """P20: and the number of series is bounded, however large the fleet."""
    assert set(re.findall(r"[{,](\w+)=", exposed)) == {"kind", "verdict", "version"}
    assert "gw-1" not in exposed


def promtool(*words: object) -> str:
    done = subprocess.run([require("promtool"), *map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_promtool_takes_the_rules_and_the_configuration() -> None:
    assert "16 rules found" in promtool("check", "rules", RULES)
    promtool("check", "config", RULES.with_name("prometheus.yml"))


def test_promtool_finds_nothing_wrong_with_the_metrics(exposed: str) -> None:
    done = subprocess.run(
        [require("promtool"), "check", "metrics"], input=exposed, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def series(name: str, values: str, **labels: str) -> dict[str, str]:
    told = ",".join(f'{label}="{value}"' for label, value in {"instance": "c", "job": "meterseal", **labels}.items())
    return {"series": f"{name}{{{told}}}", "values": values}


CASES: Final[dict[str, tuple[list[dict[str, str]], dict[str, str]]]] = {
    "MetersealDown": ([series("up", "0x20")], {}),
    "MetersealBrokerLost": ([series("meterseal_broker_connected", "0x20")], {}),
    "MetersealGatewaySilent": ([series("meterseal_alarms", "2x20", kind="silent")], {"kind": "silent"}),
    "MetersealMeterDead": ([series("meterseal_alarms", "1x20", kind="meters")], {"kind": "meters"}),
    "MetersealContractsParked": ([series("meterseal_contracts_parked", "3x100")], {}),
    "MetersealDiskLow": ([series("meterseal_disk_free_bytes", "1000x20")], {}),
    "MetersealBackupOld": ([series("meterseal_backup_timestamp_seconds", f"{-40 * HOUR}x100")], {}),
    "MetersealCertificateEnds": ([series("meterseal_certificate_expiry_timestamp_seconds", f"{24 * HOUR}x100")], {}),
    "MetersealNothingReceived": (
        [
            series("meterseal_last_line_timestamp_seconds", f"{-2 * HOUR}x100"),
            series("meterseal_gateways", "7x100"),
            series("meterseal_broker_connected", "1x100"),
        ],
        {},
    ),
}
FINE: Final = [
    series("up", "1x2000"),
    series("meterseal_broker_connected", "1x2000"),
    series("meterseal_gateways", "7x2000"),
    series("meterseal_last_line_timestamp_seconds", "0+60x2000"),
    *(series("meterseal_alarms", "0x2000", kind=cause.value) for cause in Cause),
    series("meterseal_lines_total", "0+50x2000", verdict="accepted"),
    series("meterseal_lines_total", "0x2000", verdict="refused"),
    series("meterseal_contracts_parked", "0x2000"),
    series("meterseal_disk_free_bytes", "5000000000x2000"),
    series("meterseal_store_bytes", "100x2000"),
    series("meterseal_backup_timestamp_seconds", "0x2000"),
    series("meterseal_checkpoint_timestamp_seconds", "1x2000"),
    series("meterseal_certificate_expiry_timestamp_seconds", "9000000000x2000"),
]


def tried(folder: Path, series_: list[dict[str, str]], tests: list[dict[str, Any]]) -> None:
    """Promtool runs the rules over these series."""
    file = folder / "test.json"  # JSON is YAML.
    file.write_text(
        json.dumps(
            {
                "rule_files": [str(RULES)],
                "evaluation_interval": "1m",
                "tests": [{"interval": "1m", "input_series": series_, "alert_rule_test": tests}],
            }
        )
    )
    promtool("test", "rules", file)


def rule_names() -> list[str]:
    return re.findall(r"- alert: (\w+)", RULES.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", CASES)
def test_a_rule_fires_where_it_should(tmp_path: Path, name: str) -> None:
    series_, labels = CASES[name]
    text = RULES.read_text(encoding="utf-8").partition(f"alert: {name}\n")[2]
    severity = re.search(r"severity: (\w+)", text)
    assert severity is not None
    fired = subprocess.run(
        [require("promtool"), "test", "rules", str(_case(tmp_path, name, series_))],
        capture_output=True,
        text=True,
        check=False,
    )
    # Expected is nothing, so that promtool prints what fired, its words filled in.
    assert fired.returncode == 1, f"{name} does not fire"
    assert f'alertname="{name}"' in fired.stdout + fired.stderr
    assert f'severity="{severity[1]}"' in fired.stdout + fired.stderr
    assert all(f'{label}="{value}"' in fired.stdout + fired.stderr for label, value in labels.items())


def _case(folder: Path, name: str, series_: list[dict[str, str]]) -> Path:
    file = folder / "case.json"
    tests: list[dict[str, Any]] = [
        {"eval_time": "90m" if "x100" in series_[0]["values"] else "15m", "alertname": name, "exp_alerts": []}
    ]
    group = {"interval": "1m", "input_series": series_, "alert_rule_test": tests}
    file.write_text(json.dumps({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": [group]}))
    return file


def test_no_rule_fires_where_all_is_well(tmp_path: Path) -> None:
    tests = [{"eval_time": "20h", "alertname": name, "exp_alerts": []} for name in rule_names()]
    tried(tmp_path, FINE, tests)


def test_the_how_to_explains_every_rule() -> None:
    text = (ROOT / "docs" / "how-to" / "monitoring.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE) == rule_names()


def test_surroundings_are_what_lies_there(tmp_path: Path) -> None:
    known = CollectorSettings(store_path=tmp_path / "c.db", pki_path=tmp_path / "pki", backup=BackupSettings())
    assert surroundings(known).backup_at == 0
    (tmp_path / "c.db").write_bytes(b"12345")
    (tmp_path / "backups").mkdir()
    (tmp_path / "backups" / "2026-11-21T03-00-00Z.meterseal-backup.zip").touch()
    found = surroundings(known)
    assert (found.store_bytes, found.backup_at, found.certificate_ends_at) == (5, 1_795_230_000, 0)
    assert found.disk_bytes_free > 0
    dump = tmp_path / "backups" / "2026-11-22T03-00-00Z.dump"
    dump.touch()
    os.utime(dump, (1_795_316_400, 1_795_316_400))
    (tmp_path / "backups" / "store.schema-3.dump").touch()
    assert surroundings(known).backup_at == 1_795_316_400, "a dump of PostgreSQL is one too"
