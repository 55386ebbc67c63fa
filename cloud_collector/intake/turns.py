"""Whose turn it is to work on a gateway, where several collectors share a store (P5, P6).

Whoever changes a gateway's rows takes its turn first and keeps it to the end of the transaction: positions,
registers and receipts of a log are made by one collector at a time, whichever of them a line has reached.
"""

import json
from collections.abc import Iterable
from typing import Final

from cloud_collector.store.store import Store

NOBODY: Final = 0
"""The holder after which every collector forgets what it remembers of a gateway."""


def take_turns(store: Store, gateways: Iterable[str], holder: int) -> list[str]:
    """Those of the gateways on which somebody else has worked since. Call first in a transaction."""
    wanted = sorted(gateways)
    return [gateway for (gateway,) in store.rows("turns_take", json.dumps(wanted), holder)] if wanted else []
