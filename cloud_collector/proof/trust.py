"""Which keys the reader trusts: full fingerprints, or their words, from somewhere else than the bundle."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from shared.errors import Refused
from shared.key import FINGERPRINT_WORDS, PublicKey
from shared.words import WORDS

_HEX: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """Fingerprints (64 hex digits) and words that `--trust` named."""

    fingerprints: frozenset[str]
    words: frozenset[str]

    def covers(self, key: PublicKey) -> bool:
        """Whether the reader trusts this key directly."""
        return key.sha256 in self.fingerprints or key.words in self.words


def read_trust(values: Iterable[str]) -> Trust | Refused:
    """Every value is the full SHA-256 of a raw public key, or its eight words; colons, blanks and capitals pass."""
    fingerprints, words = set(), set()
    for value in values:
        plain = re.sub(r"[\s:]", "", value.lower())
        spoken = re.split(r"[\s-]+", value.lower().strip())
        if _HEX.fullmatch(plain):
            fingerprints.add(plain)
        elif len(spoken) == FINGERPRINT_WORDS and all(word in WORDS for word in spoken):
            words.add("-".join(spoken))
        else:
            return Refused(
                f"{value!r} is no fingerprint: give all 64 hex digits of a key's SHA-256, "
                f"or its {FINGERPRINT_WORDS} words"
            )
    return Trust(fingerprints=frozenset(fingerprints), words=frozenset(words))
