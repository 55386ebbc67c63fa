"""What operators do with the console, for programs: the audit log, orders, strangers, plans tried out, runs resumed."""

from collections.abc import Iterator
from datetime import date, datetime

from cloud_collector.client.asking import Asking, device_path, part, written
from cloud_collector.client.orders import AskedAgain, DeviceDone, Ordered
from cloud_collector.client.strangers import Accepted, Assigned, Blocked, Unmatched
from cloud_collector.client.trail import Entry


class Desk(Asking):
    """The operators' part of the client."""

    def audit(
        self, *, who: str | None = None, account: str | None = None, since: datetime | None = None
    ) -> Iterator[Entry]:
        """Who did what, and who looked at whose data, the newest first."""
        return self._pages(Entry, "/audit", who=who, account=account, since=written(since))

    # Orders

    def resend(self, gateway: str) -> AskedAgain:
        """The gateway is asked for what is missing and was not asked for before; raises Refused."""
        return self._post(AskedAgain, f"/gateways/{part(gateway)}/resend")

    def read_now(self, gateway: str) -> Ordered:
        """The gateway is asked to read its meters now; raises Refused."""
        return self._post(Ordered, f"/gateways/{part(gateway)}/read")

    def say(
        self, device: str, word: str, reason: str, *, at: datetime | None = None, dry_run: bool = False
    ) -> DeviceDone:
        """`suspend`, `resume`, `end` or `activate` is said of `gateway/device`; raises Refused."""
        told = {"word": word, "reason": reason, "at": written(at), "dry_run": dry_run}
        return self._post(DeviceDone, f"/devices/{device_path(device)}/state", told)

    # Strangers

    def unmatched(self) -> Iterator[Unmatched]:
        """What belongs to nobody that is known."""
        return self._pages(Unmatched, "/unmatched")

    def blocked(self) -> Iterator[Blocked]:
        """What is heard of no more."""
        return self._pages(Blocked, "/unmatched/blocked")

    def accept(self, name: str, words: str) -> Accepted:
        """The pending key of a gateway that has these words is enrolled; raises Refused."""
        return self._post(Accepted, "/unmatched/accept", {"name": name, "words": words})

    def assign(self, name: str, contract: str, *, start: date | None = None) -> Assigned:
        """A device that nobody has belongs to the contract from a day on; raises Refused."""
        told = {"name": name, "contract": contract, "start": None if start is None else start.isoformat()}
        return self._post(Assigned, "/unmatched/assign", told)

    def block(self, name: str, reason: str = "") -> Blocked:
        """It is heard of no more; raises Refused."""
        return self._post(Blocked, "/unmatched/block", {"name": name, "reason": reason})

    def unblock(self, name: str) -> Blocked:
        """It may knock again; raises Refused."""
        return self._post(Blocked, "/unmatched/unblock", {"name": name})
