"""Disputes: a line is said to be wrong, the evidence is kept with it, both sides answer, and both see how it stands."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from cloud_collector.billing.again import worked_again
from cloud_collector.billing.disputes import Dispute, DisputeRefused, disputes
from cloud_collector.billing.disputes import dispute as dispute_of
from cloud_collector.billing.export import Invoice
from cloud_collector.contracts.period import iso
from cloud_collector.invoice.html import page as paper
from cloud_collector.invoice.said import Said
from cloud_collector.store.store import Store
from cloud_collector.web import gate
from cloud_collector.web.disputing import answer, begin, deed_of, side_of
from cloud_collector.web.looking import looked
from cloud_collector.web.portal.frame import Visiting, moment_of, owner, show, twins
from cloud_collector.web.portal.invoices import invoice_of
from cloud_collector.web.shell import PAPER_POLICY, fields
from cloud_collector.web.site import Look, Site
from cloud_collector.web.table import Cell, Column, Mood, Table, row

_COLUMNS: Final = (
    Column(title="Dispute", key="id"),
    Column(title="Invoice", key="invoice"),
    Column(title="Line", key="line"),
    Column(title="Amount", key="amount", number=True),
    Column(title="State", key="state", whole=True),
    Column(title="Opened", key="at", whole=True),
)
_WORDS: Final = (
    Column(title="When", key="at", whole=True),
    Column(title="Who", key="who"),
    Column(title="Side", key="side"),
    Column(title="What", key="what"),
    Column(title="Said", key="said", wrap=True),
)
_MOODS: Final = {"open": Mood.WARN, "upheld": Mood.GOOD, "credited": Mood.GOOD, "rejected": Mood.BAD}
SHOWN_MAX: Final = 100
"""Lines that the page shows beside each other."""
Form = Annotated[dict[str, str], Depends(fields)]


def add(router: APIRouter, site: Site) -> None:
    """The pages are served."""
    _add_list(router, site)
    _add_one(router, site)
    _add_new(router, site)


def _add_list(router: APIRouter, site: Site) -> None:
    path = "/portal/{account}/disputes"

    def facts(look: Look, parts: Mapping[str, str]) -> Any:
        owner(look.store, parts["account"])
        return [each.to_json() for each in disputes(look.store, parts["account"])]

    twins(router, site, path, lambda look, parts: _table(look, parts["account"]), facts)

    @router.get(path, include_in_schema=False)
    def listed(request: Request, account: str, viewer: Visiting) -> Response:
        with site.look() as look:
            page = show(request, look, account, "table.html", title="Disputes", table=_table(look, account), told={})
        looked(site, request, viewer, account, "disputes")
        return page


def _add_one(router: APIRouter, site: Site) -> None:
    path = "/portal/{account}/disputes/{dispute}"

    def words(look: Look, parts: Mapping[str, str]) -> Table:
        return _words_table(look, held(look.store, parts["account"], parts["dispute"]))

    def facts(look: Look, parts: Mapping[str, str]) -> Any:
        found = held(look.store, parts["account"], parts["dispute"])
        again = worked_again(look.store, invoice_of(look.store, parts["account"], found.number), site.key)
        return found.to_json() | {"again": again.to_json()}

    twins(router, site, path, words, facts)

    @router.get(path, include_in_schema=False)
    def one(request: Request, account: str, dispute: str, viewer: Visiting) -> Response:
        with site.look() as look:
            found = held(look.store, account, dispute)
            invoice = invoice_of(look.store, account, found.number)
            said = Said.of(invoice.body)
            told = {
                "dispute": found,
                "again": worked_again(look.store, invoice, site.key) if _is_asked(request, invoice) else None,
                "shown_max": SHOWN_MAX,
                "say": said.money,
                "number": said.number,
                "side": side_of(viewer).value,
                "may": viewer.may(deed_of(viewer)),
                "path": f"/portal/{account}/disputes/{found.id}",
                "issues": site.office is not None and site.office.biller is not None and viewer.accounts is None,
            }
            table, title = _words_table(look, found), f"Dispute {found.id}"
            page = show(request, look, account, "dispute.html", title=title, table=table, told=told)
        looked(site, request, viewer, account, f"dispute {dispute}")
        return page

    @router.get(f"{path}/copy", response_class=HTMLResponse, include_in_schema=False)
    def copied(request: Request, account: str, dispute: str, viewer: Visiting) -> Response:
        """The re-rated copy as a page to print: what the invoice would say now."""
        with site.look() as look:
            found = held(look.store, account, dispute)
            again = worked_again(look.store, invoice_of(look.store, account, found.number), site.key)
            if again.body is None or site.key is None:
                raise gate.Closed(409, "; ".join(again.sentences))
            made = moment_of(look, account).local(look.moment.now)
            words = f"Copy for dispute {found.id}, worked out again on {made} from the reports and the price list. "
            page = paper(again.body, key_words=site.key.words, banner=words + f"The invoice itself is {found.number}.")
        looked(site, request, viewer, account, f"dispute {dispute}, worked out again")
        return HTMLResponse(page, headers={"Content-Security-Policy": PAPER_POLICY})

    @router.post(path, include_in_schema=False)
    def answered(request: Request, account: str, dispute: str, viewer: Visiting, form: Form) -> Response:
        # P20: that it is not this account's is said before anything else of it.
        with site.open_store() as store:
            found = held(store, account, dispute)
        try:
            answer(request, site, viewer, found, form.get("what", ""), form.get("said", ""))
        except DisputeRefused as error:
            raise gate.Closed(409, str(error)) from error
        return RedirectResponse(f"/portal/{account}/disputes/{found.id}", 303)


AGAIN_REPORTS_MAX: Final = 100
"""Reports of an invoice that is worked out again on each look; one that rests on more is when it is asked for."""


def _is_asked(request: Request, invoice: Invoice) -> bool:
    ends: dict[tuple[str, ...], list[int]] = {}
    for gateway, log, _, _, epoch, first, _, last, _, _ in (
        read for rated in invoice.body["rated"] for read in rated["reads"]
    ):
        ends.setdefault((gateway, log, epoch), []).extend((first, last))
    reports = sum(max(each) - min(each) + 1 for each in ends.values())
    return reports <= AGAIN_REPORTS_MAX or request.query_params.get("again") == "yes"


def _add_new(router: APIRouter, site: Site) -> None:
    path = "/portal/{account}/invoices/{number}/dispute"

    @router.get(path, include_in_schema=False)
    def asked(request: Request, account: str, number: str, viewer: Visiting, line: int = 0, why: str = "") -> Response:
        with site.look() as look:
            body = invoice_of(look.store, account, number).body
            told = {
                "invoice": body,
                "line": line,
                "why": why[:2_000],
                "path": f"/portal/{account}/invoices/{number}",
            }
            page = show(request, look, account, "dispute_new.html", title=f"Dispute {number}", table=None, told=told)
        looked(site, request, viewer, account, f"invoice {number}")
        return page

    @router.post(path, include_in_schema=False)
    def opened(request: Request, account: str, number: str, viewer: Visiting, form: Form) -> Response:
        with site.open_store() as store:
            invoice = invoice_of(store, account, number)
        try:
            id_ = begin(request, site, viewer, invoice, place=_place(form.get("line", "")), why=form.get("why", ""))
        except DisputeRefused as error:
            raise gate.Closed(409, str(error)) from error
        return RedirectResponse(f"/portal/{account}/disputes/{id_}", 303)


def held(store: Store, account: str, number: str) -> Dispute:
    """A dispute of this account; raises Closed with 404 for every other (P20)."""
    found = dispute_of(store, int(number)) if number.isascii() and number.isdecimal() and len(number) < 16 else None
    if found is None or found.account != account:
        raise gate.Closed(404, gate.NOT_THERE)
    return found


def _place(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 6 else 0


def _table(look: Look, account: str) -> Table:
    owner(look.store, account)
    moment, base = moment_of(look, account), f"/portal/{account}"
    return Table(
        title="Disputes",
        path=f"{base}/disputes",
        command=f"cloud-collector dispute list --account {account}",
        empty="Nothing is disputed. Open an invoice to say that a line of it is wrong.",
        columns=_COLUMNS,
        rows=tuple(
            row(
                _COLUMNS,
                Cell(text=f"Dispute {each.id}", value=each.id, link=f"{base}/disputes/{each.id}"),
                Cell(text=each.number, value=each.number, link=f"{base}/invoices/{each.number}"),
                Cell(text=str(each.place) if each.place else "all", value=each.place or None),
                Cell(text=moment.amount(*each.amount.split(" ", 1)), value=each.amount),
                Cell(text=each.state, value=each.state, mood=_MOODS.get(each.state, Mood.IDLE)),
                Cell(text=moment.local(each.at_ms // 1_000), value=iso(each.at_ms // 1_000), time=True),
            )
            for each in disputes(look.store, account)
        ),
    )


def _words_table(look: Look, found: Dispute) -> Table:
    """Everything that was said, as the page has it."""
    moment = moment_of(look, found.account)
    return Table(
        title="What was said",
        path=f"/portal/{found.account}/disputes/{found.id}",
        command=f"cloud-collector dispute show {found.id}",
        empty="Nothing was said.",
        columns=_WORDS,
        rows=tuple(
            row(
                _WORDS,
                Cell(text=moment.local(word.at_ms // 1_000), value=iso(word.at_ms // 1_000), time=True),
                Cell(text=word.who, value=word.who),
                Cell(text=word.side.value, value=word.side.value),
                Cell(text=word.what.value, value=word.what.value),
                Cell(text=word.said, value=word.said),
            )
            for word in found.words
        ),
    )
