"""SIGKILL every few seconds under load, on both stores: not a unit is lost, none counts twice (P1, P2, P5–P8).

`make kills STORM=600` is the same for ten minutes on each.
"""

from pathlib import Path

import pytest
from rich.console import Console

from tests.crash.storm import Storm, site_of
from tests.requirements import require

pytestmark = pytest.mark.system


@pytest.mark.parametrize(("postgres", "seconds"), [(False, 18.0), (True, 26.0)], ids=["sqlite", "postgres"])
def test_whoever_is_killed_every_unit_is_accounted_for_once(
    tmp_path: Path,
    seconds: float,
    postgres: bool,  # noqa: FBT001 (pytest hands it in)
) -> None:
    """P1, P2, P5–P8: on PostgreSQL two collectors take turns, and the database is killed as well."""
    require("mosquitto")
    if postgres:
        require("postgres")
    storm = Storm(site=site_of(tmp_path, postgres=postgres), seed=3)
    units = storm.run(seconds, Console(quiet=True))
    assert storm.problems == []
    assert units > 1_000
    assert storm.lines > 50
    assert sum(storm.kills.values()) >= 5
