"""Which devices were an account's, and when: nothing else of it may be shown to it (P20)."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, takewhile
from typing import Final

from cloud_collector.billing.export import owners, shown
from cloud_collector.contracts.catalog import Catalog
from cloud_collector.contracts.terms import timezone_of
from shared.latest import Latest
from shared.report import Report


@dataclass(frozen=True, slots=True, kw_only=True)
class Owned:
    """A device in the time in which it is the account's."""

    device: str
    since: int
    until: int


def owned(catalog: Catalog, account: str) -> Sequence[Owned]:
    """Every device that the account's contracts have or had, by name, then time."""
    return _KNOWN.made(catalog.hash, lambda: _by_account(catalog)).get(account, ())


def zone_of(catalog: Catalog, account: str) -> str:
    """The zone that the account's pages speak in: that of its first contract, else its own, else the operator's."""
    for name in sorted(catalog.contracts):
        if catalog.contracts[name].account == account:
            return timezone_of(catalog, catalog.contracts[name])
    return catalog.accounts[account].timezone or catalog.operator.timezone


def owned_within(catalog: Catalog, account: str, device: str, start: int, end: int) -> list[tuple[int, int]]:
    """The parts of a stretch in which the device is the account's."""
    held = owned(catalog, account)
    at = bisect_left(held, device, key=_name)
    found = [
        (max(start, each.since), min(end, each.until))
        for each in takewhile(lambda one: one.device == device, islice(held, at, None))
    ]
    return [(low, high) for low, high in found if low < high]


def shows_others(catalog: Catalog, account: str, report: Report) -> bool:
    """Whether a line tells something of a device in a time in which it is not the account's."""
    for device, start, end in shown(report):
        if not any(low <= start and end <= high for low, high in owned_within(catalog, account, device, start, end)):
            return True
    return False


_KNOWN: Final = Latest[str, Mapping[str, Sequence[Owned]]](4)
"""A pure function of a catalog's bytes, so that the last few are kept."""


def _by_account(catalog: Catalog) -> Mapping[str, Sequence[Owned]]:
    found: dict[str, list[Owned]] = {}
    for device, times in sorted(owners(catalog).items()):
        for whose, since, until in sorted(times):
            found.setdefault(whose, []).append(Owned(device=device, since=since, until=until))
    return found


def _name(each: Owned) -> str:
    return each.device
