"""What becomes of each thing that arrives: verdicts are values, and every one of them is acknowledged (P8)."""

from dataclasses import dataclass

from cloud_collector.limits import SAMPLE_BYTES_MAX, TOPIC_CHARS_MAX


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A position: whose chain and where in it."""

    gateway: str
    log: str
    epoch: str
    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BadRow:
    """A row that is not counted, and why; device and meter are empty where they cannot be read."""

    device: str
    meter: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """The line took its position and every row of it was read."""

    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantined:
    """The line took its position; some of its rows, or all, are set apart with a reason."""

    place: Place
    rows: tuple[BadRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Duplicate:
    """The very line is already held, in its position or aside."""

    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Aside:
    """A genuine line that contradicts the chain or a taken position: kept, alarmed, not counted (P5)."""

    place: Place
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmatched:
    """Nobody knows whose this is: a bad topic or payload, an unknown gateway or key."""

    topic: str
    gateway: str
    """The gateway that the topic names, or empty."""
    reason: str
    nearest: str
    """The nearest known name, or empty."""
    sample: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedLine:
    """A line that its topic's gateway did not sign, or one of no readable position: counted, sampled."""

    gateway: str
    reason: str
    sample: bytes


Verdict = Accepted | Quarantined | Duplicate | Aside | Unmatched | RefusedLine


def unmatched(topic: str, gateway: str, reason: str, sample: bytes) -> Unmatched:
    """The verdict on what nobody knows; what a topic holds beside printable characters is spelled out.

    A broker that does not look lets any character into a topic; a NUL is one that PostgreSQL cannot keep (P8).
    """
    shown = "".join(each if each.isprintable() else f"\\u{ord(each):04x}" for each in topic[:TOPIC_CHARS_MAX])
    sample = sample[:SAMPLE_BYTES_MAX]
    return Unmatched(topic=shown[:TOPIC_CHARS_MAX], gateway=gateway, reason=reason, nearest="", sample=sample)
