"""What leaves a gateway for people who help: without anything that lets somebody in. Pure.

Three nets, one behind another: options are masked by their names, the contents of every file of secrets
wherever they stand, and what looks like a secret in free text.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

MASK: Final = "***"
SECRET_CHARS_MIN: Final = 4
"""A shorter secret would mask half of every sentence; its option is masked by name all the same."""
_PUBLIC_FILES: Final = ("ca_file", "cert_file", "public_key_file", "enrolment_file", "pid_file")
_NAMES: Final = re.compile(
    r"passw|token|secret|community|passphrase|credential|api_?key|private|authorization", re.IGNORECASE
)
_COMMANDS: Final = ("command",)
_WORD: Final = r"(?:passw(?:or)?d|passphrase|token|secret|community|api[-_]?key|authorization)"
_VALUE: Final = r"(?:\"[^\"\n]*\"|'[^'\n]*'|(?:bearer\s+|basic\s+)?[^\s,;&\"'}]+)"
_TYPED: Final = re.compile(rf"({_WORD}[\"']?\s*[=:]\s*|--{_WORD}\s+|\b(?:bearer|basic)\s+)({_VALUE})", re.IGNORECASE)
_QUOTED: Final = re.compile(r"\"[^\"\n]*\"|'[^'\n]*'")
_PEM: Final = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL)
_USER: Final = re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^/\s@\"']+@", re.IGNORECASE)
_QUERY: Final = re.compile(r"([?&][^=\s&\"']+=)[^&\s\"']+")


def secret_files(options: Any) -> set[str]:
    """Every file that the settings, as plain data, name as one of secrets."""
    found: set[str] = set()
    if isinstance(options, dict):
        for name, value in options.items():
            if name.endswith("_file") and name not in _PUBLIC_FILES and isinstance(value, str):
                found.add(value)
            found |= secret_files(value)
    elif isinstance(options, list):
        for item in options:
            found |= secret_files(item)
    return found


def secrets_in(contents: Iterable[str]) -> tuple[str, ...]:
    """What must not be seen of these files' contents: each whole, and each of its lines; the longest first."""
    found: set[str] = set()
    for content in contents:
        found |= {content.strip(), *(line.strip() for line in content.splitlines() if "-----" not in line)}
    return tuple(sorted((each for each in found if len(each) >= SECRET_CHARS_MIN), key=len, reverse=True))


def redacted(options: Any, secrets: Sequence[str]) -> Any:
    """Settings as plain data, without what lets somebody in; names of files stay."""
    if isinstance(options, dict):
        return {name: _option(name, value, secrets) for name, value in options.items()}
    if isinstance(options, list):
        return [redacted(item, secrets) for item in options]
    return text(options, secrets) if isinstance(options, str) else options


def text(said: str, secrets: Sequence[str]) -> str:
    """Free text without secrets, those that are known and what looks like one."""
    for secret in secrets:
        said = said.replace(secret, MASK)
    said = _PEM.sub(MASK, said)
    said = _USER.sub(rf"\1{MASK}@", said)
    said = _QUERY.sub(rf"\1{MASK}", said)
    return _TYPED.sub(rf"\1{MASK}", said)


def without_quotes(said: str) -> str:
    """A sentence about a broken configuration, without the values that it quotes."""
    return _QUOTED.sub(f'"{MASK}"', said)


def _option(name: str, value: Any, secrets: Sequence[str]) -> Any:
    if name in _COMMANDS and isinstance(value, list) and value:
        return [text(str(value[0]), secrets), *([MASK] if len(value) > 1 else [])]
    if isinstance(value, str) and _NAMES.search(name) and not name.endswith("_file"):
        return MASK if value else value
    return redacted(value, secrets)
