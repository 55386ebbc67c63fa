"""Somebody who stands at the meter: asked on stderr, answers on stdin; data goes to stdout alone."""

import os
import re
import shutil
import sys
import textwrap
from enum import StrEnum
from typing import Final

from shared.errors import MetersealError

WIDTH_MIN: Final = 30
_GLUE: Final = "\N{NO-BREAK SPACE}"


class NobodyThere(MetersealError):
    """A question is due, and there is no terminal to ask on: give the answer as an option, see --help."""


class Colour(StrEnum):
    """What a word is dyed with; the word says it too."""

    GOOD = "32"
    WARN = "33"
    BAD = "31"
    DIM = "2"
    BOLD = "1"


def dyed(text: str, colour: Colour, *, on_stderr: bool = False) -> str:
    """The text in a colour, where a terminal shows it and nobody has said NO_COLOR."""
    stream = sys.stderr if on_stderr else sys.stdout
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not stream.isatty()
    return text if plain else f"\033[{colour}m{text}\033[0m"


def wrapped(text: str, indent: int) -> str:
    """The text in lines that a terminal shows whole, those after the first behind an indent; elsewhere as it is."""
    if not sys.stdout.isatty():
        return text
    width = max(WIDTH_MIN, shutil.get_terminal_size().columns - indent)
    # What is to be typed stays in one piece, for whoever copies it.
    whole = re.sub(r"`[^`]*`", lambda found: found[0].replace(" ", _GLUE), text)
    lines = textwrap.wrap(whole, width, break_on_hyphens=False, break_long_words=False)
    return f"\n{'':{indent}}".join(lines).replace(_GLUE, " ")


def say(text: str = "") -> None:
    """A line for whoever watches."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def asked(question: str, *, default: str = "") -> str:
    """What is typed, or the default where that is nothing; raises NobodyThere."""
    if not sys.stdin.isatty():
        raise NobodyThere
    sys.stderr.write(f"{question} ")
    sys.stderr.flush()
    line = sys.stdin.readline()
    if not line:
        raise NobodyThere("the terminal was closed before an answer came: nothing was changed")
    return line.strip() or default


def agreed(question: str) -> bool:
    """Whether the answer is yes; nothing typed is no."""
    return asked(f"{question} [y/N]").lower() in ("y", "yes", "j", "ja", "o", "oui")
