"""What `config init` writes is read by the programs that it is for: mosquitto, systemd, promtool, the collector."""

import json
import re
import shutil
import ssl
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
import yaml  # type: ignore[import-untyped]
from typer.testing import CliRunner, Result

from cloud_collector.cli.main import app
from cloud_collector.config import load
from cloud_collector.upkeep.production import BACKUPS, STATE
from tests.processes import ROOT, Process, free_port, wait_for_port
from tests.requirements import require
from tests.system.test_units import EXPOSURE_MAX, analyze, machine, verified

pytestmark = pytest.mark.system
__all__ = ["machine"]
HOST: Final = "collector.example"
ENGINES: Final = {"sqlite": [], "postgres": ["--postgres", "local"]}


def init(folder: Path, *words: str) -> Result:
    return CliRunner().invoke(app, ["config", "init", str(folder), "--host", HOST, *words], catch_exceptions=False)


@pytest.fixture(params=sorted(ENGINES))
def site(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    folder = tmp_path / "site"
    done = init(folder, *ENGINES[request.param])
    assert done.exit_code == 0, done.stderr
    return folder


def test_the_collector_takes_its_configuration_and_catalog(site: Path) -> None:
    settings = load(site / "collector.toml", environment={}).settings
    assert settings.broker.host == HOST
    assert settings.broker.tls
    assert settings.shared_group == "secret"
    assert (settings.web.host, settings.enrolment.host) == ("127.0.0.1", "0.0.0.0")
    assert all(str(path).startswith(STATE) for path in (settings.store_path, settings.key_file, settings.pki_path))
    assert str(settings.backup.path) == BACKUPS
    done = CliRunner().invoke(app, ["catalog", "check", str(site / "catalog.toml")])
    assert done.exit_code == 0, done.stderr
    shipped = (ROOT / "config" / "collector.toml").read_text(encoding="utf-8")
    comments = [line for line in shipped.splitlines() if line.startswith("# ")]
    written = (site / "collector.toml").read_text(encoding="utf-8").splitlines()
    assert [line for line in written if line.startswith("# ")] == comments, "as commented as the example"


def test_mosquitto_starts_with_what_was_written_and_wants_certificates(site: Path, tmp_path: Path) -> None:
    pki, port = tmp_path / "pki", free_port()
    done = CliRunner().invoke(app, ["pki", "init", "--host", "localhost", "--set", f"pki_path={pki}"])
    assert done.exit_code == 0, done.stderr
    text = (site / "mosquitto" / "mosquitto.conf").read_text(encoding="ascii")
    for old, new in (
        ("/etc/mosquitto/meterseal/", f"{pki}/"),
        ("/etc/mosquitto/meterseal.acl", str(site / "mosquitto" / "meterseal.acl")),
        ("/var/lib/mosquitto/", f"{tmp_path}/"),
        ("listener 8883", f"user root\nlistener {port} 127.0.0.1"),
    ):
        assert old in text
        text = text.replace(old, new)
    (tmp_path / "mosquitto.conf").write_text(text, encoding="ascii")
    words = [require("mosquitto"), "-c", str(tmp_path / "mosquitto.conf")]
    broker = Process("mosquitto", words, tmp_path / "mosquitto.log")
    broker.start()
    try:
        wait_for_port(port)
        context = ssl.create_default_context(cafile=pki / "ca.pem")
        context.load_cert_chain(pki / "_collector.pem", pki / "_collector.key")
        with context.wrap_socket(_socket(port), server_hostname="localhost") as tls:
            tls.sendall(b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x3c\x00\x02_x")
            assert tls.recv(4) == b"\x20\x02\x00\x00"
    finally:
        broker.kill()


def _socket(port: int) -> Any:
    import socket  # noqa: PLC0415 (only here)

    return socket.create_connection(("127.0.0.1", port))


def test_the_access_list_is_the_shipped_one_and_the_broker_differs_in_paths_alone(site: Path) -> None:
    shipped = ROOT / "config" / "mosquitto"
    assert (site / "mosquitto/meterseal.acl").read_bytes() == (shipped / "meterseal.acl").read_bytes()

    def settings(text: str) -> list[str]:
        return [line for line in text.splitlines() if line and not line.startswith("#")]

    written = settings((site / "mosquitto/mosquitto.conf").read_text(encoding="ascii"))
    there = settings((shipped / "mosquitto-tls.conf").read_text(encoding="ascii"))
    assert [line.replace("/etc/mosquitto/meterseal/", "/var/lib/meterseal/pki/") for line in written] == there


def test_systemd_finds_nothing_wrong_with_any_unit(site: Path, machine: Path) -> None:
    folder = machine / "etc/systemd/system"
    folder.mkdir(parents=True)
    for name in ("bin/sh", "usr/bin/install", "usr/bin/systemctl", "bin/bash"):
        program = machine / name
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text("#!/bin/sh\n", encoding="ascii")
        program.chmod(0o755)
    names = sorted(path.name for path in (site / "systemd").iterdir())
    assert len(names) == 9
    for name in names:
        shutil.copy(site / "systemd" / name, folder)
    for name in names:
        done = analyze("verify", "--recursive-errors=no", f"--root={machine}", name)
        assert (done.returncode, done.stderr) == (0, ""), name
    for name in ("cloud-collector.service", "cloud-collector-pki.service"):
        done = analyze("security", "--offline=yes", f"--threshold={EXPOSURE_MAX}", folder / name)
        assert done.returncode == 0, done.stdout[-300:]
    assert verified(machine, "cloud-collector") == ""


def test_every_unit_runs_as_the_user_that_is_made_and_reads_what_the_operator_writes(site: Path) -> None:
    assert "u meterseal " in (site / "sysusers.d/meterseal.conf").read_text(encoding="utf-8")
    for name in ("cloud-collector", "cloud-collector-backup", "cloud-collector-pki"):
        text = (site / "systemd" / f"{name}.service").read_text(encoding="utf-8")
        assert "\nUser=meterseal\n" in text
        assert "DynamicUser" not in text
        assert "Environment=METERSEAL" not in text, "collector.toml says where things lie"


def test_promtool_takes_rules_and_configuration(site: Path) -> None:
    for what, name in (("rules", "meterseal-alerts.yml"), ("config", "prometheus.yml")):
        words = [require("promtool"), "check", what, str(site / "prometheus" / name)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    json.loads((site / "grafana/meterseal.json").read_text(encoding="utf-8"))
    assert yaml.safe_load((site / "grafana/provisioning.yaml").read_text(encoding="utf-8"))["apiVersion"] == 1


SERVICE_KEYS: Final = set(
    "build image restart environment secrets volumes healthcheck user command ports networks ulimits depends_on "
    "network_mode read_only tmpfs security_opt cap_drop".split()
)
"""Of the Compose Specification, what a service here may say."""


def test_the_compose_file_is_whole(site: Path) -> None:
    """Where docker is at hand it reads the file; the rest is what it would refuse."""
    compose = yaml.safe_load((site / "compose.yaml").read_text(encoding="utf-8"))
    services = compose["services"]
    assert set(services) == {"postgres", "mosquitto", "collector", "prometheus", "grafana"}
    for name, service in services.items():
        assert set(service) <= SERVICE_KEYS, name
        assert ("image" in service) != ("build" in service), name
        assert ":" in service.get("image", "a:b"), f"{name} is pinned"
        assert set(service.get("secrets", ())) <= set(compose["secrets"])
        assert set(service.get("depends_on", ())) <= set(services)
        for mount in service.get("volumes", ()):
            source = mount.partition(":")[0]
            there = source in compose["volumes"] or source.startswith("./state") or (site / source).exists()
            assert there, f"{name}: {mount}"
        for key, value in service.get("environment", {}).items():
            assert "PASSWORD" not in key or key.endswith("_FILE"), f"{name}: a secret in {key}: {value}"
    for secret in compose["secrets"].values():
        assert (site / secret["file"]).stat().st_mode & 0o077 == 0
    assert re.search(r"^METERSEAL_UID=\d+$", (site / ".env").read_text(encoding="ascii"), re.MULTILINE)
    for name, value in services["collector"]["environment"].items():
        load(site / "collector.toml", environment={name: value})
    if subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode == 0:
        done = subprocess.run(["docker", "compose", "config", "-q"], cwd=site, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr


def test_no_secret_is_a_default_and_none_stands_outside_of_its_file(tmp_path: Path) -> None:
    for name in ("one", "two"):
        assert init(tmp_path / name).exit_code == 0
    for secret in ("postgres-password", "grafana-password"):
        one, two = ((tmp_path / name / "secrets" / secret).read_text(encoding="ascii") for name in ("one", "two"))
        assert one != two
        assert len(one) >= 32
        others = [path for path in (tmp_path / "one").rglob("*") if path.is_file() and path.parent.name != "secrets"]
        assert [path for path in others if one in path.read_text(encoding="utf-8")] == []
    assert (tmp_path / "one" / "secrets").stat().st_mode & 0o077 == 0


def test_nothing_is_ever_overwritten(tmp_path: Path) -> None:
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "mine.txt").write_text("kept", encoding="ascii")
    done = init(folder)
    assert (done.exit_code, "nothing is overwritten" in done.stderr) == (4, True)
    assert [path.name for path in folder.iterdir()] == ["mine.txt"]
    assert init(folder / "mine.txt").exit_code == 4


def test_a_dry_run_writes_nothing_and_says_what_it_would(tmp_path: Path) -> None:
    done = init(tmp_path / "site", "--dry-run", "--json")
    assert not (tmp_path / "site").exists()
    names = {
        Path(row["file"]).relative_to(tmp_path / "site").as_posix(): row["mode"] for row in json.loads(done.stdout)
    }
    assert names["secrets/pgpass"] == "0600"
    assert {"README.md", "collector.toml", "compose.yaml", "mosquitto/meterseal.acl"} <= names.keys()


@pytest.mark.parametrize(
    "words",
    [
        ["--host", "Not A Host"],
        ["--host", "x\nuser root"],
        ["--host", "x", "--postgres", "mysql://x"],
        ["--host", "x", "--postgres", "postgresql://x/y?password=secret"],
        [],
    ],
)
def test_what_cannot_be_meant_is_refused_with_2(tmp_path: Path, words: list[str]) -> None:
    done = CliRunner().invoke(app, ["config", "init", str(tmp_path / "site"), *words])
    assert (done.exit_code, bool(done.stderr)) == (2, True)
    assert not (tmp_path / "site").exists()


def test_the_next_steps_are_for_the_engine_that_was_chosen(site: Path) -> None:
    text = (site / "README.md").read_text(encoding="utf-8")
    store = load(site / "collector.toml", environment={}).settings.store
    assert ("createdb" in text) is bool(store)
    assert ("pg_dump" in (site / "systemd/cloud-collector-backup.service").read_text(encoding="utf-8")) is bool(store)
    assert "<!--" not in text
    assert "$" not in re.sub(r"\$\(.*?\)", "", text)
