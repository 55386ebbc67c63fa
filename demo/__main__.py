"""`make demo`: a site with four customers, from an empty folder to verified invoices and live pages, on this machine.

The past is told in a few seconds: three months, sealed by the agent's own code and taken in and billed by the
collector's, each at its time. Then a broker, the collector and five agents go on with it as processes of their own;
one of them meters this very machine. At last somebody tampers with a line, and the audit says who lies.
"""

import argparse
import contextlib
import json
import shutil
import socket
import sys
import time
import urllib.error
import urllib.request
from fnmatch import fnmatch
from pathlib import Path

from rich.console import Console

from cloud_collector.store.store import Store
from demo.guide import guide
from demo.papers import papers
from demo.port import Port
from demo.processes import BIN, DemoFailed, Processes, run
from demo.site import LIVE, LIVE_STEP, Site, by_log
from demo.story import Story, tell
from demo.tampering import Tampered, tamper
from shared.effects.sqlite import SqliteDatabase

NOT_VERIFIED = 6


def main() -> int:
    """Run the demo; returns the exit code."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__.splitlines()[0])
    parser.add_argument("--once", action="store_true", help="end after the invoices are verified and the audit is done")
    parser.add_argument("--seed", default="1", help="other keys and other usage")
    parser.add_argument("--folder", type=Path, default=Path("demo-data"), help="made anew at each start")
    options = parser.parse_args()
    said = Console(stderr=True, highlight=False, soft_wrap=True)
    folder = options.folder.resolve()
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    processes = Processes(folder)
    began = time.monotonic()
    try:
        broker, web = Port(), Port(preferred=8080)
        story = _tell(folder, options.seed, said, broker=broker, web=web)
        _show(story.site, said, began)
        broker.release()
        web.release()
        _go_on(story, processes, said)
        lie, forged = _lie(story.site, said)
        said.print(f"\n[bold]All of it took {time.monotonic() - began:.0f} s[/] and lies in {folder}\n")
        if options.once:
            processes.end()
        for line in guide(story, lie, forged, stays=not options.once):
            said.print(line)
        if not options.once:
            _stay(processes, said)
    except DemoFailed as failure:
        said.print(f"[red]The demo stopped:[/] {failure}")
        return 1
    except KeyboardInterrupt:
        said.print("Stopped.")
    finally:
        processes.end()
    return 0


def _tell(folder: Path, seed: str, said: Console, *, broker: Port, web: Port) -> Story:
    said.print(
        "[bold]Meterseal[/]  Northwind Metering and its customers: an office, a garage, a house, a building site\n"
    )
    story = tell(
        folder,
        now=int(time.time()),
        seed=seed,
        interfaces=_interfaces(),
        broker_port=broker.number,
        web_port=web.number,
        heard=lambda sentence: said.print(f"  {sentence}"),
    )
    said.print(
        f"\n{story.readings:,} readings, {story.lines:,} signed lines, {len(story.invoices)} invoices, "
        f"{story.warnings} warnings\n"
    )
    return story


def _show(site: Site, said: Console, began: float) -> None:
    """The first invoice in full, then each with its verdict; they are what this command is asked for, so on stdout."""
    for place, paper in enumerate(papers(site)):
        if place == 0:
            _out(f"{paper.text}\n\n{paper.verdict}")
            said.print(
                f"\n[dim]the first invoice after {time.monotonic() - began:.0f} s; each is checked by its bundle:[/]"
            )
        else:
            verdict = paper.verdict.split()[0]
            _out(f"{verdict}  {paper.number:<8}  {paper.total:>12}  {paper.account}")


def _out(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _go_on(story: Story, processes: Processes, said: Console) -> None:
    """Real processes take over where the story ends, and bring what has been metered since over the broker."""
    site = story.site
    processes.start("broker", [sys.executable, "-m", "demo.broker", str(site.broker_port), site.passwords])
    processes.wait(lambda: _listens(site.broker_port), 60, "the broker listens")
    processes.start("collector", [BIN / "cloud-collector", "--config", site.collector_config, "run"])
    for gateway in site.gateways():
        processes.start(gateway, [BIN / "edge-agent", "run", "--config", site.gateway_config(gateway)])
    processes.wait(lambda: _ready(site), 60, "the collector is ready")
    logs = sum(len(by_log(meters)) for meters in site.gateways().values())
    since = logs * ((site.now - site.handover) // LIVE_STEP)
    said.print(
        f"\nA broker, the collector and {len(site.gateways())} agents go on: {since} lines since the last full hour"
    )
    wanted = story.lines + since
    processes.wait(lambda: _lines(site) >= wanted and _heard(site, LIVE), 240, "what was metered since has arrived")
    said.print(f"{_lines(site):,} lines are stored, and {LIVE} is metered live")


def _lie(site: Site, said: Console) -> tuple[Tampered, str]:
    """One stored line is changed, and the audit names it with its day and its money."""
    lie = tamper(site.store, site.calendar)
    told = run("cloud-collector", "--config", site.collector_config, "audit", "--json", ends=NOT_VERIFIED)
    (damage,) = json.loads(told)["damaged"]
    if (damage["gateway"], damage["seq"], damage["days"]) != (lie.gateway, lie.seq, [lie.day]):
        raise DemoFailed(f"the audit names another line than the one that was changed: {damage}")
    (invoice,) = damage["invoices"]
    said.print("\nSomebody changes a stored line, and [bold]cloud-collector audit[/] says:")
    said.print(f"  line {lie.seq} of {lie.gateway}, of {lie.day}, is not what was signed")
    said.print(f"  {invoice['number']} would change by {invoice['difference']} {invoice['currency']}")
    return lie, str(invoice["number"])


def _stay(processes: Processes, said: Console) -> None:
    said.print("\nEverything goes on until Ctrl-C.")
    while True:
        processes.check()
        time.sleep(1)


def _lines(site: Site) -> int:
    store = Store(SqliteDatabase(site.store, read_only=True), migrated=True)
    with contextlib.closing(store):
        return int(store.rows("facts_count")[0][0])


def _heard(site: Site, gateway: str) -> bool:
    store = Store(SqliteDatabase(site.store, read_only=True), migrated=True)
    with contextlib.closing(store):
        return bool(store.rows("line_keys", gateway))


def _interfaces() -> list[str]:
    names = [line.split(":")[0].strip() for line in Path("/proc/net/dev").read_text(encoding="ascii").splitlines()[2:]]
    return [name for name in names if not fnmatch(name, "lo")]


def _ready(site: Site) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{site.web_port}/readyz", timeout=5) as answer:
            return bool(json.load(answer)["ready"])
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return False


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


if __name__ == "__main__":
    sys.exit(main())
