"""The documentation tells the truth: its links lead somewhere, its words are those of the code."""

import re
from pathlib import Path
from typing import Final, get_args

import pytest

from cloud_collector.contracts import read, read_charge, read_contract, read_plan
from shared import command, limits
from shared.line import TAGS
from shared.report import Cause, Clock, GapCause, Header, Report, Verdict, body_of
from shared.topic import PREFIX, Leaf
from tests.unit.wire_samples import each_kind

ROOT: Final = Path(__file__).parents[2]
PAGES: Final = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
WIRE: Final = (ROOT / "docs" / "reference" / "wire.md").read_text(encoding="utf-8")
LINK: Final = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)")
CODE: Final = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)
PLACE: Final = re.compile(r"`((?:shared|edge_agent|cloud_collector|tests|docs|config|demo)/[\w./-]*)`")


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", PAGES, ids=_name)
def test_a_page_links_only_to_what_is_there(path: Path) -> None:
    text = CODE.sub("", path.read_text(encoding="utf-8"))
    assert [link for link in LINK.findall(text) if not (path.parent / link).exists()] == []


@pytest.mark.parametrize("path", PAGES, ids=_name)
def test_a_page_names_only_files_that_are_there(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert [place for place in PLACE.findall(text) if not (ROOT / place).exists()] == []


WIRE_WORDS: Final = [
    *TAGS,
    *(body_of(report)["kind"] for report in each_kind()),
    *(name for report in get_args(Report) for name in report.__slots__ if name not in ("header", "lost")),
    *Header.__slots__,
    *(word.value for words in (Clock, Verdict, Cause, GapCause) for word in words),
    *command._READERS,
]


@pytest.mark.parametrize("word", sorted(set(WIRE_WORDS)))
def test_the_wire_page_knows_every_word_of_the_wire(word: str) -> None:
    assert re.search(rf"\b{word}\b", WIRE), word


@pytest.mark.parametrize("leaf", list(Leaf))
def test_the_wire_page_knows_every_topic(leaf: Leaf) -> None:
    assert f"`<prefix>/<gateway>/{leaf.value}`" in WIRE
    assert f"`{PREFIX}`" in WIRE


STATED: Final = {
    "PAYLOAD_BYTES_MAX": "| a payload, inflated | 256 KiB |",
    "PAYLOAD_DEFLATED_BYTES_MAX": "| a payload, deflated | 64 KiB |",
    "PAYLOAD_LINES_MAX": "| lines of a payload | 1 to 32 |",
    "LINE_BYTES_MAX": "| a line | 128 KiB;",
    "INVOICE_BYTES_MAX": "never travels by MQTT, 64 MiB |",
    "LINE_ROWS_MAX": "| rows of a line | 1,024 |",
    "LINE_INTERVALS_MAX": "| intervals of a line | 1 to 1,440 |",
    "EXPONENT_MAX": "−12 to 12",
    "STEP_SECONDS_MAX": "1 to 86,400 s",
    "GATEWAY_LOGS_MAX": "| logs of a gateway | 64 |",
    "SUMMARY_COVERS_MAX": "| ranges that a summary covers | 1 to 64 |",
    "RECEIPT_MISSING_MAX": "| ranges in `missing` | 64 |",
    "RECEIPT_ASIDE_MAX": "| hashes in `aside` | the 32 most recently received |",
}
VALUES: Final = {"256 KiB": 2**18, "64 KiB": 2**16, "128 KiB": 2**17, "64 MiB": 2**26}


@pytest.mark.parametrize("name", STATED)
def test_the_wire_page_states_the_limit_that_the_code_holds(name: str) -> None:
    assert STATED[name] in WIRE
    numbers = [int(number.replace(",", "")) for number in re.findall(r"\d[\d,]*", STATED[name])]
    assert getattr(limits, name) in numbers + [VALUES[text] for text in VALUES if text in STATED[name]]


CATALOG: Final = (ROOT / "docs" / "reference" / "catalog.md").read_text(encoding="utf-8")
CATALOG_KEYS: Final[tuple[tuple[list[str], list[str]], ...]] = (
    ([*read.SECTIONS, *read_contract.DEVICE_KEYS, *read_contract.AMENDMENT_KEYS], []),
    read.OPERATOR_KEYS,
    read.METER_KEYS,
    read.ACCOUNT_KEYS,
    read_plan.PLAN_KEYS,
    read_charge.CHARGE_KEYS,
    (
        [
            *read_plan.ACTIVATION_KEYS,
            *read_plan.THRESHOLD_KEYS,
            *read_plan.TAX_KEYS,
            *read_charge.TIER_KEYS,
            *read_charge.STATE_PRICE_KEYS,
        ],
        [],
    ),
    read_contract.CONTRACT_KEYS,
)


def test_the_catalog_page_shows_a_catalog_that_can_be_applied() -> None:
    blocks = re.findall(r"```toml\n(.*?)```", CATALOG, re.DOTALL)
    assert len(blocks) == 1
    assert set(read.load_catalog(blocks[0]).contracts) == {"acme-chargers"}


@pytest.mark.parametrize("key", sorted({key for known, _ in CATALOG_KEYS for key in known}))
def test_the_catalog_page_knows_every_key(key: str) -> None:
    assert re.search(rf"(`|\[|\.|, |\{{ ){key}(`|\]|\.|,| \}})", CATALOG.partition("## Not yet")[0]), key


@pytest.mark.parametrize("key", sorted({key for _, unsupported in CATALOG_KEYS for key in unsupported}))
def test_the_catalog_page_says_which_keys_are_not_yet_there(key: str) -> None:
    """P19: what is not supported is refused, and nobody is left to guess."""
    tables, _, not_yet = CATALOG.partition("## Not yet")
    assert f"`{key}`" in not_yet
    assert f"| `{key}`" not in tables


def test_the_architecture_names_every_promise_and_where_it_is_held() -> None:
    rows = re.findall(
        r"^\| P(\d+) \| [^|]+ \| ([^|]+) \|$", (ROOT / "ARCHITECTURE.md").read_text("utf-8"), re.MULTILINE
    )
    assert [int(number) for number, _ in rows] == list(range(1, 24))


def test_the_architecture_has_a_place_for_every_room() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    rooms = [path.parent for path in (ROOT / "cloud_collector").glob("*/__init__.py")]
    assert [_name(room) for room in rooms if f"`{_name(room)}/`" not in text] == []
