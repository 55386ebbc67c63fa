"""`cloud-collector invoices`: all that were issued in a time, for other books."""

from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer

from cloud_collector.billing.books import as_csv, as_json_lines, issue_day, issued
from cloud_collector.billing.datev import NotBookable, as_datev
from cloud_collector.billing.journal import as_beancount
from cloud_collector.billing.parquet import as_parquet
from cloud_collector.cli.opened import StoreOption, ending, opened, say, settings, write_file
from cloud_collector.settings import CollectorSettings
from shared.line import Body

app = typer.Typer(no_args_is_help=True, help="Issued invoices together: for accounting and for analysis.")

REFUSED: Final = 4
_DAY: Final = timedelta(days=1)


class Book(StrEnum):
    """A form for other books."""

    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"
    BEANCOUNT = "beancount"
    DATEV = "datev"


@app.callback()
def together() -> None:
    """A group, so that further verbs find their place."""


@app.command()
@ending
def export(
    as_: Annotated[Book, typer.Option("--as", help="The form.")],
    from_: Annotated[datetime, typer.Option("--from", formats=["%Y-%m-%d"], help="The first day of issue.")],
    to: Annotated[datetime, typer.Option("--to", formats=["%Y-%m-%d"], help="The day after the last one.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="`-` is standard output.")] = Path("-"),
    store: StoreOption = None,
) -> None:
    """Example: `cloud-collector invoices export --as datev --from 2026-10-01 --to 2026-11-01 --out EXTF_October.csv`.

    Write every invoice issued from one day on, up to another, which is excluded; days are the contract's local ones.
    """
    first, end = from_.date(), to.date()
    if first >= end:
        say(f"--to is excluded and must lie after --from: {first} to {end} holds no day")
        raise typer.Exit(2)
    known = settings(store=store)
    with opened(known) as held:
        # A local day lies within a day of the same one in UTC, whatever the zone.
        around = (_midnight(first - _DAY), _midnight(end + _DAY))
        bodies = [body for body in issued(held, *around) if first <= issue_day(body) < end]
    try:
        made = _made(as_, bodies, known, first, end - _DAY)
    except NotBookable as error:
        say(str(error))
        raise typer.Exit(REFUSED) from None
    write_file(out, made)
    say(f"{len(bodies)} invoices")


def _made(book: Book, bodies: list[Body], known: CollectorSettings, first: date, last: date) -> bytes:
    match book:
        case Book.CSV:
            return as_csv(bodies).encode()
        case Book.JSONL:
            return as_json_lines(bodies).encode()
        case Book.PARQUET:
            return as_parquet(bodies)
        case Book.BEANCOUNT:
            return as_beancount(bodies).encode()
        case Book.DATEV:
            return as_datev(bodies, known.datev, first, last)


def _midnight(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
