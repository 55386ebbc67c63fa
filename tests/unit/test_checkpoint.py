"""A checkpoint states a root, a size and what went before, or is refused (P11)."""

from typing import Any

import pytest

from shared.checkpoint import Checkpoint, read_checkpoint, seal_checkpoint
from shared.errors import InvalidRecord, Refused
from shared.merkle import EMPTY_ROOT, text_of
from tests.unit.wire_samples import COLLECTOR_KEY, GATEWAY_KEY, HASH, line_of

BODY: dict[str, Any] = {
    "key": COLLECTOR_KEY.public.id,
    "origin": "northwind.example/meterseal",
    "size": 4,
    "root": HASH,
    "at": 1_793_836_800,
    "previous": HASH,
}


def test_a_checkpoint_over_nothing_has_the_root_of_nothing() -> None:
    assert isinstance(read_checkpoint(line_of("MK1", BODY | {"size": 0, "root": text_of(EMPTY_ROOT)})), Checkpoint)
    verdict = read_checkpoint(line_of("MK1", BODY | {"size": 0}))
    assert isinstance(verdict, Refused)
    assert "hash of nothing" in verdict.reason


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"key": ""}, "key"),
        ({"origin": ""}, "origin must not be empty"),
        ({"origin": 5}, "plain text"),
        ({"size": -1}, "size is -1"),
        ({"size": True}, "size is True"),
        ({"root": ""}, "root"),
        ({"at": None}, "at is None"),
        ({"previous": None}, "previous"),
        ({"previous": HASH[:-1] + "B"}, "previous"),
        ({"note": ""}, "unknown note"),
    ],
)
def test_a_rule_that_is_broken_is_named(change: dict[str, Any], reason: str) -> None:
    verdict = read_checkpoint(line_of("MK1", BODY | change))
    assert isinstance(verdict, Refused)
    assert reason in verdict.reason


def test_a_checkpoint_is_sealed_only_with_the_key_that_it_names() -> None:
    with pytest.raises(InvalidRecord, match="another key"):
        seal_checkpoint(Checkpoint(**BODY), GATEWAY_KEY)


def test_another_form_is_no_checkpoint() -> None:
    assert isinstance(read_checkpoint(line_of("MR1", BODY)), Refused)
    assert isinstance(read_checkpoint(line_of("MK1", "{nonsense}")), Refused)
