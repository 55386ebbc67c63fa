"""MK1: the collector's signed statement of everything that it had accepted and issued (P11).

Source: docs/reference/wire.md, section 7. A leaf is a whole line's bytes, hashed as in `merkle`.
"""

from dataclasses import dataclass

from shared.errors import InvalidRecord, Refused
from shared.grammar import (
    HASH_PATTERN,
    KEY_ID_PATTERN,
    require,
    require_integer,
    require_keys,
    require_match,
    require_plain,
)
from shared.key import SigningKey
from shared.limits import ORIGIN_CHARS_MAX, TIME_SECONDS_MAX
from shared.line import Line, read_body, seal
from shared.merkle import EMPTY_ROOT, text_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """The root over the first `size` leaves of the log named `origin`, at Unix second `at`.

    `previous` is the hash of the checkpoint line before this one, empty for the first.
    """

    key: str
    origin: str
    size: int
    root: str
    at: int
    previous: str

    def __post_init__(self) -> None:
        require_match(KEY_ID_PATTERN, self.key, "key")
        require_plain(self.origin, "origin", ORIGIN_CHARS_MAX)
        require(self.origin != "", "origin must not be empty")
        require_integer(self.size, "size", 0)
        require_match(HASH_PATTERN, self.root, "root")
        if self.size == 0:
            require(self.root == text_of(EMPTY_ROOT), "the root over nothing is the hash of nothing")
        require_integer(self.at, "at", 0, TIME_SECONDS_MAX)
        if self.previous != "":
            require_match(HASH_PATTERN, self.previous, "previous")


def seal_checkpoint(checkpoint: Checkpoint, key: SigningKey) -> bytes:
    """Seal a checkpoint under the operator's key that it names; raises InvalidRecord."""
    require(checkpoint.key == key.public.id, "the checkpoint names another key than the one that signs")
    return seal("MK1", {name: getattr(checkpoint, name) for name in Checkpoint.__slots__}, key)


def read_checkpoint(line: Line) -> Checkpoint | Refused:
    """Read a verified MK1 line; what breaks a rule is refused with a plain reason."""
    if line.tag != "MK1":
        return Refused(f"a checkpoint begins with MK1, not with {line.tag}")
    body = read_body(line)
    if isinstance(body, Refused):
        return body
    try:
        require_keys(body, frozenset(Checkpoint.__slots__))
        return Checkpoint(**body)
    except InvalidRecord as error:
        return Refused(str(error))
