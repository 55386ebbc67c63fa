"""What operators do with the console, for programs: the audit log, orders, strangers, plans tried out, runs resumed."""

from collections.abc import Iterator
from datetime import datetime

from cloud_collector.client.asking import Asking, written
from cloud_collector.client.trail import Entry


class Desk(Asking):
    """The operators' part of the client."""

    def audit(
        self, *, who: str | None = None, account: str | None = None, since: datetime | None = None
    ) -> Iterator[Entry]:
        """Who did what, and who looked at whose data, the newest first."""
        return self._pages(Entry, "/audit", who=who, account=account, since=written(since))
