"""`cloud-collector`: the operator's command."""

import logging
import sys
from pathlib import Path
from typing import Annotated

import typer

from cloud_collector.cli import billing, catalog, config, gateway, invoice, key, operate, quote, usage
from cloud_collector.cli.anywhere import EXITS, Anywhere
from cloud_collector.cli.opened import use_config
from cloud_collector.cli.run import run

app = typer.Typer(
    cls=Anywhere,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    epilog=EXITS,
    rich_markup_mode=None,
    help="Collect sealed reports, bill them, prove the bills. Example: cloud-collector run",
)


@app.callback()
def configure(
    file: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="Default: /etc/meterseal/collector.toml.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Set one option, such as broker.host=localhost."),
    ] = None,
    log_level: Annotated[str, typer.Option("--log-level", help="debug, info, warning or error.")] = "info",
) -> None:
    """Read the configuration that every command speaks of."""
    level = logging.getLevelNamesMapping().get(log_level.upper())
    if level is None:
        raise typer.BadParameter(f"{log_level!r} is none of debug, info, warning, error", param_hint="--log-level")
    logging.basicConfig(stream=sys.stderr, level=level, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    for chatty in ("apscheduler", "asyncio", "aiomqtt", "mqtt"):
        logging.getLogger(chatty).setLevel(max(level, logging.WARNING))
    use_config(file, set_ or [])


app.command("run")(run)
app.command("rebuild")(operate.rebuild)
app.command("audit")(operate.audit)
app.command("quote")(quote.quote)
app.add_typer(config.app, name="config")
app.add_typer(gateway.app, name="gateway")
app.add_typer(usage.app, name="usage")
app.add_typer(operate.unmatched, name="unmatched")
app.add_typer(key.app, name="key")
app.add_typer(catalog.app, name="catalog")
app.add_typer(billing.app, name="billing")
app.add_typer(invoice.app, name="invoice")


def main() -> None:
    """Run one command."""
    app()


if __name__ == "__main__":
    main()
