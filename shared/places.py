"""On which line of a TOML text each key stands; for text that `tomllib` has accepted already."""

import re
from typing import Final, TypeAlias

Path: TypeAlias = tuple[str | int, ...]

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_SPACE: Final = re.compile(r"[ \t]*")
_BLANK: Final = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SCALAR: Final = re.compile(r"[^,\]}\n#]+")
_STRINGS: Final = (
    re.compile(r'"""(?:[^\\]|\\.)*?"""(?:"{0,2})', re.DOTALL),
    re.compile(r"'''.*?'''(?:'{0,2})", re.DOTALL),
    re.compile(r'"(?:[^"\\\n]|\\.)*"'),
    re.compile(r"'[^'\n]*'"),
)


def places(text: str) -> dict[Path, int]:
    """The line, from 1, of every table, key and array element, by its path."""
    return _Scan(text).lines


class _Scan:
    """One pass over a valid text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.line = 1
        self.lines: dict[Path, int] = {}
        self._counts: dict[Path, int] = {}
        table: Path = ()
        while self._skip(_BLANK) or self.at < len(text):
            if self.at >= len(text):
                break
            if text.startswith("[", self.at):
                table = self._header()
            else:
                self._pair(table)

    def _header(self) -> Path:
        array = self.text.startswith("[[", self.at)
        self.at += 2 if array else 1
        keys = self._keys()
        self.at += 2 if array else 1
        table: Path = ()
        for key in keys[:-1]:
            table = self._latest((*table, key))
        table = (*table, keys[-1])
        if array:
            count = self._counts.get(table, 0)
            self._counts[table] = count + 1
            self.lines.setdefault(table, self.line)
            table = (*table, count)
        self._mark(table)
        return table

    def _latest(self, table: Path) -> Path:
        count = self._counts.get(table)
        return table if count is None else (*table, count - 1)

    def _pair(self, table: Path) -> None:
        path = (*table, *self._keys())
        for length in range(len(table) + 1, len(path) + 1):
            self._mark(path[:length])
        self.at += 1  # the equals sign
        self._value(path)

    def _value(self, path: Path) -> None:
        self._skip(_SPACE)
        self._mark(path)
        if self.text.startswith("[", self.at):
            self._array(path)
        elif self.text.startswith("{", self.at):
            self._inline(path)
        elif self.text[self.at] in "\"'":
            self._string()
        else:
            self._skip(_SCALAR)

    def _array(self, path: Path) -> None:
        self.at += 1
        index = 0
        while True:
            self._skip(_BLANK)
            if self.text[self.at] == "]":
                break
            self._value((*path, index))
            index += 1
            self._skip(_BLANK)
            if self.text[self.at] == ",":
                self.at += 1
        self.at += 1

    def _inline(self, path: Path) -> None:
        self.at += 1
        while True:
            self._skip(_BLANK)
            if self.text[self.at] == "}":
                break
            self._pair(path)
            self._skip(_BLANK)
            if self.text[self.at] == ",":
                self.at += 1
        self.at += 1

    def _keys(self) -> tuple[str, ...]:
        keys = [self._key()]
        while self.text.startswith(".", self.at):
            self.at += 1
            keys.append(self._key())
        return tuple(keys)

    def _key(self) -> str:
        self._skip(_SPACE)
        if self.text[self.at] in "\"'":
            key = self._string()[1:-1]
        else:
            found = _BARE.match(self.text, self.at)
            assert found is not None, "the text is valid TOML"
            key = found.group()
            self.at = found.end()
        self._skip(_SPACE)
        return key

    def _string(self) -> str:
        for pattern in _STRINGS:
            found = pattern.match(self.text, self.at)
            if found is not None:
                self._move(found.end())
                return found.group()
        raise AssertionError("the text is valid TOML")

    def _skip(self, pattern: re.Pattern[str]) -> bool:
        found = pattern.match(self.text, self.at)
        moved = found is not None and found.end() > self.at
        if found is not None:
            self._move(found.end())
        return moved

    def _move(self, end: int) -> None:
        self.line += self.text.count("\n", self.at, end)
        self.at = end

    def _mark(self, path: Path) -> None:
        self.lines.setdefault(path, self.line)
