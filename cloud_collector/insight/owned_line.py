"""A signed line as an account may see it: where it tells of nothing else (P20)."""

from dataclasses import dataclass

from cloud_collector.billing.absent import deletions
from cloud_collector.contracts.catalog import Catalog
from cloud_collector.insight.owned import owned, shows_others
from cloud_collector.insight.sealed_line import SealedLine, sealed_line
from cloud_collector.store.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class NotShown:
    """The line is not there for this account."""

    why: str = ""
    """What may be said of it; empty: nothing but that."""


def owned_line(
    store: Store, catalog: Catalog, account: str, chain: tuple[str, str, str], seq: int
) -> SealedLine | NotShown:
    """The line at a place of a chain (gateway, log, epoch), where every device that it tells of is the account's."""
    found = sealed_line(store, *chain, seq)
    if found is None:
        return NotShown()
    mine = any(each.device.startswith(f"{chain[0]}/") for each in owned(catalog, account))
    if not found.raw and mine and (gone := deletions(store, account)):
        kept = "of this report only its position, its hash and its counters are kept"
        return NotShown(why=f"{gone[0].sentence}: {kept}")
    # What cannot be read might be anybody's.
    if found.report is None or shows_others(catalog, account, found.report):
        return NotShown()
    return found
