"""The issued invoices as a customer gets and checks them: the commands' own code, called in this process."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cloud_collector.billing.archive import FolderArchive
from cloud_collector.billing.documents import Form, written
from cloud_collector.billing.export import invoice
from cloud_collector.cli.invoice import told as told_invoice
from cloud_collector.proof.command import printed, told
from cloud_collector.proof.trust import read_trust
from cloud_collector.proof.verify import verify
from cloud_collector.store.store import Store
from demo.processes import DemoFailed
from demo.site import LIVE, Site
from shared.effects.sqlite import SqliteDatabase
from shared.errors import Refused


@dataclass(frozen=True, slots=True, kw_only=True)
class Paper:
    """One issued invoice."""

    number: str
    account: str
    total: str
    text: str
    """For people."""
    verdict: str
    """Of its evidence bundle alone."""
    bundle: Path


def papers(site: Site) -> Iterator[Paper]:
    """Each issued invoice, its bundle written and verified; raises DemoFailed with what fails."""
    store, archive = Store(SqliteDatabase(site.store), migrated=True), FolderArchive(site.issued)
    operator = site.key("receipt").public
    trust = read_trust([operator.sha256, *(site.key(name).public.sha256 for name in site.gateways() if name != LIVE)])
    assert not isinstance(trust, Refused), "these are fingerprints"
    try:
        for number in [str(row[0]) for row in store.rows("invoices")]:
            found = invoice(store, archive, number)
            bundle = site.folder / f"{number}.zip"
            bundle.write_bytes(written(store, found, Form.BUNDLE, operator=operator))
            outcome = verify(bundle.read_bytes(), trust, printed)
            if not outcome.ok:
                raise DemoFailed(f"{number} is not verified:\n{told(outcome)}")
            yield Paper(
                number=number,
                account=found.body["account"]["name"],
                total=f"{found.body['total']} {found.body['currency']}",
                text=told_invoice(found.body),
                verdict=told(outcome),
                bundle=bundle,
            )
    finally:
        store.close()
