"""How far something has come, on stderr: a bar in a terminal, nothing elsewhere."""

import sys
from types import TracebackType
from typing import Final, Self

WIDTH: Final = 24
TEXT_CHARS_MAX: Final = 44


class Progress:
    """A bar that goes on with every step and is gone at the end."""

    def __init__(self, steps: int) -> None:
        self._steps = max(1, steps)
        self._done = 0
        self._shown = sys.stderr.isatty()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.clear()

    def step(self, text: str, by: int = 1) -> None:
        """So much more is done; the text says what comes."""
        self._done = min(self._steps, self._done + by)
        if self._shown:
            full = WIDTH * self._done // self._steps
            bar = f"{'━' * full}{'╌' * (WIDTH - full)}"
            sys.stderr.write(f"\r{bar} {self._done}/{self._steps}  {text[:TEXT_CHARS_MAX]:<{TEXT_CHARS_MAX}}")
            sys.stderr.flush()

    def clear(self) -> None:
        """The line is free for something else."""
        if self._shown:
            sys.stderr.write(f"\r{' ' * (WIDTH + 2 * TEXT_CHARS_MAX // 2 + 14)}\r")
            sys.stderr.flush()
