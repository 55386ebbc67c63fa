"""Pages: how long the server takes for each page of the console and of the portal, with a large fleet in the store.

The pages are asked for as a browser asks, without a network. What counts is the slowest of them in the median; beside
it stand the processor's time and the slowest single answer, which is most often the first.
"""

import asyncio
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

import httpx

from cloud_collector.web.app import create_app
from tests.api_world import site_of
from tests.bench.figure import Figure, Say
from tests.bench.large_site import DEVICES, NOW, fill

GOAL_MS: Final = 100
TURNS: Final = 9
CONSOLE: Final = {
    "overview": "/",
    "fleet, first page": "/gateways",
    "fleet, a page in the middle": "/gateways?after=gw-05000",
    "fleet, silent ones": "/gateways?state=silent",
    "fleet, searched": "/gateways?q=99",
    "one gateway": "/gateways/gw-00077",
    "devices, first page": "/devices",
    "devices, searched": "/devices?q=99/m5",
    "one device": "/devices/gw-00001/m5",
    "one device's usage": "/devices/gw-00001/m5/usage",
    "accounts": "/accounts",
    "one account": "/accounts/a0",
    "contracts": "/contracts",
    "one contract": "/contracts/c0",
    "billing": "/billing",
    "billing, preview": "/billing/preview",
    "invoices": "/invoices",
    "one invoice": "/invoices/INV-1",
    "warnings": "/warnings",
    "audit log": "/audit",
    "alarms": "/alarms",
    "unmatched": "/unmatched",
}
TRIED: Final = {
    "a price tried out": "/contracts/c0?from=2026-11&to=2026-11&set=plans.charger.charges.Connection.price%3D19.90",
}
"""What somebody asks for and waits for: a whole catalog is read with the price changed, and a month rated twice."""
PORTAL: Final = {
    "choice of accounts": "/portal",
    "month": "/portal/a0",
    "month with charts, 50 devices": "/portal/ashop",
    "its moving figures": "/portal/a0/live",
    "devices": "/portal/a0/devices",
    "device": "/portal/a0/devices/gw-00001/m5",
    "day": "/portal/a0/days/2026-11-05",
    "intervals": "/portal/a0/days/2026-11-05/gw-00001/m5/energy",
    "days of a meter": "/portal/a0/usage/gw-00001/m5/energy",
    "lines of the month": "/portal/a0/cost/c0",
    "one of them opened": "/portal/a0/cost/c0/{line}",
    "signed line": "/portal/a0/lines/gw-00001/main/{epoch}/30",
    "invoices": "/portal/a0/invoices",
    "invoice": "/portal/a0/invoices/{invoice}",
    "a line of it opened": "/portal/a0/invoices/{invoice}/lines/{place}",
    "check": "/portal/a0/invoices/{invoice}/check",
    "warnings": "/portal/a0/warnings",
    "disputes": "/portal/a0/disputes",
    "dispute": "/portal/a0/disputes/1",
    "data": "/portal/a0/data",
}


class Took(NamedTuple):
    """Milliseconds of one page."""

    wall: float
    processor: float
    most: float


def pages(say: Say, *, gateways: int, days: int = 40) -> list[Figure]:
    """Milliseconds of server time for each page, and for the slowest of them."""
    say(f"filling a store of {gateways:,} gateways and {gateways * DEVICES:,} devices")
    with TemporaryDirectory() as folder:
        path = Path(folder) / "collector.db"
        archive = fill(path, gateways, days)
        say("opening its pages")
        took = asyncio.run(_measure(httpx.ASGITransport(app=create_app(site_of(path, archive, now=NOW)))))
    pages = {name: each for name, each in took.items() if name not in TRIED}
    worst, dearest = max(pages, key=lambda name: pages[name].wall), max(pages, key=lambda name: pages[name].processor)
    size = f"{gateways:,} gateways, {gateways * DEVICES:,} devices; median of {TURNS}"
    found = [
        Figure(
            room="pages",
            name="slowest page",
            value=pages[worst].wall,
            unit="ms",
            most=GOAL_MS,
            note=f"{worst}; {size}",
        ),
        Figure(
            room="pages",
            name="dearest page, processor",
            value=pages[dearest].processor,
            unit="ms",
            most=GOAL_MS,
            note=f"{dearest}; what it takes where nothing else runs",
        ),
    ]
    return found + [
        Figure(
            room="pages",
            name=name,
            value=each.wall,
            unit="ms",
            note=f"{each.processor:.0f} ms of a core, {each.most:.0f} ms at most",
        )
        for name, each in took.items()
    ]


async def _measure(transport: httpx.ASGITransport) -> dict[str, Took]:
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", timeout=120) as browser:
        named = await _names(browser)
        found = {}
        for room, listed in (("", CONSOLE), ("", TRIED), ("portal: ", PORTAL)):
            for name, address in listed.items():
                turns = 1 if name in TRIED else TURNS
                found[room + name] = await _ask(browser, address.format(**named), turns)
    return found


async def _names(browser: httpx.AsyncClient) -> dict[str, str]:
    """What only the store knows: which line, epoch and invoice to ask for. This reads the catalog as well."""
    lines = (await browser.get("/portal/a0/cost/c0.json")).json()
    metered = next(each for each in lines if each["kind"] == "usage")
    days = (await browser.get("/portal/a0/days/2026-11-05/gw-00001/m5/energy.json")).json()
    issued = (await browser.get("/portal/a0/invoices.json")).json()[-1]["number"]
    body = (await browser.get(f"/portal/a0/invoices/{issued}.json")).json()
    place = next(at for at, each in enumerate(body["lines"], start=1) if each["kind"] == "usage")
    epoch = next(each["line"].split("/")[2] for each in days if each["line"])
    return {"line": metered["line"], "epoch": epoch, "invoice": issued, "place": str(place)}


async def _ask(browser: httpx.AsyncClient, address: str, turns: int) -> Took:
    wall, processor = [], []
    for _ in range(turns):
        began, used = time.perf_counter(), time.process_time()
        (await browser.get(address)).raise_for_status()
        wall.append((time.perf_counter() - began) * 1_000)
        processor.append((time.process_time() - used) * 1_000)
    return Took(wall=median(wall), processor=median(processor), most=max(wall))
