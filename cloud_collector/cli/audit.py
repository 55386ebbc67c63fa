"""`cloud-collector audit`: everything computed once more from facts, beside the store."""

import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import typer
from rich.console import Console
from rich.progress import Progress

from cloud_collector.billing.absent import deleted_of
from cloud_collector.billing.audit import Books, Damage, Fault, audit_invoices, damages
from cloud_collector.cli.opened import FolderOption, Json, StoreOption, archive, ending, opened, read_key, say, settings
from cloud_collector.contracts.period import iso
from cloud_collector.intake.replay import Difference
from cloud_collector.intake.replay import audit as audit_projections
from cloud_collector.intake.sound import unsound_lines, unsound_remains
from cloud_collector.settings import CollectorSettings
from cloud_collector.store.store import Store
from shared.effects.sqlite import SqliteDatabase
from shared.key import PublicKey

NOT_VERIFIED: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """What was looked at and what was found."""

    lines: int
    invoices: int
    unsealed: int
    """Invoices whose seal could not be checked: their key is not here."""
    damaged: Sequence[Damage]
    faults: Sequence[Fault]
    """Invoices that do not follow, though every line that they rest on is sound."""
    difference: Difference | None
    let_go: int = 0
    """Lines whose bytes were deleted as agreed."""
    deleted: int = 0
    """Invoices that cannot be made again for that."""
    told: Sequence[str] = ()
    """What was deleted, by account."""

    @property
    def ok(self) -> bool:
        """Whether everything holds."""
        return not self.damaged and not self.faults and self.difference is None


@ending
def audit(store: StoreOption = None, folder: FolderOption = None, json_: Json = False) -> None:
    """Example: `cloud-collector audit`.

    Check every line's seal, compute everything that follows from the lines again, and every issued invoice from
    facts. What differs is named with its day and its money (exit 6); nothing is changed.
    """
    known = settings(store=store, folder=folder)
    with opened(known) as held:
        found = _audit(held, known)
    if json_:
        print(json.dumps(_as_json(found), indent=2, default=str, ensure_ascii=False))
    else:
        for sentence in _told(found):
            print(sentence)
    if found.unsealed:
        say(f"{found.unsealed} invoices were sealed with a key that is not here: their seals were not checked")
    if not found.ok:
        raise typer.Exit(NOT_VERIFIED)


def _audit(store: Store, known: CollectorSettings) -> Audit:
    lines, invoices = store.rows("facts_count")[0][0], store.rows("invoices_count")[0][0]
    books, difference = Books(), None
    with _progress() as progress:
        seals = progress.add_task("seals of lines", total=lines)
        projections = progress.add_task("what follows from them", total=lines)
        documents = progress.add_task("invoices", total=invoices)
        unsound = [*unsound_lines(store, lambda count: progress.advance(seals, count)), *unsound_remains(store)]
        if not unsound:
            # What follows from changed lines differs, and says nothing that they do not.
            difference = _projected(store, known, progress, projections)
        faults = list(
            audit_invoices(
                store, archive(known), _keys(known), unsound, books, lambda count: progress.advance(documents, count)
            )
        )
    return Audit(
        lines=lines,
        invoices=invoices,
        unsealed=books.unsealed,
        damaged=damages(store, unsound, faults, books),
        faults=[fault for fault in faults if not fault.rests_on],
        difference=difference,
        let_go=store.rows("let_go_count")[0][0],
        deleted=books.deleted,
        told=deleted_of(store),
    )


def _projected(store: Store, known: CollectorSettings, progress: Progress, bar: Any) -> Difference | None:
    with tempfile.TemporaryDirectory() as folder:
        scratch = Store(SqliteDatabase(Path(folder) / "audit.db"))
        try:
            return audit_projections(store, scratch, known, lambda count: progress.advance(bar, count))
        finally:
            scratch.close()


def _keys(known: CollectorSettings) -> list[PublicKey]:
    """The receipt key and the one before it, where they are here: an audit may run on a copy without keys."""
    paths = (known.key_file, known.key_file.with_name(f"{known.key_file.name}.old"))
    return [read_key(path).public for path in paths if path.exists()]


def _told(found: Audit) -> Iterator[str]:
    for damage in found.damaged:
        line = damage.line
        days = " to ".join(day.isoformat() for day in damage.days) or "nothing was metered by it"
        yield f"{line.gateway} {line.log} {line.epoch} {line.seq}: {line.reason} ({days})"
        for each in damage.intervals:
            amounts = f"{each.received} had been received, {each.stored} stand there now"
            yield f"    {each.device} {each.meter} at {iso(each.start)}: {amounts}"
        yield from (f"    {_changed(fault)}" for fault in damage.invoices)
        if not damage.invoices:
            yield "    no issued invoice rests on it"
    for fault in found.faults:
        yield from (f"{fault.number}: {sentence}" for sentence in fault.sentences)
    if found.difference is not None:
        table, held, computed = found.difference.table, found.difference.held, found.difference.computed
        yield f"{table}: the store has {held}, its lines say {computed}"
    if found.ok:
        yield f"{found.lines} lines, {found.invoices} invoices: everything in the store follows from the lines"
    if found.let_go:
        said = f"{found.deleted} of the invoices cannot be made again for that:"
        yield f"{found.let_go} of the lines have no bytes any more, and {said}"
        yield from (f"    {each}" for each in found.told)


def _changed(fault: Fault) -> str:
    if fault.said is None or fault.now is None:
        return f"{fault.number} cannot be made again: {fault.sentences[0]}"
    if not fault.sentences:
        return f"{fault.number} rests on it, and comes to the same"
    by = Decimal(fault.now) - Decimal(fault.said)
    return f"{fault.number} would change by {by:+f} {fault.currency}, from {fault.said} to {fault.now} net"


def _as_json(found: Audit) -> dict[str, Any]:
    def shown(fault: Fault) -> dict[str, Any]:
        by = None if fault.said is None or fault.now is None else format(Decimal(fault.now) - Decimal(fault.said), "f")
        head = {"number": fault.number, "net": fault.said, "recomputed": fault.now, "difference": by}
        return {**head, "currency": fault.currency, "sentences": list(fault.sentences)}

    return {
        "lines": found.lines,
        "invoices": found.invoices,
        "unsealed": found.unsealed,
        "let_go": {"lines": found.let_go, "invoices": found.deleted, "because": list(found.told)},
        "damaged": [
            {
                **asdict(each.line),
                "days": [day.isoformat() for day in each.days],
                "intervals": [asdict(interval) | {"start": iso(interval.start)} for interval in each.intervals],
                "invoices": list(map(shown, each.invoices)),
            }
            for each in found.damaged
        ],
        "faults": [shown(fault) for fault in found.faults],
        "difference": None
        if found.difference is None
        else {"table": found.difference.table, "held": found.difference.held, "computed": found.difference.computed},
    }


@contextmanager
def _progress() -> Iterator[Progress]:
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        yield progress
