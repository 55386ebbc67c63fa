"""`make demo`: from an empty folder to verified invoices and live pages, on this machine alone.

Starts an MQTT broker, the collector and three agents. Two agents replay what their sites used since
the first of last month, one meters this very machine; every row reaches the store over MQTT. Then
last month is billed and each invoice is verified from its bundle alone.
"""

import argparse
import json
import shutil
import socket
import sys
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from demo.processes import BIN, DemoFailed, Processes, run
from demo.readings import month_before
from demo.site import LIVE, Site, prepare


def main() -> int:
    """Run the demo; returns the exit code."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__.splitlines()[0])
    parser.add_argument("--once", action="store_true", help="end after last month's invoices are verified")
    parser.add_argument("--seed", default="1", help="other data for the replayed sites")
    parser.add_argument("--folder", type=Path, default=Path("demo-data"), help="made anew at each start")
    options = parser.parse_args()
    console = Console(highlight=False)
    folder = options.folder.resolve()
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    site = Site(
        folder=folder,
        broker_port=_free_port(),
        web_port=_free_port(preferred=8080),
        seed=options.seed,
        now=datetime.now(UTC).replace(second=0, microsecond=0),
    )
    processes = Processes(folder)
    try:
        _demonstrate(site, processes, console)
        if not options.once:
            _stay(site, processes, console)
    except DemoFailed as failure:
        console.print(f"[red]The demo stopped:[/] {failure}")
        return 1
    except KeyboardInterrupt:
        console.print("Stopped.")
    finally:
        processes.end()
    return 0


def _demonstrate(site: Site, processes: Processes, console: Console) -> None:
    began = time.monotonic()
    interfaces = _interfaces()
    readings = prepare(site, interfaces)
    _enrol(site)
    processes.start("broker", [sys.executable, "-m", "demo.broker", str(site.broker_port), site.passwords])
    processes.wait(lambda: _listens(site.broker_port), 20, "the broker listens")
    processes.start("collector", [BIN / "cloud-collector", "--config", site.collector_config, "run"])
    processes.wait(lambda: _ready(site), 30, "the collector is ready")
    for gateway in site.gateways():
        processes.start(gateway, [BIN / "edge-agent", "run", "--config", site.gateway_config(gateway)])
    console.print(f"[bold]Meterseal[/] demo in {site.folder}: a broker, a collector, {len(site.gateways())} agents.")
    _follow(site, processes, console, readings)
    _bill(site, console)
    console.print(f"Done in {time.monotonic() - began:.0f} s. Everything it made is in {site.folder}.")


def _enrol(site: Site) -> None:
    run("cloud-collector", "key", "new", site.receipt_key)
    site.receipt_public.write_text(run("cloud-collector", "key", "show", site.receipt_key, "--pem"), encoding="ascii")
    for gateway in site.gateways():
        run("edge-agent", "key", "new", site.gateway_key(gateway))
        public = site.folder / gateway / "gateway.pub"
        public.write_text(run("edge-agent", "key", "show", site.gateway_key(gateway)), encoding="ascii")
        run("cloud-collector", "--config", site.collector_config, "gateway", "add", gateway, "--key", public)


def _follow(site: Site, processes: Processes, console: Console, readings: int) -> None:
    """Show the replayed sites arriving until both are whole and the live one has spoken."""
    start = month_before(site.now).timestamp()
    hours = (site.now.timestamp() - start) / 3600
    expected = {name: int(hours) if meters else 1 for name, meters in site.gateways().items()}
    with Progress(
        TextColumn("{task.description:16}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f} of {task.total:,.0f} sealed lines"),
        TimeElapsedColumn(),
        console=console,
    ) as progress:
        bars = {name: progress.add_task(name, total=total) for name, total in expected.items()}
        console.print(
            f"{readings:,} readings since {month_before(site.now).date()} are sealed, sent, verified, stored:"
        )

        def arrived() -> bool:
            rows = {row["gateway"]: row for row in _get(site, "/gateways.json") or []}
            for name, bar in bars.items():
                progress.update(bar, completed=min(rows.get(name, {}).get("lines", 0), expected[name]))
            return all(
                rows.get(name, {}).get("lines", 0) >= total and rows[name]["missing"] == 0
                for name, total in expected.items()
            )

        processes.wait(arrived, 300, "all sealed lines have arrived")


def _bill(site: Site, console: Console) -> None:
    """Bill what is due, then verify each invoice from its bundle alone."""
    config = site.collector_config
    # Not sooner: last month is long over, and would be billed with what has arrived by then.
    run("cloud-collector", "--config", config, "catalog", "apply", site.catalog)
    run("cloud-collector", "--config", config, "billing", "run")
    invoices = json.loads(run("cloud-collector", "--config", config, "invoice", "list", "--json"))
    if not invoices:
        raise DemoFailed("nothing was billed: see cloud-collector billing list")
    trusted = [word for key in _trusted(site) for word in ("--trust", key)]
    for invoice in invoices:
        number = invoice["number"]
        bundle = site.folder / f"{number}.zip"
        run("cloud-collector", "--config", config, "invoice", "export", number, "--bundle", bundle)
        console.rule(f"[bold]{number}[/]")
        console.print(run("cloud-collector", "--config", config, "invoice", "show", number).rstrip())
        console.print(run("verify-invoice", bundle, *trusted).rstrip(), style="green")


def _trusted(site: Site) -> list[str]:
    keys = [site.receipt_key, *(site.gateway_key(name) for name in site.gateways() if name != LIVE)]
    return [json.loads(run("edge-agent", "key", "show", key, "--json"))["sha256"] for key in keys]


def _stay(site: Site, processes: Processes, console: Console) -> None:
    console.print(f"Open [bold]http://127.0.0.1:{site.web_port}/[/]; this machine is metered live. Ctrl-C ends it.")
    while True:
        processes.check()
        time.sleep(1)


def _interfaces() -> list[str]:
    names = [line.split(":")[0].strip() for line in Path("/proc/net/dev").read_text(encoding="ascii").splitlines()[2:]]
    return [name for name in names if not fnmatch(name, "lo")]


def _ready(site: Site) -> bool:
    answer = _get(site, "/readyz")
    return isinstance(answer, dict) and bool(answer.get("ready"))


def _get(site: Site, path: str) -> Any:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{site.web_port}{path}", timeout=5) as answer:
            return json.load(answer)
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return None


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _free_port(preferred: int = 0) -> int:
    for port in (preferred, 0):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise DemoFailed("no TCP port is free on 127.0.0.1")


if __name__ == "__main__":
    sys.exit(main())
