"""Sources say what is there, to the byte, and say in one sentence when it is not."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from edge_agent.invalid import InvalidSetting
from edge_agent.limits import READINGS_CHUNK_MAX
from edge_agent.reading import HistoricSource, Kind, Reading, Source, SourceDown
from edge_agent.sources.choice import source_of
from edge_agent.sources.exec import ExecSettings, ExecSource
from edge_agent.sources.netdev import NetdevSettings, NetdevSource, device_of
from edge_agent.sources.number import steps_of
from edge_agent.sources.proc import ProcSettings, ProcSource
from edge_agent.sources.replay import ReplayChannel, ReplaySettings, ReplaySource
from shared.effects.clock import SystemClock
from shared.effects.memory import SimpleClock
from shared.errors import InvalidRecord

NOW = 1_800_000_000


@pytest.fixture
def clock() -> SimpleClock:
    return SimpleClock(boot_ms=123_456, utc_ms=NOW * 1000, boot_id="0badcafe")


async def down(source: Source) -> str:
    """The sentence of a source that cannot be read."""
    with pytest.raises(SourceDown) as caught:
        await source.read()
    return str(caught.value)


def values(readings: Sequence[Reading]) -> dict[str, int]:
    return {f"{reading.device}.{reading.meter}": reading.value for reading in readings}


class TestANumberIsReadWithoutAFloat:
    @pytest.mark.parametrize(
        ("text", "exponent", "steps"),
        [
            ("42", 0, 42),
            ("1234.567", -3, 1_234_567),
            ("1234.5678", -3, 1_234_567),
            ("-0.5", 0, -1),
            ("1e3", 0, 1000),
            ("0.1", -12, 100_000_000_000),
            ("12345", 3, 12),
            ("+7.", 0, 7),
            (".5", -1, 5),
            ("9007199254740991", 0, 2**53 - 1),
        ],
    )
    def test_it_is_cut_to_whole_steps(self, text: str, exponent: int, steps: int) -> None:
        assert steps_of(text, exponent) == steps

    @pytest.mark.parametrize(
        "text", ["", "nan", "inf", "1,5", "0x10", "1_000", "１２", "1 2", "9007199254740992", "1e99", "1" * 41]
    )
    def test_anything_else_is_refused(self, text: str) -> None:
        """P19: never guess."""
        with pytest.raises(InvalidRecord):
            steps_of(text, 0)


DEV = """Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo
    lo: 111       1    0    0    0     0          0         0      222       1    0    0    0     0       0          0
  eth0: 198522474    4674    0    0    0     0          0         0   288549    2830    0    0    0
eth0.7:18446744073709551615 2 0 0 0 0 0 0 5 1 0 0 0 0 0 0
"""


class TestNetdev:
    @pytest.fixture
    def machine(self, tmp_path: Path) -> Path:
        (tmp_path / "proc/net").mkdir(parents=True)
        (tmp_path / "proc/net/dev").write_text(DEV, encoding="ascii")
        for index, name in enumerate(("lo", "eth0", "eth0.7"), 1):
            (tmp_path / "sys/class/net" / name).mkdir(parents=True)
            (tmp_path / "sys/class/net" / name / "ifindex").write_text(f"{index}\n", encoding="ascii")
        return tmp_path

    def source(self, machine: Path, clock: SimpleClock, *interfaces: str) -> NetdevSource:
        settings = NetdevSettings(interfaces=interfaces or ("*",))
        return NetdevSource(settings, clock, proc=machine / "proc", sys=machine / "sys")

    async def test_each_direction_of_each_interface_is_a_channel(self, machine: Path, clock: SimpleClock) -> None:
        source = self.source(machine, clock)
        readings = await source.read()
        assert values(readings) == {
            "eth0.data_up": 288_549,
            "eth0.data_down": 198_522_474,
            "eth0.7.data_up": 5,
            "eth0.7.data_down": 18_446_744_073_709_551_615,
        }
        assert {(spec.unit, spec.kind, spec.log) for spec in source.channels} == {("By", Kind.COUNTER, "main")}
        assert {reading.at_ms for reading in readings} == {123_456}

    async def test_a_new_interface_of_the_same_name_is_a_new_generation(
        self, machine: Path, clock: SimpleClock
    ) -> None:
        """P4: a reset is proven even where the new value is higher."""
        source = self.source(machine, clock, "eth0")
        (before, _) = await source.read()
        (machine / "sys/class/net/eth0/ifindex").write_text("9\n", encoding="ascii")
        (after, _) = await source.read()
        assert (before.generation, after.generation) == ("0badcafe.2", "0badcafe.9")

    async def test_loopback_is_metered_only_where_it_is_named(self, machine: Path, clock: SimpleClock) -> None:
        assert set(values(await self.source(machine, clock, "lo").read())) == {"lo.data_up", "lo.data_down"}
        assert {spec.device for spec in self.source(machine, clock, "eth*").channels} == {"eth0", "eth0.7"}

    async def test_a_named_interface_may_come_later(self, machine: Path, clock: SimpleClock) -> None:
        source = self.source(machine, clock, "ppp0", "eth0")
        assert {spec.device for spec in source.channels} == {"ppp0", "eth0"}
        assert set(values(await source.read())) == {"eth0.data_up", "eth0.data_down"}
        assert "ppp0" in await down(self.source(machine, clock, "ppp0"))

    async def test_no_table_at_all_is_said(self, tmp_path: Path, clock: SimpleClock) -> None:
        assert "cannot be read" in await down(self.source(tmp_path, clock, "eth0"))

    def test_names_that_the_wire_forbids_get_the_nearest_that_it_allows(self) -> None:
        assert [device_of(name) for name in ("eth0.100", "Wlan0", "veth@if3")] == ["eth0.100", "wlan0", "veth_if3"]

    async def test_this_machine_can_be_read(self) -> None:
        source = source_of(NetdevSettings(interfaces=("lo",)), SystemClock())
        assert len(await source.read()) == 2


class TestProc:
    async def test_a_process_is_metered_from_its_start(self, tmp_path: Path) -> None:
        (tmp_path / "pid").write_text(f"{os.getpid()}\n", encoding="ascii")
        source = source_of(ProcSettings(device="self", pid_file=tmp_path / "pid"), SystemClock())
        first = await source.read()
        assert [reading.meter for reading in first] == ["cpu", "disk_read", "disk_write"]
        assert first[0].value > 0
        assert first[0].generation.endswith(f".{_start_of(os.getpid())}")
        assert {spec.meter: (spec.unit, spec.exponent) for spec in source.channels} == {
            "cpu": ("s", -3),
            "disk_read": ("By", 0),
            "disk_write": ("By", 0),
        }

    async def test_a_process_is_found_by_its_name_when_it_is_the_only_one(
        self, tmp_path: Path, clock: SimpleClock
    ) -> None:
        for pid, name in (("7", "one"), ("8", "two"), ("9", "two")):
            (tmp_path / pid).mkdir()
            (tmp_path / pid / "comm").write_text(f"{name}\n", encoding="ascii")
            rest = " ".join(["S", *("0" for _ in range(10)), "150", "50", "0 0 0 0 0 0", "4711", "0"])
            (tmp_path / pid / "stat").write_text(f"{pid} (a ) b) {rest}\n", encoding="ascii")
            (tmp_path / pid / "io").write_text("rchar: 1\nread_bytes: 4096\nwrite_bytes: 8192\n", encoding="ascii")
        one = ProcSource(ProcSettings(device="d", process="one"), clock, proc=tmp_path)
        readings = await one.read()
        ticks = os.sysconf("SC_CLK_TCK")
        assert values(readings) == {"d.cpu": 200_000 // ticks, "d.disk_read": 4096, "d.disk_write": 8192}
        assert readings[0].generation == "0badcafe.7.4711"
        two = ProcSource(ProcSettings(device="d", process="two"), clock, proc=tmp_path)
        assert "2 processes with the name two" in await down(two)
        none = ProcSource(ProcSettings(device="d", process="none"), clock, proc=tmp_path)
        assert "no process with the name none" in await down(none)

    async def test_a_cgroup_is_metered_whole(self, tmp_path: Path, clock: SimpleClock) -> None:
        (tmp_path / "cpu.stat").write_text("usage_usec 1234567\nuser_usec 1\n", encoding="ascii")
        source = ProcSource(ProcSettings(device="d", cgroup=tmp_path), clock)
        assert values(await source.read()) == {"d.cpu": 1234}
        (tmp_path / "io.stat").write_text("8:0 rbytes=10 wbytes=20 rios=1\n8:16 rbytes=1 wbytes=2\n", encoding="ascii")
        readings = await source.read()
        assert values(readings) == {"d.cpu": 1234, "d.disk_read": 11, "d.disk_write": 22}
        assert readings[0].generation == f"0badcafe.{os.stat(tmp_path).st_ino}"  # noqa: PTH116
        (tmp_path / "cpu.stat").unlink()
        assert f"the cgroup {tmp_path} cannot be read" in await down(source)

    async def test_a_process_that_is_gone_is_said(self, tmp_path: Path, clock: SimpleClock) -> None:
        source = ProcSource(ProcSettings(device="d", pid_file=tmp_path / "pid"), clock)
        assert f"the process of {tmp_path / 'pid'} cannot be read" in await down(source)
        (tmp_path / "pid").write_text("4194399", encoding="ascii")
        assert "cannot be read" in await down(source)

    @pytest.mark.parametrize("given", [{}, {"process": "x", "pid_file": Path("y")}])
    def test_exactly_one_thing_is_metered(self, given: dict[str, Path | str]) -> None:
        with pytest.raises(InvalidSetting, match="exactly one"):
            ProcSettings(device="d", **given)  # type: ignore[arg-type]


def _start_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[19]


class TestExec:
    def source(self, clock: SimpleClock, *command: str, **more: object) -> ExecSource:
        settings: dict[str, object] = {"device": "d", "meter": "energy", "unit": "W.h", "rate_max": 10**6}
        return ExecSource(ExecSettings(command=command, **(settings | more)), clock)  # type: ignore[arg-type]

    async def test_the_first_printed_word_is_the_reading(self, clock: SimpleClock) -> None:
        source = self.source(clock, "echo", "1234.5678 kWh", exponent=-3, serial="A1")
        assert await source.read() == [Reading(device="d", meter="energy", value=1_234_567, at_ms=123_456, serial="A1")]

    async def test_a_gauge_says_so(self, clock: SimpleClock) -> None:
        source = self.source(clock, "echo", "230", kind="gauge", per_seconds=3600)
        assert [(spec.kind, spec.per_seconds) for spec in source.channels] == [(Kind.GAUGE, 3600)]

    async def test_no_shell_reads_the_command(self, clock: SimpleClock) -> None:
        assert "'$(echo'" in await down(self.source(clock, "echo", "$(echo 5)"))
        assert (await self.source(clock, "sh", "-c", "echo $((2+3))").read())[0].value == 5

    async def test_what_went_wrong_is_said(self, clock: SimpleClock) -> None:
        assert await down(self.source(clock, "/no/such/program")) == (
            "/no/such/program cannot be run: No such file or directory"
        )
        assert await down(self.source(clock, "true")) == "true printed nothing"
        assert await down(self.source(clock, "sh", "-c", "echo no bus >&2; exit 3")) == "sh ended with 3: no bus"
        assert "did not print a number" in await down(self.source(clock, "echo", "err"))

    async def test_a_command_that_takes_too_long_is_ended_with_all_it_started(
        self, clock: SimpleClock, tmp_path: Path
    ) -> None:
        """P9: every wait has its bound."""
        script = f"sleep 60 & echo $! > {tmp_path}/pid; echo 5"
        said = await down(self.source(clock, "sh", "-c", script, timeout_seconds=0.5))
        assert said == "sh took longer than 0.5 s"
        pid = int((tmp_path / "pid").read_text(encoding="ascii"))
        for _ in range(100):
            if not _alive(pid):
                break
            await asyncio.sleep(0.02)
        assert not _alive(pid)

    async def test_endless_output_is_bounded(self, clock: SimpleClock) -> None:
        """P9: a babbling command costs no memory."""
        source = self.source(clock, sys.executable, "-c", "print(7, 'x' * 10_000_000)")
        assert (await source.read())[0].value == 7


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


CHANNEL = ReplayChannel(device="d", meter="energy", unit="W.h", rate_max=10**6)
OTHER = ReplayChannel(device="e", meter="water", unit="L", exponent=-1, rate_max=10**6)


class Replay:
    """A file, a clock, and a source that is begun again at will."""

    def __init__(self, folder: Path, *, follow: bool = False, rows: str = "") -> None:
        self.path = folder / "readings.csv"
        self.path.write_text("at,device,meter,value\n" + rows, encoding="utf-8")
        self.clock = SimpleClock(utc_ms=NOW * 1000)
        self.settings = ReplaySettings(path=self.path, follow=follow, channels=(CHANNEL, OTHER))
        self.source = ReplaySource(self.settings, self.clock)

    async def everything(self) -> list[Reading]:
        """What comes until the source has caught up."""
        found: list[Reading] = []
        while True:
            found += await self.source.read()
            if self.source.caught_up:
                return found


Begin = Callable[..., Replay]


class TestReplay:
    @pytest.fixture
    async def begin(self, tmp_path: Path) -> AsyncIterator[Begin]:
        begun: list[Replay] = []

        def begin(**settings: Any) -> Replay:
            begun.append(Replay(tmp_path, **settings))
            return begun[-1]

        yield begin
        for replay in begun:
            await replay.source.close()

    async def test_rows_carry_their_own_time(self, begin: Begin) -> None:
        replay = begin(rows="2026-01-01T00:00:00Z,d,energy,5\r\n2026-01-01T02:00:00+02:00,e,water,1.25\r\n\r\n")
        readings = await replay.everything()
        assert [(r.device, r.value, r.utc) for r in readings] == [("d", 5, 1_767_225_600), ("e", 12, 1_767_225_600)]
        assert isinstance(replay.source, HistoricSource)
        assert all(spec.historic for spec in replay.source.channels)
        assert replay.source.finished

    async def test_serial_and_generation_are_read_where_the_header_has_them(self, begin: Begin) -> None:
        replay = begin()
        replay.path.write_text(
            "\ufeffat,device,meter,value,generation,serial\n2026-01-01T00:00:00Z,d,energy,5,g1,A 7\n", encoding="utf-8"
        )
        ((reading,)) = await replay.everything()
        assert (reading.serial, reading.generation) == ("A 7", "g1")

    async def test_a_large_file_comes_in_pieces_and_resumes_anywhere(self, begin: Begin) -> None:
        """P9: memory does not grow with the file."""
        count = 20_000
        replay = begin(rows="".join(_row(NOW - count + n, "d.energy", n) for n in range(count)))
        first = await replay.source.read()
        assert len(first) == READINGS_CHUNK_MAX
        assert not replay.source.caught_up
        for after in (NOW - count - 5, NOW - count, NOW - 12_345, NOW - 2, NOW - 1):
            replay.source.resume(after)
            found = await replay.everything()
            assert [reading.utc for reading in found] == list(range(max(after + 1, NOW - count), NOW))

    async def test_readings_of_the_future_wait_for_their_time(self, begin: Begin) -> None:
        rows = "".join(_row(NOW + n, "d.energy", n) for n in (-1, 0, 5, 9))
        replay = begin(follow=True, rows=rows)
        assert [reading.value for reading in await replay.everything()] == [-1, 0]
        assert await replay.source.read() == []
        replay.clock.advance(5_000)
        assert [reading.value for reading in await replay.everything()] == [5]
        replay.clock.advance(60_000)
        assert [reading.value for reading in await replay.everything()] == [9]
        assert not replay.source.finished

    async def test_without_follow_the_replay_ends_at_its_first_now(self, begin: Begin) -> None:
        replay = begin(rows=_row(NOW, "d.energy", 1) + _row(NOW + 5, "d.energy", 2))
        assert len(await replay.everything()) == 1
        replay.clock.advance(60_000)
        assert not await replay.source.read()
        assert replay.source.finished

    async def test_a_clock_that_nobody_has_set_delivers_nothing_of_its_future(self, begin: Begin) -> None:
        """P13: a boot in 1970 waits; it does not end the replay."""
        replay = begin(rows=_row(NOW, "d.energy", 1))
        replay.clock.step(utc_ms=0, synchronised=False)
        assert not await replay.everything()
        replay.clock.step(utc_ms=NOW * 1000)
        assert len(await replay.everything()) == 1

    async def test_appended_rows_are_followed_once_they_are_whole(self, begin: Begin) -> None:
        replay = begin(follow=True, rows=_row(NOW - 9, "d.energy", 1))
        assert len(await replay.everything()) == 1
        with replay.path.open("a", encoding="utf-8") as file:
            file.write(_row(NOW - 8, "d.energy", 2)[:-5])
            file.flush()
            assert not await replay.source.read()
            file.write(_row(NOW - 8, "d.energy", 2)[-5:])
            file.flush()
        assert [reading.value for reading in await replay.source.read()] == [2]

    @pytest.mark.parametrize(
        ("row", "said"),
        [
            ("2026-01-01T00:00:00Z,d,energy", "has 3 fields where the header has 4"),
            ("2026-01-01T00:00:00,d,energy,5", "is not like 2026-01-31T00:00:00Z"),
            ("yesterday,d,energy,5", "is not like"),
            ("1969-12-31T23:59:59Z,d,energy,5", "out of bounds"),
            ("2026-01-01T00:00:00Z,x,energy,5", "is of x.energy, which is none of the source's channels"),
            ("2026-01-01T00:00:00Z,d,energy,many", "has a value that cannot be"),
            ('2026-01-01T00:00:00Z,"d",energy,5', "is not plain text"),
            ("2000-01-01T00:00:00Z,d,energy,5", "is earlier than the row before it"),
        ],
    )
    async def test_a_wrong_row_is_named_after_what_stands_before_it(self, begin: Begin, row: str, said: str) -> None:
        """P3, P19: a row that cannot be read is neither guessed nor passed over in silence."""
        replay = begin(rows=_row(NOW - 9, "d.energy", 1) + row + "\n" + _row(NOW - 7, "d.energy", 3))
        if row[:4].isdigit() and "earlier" not in said:
            replay.path.write_text(
                replay.path.read_text(encoding="utf-8").replace(_row(NOW - 9, "d.energy", 1), _row(5, "d.energy", 1)),
                encoding="utf-8",
            )
        assert [reading.value for reading in await replay.source.read()] == [1]
        for _ in range(2):
            message = await down(replay.source)
            assert message.startswith(f"{replay.path}:3: the row ")
            assert said in message
        text = replay.path.read_text(encoding="utf-8")
        replay.path.write_text(text.replace(row, _row(NOW - 8, "d.energy", 2).strip()), encoding="utf-8")
        assert [reading.value for reading in await replay.everything()] == [2, 3]

    async def test_a_mended_row_loses_no_reading_of_its_own_second(self, begin: Begin) -> None:
        """P1: two channels read in one second, and the second row is wrong at first."""
        replay = begin(rows=_row(NOW - 9, "d.energy", 1) + _row(NOW - 9, "e.wader", 2))
        assert len(await replay.source.read()) == 1
        assert "e.wader" in await down(replay.source)
        replay.path.write_text(replay.path.read_text(encoding="utf-8").replace("wader", "water"), encoding="utf-8")
        assert [(reading.device, reading.value) for reading in await replay.everything()] == [("e", 20)]

    async def test_a_missing_file_or_header_is_said(self, begin: Begin) -> None:
        replay = begin()
        replay.path.write_text("time;device\n", encoding="utf-8")
        assert "must be the header at,device,meter,value[,serial][,generation]" in await down(replay.source)
        replay.path.unlink()
        assert "cannot be read: No such file or directory" in await down(replay.source)
        await replay.source.close()


def _row(utc: int, channel: str, value: int) -> str:
    at = datetime.fromtimestamp(utc, UTC).isoformat().replace("+00:00", "Z")
    return f"{at},{channel.replace('.', ',')},{value}\n"
