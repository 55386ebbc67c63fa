"""Logs for usage that has no gateway: opened by the operator, one account each, with the meters that may be counted.

Each is a gateway of the collector's own. Its key lies with the operator's other keys, so its signature proves that
nothing was changed since it was sealed, and not that it was measured: the invoice says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from cloud_collector.contracts.period import iso
from cloud_collector.fleet.gateways import add_gateway
from cloud_collector.limits import INGEST_METERS_MAX, INGEST_STEP_SECONDS, INGEST_STEPS
from cloud_collector.store.store import Store
from shared.effects.chance import Chance
from shared.errors import InvalidRecord, MetersealError
from shared.grammar import NAME_PATTERN, PLAIN_TEXT
from shared.key import PublicKey
from shared.limits import EXPONENT_MAX, UNIT_CHARS_MAX

WINDOW_SECONDS: Final = INGEST_STEP_SECONDS * INGEST_STEPS


class LogRefused(MetersealError):
    """The log cannot be opened so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Meter:
    """What may be counted in a log: its unit, and how fine."""

    name: str
    unit: str
    exponent: int

    def __post_init__(self) -> None:
        if not NAME_PATTERN.fullmatch(self.name):
            raise InvalidRecord(f"{self.name[:48]!r} is no meter: at most 32 of a-z, 0-9, `_`, `.` and `-`")
        if not 1 <= len(self.unit) <= UNIT_CHARS_MAX or not PLAIN_TEXT.fullmatch(self.unit):
            raise InvalidRecord(f"{self.unit[:48]!r} is no unit such as kWh, or 1 for what is counted")
        if not -EXPONENT_MAX <= self.exponent <= 0:
            raise InvalidRecord(f"a meter has 0 to {EXPONENT_MAX} decimal places, not {-self.exponent}")

    @property
    def told(self) -> str:
        """As it is written on the command line."""
        return f"{self.name}={self.unit}" + (f":{-self.exponent}" if self.exponent else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """A log as it stands."""

    gateway: str
    account: str
    opened_at: int
    opened_by: str
    epoch: str
    lines: int
    frontier: int
    waiting: int
    meters: tuple[Meter, ...]

    def to_json(self) -> dict[str, Any]:
        """As commands print it."""
        return {
            "log": self.gateway,
            "account": self.account,
            "opened_at": iso(self.opened_at // 1_000),
            "opened_by": self.opened_by,
            "meters": [{"meter": each.name, "unit": each.unit, "decimals": -each.exponent} for each in self.meters],
            "epoch": self.epoch,
            "lines": self.lines,
            "sealed_until": iso(self.frontier),
            "events_waiting": self.waiting,
        }


def log_of(store: Store, name: str) -> Log | None:
    """The log of this name."""
    row = store.row("ingest_log_one", name)
    if row is None:
        return None
    gateway, account, opened_at, opened_by, epoch, lines, frontier, waiting = row
    return Log(
        gateway=gateway,
        account=account,
        opened_at=opened_at,
        opened_by=opened_by,
        epoch=epoch,
        lines=lines,
        frontier=frontier,
        waiting=waiting,
        meters=meters_of(store, name),
    )


def logs(store: Store) -> list[Log]:
    """Every log, by name."""
    return [found for row in store.rows("ingest_logs") if (found := log_of(store, row[0])) is not None]


def meters_of(store: Store, name: str) -> tuple[Meter, ...]:
    """What may be counted in a log, by name."""
    return tuple(Meter(name=row[0], unit=row[1], exponent=row[2]) for row in store.rows("ingest_meters", name))


def open_log(
    store: Store,
    name: str,
    key: PublicKey,
    *,
    account: str,
    meters: Sequence[Meter],
    by: str,
    chance: Chance,
    now_ms: int,
) -> Log:
    """The log is open and enrolled as a gateway is; one that was open gets further meters. Raises LogRefused."""
    before = log_of(store, name)
    if before is None:
        if store.rows("gateway_and_keys", name):
            raise LogRefused(f"{name} is a gateway that meters for itself: give the log a name of its own")
        add_gateway(store, name, key, now_ms)
    with store.atomic():
        if before is None:
            frontier = now_ms // 1_000 // WINDOW_SECONDS * WINDOW_SECONDS
            drawn = (chance(4).hex(), chance(4).hex())
            store.run("ingest_log_add", name, account, now_ms, by, *drawn, now_ms, frontier)
        elif before.account != account:
            raise LogRefused(f"{name} is the log of {before.account}: open another one for {account}")
        _add_meters(store, name, meters)
    found = log_of(store, name)
    assert found is not None, "it was opened just now"
    return found


def _add_meters(store: Store, name: str, meters: Sequence[Meter]) -> None:
    known = {each.name: each for each in meters_of(store, name)}
    for each in meters:
        held = known.setdefault(each.name, each)
        if held is each:
            store.run("ingest_meter_add", name, each.name, each.unit, each.exponent)
        elif held != each:
            # A channel's unit and exponent are fixed (wire.md, section 3).
            raise LogRefused(f"{name} counts {held.told}, and that stays: give {each.told} a name of its own")
    if len(known) > INGEST_METERS_MAX:
        raise LogRefused(f"a log has at most {INGEST_METERS_MAX} meters: open another one")
