"""What running programs say goes to stderr, one event a line: `2026-11-20T23:30:00Z level=info event=…`."""

import logging
import os
import time
from typing import Final

CHATTY: Final = ("aiomqtt", "apscheduler", "asyncio", "mqtt")
"""What their libraries say is said better by our own events."""


def log_to_stderr(level: str) -> None:
    """From here on events of this level and above are written; under systemd in the journal's own way."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Journal() if "JOURNAL_STREAM" in os.environ else _Plain())
    # Forced: a program that is started twice in one process, as tests do, writes to the stderr of now.
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)


class _OneLine(logging.Formatter):
    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's own name.
        """The message, whatever a library has put in it, stays on its line."""
        return " ".join(super().formatMessage(record).split())


class _Plain(_OneLine):
    def format(self, record: logging.LogRecord) -> str:
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created))
        return f"{at} level={record.levelname.lower()} {super().format(record)}"


class _Journal(_OneLine):
    """`<4>event=…`: the journal knows the time, and takes the priority from the prefix."""

    def format(self, record: logging.LogRecord) -> str:
        priority = 3 if record.levelno >= logging.ERROR else 4 if record.levelno >= logging.WARNING else 6
        return f"<{priority}>{super().format(record)}"
