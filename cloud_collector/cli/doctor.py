"""`cloud-collector doctor`: one line for everything that a collector needs; what is not good says what to do next."""

import json
import os
import shutil
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer
from rich.console import Console

from cloud_collector.billing.revisions import NoCatalog, revisions
from cloud_collector.cli.doctor_broker import broker_of
from cloud_collector.cli.gateway import iso
from cloud_collector.cli.ingest import key_findings
from cloud_collector.cli.opened import Json, KeyUnusable, ending, read_key, settings
from cloud_collector.notify.post import reached
from cloud_collector.settings import CollectorSettings
from cloud_collector.store.place import is_there, open_database, place_of
from cloud_collector.store.store import Store, migrations
from cloud_collector.upkeep.incidents import open_incidents
from cloud_collector.upkeep.surroundings import backup_folder, backups_made, certificates
from shared.effects.clock import SystemClock
from shared.errors import DatabaseError
from shared.finding import Finding, Word, bad, good, look, plain, skipped

GIB: Final = 2**30
DAY: Final = 86_400
CLOCK_PLAUSIBLE_MS: Final = 1_767_225_600_000
"""1 January 2026: a clock before that has never been set."""
BACKUP_SECONDS: Final = 36 * 3_600
CERTIFICATE_DAYS: Final = 21
MOSQUITTO: Final = Path("/etc/mosquitto/mosquitto.conf")
_STYLES: Final = {Word.GOOD: "green", Word.LOOK: "yellow", Word.BAD: "red", Word.SKIPPED: "dim"}


@ending
def doctor(
    mosquitto: Annotated[
        Path,
        typer.Option("--mosquitto", metavar="FILE", help="The broker's configuration, where it is on this machine."),
    ] = MOSQUITTO,
    json_: Json = False,
) -> None:
    """Example: `cloud-collector doctor`.

    Look at store, disk, clock, broker, keys, mail, backups, checkpoints and time zones. Exit 1 where something is bad.
    """
    found = []
    console = Console(highlight=False, soft_wrap=not sys.stdout.isatty())
    for each in examined(settings(), mosquitto):
        found.append(each)
        if not json_:
            _say(console, each)
    wrong = [each.name for each in found if each.word is Word.BAD]
    if json_:
        print(json.dumps({"ok": not wrong, "checks": plain(found)}, indent=2, ensure_ascii=False))
    else:
        print(f"\nto do: {', '.join(wrong)}" if wrong else "\nall is well")
    if wrong:
        raise typer.Exit(1)


def examined(known: CollectorSettings, mosquitto: Path) -> Iterator[Finding]:
    """Every finding, in the order in which they rest on one another."""
    now = SystemClock().utc_ms() // 1000
    yield _clock()
    yield from _store(known, now)
    yield from _disks(known)
    yield from _keys(known)
    yield from _certificates(known, now)
    yield from broker_of(known, mosquitto, os.urandom(32))
    yield _mail(known)
    yield _backups(known, now)


def _clock() -> Finding:
    clock = SystemClock()
    says = iso(clock.utc_ms()) or ""
    if clock.utc_ms() < CLOCK_PLAUSIBLE_MS:
        return bad("clock", f"this machine believes that it is {says}", "`timedatectl set-ntp true`; open UDP port 123")
    if not clock.synchronised():
        return look("clock", f"{says}, and no time server has confirmed it", "`timedatectl` shows whether one answers")
    return good("clock", f"{says}, synchronised")


def _store(known: CollectorSettings, now: int) -> Iterator[Finding]:
    where = place_of(known)
    try:
        if not is_there(known):
            yield look("store", f"{where}: there is none yet", "`cloud-collector run`, or the first command, makes it")
            return
        with _reading(known) as store:
            schema = _schema(store, where)
            yield schema
            if schema.word is not Word.GOOD:
                yield from (skipped(name, "because of store") for name in ("checkpoints", "time zones", "alarms"))
                return
            yield _checkpoints(store, now)
            yield _zones(store)
            yield _open_alarms(store)
            yield from key_findings(known, store)
    except DatabaseError as error:
        yield bad("store", str(error), "mend that first: everything else rests on it")


def _schema(store: Store, where: str) -> Finding:
    row = store.row("web_schema")
    found, newest = 0 if row is None else int(row[0]), max(version for version, _ in migrations(store.engine))
    if found > newest:
        advice = "start the newer version again, or restore the backup from before it"
        return bad("store", f"{where} has schema {found}, and this program knows up to {newest}", advice)
    if found < newest:
        return look("store", f"{where} has schema {found}", f"the next command brings it to {newest}, after a copy")
    return good("store", f"{where}, schema {found}, {store.rows('facts_count')[0][0]:,} lines")


def _checkpoints(store: Store, now: int) -> Finding:
    row = store.row("checkpoint_newest_of_all")
    if row is None:
        advice = "the running collector signs one a day, as soon as there are lines"
        return look("checkpoints", "none was signed yet", advice)
    age = now - int(row[4])
    says = f"the newest is of {iso(int(row[4]) * 1000)}"
    advice = "does `cloud-collector run` run, and does its log say event=scheduler elected=yes?"
    return bad("checkpoints", says, advice) if age > BACKUP_SECONDS else good("checkpoints", says)


def _zones(store: Store) -> Finding:
    """Whether every zone that a bill goes by is known to this machine."""
    try:
        catalog = revisions(store)[-1].catalog
    except NoCatalog:
        return look("time zones", "no catalog has been applied", "`cloud-collector catalog apply FILE`")
    named = {catalog.operator.timezone}
    named |= {each.timezone for each in catalog.accounts.values() if each.timezone}
    named |= {each.timezone for each in catalog.contracts.values() if each.timezone}
    named |= {each.timezone for each in catalog.plans.values() if each.timezone}
    unknown = sorted(name for name in named if not _known_zone(name))
    if unknown:
        return bad("time zones", f"{', '.join(unknown)}: not known here", "`pip install --upgrade tzdata`")
    return good("time zones", f"{', '.join(sorted(named))}")


def _known_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def _open_alarms(store: Store) -> Finding:
    held = open_incidents(store)
    if held:
        return look("alarms", f"{len(held)} open, such as: {held[0].text}", "`cloud-collector alarms`")
    return good("alarms", "none is open")


def _disks(known: CollectorSettings) -> Iterator[Finding]:
    folders = {
        "disk": known.store_path.parent,
        "invoices": known.archive_path or known.store_path.with_name("invoices"),
        "backup disk": backup_folder(known),
    }
    for name, folder in folders.items():
        there = next(each for each in (folder, *folder.parents) if each.exists())
        free = shutil.disk_usage(there).free
        says = f"{free / GIB:.1f} GiB free in {folder}"
        if not os.access(there, os.W_OK):
            yield bad(name, f"{there} may not be written", "run this as the collector's user: sudo -u meterseal …")
        elif free < GIB:
            yield bad(
                name, says, "make room: a full disk stops the collector (exit 75), and gateways keep what they seal"
            )
        else:
            yield good(name, says)


def _keys(known: CollectorSettings) -> Iterator[Finding]:
    try:
        key = read_key(known.key_file)
    except KeyUnusable as error:
        yield bad("receipt key", str(error), "without it no gateway believes the collector, and nothing is billed")
        return
    if known.key_file.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        yield bad("receipt key", f"others may read {known.key_file}", f"`chmod 600 {known.key_file}`")
    else:
        yield good("receipt key", f"{key.public.id}, {key.public.words}")
    recovery = known.pki_path / "recovery.key"
    if recovery.exists():
        yield look("recovery key", f"{recovery} is on this machine", "move it to a place that is offline")


def _certificates(known: CollectorSettings, now: int) -> Iterator[Finding]:
    rows = list(certificates(known.pki_path))
    if not rows:
        yield skipped("certificates", f"{known.pki_path} has none: `cloud-collector pki init` makes a CA")
        return
    name, ends_at = min(rows, key=lambda row: row[1])
    says = f"{len(rows)}, the first to end is {name} on {datetime.fromtimestamp(ends_at, UTC):%Y-%m-%d}"
    if ends_at - now < CERTIFICATE_DAYS * DAY:
        yield bad(
            "certificates", says, "`cloud-collector pki renew`, then reload the broker; a timer does so every week"
        )
    else:
        yield good("certificates", says)


def _mail(known: CollectorSettings) -> Finding:
    if not known.mail.host:
        return skipped("mail", "mail.host is not set: nobody is told of anything by e-mail")
    why = reached(known.mail)
    if why:
        where = f"{known.mail.host}:{known.mail.port}"
        return bad(
            "mail", f"{where}: {why}", "look at mail.host, mail.port, mail.tls, mail.username and mail.password_file"
        )
    return good("mail", f"{known.mail.host}:{known.mail.port} lets us in as {known.mail.username or 'anybody'}")


def _backups(known: CollectorSettings, now: int) -> Finding:
    folder = backup_folder(known)
    made = backups_made(folder)
    if not made:
        return look(
            "backups", f"there is none in {folder}", "`systemctl start cloud-collector-backup`, and enable its timer"
        )
    says = f"{len(made)}, the newest of {iso(max(made) * 1000)}"
    if now - max(made) > BACKUP_SECONDS:
        return bad("backups", says, "look at `systemctl status cloud-collector-backup.timer`")
    return good("backups", says)


@contextmanager
def _reading(known: CollectorSettings) -> Iterator[Store]:
    """The store as it is: looked at, and not brought forward."""
    database = open_database(known, read_only=True)
    try:
        yield Store(database, migrated=True)
    finally:
        database.close()


def _say(console: Console, each: Finding) -> None:
    console.print(f"[{_STYLES[each.word]}]{each.word.value:<8}[/] {each.name:<13}", end=" ")
    console.print(each.says, markup=False)
    if each.next:
        console.print(f"{'':<23}→ {each.next}", markup=False)
