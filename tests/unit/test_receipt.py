"""Receipts say exactly what is durable, or are refused (P6, P7)."""

from typing import Any

import pytest

from shared.errors import InvalidRecord, Refused
from shared.receipt import Receipt, read_receipt, seal_receipt
from tests.unit.wire_samples import COLLECTOR_KEY, GATEWAY_KEY, HASH, line_of

BODY: dict[str, Any] = {
    "gateway": "gw-1",
    "log": "main",
    "key": COLLECTOR_KEY.public.id,
    "epoch": "5f2c91aa",
    "through": 3,
    "head": HASH,
    "missing": [[5, 6], [9, 9]],
    "aside": [HASH],
    "at": 1_793_751_601_042,
}


def _reason(change: dict[str, Any]) -> str:
    verdict = read_receipt(line_of("MR1", BODY | change, COLLECTOR_KEY))
    assert isinstance(verdict, Refused), verdict
    return verdict.reason


def test_a_receipt_is_read_back_as_it_was_sealed() -> None:
    receipt = read_receipt(line_of("MR1", BODY, COLLECTOR_KEY))
    assert isinstance(receipt, Receipt)
    assert (receipt.missing, receipt.aside) == (((5, 6), (9, 9)), (HASH,))
    assert read_receipt(line_of("MR1", seal_receipt(receipt, COLLECTOR_KEY).decode().split("|")[1])) == receipt


def test_a_receipt_for_nothing_yet_has_no_head() -> None:
    assert isinstance(read_receipt(line_of("MR1", BODY | {"through": 0, "head": "", "missing": []})), Receipt)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"gateway": "GW"}, "gateway"),
        ({"log": ""}, "log"),
        ({"key": "xyz"}, "key"),
        ({"epoch": 5}, "epoch"),
        ({"through": -1}, "through is -1"),
        ({"through": True}, "through is True"),
        ({"through": 0}, "head must be empty"),
        ({"head": ""}, "head"),
        ({"head": HASH[:-1] + "B"}, "head"),
        ({"missing": {}}, "must be lists"),
        ({"missing": [[5]]}, "list of 2"),
        ({"missing": [5]}, "list of 2"),
        ({"missing": [["5", 6]]}, "missing first"),
        ({"missing": [[3, 6]]}, "missing first is 3"),
        ({"missing": [[6, 5]]}, "missing last is 5"),
        ({"missing": [[5, 7], [7, 8]]}, "missing first is 7"),
        ({"aside": "x"}, "must be lists"),
        ({"aside": [1]}, "aside"),
        ({"aside": ["x"]}, "aside"),
        ({"at": -1}, "at is -1"),
        ({"at": "now"}, "at is 'now'"),
        ({"extra": 1}, "unknown extra"),
    ],
)
def test_a_rule_that_is_broken_is_named(change: dict[str, Any], reason: str) -> None:
    assert reason in _reason(change)


def test_another_tag_is_no_receipt() -> None:
    verdict = read_receipt(line_of("MS1", BODY))
    assert isinstance(verdict, Refused)


def test_a_body_that_is_no_json_is_refused() -> None:
    assert isinstance(read_receipt(line_of("MR1", "{nonsense}")), Refused)


def test_a_receipt_is_sealed_only_with_the_key_that_it_names() -> None:
    receipt = read_receipt(line_of("MR1", BODY))
    assert isinstance(receipt, Receipt)
    with pytest.raises(InvalidRecord, match="another key"):
        seal_receipt(receipt, GATEWAY_KEY)
