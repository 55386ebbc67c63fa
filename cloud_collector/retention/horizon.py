"""Until when the detail of an account may go: what was agreed, and every period that somebody may still come back to.

Derived from the store at every look. An account without `keep_detail`, and one whose billing cannot say, keeps all.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from cloud_collector.activity.lifecycle import FOREVER
from cloud_collector.billing.device_states import changes_for
from cloud_collector.billing.due import periods_until, silent_in
from cloud_collector.contracts.catalog import AnchorKind, Catalog, StartRule
from cloud_collector.contracts.period import boundary, iso, later, local_date
from cloud_collector.contracts.revision import Revision
from cloud_collector.contracts.terms import terms_of, timezone_of
from cloud_collector.fleet.holes import complete_until
from cloud_collector.rating.rate import committed_in
from cloud_collector.store.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Horizon:
    """What may go of an account."""

    account: str
    wanted: int
    """What ended before has been kept as long as agreed."""
    before: int
    """Detail of what ended before or then may go."""
    received: int
    """As far as it was received before."""
    why: tuple[str, ...]
    """Why what lies between the two stays."""
    zone: str = "UTC"
    """Whose days are said."""
    begins: int = 0
    """When its first contract began: there is nothing before."""
    unstarted: frozenset[str] = frozenset()
    """Devices of which everything stays: they have not begun to be billed."""

    def day(self, instant: int) -> str:
        """The local day of an instant."""
        return local_date(self.zone, instant).isoformat()


def agreed(store: Store, known: Sequence[Revision], now: int) -> list[Horizon]:
    """Every account that has agreed on `keep_detail`, by name."""
    catalog = known[-1].catalog
    found = []
    for name, account in sorted(catalog.accounts.items()):
        keep = None if account.data is None else account.data.keep_detail
        if keep is not None:
            wanted = later(_zone(catalog, name), now, keep, times=-1)
            found.append(horizon(store, catalog, name, wanted, wanted, now))
    return found


def asked(store: Store, known: Sequence[Revision], account: str, until: str, now: int) -> Horizon:
    """What may go of an account that has asked for it: detail before that date."""
    catalog = known[-1].catalog
    wanted = min(boundary(_zone(catalog, account), date.fromisoformat(until)), now)
    return horizon(store, catalog, account, wanted, now, now)


def horizon(store: Store, catalog: Catalog, account: str, wanted: int, received: int, now: int) -> Horizon:
    """What may go of the account where detail before `wanted`, that was received before `received`, is to go."""
    limits = [
        limit
        for name, contract in sorted(catalog.contracts.items())
        if contract.account == account
        for limit in _limits(store, catalog, name, now)
    ]
    held = sorted(limit for limit in limits if limit[0] < wanted)
    return Horizon(
        account=account,
        wanted=wanted,
        before=min([wanted, *(at for at, _ in held)]),
        received=received,
        why=tuple(why for _, why in held),
        begins=min(
            (_begins(catalog, name) for name, each in catalog.contracts.items() if each.account == account), default=0
        ),
        zone=_zone(catalog, account),
        unstarted=_unstarted(store, catalog, account),
    )


def _begins(catalog: Catalog, name: str) -> int:
    contract = catalog.contracts[name]
    return boundary(timezone_of(catalog, contract), contract.start)


def _zone(catalog: Catalog, account: str) -> str:
    return catalog.accounts[account].timezone or catalog.operator.timezone


def _limits(store: Store, catalog: Catalog, name: str, now: int) -> Iterator[tuple[int, str]]:
    """Each instant from which a contract needs its detail, and why."""
    contract = catalog.contracts[name]
    zone, look_back = timezone_of(catalog, contract), catalog.operator.look_back
    until = start = boundary(zone, contract.start)
    silent = _silent(store, catalog, name, now)
    ended = FOREVER if contract.end is None else boundary(zone, contract.end)
    for row in store.rows("periods_closed", name):
        if look_back is None:
            yield until, f"{name}: operator.look_back is not set, so that every period may be billed again"
            return
        barred = later(zone, row[1], look_back)
        if barred >= now:
            yield row[0], f"{name}: the period from {iso(row[0])} may be corrected until {iso(barred)} ({look_back})"
            break
        missing = silent(row[0])
        if missing:
            since = f"{name}: {missing} has not proved that nothing of the period from {iso(row[0])} is missing"
            yield row[0], f"{since}; what it sends late is billed or declared: get it to report, or end its devices"
            break
        until = row[1]
    else:
        if until < ended:
            yield until, f"{name}: the period from {iso(until)} is not billed yet"
    parked = store.row("is_parked", name)
    if parked is not None:
        yield until, f"{name} is parked: {parked[0]}"
    yield from _committed(store, catalog, name, start, until, now)
    yield from (
        (at, f"{name}: {number}, which covers the time from {iso(at)}, is disputed")
        for number, at in store.rows("retention_disputed_of", name)
    )


def _silent(store: Store, catalog: Catalog, name: str, now: int) -> Callable[[int], str]:
    """P3: names a gateway that may still send something of the period that begins then, or nothing."""
    terms, states = terms_of(catalog, name), changes_for(store, catalog, [name])
    anchored = None
    if terms.anchor is AnchorKind.ACTIVATION:
        first = store.rows("first_start_used", name, name)
        anchored = local_date(terms.timezone, first[0][0]) if first and first[0][0] is not None else None
    periods = {each.start: each for each in periods_until(terms, now, anchored)}
    reached: dict[str, int | None] = {}

    def complete(gateway: str) -> int | None:
        if gateway not in reached:
            reached[gateway] = complete_until(store, gateway)
        return reached[gateway]

    def silent(start: int) -> str:
        period = periods.get(start)
        return "" if period is None else min(silent_in(terms, period, complete, states), default="")

    return silent


def _committed(
    store: Store, catalog: Catalog, name: str, start: int, until: int, now: int
) -> Iterator[tuple[int, str]]:
    """From when a commitment of several periods runs that is not settled yet."""
    terms = terms_of(catalog, name)
    if all(stretch.commitment is None for stretch in terms.stretches):
        return
    if terms.anchor is AnchorKind.ACTIVATION:
        yield start, f"{name}: its commitment runs from its first activity"
        return
    closed = {row[0] for row in store.rows("periods_closed", name)}
    following = next((each for each in periods_until(terms, now) if each.start not in closed), None)
    later_ = [each for each in periods_until(terms, now) if each.start >= until]
    for period in later_ or ([] if following is None else [following]):
        for begun, _ in committed_in(terms, period, {}):
            yield begun, f"{name}: its commitment since {iso(begun)} is not settled yet"


def _unstarted(store: Store, catalog: Catalog, account: str) -> frozenset[str]:
    """Devices that wait for their first use: everything that they have said decides when that is."""
    found = set()
    for name, contract in catalog.contracts.items():
        if contract.account == account and terms_of(catalog, name).activation.rule is StartRule.FIRST_USE:
            started = {device for (device,) in store.rows("activated", name)}
            found |= {device.id for device in contract.devices} - started
    return frozenset(found)
