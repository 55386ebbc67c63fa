"""The documentation tells the truth: its links lead somewhere, its words are those of the code."""

import re
from pathlib import Path
from typing import Final, get_args

import pytest

from cloud_collector.contracts import (
    read,
    read_charge,
    read_commitment,
    read_contract,
    read_devices,
    read_plan,
    read_window,
)
from shared import command, limits
from shared.line import TAGS
from shared.report import Cause, Clock, GapCause, Header, Report, Verdict, body_of
from shared.topic import PREFIX, Leaf
from tests.unit import test_reference
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


def _anchors(page: Path) -> set[str]:
    """The headings of a page as links spell them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", PAGES, ids=_name)
def test_a_page_links_only_to_headings_that_are_there(path: Path) -> None:
    links = re.findall(r"\]\((?!https?:|mailto:)([^)#\s]*)#([^)\s]+)\)", CODE.sub("", path.read_text(encoding="utf-8")))
    targets = [(path.parent / page if page else path, anchor) for page, anchor in links]
    assert [f"{page.name}#{anchor}" for page, anchor in targets if anchor not in _anchors(page)] == []


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
CATALOG_KEYS: Final = [
    *read.SECTIONS,
    *read.OPERATOR_KEYS,
    *read.METER_KEYS,
    *read.ACCOUNT_KEYS,
    *read.DATA_KEYS,
    *read_plan.PLAN_KEYS,
    *read_plan.ACTIVATION_KEYS,
    *read_plan.THRESHOLD_KEYS,
    *read_plan.TAX_KEYS,
    *read_commitment.COMMITMENT_KEYS,
    *read_commitment.RAMP_KEYS,
    *read_charge.CHARGE_KEYS,
    *read_charge.TIER_KEYS,
    *read_charge.STATE_PRICE_KEYS,
    *read_window.WINDOW_KEYS,
    *read_contract.CONTRACT_KEYS,
    *read_contract.AMENDMENT_KEYS,
    *read_contract.WARN_KEYS,
    *read_devices.DEVICE_KEYS,
]


def test_the_catalog_page_shows_a_catalog_that_can_be_applied() -> None:
    blocks = re.findall(r"```toml\n(.*?)```", CATALOG, re.DOTALL)
    assert len(blocks) == 1
    assert set(read.load_catalog(blocks[0]).contracts) == {"acme-chargers"}


@pytest.mark.parametrize("key", sorted(set(CATALOG_KEYS)))
def test_the_catalog_page_knows_every_key(key: str) -> None:
    assert re.search(rf"(`|\[|\.|, |\{{ ){key}(`|\]|\.|,| \}})", CATALOG), key


ARCHITECTURE: Final = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
PROMISES: Final = re.findall(r"^\| P(\d+) \| [^|]+ \| ([^|]+) \|$", ARCHITECTURE, re.MULTILINE)


def test_the_architecture_names_every_promise() -> None:
    assert [int(number) for number, _ in PROMISES] == list(range(1, 24))


@pytest.mark.parametrize(("number", "held"), PROMISES, ids=[f"P{number}" for number, _ in PROMISES])
def test_what_is_said_to_hold_a_promise_is_a_test_that_cites_it(number: str, held: str) -> None:
    files = re.findall(r"`(tests/[^`]+)`", held)
    assert files
    cited = re.compile(rf"\bP{number}\b")
    assert [file for file in files if not cited.search((ROOT / file).read_text(encoding="utf-8"))] == []


def test_the_architecture_has_a_place_for_every_room() -> None:
    rooms = [path.parent for path in (ROOT / "cloud_collector").glob("*/__init__.py")]
    assert [_name(room) for room in rooms if f"`{_name(room)}/`" not in ARCHITECTURE] == []


def test_the_architecture_has_a_place_for_every_file_that_stands_in_no_room() -> None:
    files = [path for folder in ("shared", "edge_agent", "cloud_collector") for path in (ROOT / folder).glob("*.py")]
    effects = [path for path in (ROOT / "shared" / "effects").glob("*.py") if f"`{path.name}`" not in ARCHITECTURE]
    absent = [path for path in files if f"`{_name(path)}`" not in ARCHITECTURE]
    assert [_name(path) for path in [*absent, *effects] if path.name != "__init__.py"] == []


TARGETS: Final = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


@pytest.mark.parametrize("path", PAGES, ids=_name)
def test_a_page_names_only_targets_that_make_has(path: Path) -> None:
    named = re.findall(r"(?:`|^ {4})make ([a-z]+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert set(named) <= TARGETS


SPOKEN: Final = re.compile(
    r"(?:`|^ +|^|/)(edge-agent|cloud-collector) ([a-z]+(?:-[a-z]+)*)(?: ([a-z-]+))?", re.MULTILINE
)


@pytest.mark.parametrize("path", PAGES, ids=_name)
def test_a_page_names_only_commands_that_are_there(path: Path) -> None:
    there = {*test_reference.commands_of_agent(), *test_reference.commands_of_collector()}
    for program, noun, verb in SPOKEN.findall(path.read_text(encoding="utf-8")):
        known = {f"{program} {noun}", f"{program} {noun} {verb}"} & there
        group = [each for each in there if each.startswith(f"{program} {noun} ")]
        assert known or (group and not verb), f"{program} {noun} {verb}"
