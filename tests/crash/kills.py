"""Real processes, a real broker, SIGKILL: every unit of the CSVs is accounted for, once (P1, P2, P5–P8).

`python -m tests.crash.kills [--modbus] [--seed N] [--kills 60] [--lines 10000]`. Agents replay CSVs through
Mosquitto into a collector; agents, collector and broker are killed at drawn moments, among them inside
sealing, inside the collector's commit, between that commit and its receipts, and while a backlog
drains; whether a kill hit its moment is read from the victim's own log afterwards. With `--modbus` the
agents read Modbus meters on the wall clock, which are killed too, and everybody speaks TLS 1.3 with
certificates from enrolment. The expected totals come from the CSVs by code of `tests.crash.feed` alone.
"""

import argparse
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import Progress

from tests.crash.feed import READINGS_A_LINE, totals
from tests.crash.site import CrashSite, accounted
from tests.crash.wall_site import WallSite
from tests.processes import Process

GATEWAYS: Final = 4
LINES: Final = 10_000
WALL_LINES: Final = 200
"""On the wall clock a line takes its time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A stretch of a party's life between two events of its log."""

    name: str
    party: str
    begins: str
    ends: str


MOMENTS: Final = (
    Moment(name="sealing", party="agent", begins="seal_begun", ends="seal_ended"),
    Moment(name="commit", party="collector", begins="commit_begun", ends="commit_ended"),
    Moment(name="commit-to-receipt", party="collector", begins="commit_ended", ends="receipts_sent"),
    Moment(name="drain", party="agent", begins="drain_begun", ends="drain_ended"),
)
MOMENT_LEAST: Final = 3
PARTY_LEAST: Final = 12


def main() -> int:
    """Run; returns 0 where everything is exact."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--lines", type=int, help="the least of sealed lines: 10,000, or 200 with --modbus")
    parser.add_argument("--modbus", action="store_true", help="meters on Modbus TCP, certificates everywhere")
    options = parser.parse_args()
    console = Console(highlight=False)
    lines = options.lines or (WALL_LINES if options.modbus else LINES)
    console.print(f"seed {options.seed}: {options.kills} kills, at least {lines} sealed lines")
    names = [f"gw-{at}" for at in range(GATEWAYS)]
    with tempfile.TemporaryDirectory(prefix="meterseal-kills-") as name:
        folder = Path(name)
        site = WallSite(folder, names) if options.modbus else CrashSite(folder, names, step=60, count=READINGS_A_LINE)
        return Kills(site, options.seed, options.kills, lines, console).run()


class Kills:
    """One seed's run."""

    def __init__(self, site: CrashSite, seed: int, kills: int, lines: int, console: Console) -> None:
        self._rng = random.Random(seed)
        self._kills, self._lines, self._console = kills, lines, console
        self._site = site
        self._files = {name: site.feed(name, self._rng.getrandbits(32)) for name in site.agents}
        self._hits: Counter[str] = Counter()
        self._parties: Counter[str] = Counter()

    def run(self) -> int:
        """Feed, kill, settle, account."""
        site = self._site
        # Fed in bursts, so that there is a backlog to drain.
        chunk = self._lines * READINGS_A_LINE // GATEWAYS // self._kills + READINGS_A_LINE
        for feed in self._files.values():
            feed.append(chunk)
        site.start()
        try:
            with Progress(console=self._console) as progress:
                bar = progress.add_task("killing", total=self._kills)
                for place, moment in enumerate(self._schedule()):
                    for feed in self._files.values():
                        feed.append(chunk)
                    self._console.print(f"{place + 1:3} {self._kill(moment)}")
                    progress.update(bar, completed=place + 1)
            site.finish(self._files)
            lines = site.settle(self._files, seconds=240)
        finally:
            site.stop()
        return self._verdict(lines)

    def _schedule(self) -> list[Moment | str]:
        """Which moment or party each kill is aimed at; more than the least, since some shots miss."""
        plan: list[Moment | str] = [moment for moment in MOMENTS for _ in range(7)]
        plan += ["broker"] * 14
        plan += [self._rng.choice(self._site.parties) for _ in range(self._kills - len(plan))]
        self._rng.shuffle(plan)
        return plan[: self._kills]

    def _kill(self, aim: Moment | str) -> str:
        party = aim if isinstance(aim, str) else aim.party
        victim = self._victim(party)
        if isinstance(aim, Moment):
            self._site.before(aim.name)
            if not is_inside(victim, aim):
                wait_for_event(victim, aim.begins, seconds=5)
        else:
            time.sleep(self._rng.uniform(0.05, 0.8))
        victim.kill()
        inside = [moment.name for moment in MOMENTS if moment.party == party and is_inside(victim, moment)]
        self._parties[party] += 1
        self._hits.update(inside)
        time.sleep(self._rng.uniform(0.0, 0.3))
        victim.start()
        at = datetime.now(UTC).strftime("%H:%M:%S.%f")[:-3]
        aimed = aim if isinstance(aim, str) else f"{aim.party} in {aim.name}"
        return f"{at} {victim.name}: aimed at {aimed}, was inside {', '.join(inside) or 'nothing of these'}"

    def _victim(self, party: str) -> Process:
        return self._rng.choice(self._site.of(party))

    def _verdict(self, lines: int) -> int:
        expected = {
            (name, meter): total for name, feed in self._files.items() for meter, total in totals(feed.path).items()
        }
        found = accounted(self._site)
        wrong = {
            channel: (total, found.get(channel)) for channel, total in expected.items() if found.get(channel) != total
        }
        say = self._console.print
        say(f"sealed lines held: {lines:,}; kills: {dict(self._parties)}; inside: {dict(self._hits)}")
        for channel, (total, have) in wrong.items():
            say(f"[red]WRONG[/] {'/'.join(channel)}: the CSV says {total:,}, the collector accounts for {have}")
        toothless = [moment.name for moment in MOMENTS if self._hits[moment.name] < MOMENT_LEAST]
        toothless += [party for party in ("agent", "collector", "broker") if self._parties[party] < PARTY_LEAST]
        if self._kills >= 60 and toothless:
            say(f"[red]TOOTHLESS[/] too few kills inside: {', '.join(toothless)}")
        if lines < self._lines:
            say(f"[red]TOO SHORT[/] {lines:,} lines instead of {self._lines:,}")
        if wrong or lines < self._lines or (self._kills >= 60 and toothless):
            return 1
        say(f"[green]exact[/]: {sum(expected.values()):,} units in {len(expected)} channels, none lost, none twice")
        return 0


def wait_for_event(victim: Process, event: str, *, seconds: float) -> None:
    """Return the moment the victim says it, or when the time is over."""
    said = threading.Event()

    def listen(name: str) -> None:
        if name == event:
            said.set()

    victim.on_event = listen
    said.wait(seconds)
    victim.on_event = None


def is_inside(victim: Process, moment: Moment) -> bool:
    """Whether the victim died between the two: its last word of the pair was the first one."""
    pair = [event for event in victim.events if event in (moment.begins, moment.ends)]
    return bool(pair) and pair[-1] == moment.begins


if __name__ == "__main__":
    sys.exit(main())
