"""`edge-agent status`, `backlog` and `read`: asked of the running agent, or found in its spool."""

import asyncio
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edge_agent import tables
from edge_agent.cli.at_hand import settings_at_hand
from edge_agent.cli.exits import Exit
from edge_agent.cli.person import Colour, dyed
from edge_agent.disk import FileDisk
from edge_agent.identity import read_signing_key
from edge_agent.local import ask, door_of
from edge_agent.metering import Metering
from edge_agent.preview import read_sources
from edge_agent.reading import RememberingSource
from edge_agent.sealed import Author
from edge_agent.sealing import AGENT
from edge_agent.settings import AgentSettings
from edge_agent.sources.choice import source_of
from edge_agent.spool import Spool
from edge_agent.summary import summary
from edge_agent.timekeeping import Tick
from edge_agent.words import count, quantity, span
from shared.effects.clock import SystemClock
from shared.errors import DatabaseCorrupt, MetersealError

_YEAR_2001 = 1_000_000_000
"""A smaller time of sealing is seconds since a boot."""


class SpoolMissing(MetersealError):
    """There is no spool: no agent has run with this configuration yet."""


def status(config: Path, flags: Sequence[str], *, as_json: bool) -> Exit:
    """Link, backlog, sources and registers."""
    settings = settings_at_hand(config, flags)
    found = asyncio.run(ask(door_of(settings.spool_path), "status")) or {}
    if not found:
        with _spool(settings) as spool:
            found = {"agent": AGENT, "gateway": spool.gateway, "epoch": spool.epoch, **_backlog(spool)}
    found["running"] = "pid" in found
    if as_json:
        print(json.dumps(found))
        return Exit.OK
    if found["running"]:
        print(_headline(found))
    print(f"gateway {found['gateway']}, epoch {found['epoch']}, {found['agent']}")
    if found["running"]:
        print(f"running as process {found['pid']}, {found['rss_bytes'] / 2**20:.0f} MiB")
        if found["safe_mode"]:
            print(f"SAFE MODE: the last good configuration runs, because of\n  {_indented(found['config_problem'])}")
        elif found["config_problem"]:
            print(f"the configuration was not taken, because of\n  {_indented(found['config_problem'])}")
        if found["making_room"]:
            print("the spool is full: nothing is metered until the collector has confirmed lines")
        link = found["link"]
        how = f"up for {span(link['seconds'])}" if link["up"] else f"down for {span(link['seconds'])}: {link['why']}"
        print(f"link {how}")
        if not found["synchronised"]:
            print(
                "clock not synchronised: what is metered waits for its place in time, and for its invoice, until it is"
            )
    else:
        print("not running: `sudo systemctl start edge-agent`, or `edge-agent run`")
    _print_backlog(found)
    for source in found.get("sources", ()):
        print(f"source {source['name']}: {source['down'] or 'good'}")
        for absent, why in {} if source["down"] else source["absent"].items():
            print(f"  but {absent}: {why}")
    rows = [
        (f"{device}.{meter}", quantity(register, exponent), quantity(raw, exponent), unit, log)
        for device, meter, unit, exponent, log, register, raw in found.get("channels", ())
    ]
    _print_table(("channel", "register", "raw", "unit", "log"), rows)
    _print_commissioned(found)
    return Exit.OK


def _headline(found: dict[str, Any]) -> str:
    """Whether somebody has to do something, and the line that `systemctl status` shows."""
    deaf = any(source["down"] or source["absent"] for source in found["sources"])
    well = found["link"]["up"] and found["synchronised"] and not (deaf or found["config_problem"])
    if well and not found["making_room"]:
        return f"{dyed('good', Colour.GOOD)}  {summary(found, int(time.time()) * 1_000)}"
    return f"{dyed('look', Colour.WARN)}  {summary(found, int(time.time()) * 1_000)}; `edge-agent doctor` says more"


def backlog(config: Path, flags: Sequence[str], *, as_json: bool) -> Exit:
    """What the collector has not yet confirmed."""
    settings = settings_at_hand(config, flags)
    found = asyncio.run(ask(door_of(settings.spool_path), "status")) or {}
    if not found:
        with _spool(settings) as spool:
            found = _backlog(spool)
    kept = {key: found[key] for key in _BACKLOG}
    if as_json:
        print(json.dumps(kept))
    else:
        _print_backlog(kept)
    return Exit.OK


def read(config: Path, flags: Sequence[str], *, as_json: bool) -> Exit:
    """Every source once; 1 where a channel could not be read."""
    settings = settings_at_hand(config, flags)
    rows = asyncio.run(read_rows(settings))
    if as_json:
        print(json.dumps({"rows": rows}))
    else:
        _print_table(
            ("channel", "raw", "register", "unit", "verdict"),
            [
                (
                    f"{row['device']}.{row['meter']}",
                    quantity(row["raw"], row["exponent"]),
                    quantity(row["register"], row["exponent"]),
                    row["unit"],
                    row["verdict"],
                )
                for row in rows
            ],
        )
    return Exit.OK if all(row["raw"] is not None for row in rows) else Exit.FAILED


_BACKLOG = ("backlog_lines", "backlog_oldest", "spool_bytes", "spool_bytes_max", "last_receipt_ms")


async def read_rows(settings: AgentSettings) -> list[dict[str, Any]]:
    """Every source once: by the running agent, else here, with nothing changed."""
    found = await ask(door_of(settings.spool_path), "read")
    if found is not None:
        rows: list[dict[str, Any]] = found["rows"]
        return rows
    clock = SystemClock(trusted=settings.wall_clock == "trusted")
    sources = [source_of(each, clock) for each in settings.sources]
    specs = tuple(spec for source in sources for spec in source.channels)
    snapshot = _snapshot(settings)

    def tick() -> Tick:
        return Tick(
            boot_ms=clock.boot_ms(),
            utc_ms=clock.utc_ms(),
            synchronised=clock.synchronised(),
            boot_id=clock.boot_id(),
        )

    metering = Metering(specs, tick=tick()) if snapshot is None else Metering.restore(snapshot, specs, tick=tick())
    for source in sources:
        if isinstance(source, RememberingSource):
            source.remember(metering.generations())
    try:
        return await read_sources(sources, lambda reading: metering.preview(reading, tick()))
    finally:
        for source in sources:
            await source.close()


def _snapshot(settings: AgentSettings) -> Any:
    try:
        with _spool(settings) as spool:
            return spool.snapshot()
    except (SpoolMissing, DatabaseCorrupt):
        # A source can be read all the same; what was metered before is unknown.
        return None


@contextmanager
def _spool(settings: AgentSettings) -> Iterator[Spool]:
    """The spool of an agent that is not running, as it lies there; raises SpoolMissing, DatabaseError."""
    if not settings.spool_path.exists():
        raise SpoolMissing(f"there is no spool at {settings.spool_path}: `edge-agent run` makes it")
    key = read_signing_key(settings.key_file)
    try:
        database = FileDisk(settings.spool_path).open()
    except DatabaseCorrupt as error:
        raise DatabaseCorrupt(f"{error}; `edge-agent run` moves it aside and sends what can still be read") from error
    try:
        if not tables.created(database):
            raise SpoolMissing(f"the spool at {settings.spool_path} is empty: no agent has run yet")
        yield Spool(database, key=key, author=Author(agent=AGENT, config=""), bytes_max=settings.spool_bytes_max)
    finally:
        database.close()


def spool_backlog(settings: AgentSettings) -> dict[str, Any]:
    """What the spool of an agent that does not run says of receipts; raises SpoolMissing, DatabaseError."""
    with _spool(settings) as spool:
        return _backlog(spool)


def _backlog(spool: Spool) -> dict[str, Any]:
    return {
        "backlog_lines": spool.waiting_count,
        "backlog_oldest": spool.waiting_oldest_sealed_at(),
        "spool_bytes": spool.bytes_used,
        "spool_bytes_max": spool.bytes_max,
        "last_receipt_ms": spool.last_receipt_at,
    }


def _print_backlog(found: dict[str, Any]) -> None:
    oldest = found["backlog_oldest"]
    age = f", the oldest sealed {span(int(time.time()) - oldest)} ago" if oldest and oldest > _YEAR_2001 else ""
    print(f"backlog {count(found['backlog_lines'], 'line')}{age}")
    print(f"spool {found['spool_bytes'] / 2**20:.1f} of {found['spool_bytes_max'] / 2**20:.0f} MiB")
    receipt = found["last_receipt_ms"]
    print(f"last receipt {'none yet' if receipt is None else span(int(time.time()) - receipt // 1_000) + ' ago'}")


def _print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    if not rows:
        return
    widths = [max(len(row[place]) for row in (head, *rows)) for place in range(len(head))]
    for row in (head, *rows):
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


def _print_commissioned(found: dict[str, Any]) -> None:
    """Whose display people have compared, and of which channels nobody has yet."""
    confirmed = found.get("commissioned", {})
    for channel, said in confirmed.items():
        place = f"line {said['seq']} of {said['log']}"
        ago = span(int(time.time()) - said["at"])
        print(f"display of {channel} compared {ago} ago: {said['display']}, stated by the birth in {place}")
    waiting = [f"{row[0]}.{row[1]}" for row in found.get("channels", ()) if f"{row[0]}.{row[1]}" not in confirmed]
    if confirmed and waiting:
        print(f"not compared with a display: {', '.join(waiting)} (`edge-agent commission`)")


def _indented(problem: str) -> str:
    return problem.replace("\n", "\n  ")
