"""One sealed line as it is held: its bytes, whether its signature is right, and the words of its key."""

from dataclasses import dataclass
from typing import Any

from cloud_collector.store.store import Store
from shared.errors import Refused
from shared.key import PublicKey
from shared.line import hash_of, parse
from shared.report import Report, read


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedLine:
    """A line at its place, and what is to be said of it."""

    gateway: str
    log: str
    epoch: str
    seq: int
    raw: bytes
    """Empty where its detail was deleted as agreed."""
    received_at_ms: int
    report: Report | None
    """None where it cannot be read."""
    key: PublicKey | None
    """The key that it names, where that is one of the gateway's."""
    genuine: bool
    """Whether that key signed these bytes."""

    @property
    def kind(self) -> str:
        """What sort of line it is; empty where it cannot be read."""
        return "" if self.report is None else type(self.report).__name__.lower().removesuffix("line")

    def to_json(self) -> dict[str, Any]:
        """The public form."""
        return {
            "gateway": self.gateway,
            "log": self.log,
            "epoch": self.epoch,
            "seq": self.seq,
            "kind": self.kind,
            "raw": self.raw.decode("ascii", "backslashreplace"),
            "hash": hash_of(self.raw),
            "received_at_ms": self.received_at_ms,
            "genuine": self.genuine,
            "key": None if self.report is None else self.report.header.key,
            "words": None if self.key is None else self.key.words,
            "sha256": None if self.key is None else self.key.sha256,
        }


def sealed_line(store: Store, gateway: str, log: str, epoch: str, seq: int) -> SealedLine | None:
    """The line at this place; None where none is held."""
    row = store.row("portal_line", gateway, log, epoch, seq)
    if row is None:
        return None
    raw = bytes(row[0])
    parsed = parse(raw)
    report = parsed if isinstance(parsed, Refused) else read(parsed)
    key = None
    if not isinstance(report, Refused):
        keys = {name: PublicKey(bytes(public)) for name, public in store.rows("evidence_keys", gateway)}
        key = keys.get(report.header.key)
    return SealedLine(
        gateway=gateway,
        log=log,
        epoch=epoch,
        seq=seq,
        raw=raw,
        received_at_ms=row[1],
        report=None if isinstance(report, Refused) else report,
        key=key,
        genuine=key is not None and not isinstance(parsed, Refused) and parsed.verified_by(key),
    )
