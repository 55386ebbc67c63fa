"""What running programs say: one event a line, whatever a library's words contain."""

import logging
import re
from collections.abc import Iterator

import pytest

from shared.effects.log import log_to_stderr


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Iterator[pytest.CaptureFixture[str]]:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield capsys
    root.handlers[:] = before
    root.setLevel(level)


def test_an_event_has_its_instant_its_level_and_one_line(
    said: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    log_to_stderr("info")
    logging.getLogger("a").warning('event=link_down why="%s"', "first\nsecond")
    logging.getLogger("a").debug("event=quiet")
    assert re.fullmatch(
        r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ level=warning event=link_down why="first second"\n', said.readouterr().err
    )


def test_the_journal_gets_its_priority(said: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOURNAL_STREAM", "8:1")
    log_to_stderr("debug")
    for level in (logging.ERROR, logging.WARNING, logging.INFO):
        logging.getLogger("a").log(level, "event=x")
    logging.getLogger("aiomqtt").info("chatter")
    assert said.readouterr().err == "<3>event=x\n<4>event=x\n<6>event=x\n"
