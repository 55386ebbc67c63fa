"""What a site's own MQTT topic says: the warnings that stand, so that people and automation there can act.

One retained message a gateway. A gateway that serves several accounts gets none: what one customer pays is nobody
else's business (P20).
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from cloud_collector.billing.revisions import revisions
from cloud_collector.contracts.catalog import Catalog
from cloud_collector.contracts.period import iso
from cloud_collector.fleet.gateways import names
from cloud_collector.store.store import Store
from shared.effects.database import Row
from shared.grammar import GATEWAY_PATTERN


def alerts(store: Store, now_ms: int) -> dict[str, bytes]:
    """By gateway what is to be retained there: of each that is known; empty where nothing stands.

    What was retained for whoever had a gateway before is taken back, also by a process that knows nothing of it (P20).
    """
    if store.row("catalog_newest") is None:
        return {}
    found = {name: b"" for name in names(store) if GATEWAY_PATTERN.fullmatch(name)}
    warned = {name for (name,) in store.rows("contracts_warned", now_ms // 1_000)}
    for gateway, contracts in _served(revisions(store)[-1].catalog):
        found[gateway] = _payload(store, [name for name in contracts if name in warned], now_ms)
    return found


def _served(catalog: Catalog) -> Iterator[tuple[str, list[str]]]:
    """Gateways of one account alone, with its contracts."""
    accounts: dict[str, set[str]] = {}
    serving: dict[str, list[str]] = {}
    for name, contract in sorted(catalog.contracts.items()):
        for gateway in sorted({device.id.rpartition("/")[0] for device in contract.devices}):
            accounts.setdefault(gateway, set()).add(contract.account)
            serving.setdefault(gateway, []).append(name)
    for gateway, contracts in sorted(serving.items()):
        if len(accounts[gateway]) == 1 and GATEWAY_PATTERN.fullmatch(gateway):
            yield gateway, contracts


def _payload(store: Store, contracts: list[str], now_ms: int) -> bytes:
    rows = [row for name in contracts for row in store.rows("warnings_standing", name, now_ms // 1_000)]
    if not rows:
        return b""
    told = [public(row) for row in sorted(rows, key=lambda row: row[0])]
    sides = sorted({each["side"] for each in told})
    body = {"said": told[-1]["said"], "sides": sides, "at": told[-1]["at"], "warnings": told}
    return json.dumps(body, separators=(",", ":")).encode()


def public(row: Row) -> dict[str, Any]:
    """A stored warning as it is told to programs; money is a decimal string with its currency."""
    names = (
        "id contract account period_start period_end against side way percent turn what at figure threshold unit said"
    ).split()
    found = dict(zip(names, row, strict=True))
    found["period"] = {"start": iso(found.pop("period_start")), "end": iso(found.pop("period_end"))}
    found["at"] = datetime.fromtimestamp(found["at"] // 1_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    del found["turn"]
    return found
