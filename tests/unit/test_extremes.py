"""Values at the end of what 64 bits hold, on both engines: a gateway that claims them spoils nothing else (P21)."""

import json
from pathlib import Path
from typing import Any, Final

import pytest
from typer.testing import CliRunner

from cloud_collector.cli.main import app
from cloud_collector.fleet.gateways import add_gateway
from cloud_collector.fleet.progress import progress
from cloud_collector.intake.parting import is_of_a_message
from cloud_collector.store.store import Store
from shared.effects.sqlite import SqliteDatabase
from shared.limits import INTEGER_MAX
from tests.unit.billing_samples import GATEWAY_KEY

EPOCHS: Final = 1_025
"""So many epochs that their last positions together are beyond 64 bits."""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A gateway whose epochs each claim the highest position that there is, and a modest one."""
    made = Store(SqliteDatabase(tmp_path / "collector.db"))
    for name in ("wild-1", "mild-1"):
        add_gateway(made, name, GATEWAY_KEY.public, 0)
    with made.atomic():
        made._database.executemany(
            "insert into chain (gateway, log, epoch, through, top) values (?, 'main', ?, ?, ?)",
            [
                *(("wild-1", f"{at:08x}", INTEGER_MAX, INTEGER_MAX) for at in range(EPOCHS)),
                ("mild-1", "0000000a", 3, 5),
            ],
        )
    return made


def test_how_far_a_gateway_has_come_is_exact_beyond_64_bits(store: Store) -> None:
    before = progress(store)
    assert before == {"wild-1": 2 * EPOCHS * INTEGER_MAX, "mild-1": 8}
    store._database.execute("update chain set top = top + 1 where gateway = 'mild-1'")
    assert progress(store) == before | {"mild-1": 9}


def test_gateways_are_listed_with_their_lines_however_many_one_claims(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.close()
    monkeypatch.setenv("METERSEAL_COLLECTOR__STORE_PATH", str(tmp_path / "collector.db"))
    shown = CliRunner().invoke(app, ["gateway", "list", "--json"])
    assert shown.exit_code == 0, shown.output
    assert {each["gateway"]: each["lines"] for each in json.loads(shown.stdout)} == {
        "wild-1": EPOCHS * INTEGER_MAX,
        "mild-1": 3,
    }


@pytest.mark.parametrize("value", [2**63, "\ud800"])
def test_what_the_database_cannot_hold_is_blamed_on_the_message(store: Store, value: Any) -> None:
    """P8: too large an integer, half a character."""
    with pytest.raises(Exception) as found:  # noqa: PT011 - each engine has its own
        store.run("unmatched_put", value, "", "", "", value, 1, b"")
    assert is_of_a_message(found.value)
