"""What sources that read text have in common: paths, metrics, and which life a counter is in."""

import importlib
import inspect
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.plain import members, type_name
from edge_agent.reading import ChannelName
from edge_agent.settings import SourceSettings
from edge_agent.sources.choice import MAKERS
from edge_agent.sources.json_path import PATH_CHARS_MAX, Printed, document, found_at, steps_to
from edge_agent.sources.lives import TICKS_WRAP_SECONDS, WANDER_SECONDS, Life, Lives, life_now, life_of
from edge_agent.sources.number import steps_of
from edge_agent.sources.prometheus import Selector, samples, selector_of
from shared.effects.memory import SimpleClock
from shared.errors import InvalidRecord

NAME = ChannelName("d", "m")


class TestPaths:
    @pytest.mark.parametrize(
        ("path", "steps"),
        [
            ("", ()),
            ("a", ("a",)),
            ("switch:0.aenergy", ("switch:0", "aenergy")),
            ("a[0][12].b c", ("a", 0, 12, "b c")),
            ('["a.b"].c', ("a.b", "c")),
            ("['x']", ("x",)),
            ("[3]", (3,)),
        ],
    )
    def test_a_path_is_keys_and_places(self, path: str, steps: tuple[str | int, ...]) -> None:
        assert steps_to(path) == steps

    @pytest.mark.parametrize(
        "path", [".a", "a.", "a..b", "a[", "a[-1]", "a[x]", "a]", "[]", "a" * (PATH_CHARS_MAX + 1)]
    )
    def test_anything_else_is_none(self, path: str) -> None:
        with pytest.raises(InvalidRecord):
            steps_to(path)

    def test_numbers_are_what_is_printed(self) -> None:
        """P1: 0.1 + 0.2 is nobody's meter."""
        found = document(b'\xef\xbb\xbf{"a": 9007199254740993.10, "b": [1e3], "c": "x"}')
        assert found == {"a": "9007199254740993.10", "b": ["1e3"], "c": "x"}
        assert type(found["a"]) is Printed
        assert type(found["c"]) is str

    @pytest.mark.parametrize(
        ("path", "found"),
        [("a.b", "1"), ("a.c", None), ("a.b.c", None), ("l[1]", "3"), ("l[2]", None), ("a[0].b", "1"), ("a[1]", None)],
    )
    def test_what_is_not_there_is_nothing(self, path: str, found: Any) -> None:
        assert found_at(steps_to(path), document(b'{"a": {"b": 1}, "l": [2, 3]}')) == found

    @pytest.mark.parametrize("raw", [b"", b"\xff", b"{", b"[NaN]", b"[" * 100_000, b'{"a": Infinity}'])
    def test_what_is_no_json_is_refused(self, raw: bytes) -> None:
        with pytest.raises(InvalidRecord):
            document(raw)

    @given(st.integers(1 - 2**53, 2**53 - 1), st.integers(0, 6))
    def test_a_number_in_json_comes_out_as_its_digits(self, number: int, decimals: int) -> None:
        """P1."""
        sign, digits = "-" * (number < 0), str(abs(number)).rjust(decimals + 1, "0")
        at = len(digits) - decimals
        text = f"{sign}{digits[:at]}" + (f".{digits[at:]}" if decimals else "")
        assert steps_of(found_at(("a",), document(f'{{"a": {text}}}'.encode())), -decimals) == number


class TestMetrics:
    @pytest.mark.parametrize(
        ("text", "name", "labels"),
        [
            ("up", "up", {}),
            ("a:b_total{}", "a:b_total", {}),
            ('a{x="1"}', "a", {"x": "1"}),
            ('a{x="1, }", y="\\"\\n\\\\" ,}', "a", {"x": "1, }", "y": '"\n\\'}),
        ],
    )
    def test_a_selector_is_a_name_and_labels(self, text: str, name: str, labels: dict[str, str]) -> None:
        assert selector_of(text) == Selector(name, labels)
        assert selector_of(str(selector_of("up"))) == selector_of("up")

    @pytest.mark.parametrize("text", ["", "1a", "a b", "a{", "a{x}", "a{x=1}", 'a{x="1}', 'a{x="1"} 5', "a" * 400])
    def test_anything_else_is_none(self, text: str) -> None:
        with pytest.raises(InvalidRecord):
            selector_of(text)

    @given(st.dictionaries(st.from_regex(r"[a-z_]{1,4}", fullmatch=True), st.text(max_size=8), max_size=3))
    def test_any_label_is_read_as_it_was_written(self, labels: dict[str, str]) -> None:
        escaped = {
            key: value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"') for key, value in labels.items()
        }
        inside = ",".join(f'{key}="{value}"' for key, value in escaped.items())
        if len(f"x{{{inside}}} 5".splitlines()) == 1:
            (sample,) = samples(f"x{{{inside}}} 5", frozenset({"x"}))
            assert (sample.labels, sample.value) == (labels, "5")


class TestLives:
    def test_a_generation_is_read_as_it_was_written(self) -> None:
        assert [life_of(str(life)) for life in (Life(7), Life(7, (3, 0)))] == [Life(7), Life(7, (3, 0))]
        assert [life_of(text) for text in ("", "up", "upx", "up1.x", "b-1", "up1.-2")] == [None] * 6

    @pytest.mark.parametrize(
        ("seen", "now", "goes_on"),
        [
            (Life(1_000), 2_000, True),
            (Life(1_000 + WANDER_SECONDS), 2_000, True),
            (Life(1_001 + WANDER_SECONDS), 2_000, False),
            (Life(10), 2_000, True),
            (Life(1_000 + 2_000), 31_536_000, True),
            (Life(1_000 + 20_000), 31_536_000, False),
        ],
        ids=["the same", "a little later", "later", "earlier", "a year's drift", "after a year"],
    )
    def test_a_start_that_is_hardly_later_is_the_same(self, seen: Life, now: int, goes_on: bool) -> None:  # noqa: FBT001
        """P4: a false reset would bill the whole counter again."""
        assert (life_now(Life(1_000), seen, now) == Life(1_000)) is goes_on

    @given(st.integers(0, 3), st.integers(-WANDER_SECONDS, WANDER_SECONDS))
    def test_ticks_that_went_round_are_no_start(self, rounds: int, wander: int) -> None:
        """P4: 2^32 hundredths of a second are 497 days."""
        seen = Life(1_000 + rounds * TICKS_WRAP_SECONDS + wander)
        assert life_now(Life(1_000), seen, seen.started + 5, wraps=True) == Life(1_000)

    def test_ticks_that_did_not_go_round_are_one(self) -> None:
        seen = Life(1_000 + 100 * 86_400)
        assert life_now(Life(1_000), seen, seen.started, wraps=True) == seen

    def test_other_figures_tell_lives_apart_and_a_zero_tells_nothing(self) -> None:
        known = Life(1_000, (4, 500))
        assert life_now(known, Life(1_001, (4, 0)), 2_000) == known
        assert life_now(known, Life(1_001, (4, 501)), 2_000) == Life(1_001, (4, 501))
        assert life_now(known, Life(1_001, (5, 0)), 2_000) == Life(1_001, (5, 0))
        assert life_now(known, Life(1_001), 2_000) == Life(1_001)

    def test_a_life_outlasts_the_agent_and_any_number_of_looks(self) -> None:
        """P4."""
        clock = SimpleClock(utc_ms=10_000_000_000)
        first = Lives(clock)
        text = first.up(NAME, 500)
        for seconds in range(0, 3_600, 60):
            again = Lives(clock)
            again.remember({NAME: text, ChannelName("e", "m"): "b-1"})
            assert again.up(NAME, 500 + seconds - seconds % 7) == text
            clock.advance(60_000)

    def test_without_a_clock_nothing_is_said(self) -> None:
        """P13."""
        assert Lives(SimpleClock(utc_ms=10_000_000_000, synchronised=False)).up(NAME, 500) == ""


@pytest.mark.parametrize("kind", members(SourceSettings))
def test_every_kind_of_source_is_made_of_its_settings(kind: Any) -> None:
    module, _, name = MAKERS[type_name(kind)].partition(".")
    maker = getattr(importlib.import_module(f"edge_agent.sources.{module}"), name)
    first = next(iter(inspect.signature(maker).parameters.values()))
    assert first.annotation in (kind, kind.__name__)
