"""The simulator's own parts keep their word before the product is put into them."""

import asyncio
import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.errors import DatabaseFailed, DatabaseFull
from tests.simulation.broker import matches
from tests.simulation.clocks import Machine, true_utc_ms
from tests.simulation.disk import Drive
from tests.simulation.simloop import PRIVATE_NAMES, Deadlock, Power, PowerLost, SimLoop
from tests.simulation.toy import Toy

pytestmark = pytest.mark.simulation


@pytest.fixture(name="loop")
def simulated_loop() -> Iterator[SimLoop]:
    loop = SimLoop(1)
    yield loop
    loop.close()


def test_this_python_has_the_private_names_that_the_loop_stands_on(loop: SimLoop) -> None:
    for name in PRIVATE_NAMES:
        assert hasattr(asyncio.SelectorEventLoop, name) or hasattr(loop, name), name
    handle = loop.call_later(1, print)
    assert hasattr(handle, "_context")
    assert hasattr(handle, "_cancelled")
    assert hasattr(handle, "_run")


def test_time_is_virtual(loop: SimLoop) -> None:
    loop.run_until_complete(asyncio.sleep(1_000_000))
    assert loop.time() == pytest.approx(1_000_000)


def test_the_order_of_ready_callbacks_is_drawn_from_the_seed_alone() -> None:
    def order(seed: int) -> list[int]:
        loop = SimLoop(seed)
        seen: list[int] = []
        for number in range(10):
            loop.call_soon(seen.append, number)
        loop.run_until_complete(asyncio.sleep(1))
        loop.close()
        return seen

    assert order(1) == order(1)
    assert order(1) != order(2)


def test_a_wait_for_ever_is_found_and_named(loop: SimLoop) -> None:
    async def wait_for_ever() -> None:
        await asyncio.Event().wait()

    power = Power("stuck")
    with pytest.raises(Deadlock, match="wait_for_ever"):
        loop.run_until_complete(loop.start(power, wait_for_ever()))
    loop.abandon(power)


def test_a_crash_is_no_cancellation(loop: SimLoop, tmp_path: Path) -> None:
    """Nothing is saved by a finally, no callback comes later, the open transaction rolls back."""
    drive = Drive(tmp_path / "a.db")
    power = Power("victim", lambda _: drive.release())
    saved: list[str] = []

    async def work() -> None:
        database = drive.connect(power, exclusive=True)
        database.execute("create table t (x)")
        database.execute("insert into t values (1)")
        try:
            with database.atomic():
                database.execute("insert into t values (2)")
                await asyncio.sleep(100)
        finally:
            database.execute("insert into t values (3)")
            saved.append("never")

    loop.start(power, work())
    loop.later(50, power.lose)
    loop.run_until_complete(asyncio.sleep(200))
    loop.abandon(power)
    assert not saved
    assert sqlite3.connect(tmp_path / "a.db").execute("select x from t").fetchall() == [(1,)]
    assert not loop.errors


def test_the_fuse_burns_inside_database_calls_too(loop: SimLoop, tmp_path: Path) -> None:
    found = set()
    for fuse in range(2, 12):
        drive = Drive(tmp_path / f"{fuse}.db")
        power = Power("victim", lambda _, drive=drive: drive.release())  # type: ignore[misc]
        power.fuse = fuse

        async def work(drive: Drive = drive, power: Power = power) -> None:
            database = drive.connect(power, exclusive=True)
            with database.atomic():
                database.execute("create table t (x)")
                database.execute("insert into t values (1)")

        task = loop.start(power, work())
        loop.run_until_complete(asyncio.sleep(1))
        if task.done():
            assert isinstance(task.exception(), PowerLost | None)
        loop.abandon(power)
        drive.release()
        there = sqlite3.connect(drive.path).execute("select count(*) from sqlite_master").fetchone()[0]
        found.add((power.on, there))
    assert (False, 0) in found
    assert (True, 1) in found
    assert (False, 1) in found, "the power also goes between the commit and its answer"


def test_an_io_error_stays_until_the_process_ends(tmp_path: Path) -> None:
    drive = Drive(tmp_path / "a.db")
    first, second = Power("first"), Power("second")
    database = drive.connect(first, exclusive=True)
    drive.fail_in = 1
    with pytest.raises(DatabaseFailed):
        database.execute("create table t (x)")
    with pytest.raises(DatabaseFailed):
        database.execute("select 1")
    drive.release()
    drive.connect(second, exclusive=True).execute("create table t (x)")
    drive.release()


def test_a_full_disk_still_reads(tmp_path: Path) -> None:
    drive = Drive(tmp_path / "a.db")
    database = drive.connect(Power("p"), exclusive=True)
    drive.full = True
    with pytest.raises(DatabaseFull):
        database.execute("create table t (x)")
    assert database.execute("select 1") == [(1,)]
    drive.release()


def test_an_image_restores_what_was_committed_when_it_was_taken(tmp_path: Path) -> None:
    drive = Drive(tmp_path / "a.db")
    database = drive.connect(Power("p"), exclusive=True)
    database.execute("create table t (x)")
    database.execute("insert into t values (1)")
    assert drive.take_image()
    database.execute("insert into t values (2)")
    drive.release()
    drive.restore_image()
    assert drive.connect(Power("q"), exclusive=True).execute("select x from t") == [(1,)]
    drive.release()


def test_a_gateway_without_clock_boots_in_1970_and_learns_the_time(loop: SimLoop) -> None:
    machine = Machine(loop, drift_ppm=50, has_rtc=False)
    machine.power_on("aaaaaaaa", synchronised=False)
    assert machine.utc_ms() < 100_000
    assert machine.boot_ms() >= 20_000
    machine.synchronise()
    assert machine.utc_ms() == true_utc_ms(loop)


def test_filters_take_one_level() -> None:
    assert matches("a/+/report", "a/gw/report")
    assert not matches("a/+/report", "a/gw/x/report")
    assert not matches("a/+/report", "a/gw/receipt")


@pytest.mark.parametrize("seed", range(5))
def test_whoever_forgets_on_puback_loses_and_whoever_forgets_on_receipt_does_not(seed: int) -> None:
    """P7."""
    assert Toy(seed, forget_on_puback=True).run()
    assert not Toy(seed, forget_on_puback=False).run()


def test_the_same_seed_has_the_same_events() -> None:
    first, second = Toy(3, forget_on_puback=False), Toy(3, forget_on_puback=False)
    first.run()
    second.run()
    assert first.events == second.events
    assert first.received == second.received
    assert random.Random(3).random() == random.Random(3).random()
