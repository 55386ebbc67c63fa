"""`cloud-collector`: the operator's command."""

from pathlib import Path
from typing import Annotated, Final

import typer

from cloud_collector.cli import (
    account,
    alarms,
    approving,
    audit_log,
    backup,
    billing,
    catalog,
    catalog_history,
    checkpoint,
    command,
    config,
    config_init,
    correct,
    detail,
    device,
    dispute,
    enrolment,
    gateway,
    holes,
    ingest,
    invoice,
    invoices,
    key,
    line,
    operate,
    person,
    pki,
    quote,
    replace,
    retention,
    sending,
    store,
    token,
    unmatched,
    usage,
    webhook,
)
from cloud_collector.cli.anywhere import EXITS, Anywhere
from cloud_collector.cli.audit import audit
from cloud_collector.cli.cost import cost
from cloud_collector.cli.doctor import doctor
from cloud_collector.cli.opened import use_config
from cloud_collector.cli.run import run
from cloud_collector.cli.simulate_tariff import simulate_tariff
from cloud_collector.cli.warnings import warnings
from shared.effects.log import log_to_stderr

LEVELS: Final = ("debug", "info", "warning", "error")

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
    log_level: Annotated[
        str, typer.Option("--log-level", metavar="LEVEL", help="What `run` says: debug, info, warning or error.")
    ] = "info",
) -> None:
    """Read the configuration that every command speaks of."""
    if log_level not in LEVELS:
        raise typer.BadParameter(f"{log_level!r} is none of {', '.join(LEVELS)}", param_hint="--log-level")
    log_to_stderr(log_level)
    use_config(file, set_ or [])


app.command("run")(run)
app.command("rebuild")(operate.rebuild)
app.command("audit")(audit)
app.command("doctor")(doctor)
app.command("alarms")(alarms.alarms)
app.command("quote")(quote.quote)
app.command("cost")(cost)
app.command("warnings")(warnings)
app.add_typer(webhook.app, name="webhook")
app.command("simulate-tariff")(simulate_tariff)
config.app.command("init")(config_init.init)
app.add_typer(config.app, name="config")
invoice.app.command("send")(sending.send)
invoice.app.command("void")(correct.void)
invoice.app.command("rebill")(correct.rebill)
invoice.app.command("paid")(correct.paid)
app.add_typer(correct.credit, name="credit")
gateway.app.command("command")(command.command)
gateway.app.command("holes")(holes.holes)
gateway.app.command("resend")(holes.resend)
gateway.app.command("line")(line.line)
gateway.app.command("adopt")(command.adopt)
gateway.app.command("invite")(enrolment.invite)
gateway.app.command("accept")(enrolment.accept)
gateway.app.command("revoke")(enrolment.revoke)
app.add_typer(gateway.app, name="gateway")
app.add_typer(ingest.app, name="ingest")
app.add_typer(pki.app, name="pki")
usage.app.command("days")(detail.days)
usage.app.command("intervals")(detail.intervals)
app.add_typer(usage.app, name="usage")
app.add_typer(unmatched.app, name="unmatched")
key.app.command("rotate-receipt")(replace.rotate_receipt)
key.app.command("recover")(replace.recover)
app.add_typer(key.app, name="key")
catalog.app.command("diff")(catalog_history.diff)
catalog.app.command("export")(catalog_history.export)
catalog.app.command("show")(catalog_history.show)
app.add_typer(catalog.app, name="catalog")
app.add_typer(device.app, name="device")
app.add_typer(account.app, name="account")
app.add_typer(account.contract, name="contract")
app.add_typer(dispute.app, name="dispute")
billing.app.command("preview")(approving.preview)
billing.app.command("prepare")(approving.prepare)
billing.app.command("drafts")(approving.drafts)
billing.app.command("approve")(approving.approve)
app.add_typer(billing.app, name="billing")
app.add_typer(invoice.app, name="invoice")
app.add_typer(invoices.app, name="invoices")
app.add_typer(backup.app, name="backup")
app.add_typer(store.app, name="store")
app.add_typer(checkpoint.app, name="checkpoint")
app.add_typer(retention.app, name="retention")
app.add_typer(audit_log.app, name="audit-log")
app.add_typer(person.app, name="person")
app.add_typer(token.app, name="token")


def main() -> None:
    """Run one command."""
    app()


if __name__ == "__main__":
    main()
