"""SIGKILL every few seconds, for as long as you like: collectors, broker, database, agents (P1, P2, P5–P8).

`python -m tests.crash.storm [--postgres] [--seconds 600] [--seed N]`, or `make kills STORM=600 [POSTGRES=1]`. Agents
replay CSVs through Mosquitto the whole time. On SQLite one collector takes them; with `--postgres` two beside each
other, on `$share` and on one PostgreSQL that is killed too and recovers from its log. What ends by itself must say "try
again" (exit 75), and is started again, as a service manager does. At the end every unit of the CSVs is accounted for,
once, by code that knows nothing of the product.
"""

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import Progress

from tests.crash.feed import READINGS_A_LINE, Feed, totals
from tests.crash.shared_site import TRY_AGAIN, SharedSite
from tests.crash.site import CrashSite, accounted
from tests.processes import Process

GATEWAYS: Final = 3
LINES_A_KILL: Final = 6
"""What each gateway has to seal between two kills."""
PAUSE_SECONDS: Final = (0.3, 3.0)
SHARES: Final = {"collector": 5, "database": 3, "broker": 2, "agent": 2}
"""How often each party is meant."""
KILLED_LEAST: Final = 2


@dataclass(slots=True, kw_only=True)
class Storm:
    """One seed's run."""

    site: CrashSite
    seed: int
    kills: Counter[str] = field(default_factory=Counter)
    lines: int = 0
    problems: list[str] = field(default_factory=list)

    def run(self, seconds: float, console: Console, *, settle: float = 240.0) -> int:
        """Kill for so long, settle, account; returns how many units were counted."""
        draw = random.Random(self.seed)
        feeds = {name: self.site.feed(name, draw.getrandbits(32)) for name in self.site.agents}
        for feed in feeds.values():
            feed.append(READINGS_A_LINE * 2)
        self.site.start()
        try:
            self._rage(draw, feeds, seconds, console)
            self.site.finish(feeds)
            self._raise_ended()
            self.lines = self.site.settle(feeds, seconds=settle)
            return self._account(feeds)
        finally:
            self.site.stop()

    def toothless(self) -> list[str]:
        """Parties that were hardly ever killed."""
        return [party for party in self.site.parties if self.kills[party] < KILLED_LEAST]

    def _rage(self, draw: random.Random, feeds: dict[str, Feed], seconds: float, console: Console) -> None:
        parties = [party for party in SHARES if party in self.site.parties]
        begun = time.monotonic()
        with Progress(console=console, transient=True) as progress:
            bar = progress.add_task("killing", total=seconds)
            while (gone := time.monotonic() - begun) < seconds:
                progress.update(bar, completed=gone)
                for feed in feeds.values():
                    feed.append(READINGS_A_LINE * LINES_A_KILL)
                time.sleep(draw.uniform(*PAUSE_SECONDS))
                self._raise_ended()
                self._kill(draw.choices(parties, [SHARES[party] for party in parties])[0], draw)

    def _kill(self, party: str, draw: random.Random) -> None:
        self.kills[party] += 1
        if isinstance(self.site, SharedSite) and party == "database":
            self.site.kill_database()
            return
        victim = draw.choice(self.site.of(party))
        victim.kill()
        time.sleep(draw.uniform(0.0, 0.5))
        victim.start()

    def _raise_ended(self) -> None:
        """What a service manager does."""
        for process in self.site.processes:
            if not process.alive():
                if process.code != TRY_AGAIN:
                    self.problems.append(f"{process.name} ended by itself with {process.code}: {_tail(process)}")
                process.start()

    def _account(self, feeds: dict[str, Feed]) -> int:
        found = accounted(self.site)
        expected = {(name, meter): units for name, feed in feeds.items() for meter, units in totals(feed.path).items()}
        for channel, units in expected.items():
            if found.get(channel) != units:
                said = f"the CSV says {units:,}, the collector accounts for {found.get(channel)}"
                self.problems.append(f"P1: {'/'.join(channel)}: {said}")
        return sum(expected.values())


def site_of(folder: Path, *, postgres: bool) -> CrashSite:
    """A site whose agents seal a line of five minutes."""
    names = [f"gw-{at}" for at in range(GATEWAYS)]
    return (SharedSite if postgres else CrashSite)(folder, names, step=60, count=READINGS_A_LINE)


def _tail(process: Process) -> str:
    return process.log.read_text(encoding="utf-8", errors="replace")[-1_500:]


def main() -> int:
    """Run; returns 0 where everything is exact."""
    parser = argparse.ArgumentParser(
        prog="storm", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--postgres", action="store_true", help="two collectors on one PostgreSQL, which is killed too")
    options = parser.parse_args()
    console = Console(highlight=False)
    with tempfile.TemporaryDirectory(prefix="meterseal-storm-") as name:
        storm = Storm(site=site_of(Path(name), postgres=options.postgres), seed=options.seed)
        units = storm.run(options.seconds, console)
    console.print(f"seed {options.seed}: {storm.lines:,} lines held; killed {dict(storm.kills)}")
    for problem in storm.problems:
        console.print(f"[red]BROKEN[/] {problem}")
    for party in storm.toothless():
        console.print(f"[red]TOOTHLESS[/] the {party} was killed {storm.kills[party]} times")
    if storm.problems or storm.toothless():
        return 1
    console.print(f"[green]exact[/]: {units:,} units, none lost, none twice")
    return 0


if __name__ == "__main__":
    sys.exit(main())
