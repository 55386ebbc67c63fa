"""A secret that stands alone in a file, read whenever it is needed, so that it may change."""

import re
from pathlib import Path
from typing import Final

from edge_agent.reading import SourceDown

SECRET_CHARS_MAX: Final = 4_096


def secret_of(file: Path) -> str:
    """What the file holds; raises SourceDown."""
    try:
        text = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise SourceDown(f"{file} cannot be read: {why}") from error
    if not 0 < len(text) <= SECRET_CHARS_MAX or re.search(r"[\x00-\x1f\x7f]", text):
        raise SourceDown(f"{file} must hold one line, the secret alone")
    return text
