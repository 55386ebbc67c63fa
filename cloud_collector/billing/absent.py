"""Detail that was deleted as agreed: which lines of an invoice's evidence are absent, and what can still be proven."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from cloud_collector.billing.revisions import revisions
from cloud_collector.contracts.period import iso, local_date
from cloud_collector.proof.evidence import Needed
from cloud_collector.store.store import Store
from shared.line import Body
from shared.report import Usage

DEEDS_MAX = 100
"""Deletions of an account that are listed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deletion:
    """Detail of an account was deleted, or is being deleted."""

    deed: int
    before: int
    at_ms: int
    who: str
    request: int | None
    """Who asked for it; None: it was agreed."""
    lines: int | None
    """None while it goes on."""
    zone: str
    """Whose days are said."""

    @property
    def sentence(self) -> str:
        """For people."""
        return _sentence(self.before, self.at_ms, self.request, self.zone)

    def to_json(self) -> dict[str, Any]:
        """The public form."""
        return {
            "before": iso(self.before),
            "at": iso(self.at_ms // 1000),
            "who": self.who,
            "request": self.request,
            "lines": self.lines,
            "done": self.lines is not None,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Absence:
    """Lines that an invoice rested on and that are gone."""

    sentence: str
    ranges: tuple[tuple[str, str, str, int, int, int], ...]
    """gateway, log, epoch, the first and the last that is gone, and how many are."""
    proven: tuple[int, str] | None
    """How many lines it rested on when it last followed from all of them, and on which day that was."""

    @property
    def told(self) -> str:
        """Which lines are absent, and what can still be proven."""
        which = "; ".join(f"{lines} of lines {a} to {b} of {g} {log} {e}" for g, log, e, a, b, lines in self.ranges)
        said = f"{self.sentence}: {which} are gone. The lines at both ends of each of its counters are kept as signed, "
        said += "so that every quantity of a whole period is still the difference of two signed counters"
        if self.proven is not None:
            lines, day = self.proven
            said += f"; on {day}, before they went, it followed from all of its {lines} lines"
        return said + ". Bundles that were handed out before stay whole"


def deletions(store: Store, account: str) -> list[Deletion]:
    """What was deleted of an account's detail, the newest first."""
    zone = _zone(store, account)
    return [
        Deletion(deed=deed, before=before, at_ms=at, who=who, request=request, lines=lines, zone=zone)
        for deed, before, at, who, request, lines in store.rows("let_go_deeds", account, DEEDS_MAX)
    ]


def deleted_before(store: Store, account: str) -> int | None:
    """Of what ended before this instant nothing is billed anew; None where nothing was deleted."""
    row = store.row("let_go_until", account)
    return None if row is None or row[0] is None else int(row[0])


def deleted_of(store: Store) -> list[str]:
    """A sentence for each account of which detail was deleted: its newest."""
    return [
        f"{account or 'channels of no contract'}: {deletions(store, account)[0].sentence}"
        for (account,) in store.rows("let_go_accounts")
    ]


def absence(store: Store, body: Body, wanted: Needed) -> Absence | None:
    """What is gone of the lines that an invoice rests on; None where all are here."""
    ranges, newest = [], 0
    for (gateway, log, epoch), spans in sorted(wanted.stretches.items()):
        for first, last in spans:
            low, high, lines, deed = store.rows("let_go_between", gateway, log, epoch, first, last)[0]
            if lines:
                ranges.append((gateway, log, epoch, low, high, lines))
                newest = max(newest, deed)
    if not ranges:
        return None
    rows = store.rows("let_go_deed", newest)
    mine = [row for row in rows if row[2] == body["account"]["id"]] or rows
    row, zone = store.row("let_go_invoice_of", body["number"]), body["period"]["timezone"]
    return Absence(
        sentence=_sentence(mine[0][3], mine[0][0], mine[0][1], zone),
        ranges=tuple(ranges),
        proven=None if row is None else (row[0], _day(row[1] // 1000, zone)),
    )


def _zone(store: Store, account: str) -> str:
    catalog = revisions(store)[-1].catalog
    known = catalog.accounts.get(account)
    return (None if known is None else known.timezone) or catalog.operator.timezone


def _sentence(before: int, at_ms: int, request: int | None, zone: str) -> str:
    agreed = "as agreed" if request is None else f"as asked for by request {request}"
    return f"detail before {_day(before, zone)} was deleted on {_day(at_ms // 1000, zone)} {agreed}"


def _day(at: int, zone: str) -> str:
    return local_date(zone, at).isoformat()


def standing(body: Body, usages: Iterable[Usage]) -> list[str]:
    """What of an invoice's counters is not in the signed lines that are kept at their ends; nothing where all are."""
    held = {(each.header.gateway, each.header.log, each.header.epoch, each.header.seq): each for each in usages}
    wrong = []
    for rated in body["rated"]:
        for gateway, log, device, meter, epoch, first, start, last, end, _ in rated["reads"]:
            for seq, register in ((first, start), (last, end)):
                report = held.get((gateway, log, epoch, seq))
                rows = () if report is None else report.rows
                if report is not None and not any(
                    row.device == device
                    and row.meter == meter
                    and row.register <= register <= row.register + sum(row.deltas)
                    for row in rows
                ):
                    wrong.append(f"line {seq} of {gateway} {log} {epoch} does not say {register} of {device} {meter}")
    return wrong
