"""One device of an account in its running period: what it costs under its contract, and what it used day by day."""

from dataclasses import dataclass
from typing import Any

from cloud_collector.billing.revisions import revisions
from cloud_collector.insight.account_cost import account_cost
from cloud_collector.insight.cost import Cost, DeviceCost
from cloud_collector.insight.kept import Kept
from cloud_collector.insight.meter_days import MeterDays, device_days
from cloud_collector.store.store import Store
from cloud_collector.store.view import StoreView


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceMonth:
    """The device, its contract's cost, and its days."""

    device: DeviceCost
    cost: Cost
    meters: tuple[MeterDays, ...]

    def to_json(self) -> dict[str, Any]:
        """The public form."""
        return {
            "contract": self.cost.contract,
            "currency": self.cost.draft.currency,
            **self.device.to_json(),
            "meters": [each.to_json() for each in self.meters],
        }


def device_month(
    store: Store, account: str, device: str, now_ms: int, zone: str, memory: Kept | None = None
) -> DeviceMonth | None:
    """The device by local days of this zone; None where no running contract of the account has it (P20)."""
    found = account_cost(store, account, now_ms, StoreView, foretold=False, memory=memory)
    for cost in found.contracts:
        for held in cost.devices:
            if held.device == device:
                catalog, period = revisions(store)[-1].catalog, cost.draft.period
                meters = device_days(catalog, device, StoreView(store), period, now_ms // 1_000, zone)
                return DeviceMonth(device=held, cost=cost, meters=meters)
    return None
