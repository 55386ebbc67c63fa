"""What every run of the tests does: the same examples each time; at its end it says which components were absent."""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests import adapters
from tests.engines import ON_BOTH, SQLITE_ALONE, run_on
from tests.requirements import MARK, require

# A change is judged by the examples that the one before it was judged by; HYPOTHESIS_PROFILE=search draws new ones.
settings.register_profile("fixed", derandomize=True, deadline=None)
settings.register_profile("search", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))
adapters.share()

LONG = ("test_storm", "test_screens", "test_console", "test_enrolment", "test_restore", "test_demo", "test_wall")
"""Files that take longest begin first: beside them there is room for all the others."""


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List each absent component with the number of tests it cost; workers of xdist report here too."""
    absent: Counter[str] = Counter()
    for report in terminalreporter.getreports("skipped"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
        _, found, component = reason.partition(MARK)
        if found:
            absent[component] += 1
    if absent:
        terminalreporter.section("absent components")
        for component, tests in sorted(absent.items()):
            terminalreporter.line(f"{component}: {tests} tests skipped; METERSEAL_REQUIRE={component} makes them fail")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """What touches the store runs on both engines."""
    if metafunc.module.__name__ in ON_BOTH:
        metafunc.fixturenames.insert(0, "engine")
        alone = f"{metafunc.module.__name__}.{metafunc.function.__name__}" in SQLITE_ALONE
        metafunc.parametrize("engine", ["sqlite"] if alone else ["sqlite", "postgres"], indirect=True)


@pytest.fixture(autouse=True)
def _on_engine(request: pytest.FixtureRequest) -> None:
    """Before anything else a test of the store has its engine."""
    if request.module.__name__ in ON_BOTH:
        request.getfixturevalue("engine")


@pytest.fixture
def engine(request: pytest.FixtureRequest) -> Iterator[str]:
    """The engine that this test's stores are kept by."""
    if request.param == "postgres":
        require("postgres")
    for _ in run_on(request.param):
        yield request.param


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What lies in tests/system and tests/simulation bears the marker of its folder; long files come first."""
    items.sort(key=lambda item: LONG.index(item.path.stem) if item.path.stem in LONG else len(LONG))
    for item in items:
        folder = Path(str(item.path)).parent.name
        if folder in ("system", "simulation"):
            item.add_marker(folder)
