"""What each command does, and the log that says who did it: hung in where a command opens the store, in one place.

A command that changes something is logged however it ends. One that reads is logged where it names somebody's
account, contract, invoice or device: a customer may ask who looked.
"""

import getpass
import os
import shlex
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any, Final

import typer

from cloud_collector.access import trail
from cloud_collector.access.viewer import Deed, Means, Role, Viewer, everything
from cloud_collector.activity.holding import holdings
from cloud_collector.billing.disputes import dispute
from cloud_collector.billing.revisions import NoCatalog, revisions
from cloud_collector.contracts.catalog import Catalog
from cloud_collector.store.store import Store
from shared.effects.clock import SystemClock
from shared.errors import DatabaseError, MetersealError

DEEDS: Final[Mapping[Deed, str]] = {
    Deed.ADMIT: "person add, person role, person remove, person link, token create, token revoke",
    Deed.APPROVE: "billing approve",
    Deed.BILL: """billing run, billing resume, billing retry, billing prepare, invoice void, invoice rebill,
        invoice paid, invoice send, credit pay-out, backup confirm""",
    Deed.COMMAND: """gateway command, gateway resend, device suspend, device resume, device end, device activate""",
    Deed.CONFIGURE: """catalog apply, rebuild, webhook add, webhook stop, webhook replay, checkpoint make,
        backup create, backup restore, backup reimport, store copy, config init, retention run""",
    Deed.ENROL: """gateway add, gateway adopt, gateway invite, gateway accept, gateway revoke, unmatched accept,
        unmatched block,
        unmatched unblock, ingest open, key rotate-receipt, key recover, pki init, pki renew, pki crl""",
    Deed.EXPORT: "invoice export, invoices export, catalog export",
    Deed.READ: """invoice show, cost, warnings, usage show, usage quarantine, device list, device timeline,
        simulate-tariff, billing preview, usage days, usage intervals, gateway line, contract list, dispute list,
        dispute show, invoice list""",
}
"""Commands that are logged, by what they do."""
UNLOGGED: Final = """
    run, audit, alarms, doctor, quote,
    webhook list, webhook log, webhook listen, config check, config show, credit list,
    ingest list, account list, person sessions,
    gateway list, gateway show, gateway holes, unmatched list, unmatched blocked, key new, key show, catalog check,
    catalog list, catalog diff, catalog show, billing list, billing parked, billing too-late, billing runs,
    billing drafts, backup list, backup verify, checkpoint list, checkpoint prove, checkpoint verify,
    person list, token list, audit-log list, retention preview
"""
"""Commands that change nothing and name nobody's data."""
SILENT: Final = frozenset({"store", "folder", "json_"})
"""Options that say nothing of what was done."""


def names(text: str) -> list[str]:
    """The commands of a list."""
    return [" ".join(each.split()) for each in text.split(",")]


_RUNNING: ContextVar[Any] = ContextVar("running", default=None)
"""The context of the command that runs, as typer has it."""
_DEED_OF: Final = {name: deed for deed, text in DEEDS.items() for name in names(text)}


def whoever() -> Viewer:
    """Who gives this command: whoever may write the store's file may do anything, and the log has their name."""
    return everything(Role.OPERATOR, os.environ.get("SUDO_USER") or _user(), means=Means.COMMAND)


def notice(command: Any) -> None:
    """From here on it is known of this command that it runs, and with what."""
    invoke = command.invoke

    def noticed(context: Any) -> Any:
        _RUNNING.set(context)
        return invoke(context)

    command.invoke = noticed


@contextmanager
def logged(store: Store) -> Iterator[None]:
    """Within, the command that runs does what it does to this store; afterwards that stands in the log."""
    context = _RUNNING.get()
    words = [] if context is None else context.command_path.split()[1:]
    deed = _DEED_OF.get(" ".join(words))
    if context is None or deed is None:
        yield
        return
    what = " ".join(words) + _told(context)
    try:
        yield
    except typer.Exit as exit_:
        what += f" (ended with {exit_.exit_code})" if exit_.exit_code else ""
        raise
    except DatabaseError:
        # Where the store could not be read or written, the log in it cannot either.
        what = ""
        raise
    except MetersealError:
        what += " (failed)"
        raise
    finally:
        done: set[str] = context.meta.setdefault(__name__, set())
        # A command that opens the store twice does one thing.
        if what and what not in done:
            done.add(what)
            # What was done is done; that it cannot be written down, on a full disk say, does not change how it ended.
            with suppress(MetersealError):
                _enter(store, deed, what, context.params)


def _enter(store: Store, deed: Deed, what: str, given: Mapping[str, Any]) -> None:
    accounts = sorted(set(_accounts(store, given)))
    if deed is Deed.READ and not accounts:
        return
    who, now_ms = whoever(), SystemClock().utc_ms()
    with store.atomic():
        for account in accounts or [""]:
            trail.enter(store, who, deed, what, account=account, now_ms=now_ms)


def _told(context: Any) -> str:
    """The arguments and options that were given, as they would be typed."""
    parts = []
    for parameter in context.command.params:
        name = parameter.name or ""
        value = context.params.get(name)
        source = context.get_parameter_source(name)
        if name in SILENT or source is None or source.name != "COMMANDLINE" or value is None or value is False:
            continue
        option = next((each for each in parameter.opts if each.startswith("--")), "")
        for each in value if isinstance(value, list | tuple) else [value]:
            parts += [option] if option else []
            parts += [] if each is True else [shlex.quote(str(each))]
    return "".join(f" {part}" for part in parts)


def _accounts(store: Store, given: Mapping[str, Any]) -> Iterator[str]:
    """Whose things a command names."""
    words = [word for value in given.values() for word in _words(value)]
    asked = given.get("dispute_")
    if isinstance(asked, int) and (found := dispute(store, asked)) is not None:
        yield found.account
    if not words:
        return
    try:
        catalog: Catalog | None = revisions(store)[-1].catalog
    except NoCatalog:
        catalog = None
    held = {} if catalog is None else holdings(catalog)
    for word in words:
        if catalog is not None and word in catalog.accounts:
            yield word
        if catalog is not None and word in catalog.contracts:
            yield catalog.contracts[word].account
        for device, its in held.items():
            if word in {device, device.partition("/")[0]}:
                yield from (each.account for each in its)
        row = store.row("document_row", word)
        if row is not None:
            yield row[2]


def _words(value: Any) -> Iterable[str]:
    match value:
        case str():
            return [value]
        case list() | tuple():
            return [each for each in value if isinstance(each, str)]
        case _:
            return []


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
