"""What an operator makes of a dispute that is right: a credit note with its reason, and the period billed again.

The rules are those of `invoice void` and `invoice rebill`: where documents are approved, both are drafted.
"""

from cloud_collector.billing.corrections import Correction, bill_again, take_back
from cloud_collector.billing.disputes import Dispute, DisputeRefused, Side, What, say
from cloud_collector.billing.means import Means
from cloud_collector.store.store import Store


def credit(store: Store, found: Dispute, *, reason: str, by: str, now_ms: int, means: Means) -> Correction:
    """The disputed invoice is taken back in full, or that is drafted; raises DisputeRefused, and as `take_back`."""
    if found.state != What.UPHELD:
        raise DisputeRefused(f"dispute {found.id} is {found.state}: a credit note is made of one that is upheld")
    made = take_back(store, found.number, reason=reason, by=by, now_ms=now_ms, means=means)
    if made.run is not None:
        _tell(
            store, found, f"The credit note is drafted (run {made.run}): it is issued once it is approved.", by, now_ms
        )
    return made


def bill_disputed_again(store: Store, found: Dispute, *, by: str, now_ms: int, means: Means) -> Correction:
    """The period of the disputed invoice is billed again, or that is drafted; raises as `bill_again`."""
    made = bill_again(store, found.number, by=by, now_ms=now_ms, means=means)
    if made.run is not None:
        words = f"What replaces it is drafted (run {made.run}): it is issued once it is approved."
        _tell(store, found, words, by, now_ms)
    elif made.number is None:
        _tell(store, found, f"Nothing of the period of {found.number} is left to be billed again.", by, now_ms)
    return made


def _tell(store: Store, found: Dispute, words: str, by: str, now_ms: int) -> None:
    """Both sides read it with the dispute."""
    with store.atomic():
        say(store, found.id, What.SAID, words, who=by, side=Side.OPERATOR, now_ms=now_ms)
