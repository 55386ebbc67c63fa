"""What every deed shares: what the rooms below refuse, said as a problem."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from cloud_collector.billing.archive import ArchiveConflict, ArchiveFailed
from cloud_collector.billing.export import NoSuchInvoice
from cloud_collector.billing.issue import BillingRefused
from cloud_collector.fleet.survey import UnknownGateway
from cloud_collector.insight.device_life import UnknownDevice
from cloud_collector.insight.strangers import UnknownStranger
from cloud_collector.web.api.problem import Refusal
from cloud_collector.web.running import NotIssuedHere
from shared.errors import DatabaseError, MetersealError

_ABSENT: Final = (NoSuchInvoice, UnknownDevice, UnknownGateway, UnknownStranger)
_FAILED: Final = (ArchiveFailed, ArchiveConflict, BillingRefused, NotIssuedHere)


@contextmanager
def said() -> Iterator[None]:
    """What is refused within is a Refusal: 404 for what there is not, 503 where the collector cannot, 409 else."""
    try:
        yield
    except DatabaseError:
        raise
    except MetersealError as error:
        raise Refusal(
            404 if isinstance(error, _ABSENT) else 503 if isinstance(error, _FAILED) else 409, str(error)
        ) from None
