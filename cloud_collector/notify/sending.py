"""An invoice goes out by e-mail once, however often it is asked for: what was begun is kept before it happens.

A process that is killed in between leaves `begun` behind. Whether that e-mail has left nobody can tell, so it is not
sent again by itself: a person decides, with `again`.
"""

from datetime import UTC, datetime

from cloud_collector.billing.export import Invoice
from cloud_collector.notify.letter import letter
from cloud_collector.notify.post import Fate, Post
from cloud_collector.store.store import Store
from shared.effects.clock import Clock
from shared.errors import MetersealError


class NotSentAgain(MetersealError):
    """It was sent, or may have been; only a person sends it again."""


class NotSent(MetersealError):
    """The server did not take it."""


def send(
    store: Store, found: Invoice, paper: bytes, post: Post, clock: Clock, *, sender: str, recipient: str, again: bool
) -> None:
    """The invoice is with the server, and that is kept; raises NotSentAgain, NotSent and NoAddress."""
    now_ms = clock.utc_ms()
    message = letter(found.body, paper, sender=sender, recipient=recipient, now_ms=now_ms)
    with store.atomic():
        last = store.row("sending_last", found.number)
        if last is not None and last[1] != Fate.REFUSED and not again:
            raise NotSentAgain(_why(found.number, *last))
        store.run("sending_add", recipient, "begun", now_ms, "", found.number)
    outcome = post(message)
    store.run("sending_add", recipient, outcome.fate.value, clock.utc_ms(), outcome.why, found.number)
    if outcome.fate is not Fate.SENT:
        raise NotSent(f"{found.number} was not sent to {recipient}: {outcome.why}")


def _why(number: str, recipient: str, what: str, at_ms: int, why: str) -> str:
    at = datetime.fromtimestamp(at_ms // 1000, UTC).isoformat().replace("+00:00", "Z")
    told = {
        "sent": f"{number} was sent to {recipient} at {at}",
        "begun": f"{number} was on its way to {recipient} at {at} when sending was cut off: it may have arrived",
        "unclear": f"{number} may have reached {recipient} at {at}: {why}",
    }[what]
    return f"{told}. To send it once more, add --again"
