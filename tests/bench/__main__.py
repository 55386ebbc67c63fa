"""`python -m tests.bench [--quick] [--json] [--only ROOM …]`: figures of this machine, each beside its floor."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from tests.bench.agent import agent
from tests.bench.beside import beside
from tests.bench.billing import billing
from tests.bench.connected import connected
from tests.bench.documents import documents
from tests.bench.figure import Figure, Say, as_json, show
from tests.bench.fresh import fresh
from tests.bench.intake import intake
from tests.bench.large import large
from tests.bench.offline import offline
from tests.bench.pages import pages
from tests.bench.receipts import receipts
from tests.bench.several import several
from tests.bench.site import OTHER_CORE
from tests.bench.steady import steady
from tests.bench.wire import wire
from tests.processes import ROOT
from tests.requirements import COMPONENTS

WITHOUT_BROKER = frozenset({"billing", "documents", "pages"})
Room = Callable[[Say], list[Figure]]


def rooms(*, quick: bool) -> dict[str, Room]:
    """What is measured, in the order of the table."""
    if quick:
        return {
            "intake": partial(intake, lines=640, rounds=1, gateways=25),
            "fresh": partial(fresh, gateways=5, lines=200, seconds=1),
            "wire": partial(wire, lines=5, pings=1),
            "agent": partial(agent, seconds=3),
            "offline": partial(offline, days=1),
            "billing": partial(billing, contracts=3, grown=1, previewed=3),
            "documents": partial(documents, invoices=3),
            "receipts": partial(receipts, gateways=5, lines=200, seconds=1),
            "several": partial(several, lines=120, rounds=1, gateways=10),
            "connected": partial(connected, gateways=60, lines=2, seconds=1.0),
            "steady": partial(steady, gateways=5, rate=20, seconds=3.0),
            "large": partial(large, lines=200, rounds=1, gateways=10, seconds=1.0),
            "pages": partial(pages, gateways=100, days=12),
        }
    return {
        "intake": partial(intake, lines=6_000, rounds=3, gateways=500),
        "fresh": partial(fresh, gateways=100, lines=4_000, seconds=30),
        "wire": partial(wire, lines=30, pings=3),
        "agent": partial(agent, seconds=60),
        "beside": partial(beside, seconds=30),
        "offline": partial(offline, days=30),
        "billing": partial(billing, contracts=400, grown=10, previewed=10_000),
        "documents": partial(documents, invoices=100),
        "receipts": partial(receipts, gateways=100, lines=4_000, seconds=30),
        "several": partial(several, lines=6_000, rounds=3, gateways=500),
        "connected": partial(connected, gateways=2_000, lines=5, seconds=10.0),
        "steady": partial(steady, gateways=50, rate=200, seconds=float(os.environ.get("STEADY_SECONDS", "60"))),
        "large": partial(large, lines=4_000, rounds=3, gateways=500, seconds=120.0),
        "pages": partial(pages, gateways=10_000),
    }


def main(arguments: Sequence[str]) -> int:
    """Measure and print; a missed goal is said and is no failure."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="only to see that it runs: the figures mean nothing")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument(
        "--only", nargs="+", choices=list(rooms(quick=False)), metavar="ROOM", help="measure only these"
    )
    options = parser.parse_args(arguments)
    (ROOT / ".make").mkdir(exist_ok=True)
    os.sched_setaffinity(0, {OTHER_CORE})
    progress = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    figures: list[Figure] = []
    chosen = {name: room for name, room in rooms(quick=options.quick).items() if name in (options.only or (name,))}
    if not COMPONENTS["mosquitto"]() and chosen.keys() - WITHOUT_BROKER:
        told = " and ".join(sorted(WITHOUT_BROKER))
        print(f"Mosquitto is absent (Debian: sudo apt install mosquitto): only {told} are measured", file=sys.stderr)
        chosen = {name: room for name, room in chosen.items() if name in WITHOUT_BROKER}
    if not COMPONENTS["postgres"]() and chosen.pop("several", None) is not None:
        print("PostgreSQL is absent: two collectors on one are not measured", file=sys.stderr)
    with progress:
        task = progress.add_task("")
        for name, room in chosen.items():
            figures += room(partial(_tell, progress, task, name))
    if options.json:
        print(as_json(figures))
    else:
        console = Console(highlight=False)
        show(figures, console)
        if options.quick:
            console.print("[yellow]quick: every row was computed, and no figure means anything[/]")
    return 0


def _tell(progress: Progress, task: TaskID, room: str, what: str) -> None:
    progress.update(task, description=f"{room}: {what}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
