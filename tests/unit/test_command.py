"""Commands are five orders and nothing else; what is none of them is refused (P10)."""

from base64 import urlsafe_b64encode
from typing import Any

import pytest

from shared.command import (
    Answer,
    Command,
    Order,
    ReadNow,
    Resend,
    RotateKey,
    SetInterval,
    TrustKey,
    read_answer,
    read_command,
    seal_answer,
    seal_command,
    trust_statement,
)
from shared.errors import InvalidRecord, Refused
from shared.line import Line, parse
from tests.unit.wire_samples import COLLECTOR_KEY, GATEWAY_KEY, NEXT_KEY, line_of

HEAD: dict[str, Any] = {
    "gateway": "gw-1",
    "key": COLLECTOR_KEY.public.id,
    "epoch": "5f2c91aa",
    "counter": 7,
    "at": 1_793_751_700,
}
ANSWER: dict[str, Any] = {
    "gateway": "gw-1",
    "key": GATEWAY_KEY.public.id,
    "counter": 7,
    "at": 1_793_751_701,
    "ok": False,
    "why": "the window is bounded to 900 s (agent.toml)",
}


def _trust(counter: int = 7, gateway: str = "gw-1") -> TrustKey:
    name = NEXT_KEY.public.text
    proof = NEXT_KEY.sign(trust_statement(gateway, "5f2c91aa", counter, name))
    return TrustKey(next=name, proof=urlsafe_b64encode(proof).rstrip(b"=").decode())


ORDERS: dict[str, tuple[Order, dict[str, Any]]] = {
    "resend": (
        Resend(log="main", epoch="5f2c91aa", first=5, last=6),
        {"log": "main", "epoch": "5f2c91aa", "seq": [5, 6]},
    ),
    "read_now": (ReadNow(), {}),
    "rotate_key": (RotateKey(), {}),
    "set_interval": (SetInterval(step=60, count=15), {"step": 60, "count": 15}),
    "trust_key": (_trust(), {"next": _trust().next, "proof": _trust().proof}),
}


def _reason(verdict: object) -> str:
    assert isinstance(verdict, Refused), verdict
    return verdict.reason


@pytest.mark.parametrize("name", ORDERS)
def test_an_order_is_read_back_as_it_was_sealed(name: str) -> None:
    order, details = ORDERS[name]
    command = Command(**HEAD, do=order)
    line = parse(seal_command(command, COLLECTOR_KEY))
    assert isinstance(line, Line)
    assert read_command(line) == command
    assert read_command(line_of("MC1", HEAD | {"do": name, "with": details})) == command


@pytest.mark.parametrize(
    ("do", "details", "reason"),
    [
        ("shell", {}, "do is none of"),
        ([], {}, "do is none of"),
        (None, {}, "do is none of"),
        ("read_now", [], "with is no object"),
        ("read_now", {"all": True}, "unknown all"),
        ("resend", {"log": "main", "epoch": "5f2c91aa"}, "lacks seq"),
        ("resend", {"log": "main", "epoch": "5f2c91aa", "seq": [5]}, "list of 2"),
        ("resend", {"log": "main", "epoch": "5f2c91aa", "seq": [0, 1]}, "seq[0]"),
        ("resend", {"log": "main", "epoch": "5f2c91aa", "seq": [6, 5]}, "seq[1]"),
        ("resend", {"log": "Main", "epoch": "5f2c91aa", "seq": [5, 6]}, "log"),
        ("resend", {"log": "main", "epoch": 1, "seq": [5, 6]}, "epoch"),
        ("set_interval", {"step": 0, "count": 15}, "step is 0"),
        ("set_interval", {"step": 60, "count": 1_441}, "count is 1441"),
        ("trust_key", {"next": 1, "proof": "A" * 86}, "next is no text"),
        ("trust_key", {"next": "AAAA", "proof": "A" * 86}, "32 bytes"),
        ("trust_key", {"next": NEXT_KEY.public.text, "proof": 5}, "proof"),
        ("trust_key", {"next": NEXT_KEY.public.text, "proof": "A" * 86}, "not the next key's signature"),
        ("trust_key", {"next": _trust(8).next, "proof": _trust(8).proof}, "not the next key's signature"),
        ("trust_key", {"next": _trust(7, "gw-2").next, "proof": _trust(7, "gw-2").proof}, "not the next key's"),
    ],
)
def test_an_order_that_breaks_a_rule_is_refused_with_its_reason(do: object, details: object, reason: str) -> None:
    assert reason in _reason(read_command(line_of("MC1", HEAD | {"do": do, "with": details})))


@pytest.mark.parametrize(
    "change", [{"gateway": "G"}, {"key": "k"}, {"epoch": ""}, {"counter": 0}, {"counter": True}, {"at": -1}, {"x": 1}]
)
def test_a_command_without_a_sound_head_is_refused(change: dict[str, Any]) -> None:
    assert _reason(read_command(line_of("MC1", HEAD | {"do": "read_now", "with": {}} | change)))


def test_an_answer_is_read_back_as_it_was_sealed() -> None:
    line = parse(seal_answer(Answer(**ANSWER), GATEWAY_KEY))
    assert isinstance(line, Line)
    assert read_answer(line) == Answer(**ANSWER)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"ok": 1}, "neither true nor false"),
        ({"ok": "true"}, "neither true nor false"),
        ({"why": "x" * 257}, "at most 256"),
        ({"why": None}, "plain text"),
        ({"counter": 0}, "counter"),
        ({"at": 2**33}, "at is"),
        ({"gateway": ""}, "gateway"),
        ({"key": ""}, "key"),
        ({"epoch": "5f2c91aa"}, "unknown epoch"),
    ],
)
def test_an_answer_that_breaks_a_rule_is_refused(change: dict[str, Any], reason: str) -> None:
    assert reason in _reason(read_answer(line_of("MA1", ANSWER | change)))


def test_one_form_is_not_read_as_the_other() -> None:
    assert "begins with MC1" in _reason(read_command(line_of("MA1", ANSWER)))
    assert "begins with MA1" in _reason(read_answer(line_of("MC1", ANSWER)))
    assert _reason(read_command(line_of("MC1", "{nonsense}")))
    assert _reason(read_answer(line_of("MA1", "{nonsense}")))


def test_a_command_is_sealed_only_with_the_key_that_it_names() -> None:
    with pytest.raises(InvalidRecord, match="another key"):
        seal_command(Command(**HEAD, do=ReadNow()), GATEWAY_KEY)
    with pytest.raises(InvalidRecord, match="another key"):
        seal_answer(Answer(**ANSWER), COLLECTOR_KEY)
    with pytest.raises(InvalidRecord, match="no order"):
        Command(**HEAD, do="read_now")  # type: ignore[arg-type]
