"""The one line of `systemctl status`: what matters most stands first."""

from typing import Any

import pytest

from edge_agent.summary import PROBLEM_CHARS_MAX, summary
from edge_agent.words import count, quantity, span

WELL: dict[str, Any] = {
    "config_problem": None,
    "safe_mode": False,
    "making_room": False,
    "channels": [None] * 12,
    "sources": [{"name": "modbus", "down": None}, {"name": "p1", "down": None}],
    "link": {"up": True, "seconds": 90, "why": None},
    "synchronised": True,
    "backlog_lines": 3,
    "last_receipt_ms": 1_800_000_000_000,
}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, "metering 12 channels; 3 lines wait; last receipt 12 s ago"),
        ({"backlog_lines": 1, "channels": [None]}, "metering 1 channel; 1 line waits; last receipt 12 s ago"),
        ({"last_receipt_ms": None}, "metering 12 channels; 3 lines wait; no receipt yet"),
        (
            {"sources": [{"name": "modbus", "down": "no answer"}, {"name": "p1", "down": None}]},
            "metering 12 channels; 1 source down: modbus; 3 lines wait; last receipt 12 s ago",
        ),
        (
            {"link": {"up": False, "seconds": 3_700, "why": "refused"}, "synchronised": False},
            "metering 12 channels; no link for 1 h 1 min; clock not synchronised; 3 lines wait; last receipt 12 s ago",
        ),
        (
            {"config_problem": "agent.toml:14: unknown key\nagent.toml:15: another", "safe_mode": True},
            "safe mode: agent.toml:14: unknown key; metering 12 channels; 3 lines wait; last receipt 12 s ago",
        ),
        (
            {"config_problem": "agent.toml:14: unknown key"},
            (
                "configuration not taken: agent.toml:14: unknown key; metering 12 channels; 3 lines wait; "
                "last receipt 12 s ago"
            ),
        ),
        (
            {"making_room": True},
            (
                "the spool is full: nothing is metered until the collector has confirmed lines; 3 lines wait; "
                "last receipt 12 s ago"
            ),
        ),
    ],
)
def test_a_line_says_how_it_stands(change: dict[str, Any], said: str) -> None:
    assert summary(WELL | change, 1_800_000_012_345) == said


def test_amounts_are_said_as_people_say_them() -> None:
    assert (count(1, "line"), count(0, "line")) == ("1 line", "0 lines")
    assert (span(-5), span(59), span(3_600), span(90_061)) == ("0 s", "59 s", "1 h 0 min", "1 d 1 h")
    assert (quantity(12_345, -1), quantity(5, 3), quantity(None, 0)) == ("1234.5", "5000", "–")


def test_a_long_problem_leaves_room_for_the_rest_of_the_line() -> None:
    """P9."""
    said = summary(WELL | {"config_problem": "agent.toml:14: " + "word " * 200, "safe_mode": True}, 1_800_000_012_345)
    assert said.startswith("safe mode: agent.toml:14: word")
    assert said.endswith("…; metering 12 channels; 3 lines wait; last receipt 12 s ago")
    assert len(said) < PROBLEM_CHARS_MAX + 100
