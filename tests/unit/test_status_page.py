"""The status page, its JSON and its metrics: what people see, what Prometheus reads, what the server refuses (P9)."""

import asyncio
import json
import re
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from edge_agent.invalid import InvalidSetting
from edge_agent.settings import StatusSettings
from edge_agent.status_page import METRICS, metrics, page
from edge_agent.status_server import CONNECTIONS_MAX, REQUEST_BYTES_MAX, answer, serving
from tests.unit.test_reference import page as reference
from tests.unit.test_reference import part, rows

NOW_MS = 1_800_000_100_000
WELL: dict[str, Any] = {
    "agent": "meterseal 0.1.0",
    "gateway": "gw-1",
    "epoch": "00aa11bb",
    "config_problem": None,
    "safe_mode": False,
    "making_room": False,
    "synchronised": True,
    "backlog_lines": 2,
    "backlog_oldest": 1_800_000_000,
    "spool_bytes": 1_048_576,
    "spool_bytes_max": 67_108_864,
    "last_receipt_ms": 1_800_000_088_123,
    "sources": [{"name": "modbus", "down": None}],
    "channels": [["heat-1", "energy", "W.h", -1, "main", 12_345, 99_999], ["b", "m", "By", 0, "main", None, None]],
    "link": {"up": True, "seconds": 90, "why": None},
    "rss_bytes": 33_554_432,
    "pid": 7,
}
ILL = WELL | {
    "config_problem": 'agent.toml:14: unknown key "<b>"\nagent.toml:15: another',
    "safe_mode": True,
    "synchronised": False,
    "link": {"up": False, "seconds": 60, "why": "nothing listens at <host>"},
    "sources": [{"name": "modbus", "down": "no answer from 192.0.2.7"}],
}


def text_of(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", html.partition("</style>")[2]).split())


def test_a_page_says_that_all_is_well_in_words() -> None:
    said = text_of(page(WELL, NOW_MS))
    assert "gw-1 ● good: 2 channels metered" in said
    assert "heat-1.energy 1234.5 9999.9 W.h main" in said
    assert "b.m – – By main" in said
    assert "last receipt ● good 11 s ago" in said
    assert "backlog ● good 2 lines; the oldest sealed 1 min 40 s ago" in said
    assert "synchronised" in said


def test_a_page_names_what_to_look_at_first_and_escapes_what_others_wrote() -> None:
    html = page(ILL, NOW_MS)
    said = text_of(html)
    assert "■ bad: look at link, clock, configuration, modbus" in said
    assert "safe mode: the last good one runs: agent.toml:14: unknown key" in said
    assert "modbus ■ bad no answer from 192.0.2.7" in said
    assert "<b>" not in html
    assert "<host>" not in html


def test_no_colour_stands_without_its_word() -> None:
    """People who tell no colours apart read the same."""
    for html in (page(WELL, NOW_MS), page(ILL, NOW_MS)):
        marks = re.findall(r'class="(?:verdict )?(good|note|bad)">([^<]*)', html)
        assert marks
        assert all(word in text for word, text in marks)


def test_prometheus_reads_every_metric_and_the_reference_lists_them() -> None:
    families = {family.name: family for family in text_string_to_metric_families(metrics(WELL))}
    named = {name.removesuffix("_total"): kind for name, (kind, _) in METRICS.items()}
    assert {name: family.type for name, family in families.items()} == named
    register = families["meterseal_agent_register"].samples
    assert [(sample.labels["device"], sample.value) for sample in register] == [("heat-1", 1234.5)]
    assert families["meterseal_agent_last_receipt_timestamp_seconds"].samples[0].value == 1_800_000_088.123
    listed = {row[0].strip("`"): row[1] for row in rows(part(reference("edge-agent"), "Metrics"))}
    assert listed == {name: kind for name, (kind, _) in METRICS.items()}


def head(target: str, *, method: str = "GET", host: str = "localhost:9480") -> bytes:
    return f"{method} {target} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()


def code(raw: bytes) -> int:
    return int(raw.split()[1])


def test_the_server_answers_what_it_has_and_nothing_else() -> None:
    assert json.loads(answer(head("/status.json?x=1"), WELL, NOW_MS).partition(b"\r\n\r\n")[2]) == WELL
    assert b"text/html" in answer(head("/"), WELL, NOW_MS)
    assert answer(head("/healthz"), WELL, NOW_MS).endswith(b"\r\n\r\nmetering\n")
    assert code(answer(head("/healthz"), {}, NOW_MS)) == 503
    assert code(answer(head("/metrics"), {}, NOW_MS)) == 503
    assert code(answer(head("/etc/passwd"), WELL, NOW_MS)) == 404
    assert code(answer(head("/", method="POST"), WELL, NOW_MS)) == 405
    assert answer(head("/", method="HEAD"), WELL, NOW_MS).endswith(b"\r\n\r\n")
    assert code(answer(b"\r\n\r\n", WELL, NOW_MS)) == 405


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:9480", "127.3.2.1", "[::1]:9480"])
def test_who_asks_for_this_machine_is_answered(host: str) -> None:
    assert code(answer(head("/", host=host), WELL, NOW_MS)) == 200


@pytest.mark.parametrize("host", ["", "evil.example", "127.evil.example", "localhost.evil.example:9480", "10.0.0.1"])
def test_who_asks_for_another_name_is_refused(host: str) -> None:
    """P21: a page on the web, whose name leads here, reads nothing."""
    assert code(answer(head("/", host=host), WELL, NOW_MS)) == 421


async def test_too_long_a_request_and_too_many_at_once_are_bounded() -> None:
    """P9."""
    async with serving("127.0.0.1", 0, lambda: WELL, lambda: NOW_MS) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nX: " + b"x" * 2 * REQUEST_BYTES_MAX + b"\r\n\r\n")
        assert code(await reader.readline()) == 431
        writer.close()
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(CONNECTIONS_MAX)]
        await asyncio.sleep(0.05)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head("/"))
        assert code(await reader.readline()) == 503
        for _, held in (*idle, (reader, writer)):
            held.close()
        await asyncio.sleep(0.05)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head("/metrics", host=f"127.0.0.1:{port}"))
        assert code(await reader.read()) == 200
        writer.close()


@pytest.mark.parametrize("listen", ["0.0.0.0:9480", "9480", "192.168.1.2:80", "localhost:0", "localhost:70000", "x:1"])
def test_only_this_machine_is_listened_to(listen: str) -> None:
    with pytest.raises(InvalidSetting, match="listen"):
        StatusSettings(listen=listen)


def test_where_it_listens_is_taken_apart() -> None:
    assert (StatusSettings(listen="[::1]:9480").host, StatusSettings(listen="127.0.0.1:9480").port) == ("::1", 9_480)
