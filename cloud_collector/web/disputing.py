"""Disputes as people and programs carry them on: one rule for the portal's pages and the API."""

from fastapi import Request

from cloud_collector.access.viewer import Deed, Role, Viewer
from cloud_collector.billing.complaint import complaint_on
from cloud_collector.billing.disputes import Dispute, DisputeRefused, Side, What, open_dispute, say
from cloud_collector.billing.export import Invoice
from cloud_collector.web import gate
from cloud_collector.web.site import Site


def side_of(viewer: Viewer) -> Side:
    """For whom somebody speaks."""
    return Side.CUSTOMER if viewer.role is Role.CUSTOMER else Side.OPERATOR


def deed_of(viewer: Viewer) -> Deed:
    """What it takes to answer."""
    return Deed.DISPUTE if side_of(viewer) is Side.CUSTOMER else Deed.BILL


def begin(request: Request, site: Site, viewer: Viewer, invoice: Invoice, *, place: int, why: str) -> int:
    """The dispute stands, with the evidence as it is now; its id. Raises DisputeRefused, and Closed (403)."""
    gate.must(viewer, Deed.DISPUTE)
    with site.writing() as store:
        complaint = complaint_on(store, invoice, site.key, place=place, why=why, who=viewer.name)
        with store.atomic():
            id_ = open_dispute(store, complaint, now_ms=site.clock.utc_ms())
            told = f"dispute {id_} of {invoice.number}"
            gate.record(request, Deed.DISPUTE, told, account=complaint.account, store=store)
    return id_


def answer(request: Request, site: Site, viewer: Viewer, found: Dispute, what: str, said: str) -> None:
    """It was said, and perhaps decided; raises DisputeRefused, and Closed (403)."""
    gate.must(viewer, deed_of(viewer))
    if what not in list(What):
        raise DisputeRefused(f"what is done to a dispute is one of {', '.join(What)}")
    with site.writing() as store, store.atomic():
        say(store, found.id, What(what), said, who=viewer.name, side=side_of(viewer), now_ms=site.clock.utc_ms())
        told = f"dispute {found.id}: {what}"
        gate.record(request, deed_of(viewer), told, account=found.account, store=store)
