"""The bench measures what it says it measures: genuine, distinct, chained lines of a stated shape."""

import json
from collections import defaultdict
from io import StringIO

from rich.console import Console

from shared.errors import Refused
from shared.line import Line, hash_of, parse
from shared.payload import unpack
from shared.report import Birth, Report, Usage, read
from tests.bench.counted import HEADER_BYTES, Carried
from tests.bench.figure import Figure, as_json, number, show
from tests.bench.payloads import CHANNELS, INTERVALS, LINES_A_PAYLOAD, Gateway, backlog, fleet, live


def opened(gateways: list[Gateway], payloads: list[tuple[str, bytes]]) -> dict[str, list[tuple[bytes, Report]]]:
    keys = {gateway.name: gateway.key.public for gateway in gateways}
    found: dict[str, list[tuple[bytes, Report]]] = defaultdict(list)
    for topic, payload in payloads:
        name = topic.split("/")[-2]
        lines = unpack(payload)
        assert not isinstance(lines, Refused)
        for raw in lines:
            line = parse(raw)
            assert isinstance(line, Line)
            assert line.verified_by(keys[name])
            report = read(line)
            assert not isinstance(report, Refused)
            found[name].append((raw, report))
    return found


def test_live_payloads_are_distinct_and_their_lines_are_genuine_and_chained() -> None:
    gateways = fleet(3, mixed=True)
    payloads = list(live(gateways, 4))
    assert len({payload for _, payload in payloads}) == len(payloads) == 3 * 5
    for lines in opened(gateways, payloads).values():
        prev, registers = "", {}
        for seq, (raw, report) in enumerate(lines, start=1):
            assert (report.header.seq, report.header.prev) == (seq, prev)
            prev = hash_of(raw)
            if isinstance(report, Birth):
                registers = {row[:2]: row.register for row in report.channels}
            assert isinstance(report, Birth | Usage)
            for row in report.rows if isinstance(report, Usage) else ():
                assert row.register == registers[row.device, row.meter]
                registers[row.device, row.meter] += sum(row.deltas)


def test_a_line_has_the_shape_of_the_figures_and_a_backlog_fills_its_payloads() -> None:
    gateways = fleet(2)
    payloads = list(backlog(gateways, 2))
    assert len(payloads) == 2 + 4
    for lines in opened(gateways, payloads).values():
        assert len(lines) == 1 + 2 * LINES_A_PAYLOAD
        for _, report in lines[1:]:
            assert isinstance(report, Usage)
            assert (len(report.rows), report.count) == (CHANNELS, INTERVALS)


def test_the_same_seed_makes_the_same_bytes() -> None:
    """P15."""
    assert list(live(fleet(2), 2)) == list(live(fleet(2), 2))
    assert list(live(fleet(2), 2)) != list(live(fleet(2, seed=2), 2))


def test_a_goal_is_met_or_missed_or_there_is_none() -> None:
    def met(**goal: float) -> bool | None:
        return Figure(room="r", name="n", value=3.0, unit="B", **goal).met  # type: ignore[arg-type]

    assert [met(most=3.0), met(most=2.9), met(least=3.0), met(least=3.1), met()] == [True, False, True, False, None]


def test_a_figure_is_printed_with_its_goal_and_written_as_json() -> None:
    figures = [Figure(room="wire", name="payload", value=2.125, unit="B", most=3.0, note="how")]
    screen = StringIO()
    show(figures, Console(width=100, file=screen))
    printed = screen.getvalue()
    assert all(word in printed for word in ("wire", "payload", "2.12 B", "≤ 3", "met", "how"))
    assert json.loads(as_json(figures))[0] | {"met": True} == json.loads(as_json(figures))[0]
    assert [number(1234.5), number(0.0123456)] == ["1,234", "0.0123"]


def test_segments_are_counted_with_their_headers() -> None:
    assert Carried(1_100, 7).since(Carried(100, 5)).network == 1_000 + 2 * HEADER_BYTES
