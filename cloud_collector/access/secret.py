"""Secrets that are shown once and kept as hashes: whoever reads the store, or its backup, can use none. Pure.

They are 256 random bits, so that a plain SHA-256 is enough: what makes slow hashes needful is that people choose
passwords, and here nobody chooses.
"""

import base64
import hashlib
from typing import Final

SECRET_BYTES: Final = 32
TOKEN_PREFIX: Final = "ms_"  # noqa: S105 (how a token begins, so that scanners for leaked secrets know it)
SECRET_CHARACTERS_MAX: Final = 64


def secret_of(chance: bytes) -> str:
    """Random bytes as text that stands in a URL, a cookie or a header."""
    assert len(chance) == SECRET_BYTES, "a secret has 256 bits"
    return base64.urlsafe_b64encode(chance).rstrip(b"=").decode("ascii")


def hash_of(secret: str) -> str:
    """What is kept of a secret. Looking a hash up in an index tells no one how near a guess was."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()
