"""Every device of every contract: its state now, since when, and by which rule."""

from collections.abc import Sequence
from datetime import UTC, datetime

from cloud_collector.activity.activation import Activation, StateChange
from cloud_collector.activity.first_use import first_activity
from cloud_collector.activity.lifecycle import FOREVER, life_of
from cloud_collector.billing.device_states import changes_for
from cloud_collector.billing.revisions import NoCatalog, revisions
from cloud_collector.contracts.revision import plans_revision, terms_in_force
from cloud_collector.contracts.terms import Terms
from cloud_collector.store.store import Store
from cloud_collector.usage.span import UsageView
from cloud_collector.web.site import Subscription


def subscriptions(store: Store, view: UsageView, now: int) -> list[Subscription]:
    """What the newest catalog and the usage so far say, by account, contract and device."""
    try:
        known = revisions(store)
    except NoCatalog:
        return []
    newest = known[-1].catalog
    found = []
    for contract in sorted(newest.contracts, key=lambda name: (newest.contracts[name].account, name)):
        plans = plans_revision(known, contract, now)
        terms = terms_in_force(plans.catalog, newest, plans.catalog, contract)
        states = changes_for(store, newest, [contract])
        foreseen = first_activity(terms, view, states, until=now, foresee=True)
        account = newest.accounts[terms.account].name
        found += [_standing(terms, account, name, foreseen, states, now) for name in _devices(terms)]
    return found


def _devices(terms: Terms) -> list[str]:
    return list(dict.fromkeys(device.id for device in terms.devices))


def _standing(
    terms: Terms,
    account: str,
    name: str,
    foreseen: dict[str, Activation],
    states: Sequence[StateChange],
    now: int,
) -> Subscription:
    device = next(device for device in reversed(terms.devices) if device.id == name)
    activation = foreseen.get(name)
    started = activation if activation is not None and activation.at <= now else None
    life = life_of(terms, device, started, states)
    state = life.state_at(now)
    outside = "ended" if now >= life.end else "provisioned"
    if started is not None:
        why = started.why
    elif activation is not None and activation.at < FOREVER:
        why = f"unless used before, {activation.why} on {datetime.fromtimestamp(activation.at, UTC):%Y-%m-%d}"
    else:
        why = "not used yet"
    return Subscription(
        contract=terms.contract,
        account=account,
        plan=terms.stretches[-1].title or terms.stretches[-1].plan,
        device=name,
        state=outside if state is None else state.value,
        since=started.at if started is not None else None,
        why=why,
    )
