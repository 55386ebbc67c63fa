"""A week without a broker: 672 lines of twenty channels gather in the spool and drain to the unit (P1, P8)."""

import re
from pathlib import Path
from typing import Final

import pytest

from tests.crash.feed import totals
from tests.crash.site import CrashSite, accounted
from tests.processes import wait_for_port, wait_until
from tests.requirements import require

pytestmark = [pytest.mark.system, pytest.mark.deep]

STEP, COUNT, METERS = 60, 15, 20
WEEK_LINES: Final = 7 * 24 * 4


def test_a_week_of_twenty_channels_gathers_while_mosquitto_is_down_and_drains_exactly(tmp_path: Path) -> None:
    require("mosquitto")
    site = CrashSite(tmp_path, ["gw-0"], step=STEP, count=COUNT, meters=METERS, poll=0.1)
    feed = site.feed("gw-0", seed=1)
    feed.append((WEEK_LINES + 1) * COUNT)
    feed.finish()
    site.broker.start()
    wait_for_port(site.port)
    site.collector.start()
    wait_until(lambda: "link_up" in site.collector.events, 20, "the collector has a session at the broker")
    site.broker.stop()
    try:
        site.agents["gw-0"].start()
        wait_until(lambda: _sealed(site) >= WEEK_LINES, 120, "the week is in the spool")
        site.broker.start()
        lines = site.settle({"gw-0": feed}, seconds=60)
    finally:
        site.stop()
    assert lines >= WEEK_LINES
    expected = totals(feed.path)
    assert {meter: units for (_, meter), units in accounted(site).items()} == expected
    assert len(expected) == METERS


def _sealed(site: CrashSite) -> int:
    """Lines that the agent says it has sealed: nobody else may look into its spool."""
    log = site.folder / "gw-0.log"
    said = re.findall(r"event=seal_ended lines=(\d+)", log.read_text(encoding="utf-8")) if log.exists() else []
    return sum(map(int, said))
