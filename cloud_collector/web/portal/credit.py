"""What an operator makes of a dispute that is right: a credit note with its reason, and the period billed again.

The rules are those of `invoice void` and `invoice rebill`: where documents are approved, both are drafted.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse

from cloud_collector.access.viewer import Deed, Viewer
from cloud_collector.billing.approval import Approval
from cloud_collector.billing.dispute_correction import bill_disputed_again, credit
from cloud_collector.billing.disputes import Dispute
from cloud_collector.billing.run import Biller
from cloud_collector.store.store import Store
from cloud_collector.web import gate
from cloud_collector.web.portal.disputes import held
from cloud_collector.web.portal.frame import Visiting, show
from cloud_collector.web.portal.invoices import invoice_of
from cloud_collector.web.shell import fields
from cloud_collector.web.site import Site
from shared.errors import MetersealError

Form = Annotated[dict[str, str], Depends(fields)]
PATH: Final = "/portal/{account}/disputes/{dispute}"


def add(router: APIRouter, site: Site) -> None:
    """What the operator's forms on a dispute's page are sent to."""

    @router.post(f"{PATH}/credit", include_in_schema=False)
    def credited(request: Request, account: str, dispute: str, viewer: Visiting, form: Form) -> Response:
        with site.look() as look:
            # P20: that it is not this account's is said before what the viewer may not do.
            found = held(look.store, account, dispute)
            means = _asked(site, viewer)
            to = PATH.format(account=account, dispute=found.id)
            reason = form.get("reason", "").strip() or found.reason
            if form.get("sure") != "yes":
                told = {
                    "dispute": found,
                    "reason": reason,
                    "invoice": invoice_of(look.store, account, found.number).body,
                    "drafted": means.approval is not Approval.NONE,
                    "path": to,
                }
                return show(request, look, account, "credit.html", title="Credit note?", table=None, told=told)
        with site.writing() as store, _kept(request, store, found, "credit note for"):
            credit(store, found, reason=reason, by=viewer.name, now_ms=site.clock.utc_ms(), means=means)
        return RedirectResponse(to, 303)

    @router.post(f"{PATH}/rebill", include_in_schema=False)
    def billed_again(request: Request, account: str, dispute: str, viewer: Visiting) -> Response:
        with site.writing() as store:
            found = held(store, account, dispute)
            means = _asked(site, viewer)
            with _kept(request, store, found, "bill again the period of"):
                bill_disputed_again(store, found, by=viewer.name, now_ms=site.clock.utc_ms(), means=means)
        return RedirectResponse(PATH.format(account=account, dispute=found.id), 303)


def _asked(site: Site, viewer: Viewer) -> Biller:
    """How documents are issued; raises Closed for whoever may not have one issued."""
    gate.must(viewer, Deed.BILL)
    gate.operator(viewer)
    if site.office is None or site.office.biller is None:
        raise gate.Closed(409, "documents are not issued from here: `cloud-collector invoice void` does it")
    return site.office.biller


@contextmanager
def _kept(request: Request, store: Store, found: Dispute, what: str) -> Iterator[None]:
    """Within, it is done, and then it stands in the log; what is refused is said and changes nothing."""
    try:
        yield
    except MetersealError as error:
        raise gate.Closed(409, str(error)) from error
    told = f"dispute {found.id}: {what} {found.number}"
    with store.atomic():
        gate.record(request, Deed.BILL, told, account=found.account, store=store)
