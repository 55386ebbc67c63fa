"""The demo's story, told once in a run of the tests, whichever worker comes first; everybody works on a copy."""

import fcntl
import os
import pickle
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from demo.story import Story, tell

NOW: Final = 1_795_255_200
"""12:00 on Saturday, the 21st of November 2026, in Helsinki."""
SEED: Final = "7"


def story_in(folder: Path, factory: pytest.TempPathFactory) -> Story:
    """The story up to NOW, with its files in this folder, which is absent; the files' own paths are the first's."""
    first = _told(factory)
    shutil.copytree(first.site.folder, folder)
    return replace(first, site=replace(first.site, folder=folder))


def _told(factory: pytest.TempPathFactory) -> Story:
    # Workers of pytest-xdist have folders beside each other; who is alone has one of his own.
    own = factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    kept = shared / "demo-story.pickle"
    with (shared / "demo-story.lock").open("w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            made = tell(shared / "demo-story", now=NOW, seed=SEED, interfaces=["eth0"])
            kept.write_bytes(pickle.dumps(made))
    found = pickle.loads(kept.read_bytes())
    assert isinstance(found, Story)
    return found
