"""P1 as far as the collector sees it: what each channel has counted, what is set apart, what nobody knows.

Over all time and in integers; `audit` prints it, the simulator compares it with the world's own ledger.
"""

from dataclasses import dataclass, field

from cloud_collector.store.store import Store
from cloud_collector.usage.span import ChannelName


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """A stretch of which no amount is known."""

    start: int | None
    until: int | None
    cause: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelAccount:
    """What a channel has come to."""

    channel: ChannelName
    unit: str | None
    exponent: int | None
    counted: int
    """Units that may be billed: placed, accepted, bridged."""
    unplaced: int
    """Units whose time is not known yet: not billed until it is."""
    quarantined: int
    """Units set apart, with a reason."""
    estimated: int
    """Of those counted: by gap lines and bridges."""
    unreadable: int
    """Rows of accepted lines that could not be read; their units are in no figure here."""
    unknown: tuple[Unknown, ...] = field(default=())


@dataclass(frozen=True, slots=True, kw_only=True)
class QuarantinedRow:
    """A row that is not counted, where it stands and why."""

    gateway: str
    log: str
    epoch: str
    seq: int
    device: str
    meter: str
    reason: str
    units: int | None
    """None where they cannot be read."""


def account(store: Store, gateway: str = "") -> list[ChannelAccount]:
    """Every channel's account, by name; of one gateway, or of all."""
    unknown: dict[ChannelName, list[Unknown]] = {}
    for name_of, device, meter, start, until, cause, why in store.rows("account_unknown", gateway, gateway):
        name = ChannelName(gateway=name_of, device=device, meter=meter)
        unknown.setdefault(name, []).append(Unknown(start=start, until=until, cause=cause, why=why))
    bad = {
        ChannelName(gateway=row[0], device=row[1], meter=row[2]): (row[3], row[4])
        for row in store.rows("account_bad", gateway, gateway)
    }
    accounts = []
    for row in store.rows("account", gateway, gateway):
        name = ChannelName(gateway=row[0], device=row[1], meter=row[2])
        units, rows = bad.pop(name, (0, 0))
        accounts.append(
            ChannelAccount(
                channel=name,
                unit=row[3],
                exponent=row[4],
                counted=row[5],
                unplaced=row[6],
                quarantined=row[7] + units,
                estimated=row[8],
                unreadable=rows,
                unknown=tuple(unknown.get(name, ())),
            )
        )
    for name, (units, rows) in bad.items():
        # Rows of channels that no readable line has named.
        accounts.append(
            ChannelAccount(
                channel=name,
                unit=None,
                exponent=None,
                counted=0,
                unplaced=0,
                quarantined=units,
                estimated=0,
                unreadable=rows,
            )
        )
    return accounts


def quarantine(store: Store, gateway: str = "") -> list[QuarantinedRow]:
    """Every row that is set apart, with its reason."""
    rows = store.rows("quarantined", gateway, gateway) + store.rows("bad_rows", gateway, gateway)
    return [
        QuarantinedRow(
            gateway=row[0],
            log=row[1],
            epoch=row[2],
            seq=row[3],
            device=row[4],
            meter=row[5],
            reason=row[6],
            units=row[7],
        )
        for row in rows
    ]
