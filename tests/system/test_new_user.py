"""From a code and an empty folder to a green `status`, by the commands of the how-to pages alone."""

import asyncio
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_agent.installer.way import refused
from shared.effects.broker import BrokerSettings
from tests.enrolled_site import Site
from tests.processes import Process, command, run, wait_until


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    tmp_path.chmod(0o755)
    found = Site(tmp_path)
    found.begin()
    found.start_broker()
    found.start_collector()
    yield found
    for process in reversed(found.processes):
        process.kill()


def test_options_chosen_at_enrolment_hold_for_every_command_that_follows(site: Site) -> None:
    """A key that was made elsewhere than said would be found by nobody."""
    folder = site.folder / "house-7"
    config = folder / "agent.toml"

    def edge(*words: object, check: bool = True) -> subprocess.CompletedProcess[str]:
        return run("edge-agent", *words, "--config", config, check=check)

    code = site.told("gateway", "invite", "house-7")["code"]
    chosen = ("--set", f"key_file={folder}/keys/gateway.key", "--set", f"spool_path={folder}/state/spool.db")
    first = edge("enrol", site.url, code, "--no-wait", *chosen)
    assert {each.name for each in (folder / "state").iterdir()} >= {"ca.pem", "gateway.pem", "enrolment.json"}
    assert f"made {folder}/keys/gateway.key" in first.stderr
    site.cloud("gateway", "accept", "house-7", json.loads(edge("key", "show", "--json").stdout)["words"])
    again = edge("enrol", site.url, code)
    assert "made" not in again.stderr, "the same command without the options goes on where it was"
    assert "probe` proposes" in again.stdout
    assert edge("config", "check", check=False).stderr.startswith("no source is configured")
    with config.open("a", encoding="utf-8") as out:
        out.write('wall_clock = "trusted"\nstep_seconds = 1\ninterval_count = 2\n[[sources]]\ntype = "netdev"\n')
        out.write('interfaces = ["lo"]\n')
    assert "1 source" in edge("config", "check").stdout
    site.started(Process("edge-agent", [*command("edge-agent"), "run", "--config", str(config)], folder / "agent.log"))
    wait_until(lambda: "last receipt 0 s ago" in edge("status", check=False).stdout, 60, "a receipt")
    assert edge("status").stdout.startswith("good")
    assert edge("doctor").stdout.endswith("all is well\n")
    assert "link_down" not in (folder / "agent.log").read_text(encoding="utf-8")


def test_a_revoked_certificate_is_seen_without_logging_in(site: Site) -> None:
    gateway = site.enrolled("house-7")
    state = gateway.folder / "state"
    broker = BrokerSettings(
        host="localhost",
        port=site.port,
        ca_file=state / "ca.pem",
        cert_file=state / "gateway.pem",
        key_file=state / "gateway.key",
    )
    assert asyncio.run(refused(broker)) == ""
    site.cloud("gateway", "revoke", "house-7")
    site.processes[0].kill()
    site.processes[0].start()
    wait_until(lambda: "revoked" in asyncio.run(refused(broker)), 20, "the broker refuses the certificate")
