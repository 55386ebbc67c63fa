"""Fuzz intake: `python -m tests.fuzz --messages 1000000 [--seed 1] [--jobs 2] [--postgres] [--keep]`, or `make fuzz`.

Mallory, who is enrolled, sends what nobody should; two neighbours send good lines in the same batches. Every message
has a named verdict, the neighbours are accounted for to the unit, memory stays where it was, and the store follows from
its lines. `--keep` adds one message for each new reason to `tests/property/corpus/intake.jsonl`, which tests replay.
"""

import argparse
import base64
import json
import sys
import time
from collections import Counter

from rich.console import Console
from rich.progress import Progress

from tests.fuzz.life import lives
from tests.fuzz.poison import Poison
from tests.fuzz.world import KEPT, LIFE, FuzzWorld, kept_verdicts

GROWTH_KIB_MAX = 64 * 1024
"""What a process may grow by after its first life: nothing that is sent stays in memory (P9)."""
WARM_LIVES = 2


def keep(found: dict[str, Poison]) -> int:
    """Messages whose reasons no kept one has are kept; returns how many."""
    known = {said for _, _, words in kept_verdicts() for said in words}
    rows = []
    world = FuzzWorld(0)
    for poison in found.values():
        said = world.said(poison.topic, poison.payload)
        if len(poison.payload) <= 800 and len(poison.topic) <= 256 and not set(said) <= known:
            known |= set(said)
            payload = base64.b64encode(poison.payload).decode()
            rows.append(json.dumps({"topic": poison.topic, "payload": payload, "said": said}))
    world.close()
    with KEPT.open("a", encoding="utf-8") as file:
        file.writelines(f"{row}\n" for row in rows)
    return len(rows)


def main() -> int:
    """Run; returns 0 where every promise held."""
    parser = argparse.ArgumentParser(
        prog="fuzz", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1, help="of the first life; each has the next one")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--postgres", action="store_true", help="on a PostgreSQL of its own instead of SQLite")
    parser.add_argument("--keep", action="store_true", help="keep a message for each reason that the corpus lacks")
    options = parser.parse_args()
    console = Console(highlight=False)
    count = -(-options.messages // LIFE)
    since, peaks, reasons = time.monotonic(), list[int](), Counter[str]()
    found: dict[str, Poison] = {}
    with Progress(console=Console(stderr=True)) as progress:
        bar = progress.add_task("fuzzing", total=count)
        for life in lives(range(options.seed, options.seed + count), options.jobs, postgres=options.postgres):
            progress.advance(bar)
            if life.problem:
                console.print(f"[red]BROKEN[/] by seed {life.seed}:\n{life.problem}", markup=True)
                return 1
            reasons.update(life.reasons)
            found = life.found | found
            peaks.append(life.peak_kib)
    taken, seconds = count * LIFE, time.monotonic() - since
    console.print(f"{taken:,} messages in {seconds:.0f} s, {len(reasons)} reasons, {sum(reasons.values()):,} lines")
    for said in ("Genuine", "Unmatched", "RefusedLine", "Answered"):
        mine = {name: times for name, times in reasons.items() if name.startswith(said)}
        console.print(f"  {said}: {sum(mine.values()):,} in {len(mine)} kinds")
    growth = max(peaks) - max(peaks[: WARM_LIVES * options.jobs])
    console.print(f"memory: {max(peaks) / 1024:.0f} MiB at the most, {growth / 1024:.1f} MiB above the first lives")
    if options.keep:
        console.print(f"kept {keep(found)} messages in {KEPT}")
    if growth > GROWTH_KIB_MAX:
        console.print(f"[red]BROKEN[/]: it grew by more than {GROWTH_KIB_MAX // 1024} MiB")
        return 1
    console.print("[green]holds[/]: a verdict for each, every good line taken, every unit accounted for")
    return 0


if __name__ == "__main__":
    sys.exit(main())
