"""What tests of whole processes share."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.chrome import chromium


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser for the tests of a file."""
    with chromium() as found:
        yield found
