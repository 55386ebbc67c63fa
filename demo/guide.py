"""What there is to see once the demo runs, and what to try."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from cloud_collector.store.store import Store
from demo.people import HOUSE, SITE
from demo.processes import BIN
from demo.site import Site
from demo.story import Story
from demo.tampering import Tampered
from shared.effects.sqlite import SqliteDatabase


def guide(story: Story, lie: Tampered, forged: str, *, stays: bool) -> Iterator[str]:
    """Lines for people; `forged` is the invoice that rests on the lie; `stays`: the servers are there to be opened."""
    site, days = story.site, story.site.calendar
    web = f"http://127.0.0.1:{site.web_port}"
    command = f"{_near(BIN / 'cloud-collector')} --config {_near(site.collector_config)}"
    if stays:
        yield "[bold]Open[/]"
        yield f"  {web}/         the operator's side: gateways, devices, billing, warnings"
        yield f"  {web}/portal   the customers' side: what it costs so far, and every number down to its signed line"
    else:
        yield "The servers have ended, their store is still there. In a browser: [bold]make demo[/] without ONCE=1"
    yield ""
    yield "[bold]Try[/]"
    minutes = (lie.was - lie.now) // 60
    yield f"  Which bill is a lie?  {forged}: somebody took {minutes} minutes off {lie.device} on {lie.day}."
    yield f"      {f'{web}/portal/ridge/invoices/{forged}/check, or: ' if stays else ''}{command} audit"
    yield "  Who is warned?        Harbour Housing: a new neighbour charges every night, and the budget is 400 EUR."
    yield f"      {command} warnings harbour --standing"
    yield "  What was exchanged?   The water meter of flat 2; not a litre was lost, and the register went on."
    yield f"      {command} device timeline {HOUSE}/water-flat-2"
    yield f"  Who was late?         {SITE}, around {days.this:%-d %B}: its invoice names the silent days,"
    yield "      and what arrived after it was issued is billed with the next one, under its own dates."
    yield "  Who pays for nothing? Ridge Builders: the compressor hardly runs and costs its minimum, and what was"
    yield f"      missing to last month's commitment stands on {_newest(site)}: {command} invoice show {_newest(site)}"
    yield f"  An odd day?           {days.clock_change:%-d %B} was not 24 hours long; every hour of it is billed once."
    yield "  Another tariff?       Change a price in catalog.toml, and see what it would have made of these months:"
    yield f"      {command} simulate-tariff --help"


def _newest(site: Site) -> str:
    """The builders' last invoice."""
    with closing(Store(SqliteDatabase(site.store, read_only=True), migrated=True)) as store:
        return next(str(row[0]) for row in reversed(store.rows("invoices")) if row[2] == "ridge-machines")


def _near(path: Path) -> str:
    """As one types it from here."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
