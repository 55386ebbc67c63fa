"""Topics name a gateway by a fixed grammar, so that intake can bind topic to body (P10)."""

import pytest

from shared.errors import InvalidRecord
from shared.topic import Leaf, filter_of, gateway_of, topic_of


@pytest.mark.parametrize("leaf", list(Leaf))
def test_a_topic_names_its_gateway(leaf: Leaf) -> None:
    topic = topic_of("acme-roof-1", leaf)
    assert topic == f"meterseal/v1/acme-roof-1/{leaf.value}"
    assert gateway_of(topic) == "acme-roof-1"
    assert gateway_of(topic_of("gw", leaf, "site/a"), "site/a") == "gw"


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "report",
        "meterseal/v1/report",
        "meterseal/v1//report",
        "meterseal/v1/gw",
        "meterseal/v1/gw/",
        "meterseal/v1/gw/reports",
        "meterseal/v1/gw/report/",
        "meterseal/v1/gw/report/report",
        "meterseal/v1/a/gw/report",
        "meterseal/v2/gw/report",
        "other/meterseal/v1/gw/report",
        "meterseal/v1/GW/report",
        "meterseal/v1/_collector/report",
        "meterseal/v1/+/report",
        "meterseal/v1/" + "g" * 33 + "/report",
    ],
)
def test_what_is_no_topic_of_ours_names_nobody(topic: str) -> None:
    assert gateway_of(topic) is None


@pytest.mark.parametrize("gateway", ["", "-a", "a-", "A", "a_b", "a/b", "+", "#", "g" * 33, "gw\n"])
def test_what_is_no_gateway_id_has_no_topic(gateway: str) -> None:
    with pytest.raises(InvalidRecord, match="no gateway id"):
        topic_of(gateway, Leaf.REPORT)


def test_filters_are_for_every_gateway() -> None:
    assert filter_of(Leaf.REPORT) == "meterseal/v1/+/report"
    assert filter_of(Leaf.REPORT, "p", group="collectors") == "$share/collectors/p/+/report"
