"""A contract of a thousand devices, a hundred contracts that move at once: what is asked for is done, and no more."""

import asyncio
import json
from pathlib import Path
from typing import Any, Final

import pytest
from fastapi import FastAPI

from cloud_collector.access.viewer import LOCAL_OPERATOR
from cloud_collector.insight.device_list import PAGE_ROWS
from cloud_collector.store.view import StoreView
from cloud_collector.web.api.pulse import LOOK_SECONDS, Pulse
from cloud_collector.web.app import create_app
from shared.effects.memory import SimpleClock
from tests.portal_site import DAY, StandingClock, site_of
from tests.unit.billing_samples import CATALOG, OCTOBER, Gateway, new_store, receive
from tests.visitors import ask

DEVICES: Final = 1_000
MOVING: Final = 100
NOW: Final = OCTOBER + 10 * DAY
HEAD: Final = CATALOG.partition("[accounts.acme]")[0]


class Patient(StandingClock):
    """Nobody waits, and it is kept how long he would have."""

    def __init__(self, **told: Any) -> None:
        super().__init__(**told)
        self.waited = 0.0

    async def sleep(self, seconds: float) -> None:
        """Return at once."""
        self.waited += seconds
        await asyncio.sleep(0)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> FastAPI:
    path = tmp_path_factory.mktemp("large") / "collector.db"
    held = ", ".join(f'"gw-1/m{at:04}"' for at in range(DEVICES))
    contract = '[accounts.a]\nname = "A"\ncountry = "FI"\n[contracts.c]\naccount = "a"\nplan = "charger"\n'
    new_store(path, catalog=f"{HEAD}{contract}start = 2026-10-01\ndevices = [{held}]\n").close()
    return create_app(site_of(path, SimpleClock(utc_ms=NOW * 1_000)))


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/devices.json", None),
        ("/devices?after=gw-1/m0500", "gw-1/m0501"),
        ("/devices/gw-1/m0777", "gw-1/m0777"),
        ("/api/v1/contracts/c/devices?limit=20", "gw-1/m0019"),
    ],
)
def test_of_a_large_contract_only_those_devices_are_looked_at_that_are_shown(
    large: FastAPI, path: str, shown: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []
    channels = StoreView.channels

    def counted(view: StoreView, gateway: str, device: str) -> Any:
        looked.append(device)
        return channels(view, gateway, device)

    monkeypatch.setattr(StoreView, "channels", counted)
    answer = ask(large, "GET", path)
    assert answer.status_code == 200
    assert shown is None or shown in answer.text
    assert 0 < len(set(looked)) <= PAGE_ROWS + 1


def test_the_devices_of_a_contract_come_page_by_page_and_each_once(large: FastAPI) -> None:
    found: list[str] = []
    cursor = ""
    while True:
        told = ask(large, "GET", f"/api/v1/contracts/c/devices?limit=150{cursor}").json()
        found += [each["device"] for each in told["items"]]
        if not told["next"]:
            break
        cursor = f"&cursor={told['next']}"
    assert found == [f"gw-1/m{at:04}" for at in range(DEVICES)]


async def test_an_operator_hears_of_a_hundred_contracts_that_move_at_once_without_waiting_for_a_look_each(
    tmp_path: Path,
) -> None:
    path = tmp_path / "collector.db"
    parts = [
        f'[accounts.a{at}]\nname = "A"\ncountry = "FI"\n[contracts.c{at}]\naccount = "a{at}"\nplan = "charger"\n'
        f'start = 2026-10-01\ndevices = ["gw-{at}/m"]\n'
        for at in range(MOVING)
    ]
    store = new_store(path, catalog=HEAD + "".join(parts))
    clock = Patient(utc_ms=NOW * 1_000)
    pulse = Pulse(site_of(path, clock))
    stream = await pulse.listen(LOCAL_OPERATOR, account=None, contracts=[], last=None)
    assert (await anext(stream)).startswith(b"retry")
    async with asyncio.timeout(20):
        while pulse._news._sums is None:  # noqa: ASYNC110 - nothing is told of a first look
            await asyncio.sleep(0.01)
    for at in range(MOVING):
        gateway = Gateway(name=f"gw-{at}", registers={"m": 5})
        gateway.birth(NOW - DAY)
        receive(store, gateway.lines, at=NOW, gateway=gateway.name)
    store.close()
    clock.waited = 0.0
    heard: set[str] = set()
    while len(heard) < MOVING:
        event = (await asyncio.wait_for(anext(stream), 20)).decode()
        if "event: cost" in event:
            heard.add(json.loads(event.partition("data: ")[2])["contract"])
    pulse.close()
    assert clock.waited <= 3 * LOOK_SECONDS, "five rounds of twenty, and the rests between them are short"
