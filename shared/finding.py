"""What a look at something found: what, a verdict in a word, a sentence, and what to do next."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Word(StrEnum):
    """How something stands."""

    GOOD = "good"
    LOOK = "look"
    """It works, and somebody should look at it."""
    BAD = "bad"
    SKIPPED = "skipped"
    """It could not be looked at, because something before it is bad, or it is not used here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    name: str
    word: Word
    says: str
    next: str = ""
    """What to do, where it is not good: one sentence."""

    def __post_init__(self) -> None:
        assert self.next or self.word in (Word.GOOD, Word.SKIPPED), "what is not good says what to do next"


def good(name: str, says: str) -> Finding:
    """It is as it should be."""
    return Finding(name=name, word=Word.GOOD, says=says)


def look(name: str, says: str, what_next: str) -> Finding:
    """It works, and somebody should look at it."""
    return Finding(name=name, word=Word.LOOK, says=says, next=what_next)


def bad(name: str, says: str, what_next: str) -> Finding:
    """It does not work, and this is what to do."""
    return Finding(name=name, word=Word.BAD, says=says, next=what_next)


def skipped(name: str, says: str) -> Finding:
    """It was not looked at, and this is why."""
    return Finding(name=name, word=Word.SKIPPED, says=says)


def whole(findings: Iterable[Finding]) -> bool:
    """Whether nothing is bad."""
    return all(each.word is not Word.BAD for each in findings)


def plain(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    """The same as plain data."""
    return [asdict(each) | {"word": each.word.value} for each in findings]
