"""Check this bill: the browser's own check is the page; what the server finds in the same evidence are its data."""

from collections.abc import Mapping
from typing import Any, Final

from fastapi import APIRouter, Request, Response

from cloud_collector.billing.again import by_its_own_keys
from cloud_collector.proof.verify import summary
from cloud_collector.web.looking import looked
from cloud_collector.web.portal.frame import Visiting, show, twins
from cloud_collector.web.portal.invoices import evidence_of, invoice_of
from cloud_collector.web.site import Look, Site
from cloud_collector.web.table import Cell, Column, Table

PATH: Final = "/portal/{account}/invoices/{number}/check"
_FINDINGS: Final = (
    Column(title="What was checked", key="stage"),
    Column(title="Where", key="place"),
    Column(title="What is wrong", key="sentence", wrap=True),
)


def add(router: APIRouter, site: Site) -> None:
    """The page is served."""

    def outcome(look: Look, parts: Mapping[str, str]) -> dict[str, Any]:
        return summary(by_its_own_keys(evidence_of(site, look.store, parts["account"], parts["number"])))

    def findings(look: Look, parts: Mapping[str, str]) -> Table:
        return _table(parts["account"], parts["number"], outcome(look, parts)["findings"])

    twins(router, site, PATH, findings, outcome)

    @router.get(PATH, include_in_schema=False)
    def check(request: Request, account: str, number: str, viewer: Visiting) -> Response:
        with site.look() as look:
            found = invoice_of(look.store, account, number)
            told = {"invoice": found.body, "path": f"/portal/{account}/invoices/{number}"}
            table = _table(account, number, [])
            answer = show(request, look, account, "check.html", title=f"Check {number}", table=table, told=told)
        looked(site, request, viewer, account, f"check of invoice {number}")
        return answer


def _table(account: str, number: str, findings: list[dict[str, Any]]) -> Table:
    return Table(
        title="Findings",
        path=f"/portal/{account}/invoices/{number}/check",
        command=f"cloud-collector invoice export {number} --as bundle",
        empty="Nothing is wrong.",
        columns=_FINDINGS,
        rows=tuple(
            tuple(Cell(text=each[column.key], value=each[column.key]) for column in _FINDINGS) for each in findings
        ),
    )
