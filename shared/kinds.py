"""The eight kinds of MS1 as records: a record that exists keeps every rule that one line alone can keep.

Source: docs/reference/wire.md, sections 2, 3 and 8. Rules between lines are the chain's and intake's.
Times are whole seconds, Unix time where the clock is `S` or `I`, seconds since boot where it is `R`
or `U`.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from typing import Final

from shared.grammar import (
    GATEWAY_PATTERN,
    HASH_PATTERN,
    HEX8_PATTERN,
    KEY_ID_PATTERN,
    NAME_PATTERN,
    SIGNATURE_PATTERN,
    require,
    require_integer,
    require_match,
    require_plain,
)
from shared.key import PublicKey, SigningKey
from shared.limits import AGENT_CHARS_MAX, SUMMARY_COVERS_MAX, TIME_SECONDS_MAX
from shared.rows import (
    Cause,
    Channel,
    Clock,
    Cover,
    ExchangeRow,
    GapRow,
    Lost,
    Position,
    UsageRow,
    check_channels,
    check_exchange_rows,
    check_gap_rows,
    check_usage_rows,
    check_window,
)

SUMMARY_STEPS: Final = (3_600, 86_400)
"""A summary is cut at hours, and when it is folded again, at days."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What every MS1 body carries: whose line it is, its position, its clock."""

    gateway: str
    log: str
    key: str
    epoch: str
    seq: int
    prev: str
    boot: str
    clock: Clock
    sealed_at: int

    def __post_init__(self) -> None:
        require_match(GATEWAY_PATTERN, self.gateway, "gateway")
        require_match(NAME_PATTERN, self.log, "log")
        require_match(KEY_ID_PATTERN, self.key, "key")
        require_match(HEX8_PATTERN, self.epoch, "epoch")
        require_integer(self.seq, "seq", 1)
        if self.seq == 1:
            require(self.prev == "", "prev must be empty at seq 1")
        else:
            require_match(HASH_PATTERN, self.prev, "prev")
        require_match(HEX8_PATTERN, self.boot, "boot")
        require(isinstance(self.clock, Clock), "clock is none of S, I, R, U")
        require_integer(self.sealed_at, "sealed_at", 0, TIME_SECONDS_MAX)


@dataclass(frozen=True, slots=True, kw_only=True)
class Birth:
    """The first line of an epoch and after every start: the channels and where they stand."""

    header: Header
    agent: str
    config: str
    cause: Cause
    previous: Position | None
    channels: tuple[Channel, ...]

    def __post_init__(self) -> None:
        require_plain(self.agent, "agent", AGENT_CHARS_MAX)
        require_match(HASH_PATTERN, self.config, "config")
        require(isinstance(self.cause, Cause), f"cause is not one of {', '.join(Cause)}")
        if self.previous is not None:
            require_match(HEX8_PATTERN, self.previous.epoch, "previous[0]")
            require_integer(self.previous.seq, "previous[1]", 1)
            require_match(HASH_PATTERN, self.previous.hash, "previous[2]")
        check_channels(self.channels)


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What channels used in a window `[start, start + step·count)`; sealed also when that is nothing."""

    header: Header
    start: int
    step: int
    count: int
    rows: tuple[UsageRow, ...]

    def __post_init__(self) -> None:
        check_window(self.start, self.step, self.count)
        check_usage_rows(self.rows, self.count)

    @property
    def end(self) -> int:
        """The first second after the window."""
        return self.start + self.step * self.count


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """What could not be metered in its window."""

    header: Header
    rows: tuple[GapRow, ...]

    def __post_init__(self) -> None:
        check_gap_rows(self.rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """Meters that were swapped."""

    header: Header
    rows: tuple[ExchangeRow, ...]

    def __post_init__(self) -> None:
        check_exchange_rows(self.rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockLine:
    """Places the R and U lines of its boot: `offset` is UTC minus boot time, in seconds."""

    header: Header
    offset: int

    def __post_init__(self) -> None:
        require_integer(self.offset, "offset", -TIME_SECONDS_MAX, TIME_SECONDS_MAX)


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What a full spool folded: totals stay exact, detail is given up (P3)."""

    header: Header
    covers: tuple[Cover, ...]
    start: int
    step: int
    count: int
    rows: tuple[UsageRow, ...]

    def __post_init__(self) -> None:
        require(1 <= len(self.covers) <= SUMMARY_COVERS_MAX, f"covers must have 1 to {SUMMARY_COVERS_MAX} ranges")
        last = 0
        for at, cover in enumerate(self.covers):
            place = f"covers[{at}]"
            require_integer(cover.first, f"{place} first", 1)
            require_integer(cover.last, f"{place} last", cover.first)
            require(cover.first > last, f"{place}: ranges must rise and not overlap")
            require(cover.last < self.header.seq, f"{place}: a summary covers only what stands before it")
            if cover.first == 1:
                require(cover.before == "", f"{place}: nothing stands before seq 1")
            else:
                require_match(HASH_PATTERN, cover.before, f"{place} hash before")
            require_match(HASH_PATTERN, cover.end, f"{place} hash of last")
            last = cover.last
        check_window(self.start, self.step, self.count)
        require(self.step in SUMMARY_STEPS, f"step is {self.step}, but a summary is cut at hours or days")
        require(self.start % self.step == 0, "start must be a whole hour or day")
        check_usage_rows(self.rows, self.count)


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgotten:
    """Receipted lines that were asked for and are gone; `receipted_at` is the receipt's milliseconds."""

    header: Header
    lost: Lost
    receipted_at: int

    def __post_init__(self) -> None:
        require_match(HEX8_PATTERN, self.lost.epoch, "lost[0]")
        require_integer(self.lost.first, "lost[1]", 1)
        require_integer(self.lost.last, "lost[2]", self.lost.first)
        require_integer(self.receipted_at, "receipted_at", 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotate:
    """The gateway's next key, which proves itself; lines after this one are signed by it."""

    header: Header
    next: str
    proof: str

    def __post_init__(self) -> None:
        require(type(self.next) is str, "next is no text")
        key = PublicKey.from_text(self.next)
        require_match(SIGNATURE_PATTERN, self.proof, "proof")
        proven = key.verifies(rotation_statement(self.header, self.next), urlsafe_b64decode(self.proof + "=="))
        require(proven, "proof is not the next key's signature")


Report = Birth | Usage | Gap | Exchange | ClockLine | Summary | Forgotten | Rotate


def rotate(header: Header, key: SigningKey) -> Rotate:
    """The line that announces this key, proven by the key itself."""
    proof = key.sign(rotation_statement(header, key.public.text))
    return Rotate(header=header, next=key.public.text, proof=urlsafe_b64encode(proof).rstrip(b"=").decode())


def rotation_statement(header: Header, next_key: str) -> bytes:
    """The bytes that the next key signs to prove that its holder agrees."""
    return f"MS1-rotate|{header.gateway}|{header.log}|{header.epoch}|{header.seq}|{next_key}".encode()
