"""P13, P15: when a boot without UTC was, as far as clock lines that count still say so."""

import pytest

from cloud_collector.intake.placing import Log, clock_boots
from cloud_collector.store.store import Store
from shared.effects.sqlite import SqliteDatabase

LOG = Log(gateway="gw-1", log="main", chains=())


@pytest.mark.parametrize(
    ("before", "moved", "after"),
    [((1_790_000_000, 0), {"b0"}, (None, 0)), ((1_790_000_000, 1), set(), (1_790_000_000, 1)), (None, set(), None)],
    ids=["told by a clock line that is gone", "laid between others", "not known"],
)
def test_a_boot_that_lost_its_clock_line_is_placed_no_longer(
    before: tuple[int, int] | None, moved: set[str], after: tuple[int | None, int] | None
) -> None:
    """The order of epochs rests on it: what is only laid is laid anew, after them."""
    store = Store(SqliteDatabase(":memory:"))
    if before is not None:
        store.run("boot_put", LOG.gateway, LOG.log, "b0", *before)
    assert clock_boots(store, LOG, ["b0"]) == moved
    assert store.row("boot_one", LOG.gateway, LOG.log, "b0") == after
