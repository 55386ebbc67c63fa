"""What every run of the tests does: the same examples each time; at its end it says which components were absent."""

import os
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import settings

from tests.requirements import MARK

# A change is judged by the examples that the one before it was judged by; HYPOTHESIS_PROFILE=search draws new ones.
settings.register_profile("fixed", derandomize=True, deadline=None)
settings.register_profile("search", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))


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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What lies in tests/system and tests/simulation bears the marker of its folder."""
    for item in items:
        folder = Path(str(item.path)).parent.name
        if folder in ("system", "simulation"):
            item.add_marker(folder)
