"""The service manager's socket: what is said, when, and that a missing listener stops nothing."""

import os
import socket
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cloud_collector.cli.manager import summary
from shared.effects.notify import STATUS_CHARS_MAX, Notifier
from shared.liveness import Liveness, Pulse


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as door:
        door.bind(str(tmp_path / "notify"))
        door.settimeout(5)
        yield door


def told(manager: socket.socket) -> list[str]:
    return manager.recv(4_096).decode().splitlines()


def test_what_is_said_is_what_the_manager_understands(manager: socket.socket, tmp_path: Path) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify")})
    assert notifier.listened_to
    notifier.ready("metering 1 channel;\n 0 lines wait")
    assert told(manager) == ["READY=1", "STATUS=metering 1 channel; 0 lines wait"]
    notifier.beat()
    assert told(manager) == ["WATCHDOG=1"]
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1_000
    notifier.reloading()
    reloading, at = told(manager)
    assert reloading == "RELOADING=1"
    assert before <= int(at.removeprefix("MONOTONIC_USEC=")) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1_000
    notifier.stopping()
    assert told(manager)[0] == "STOPPING=1"


def test_a_status_is_one_bounded_line_and_said_only_when_it_changes(manager: socket.socket, tmp_path: Path) -> None:
    """P9."""
    notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify")})
    notifier.status("x" * 10_000)
    assert told(manager) == [f"STATUS={'x' * STATUS_CHARS_MAX}"]
    notifier.status("x" * 10_000)
    notifier.status("else")
    assert told(manager) == ["STATUS=else"]


def test_a_socket_in_the_abstract_namespace_is_found() -> None:
    name = f"meterseal-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as door:
        door.bind(f"\0{name}")
        door.settimeout(5)
        Notifier({"NOTIFY_SOCKET": f"@{name}"}).beat()
        assert told(door) == ["WATCHDOG=1"]


def test_nobody_listening_stops_nothing(tmp_path: Path) -> None:
    for environment in ({}, {"NOTIFY_SOCKET": str(tmp_path / "none")}):
        Notifier(environment).ready("good")
    assert not Notifier({}).listened_to


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "180000000"}, 180.0),
        ({"WATCHDOG_USEC": "180000000", "WATCHDOG_PID": str(os.getpid())}, 180.0),
        ({"WATCHDOG_USEC": "180000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
    ],
)
def test_a_beat_is_expected_by_the_process_that_is_named(environment: dict[str, str], seconds: float | None) -> None:
    assert Notifier(environment).watchdog_seconds == seconds


def test_a_loop_that_has_stopped_turning_is_named_and_one_that_turns_is_not() -> None:
    liveness = Liveness()
    assert liveness.stuck({"a": Pulse(0, 10.0), "b": Pulse(0, 10.0)}, 1_000.0) == []
    assert liveness.stuck({"a": Pulse(0, 10.0), "b": Pulse(1, 10.0)}, 1_009.0) == []
    assert liveness.stuck({"a": Pulse(0, 10.0), "b": Pulse(1, 10.0)}, 1_011.0) == ["a"]
    assert liveness.stuck({"a": Pulse(1, 10.0), "b": Pulse(1, 10.0)}, 1_012.0) == []
    assert liveness.stuck({"a": Pulse(2, 10.0), "b": Pulse(1, 10.0)}, 1_020.0) == ["b"]


def test_a_loop_that_comes_and_one_that_goes_are_not_stuck() -> None:
    liveness = Liveness()
    assert liveness.stuck({"a": Pulse(0, 10.0)}, 0.0) == []
    assert liveness.stuck({"c": Pulse(0, 10.0)}, 100.0) == []
    assert liveness.stuck({"a": Pulse(0, 10.0)}, 200.0) == [], "it is a new loop of the same name"


def test_a_collector_says_what_has_arrived_since_its_start() -> None:
    @dataclass
    class Standing:
        connected: bool
        verdicts: Counter[str]

    assert (
        summary(Standing(True, Counter({"Duplicate": 2, "Accepted": 12_345})))
        == "taking reports; since the start: 12,345 accepted, 2 duplicate"
    )
    assert summary(Standing(False, Counter())) == "no link to the broker; since the start: nothing arrived"
