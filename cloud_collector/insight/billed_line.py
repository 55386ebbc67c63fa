"""A line of an issued invoice, opened: by the counters that are sealed, and by what the store has of its time now."""

from collections.abc import Mapping
from datetime import datetime
from fractions import Fraction
from typing import Any

from cloud_collector.billing.export import Invoice
from cloud_collector.billing.revisions import NoCatalog, revisions
from cloud_collector.insight.kept import Kept
from cloud_collector.insight.look import Look, look
from cloud_collector.insight.opened_line import Line, Rests, rests_on
from cloud_collector.rating.draft import BookingKey, LineKind
from cloud_collector.store.store import Store
from cloud_collector.store.view import StoreView
from cloud_collector.usage.quantity import UnlikeUnits, worth
from shared.errors import DatabaseError, MetersealError


def opened_billed(
    store: Store, found: Invoice, line: Mapping[str, Any], now_ms: int, memory: Kept | None = None
) -> Rests | None:
    """What a sealed line rests on; None where only its counters are left: it takes another back, or is no more."""
    at = None if "voids" in found.body else _looked(store, found, line, now_ms, memory)
    if at is None:
        return None
    opened = Line(
        key=_key(found, line), end=instant_of(line["service_end"]), reads=line["reads"], sealed=_sealed(found, line)
    )
    return rests_on(at.known, at.period, opened)


def instant_of(text: str) -> int:
    """The second of an instant as it is sealed."""
    return int(datetime.fromisoformat(text).timestamp())


def _looked(store: Store, found: Invoice, line: Mapping[str, Any], now_ms: int, memory: Kept | None) -> Look | None:
    """The contract in the period of the line; None where the catalog has it no more."""
    within = instant_of(line["service_start"])
    try:
        known, contract = revisions(store), found.body["contract"]
        return look(store, known, contract, now_ms, StoreView, within=within, memory=memory)
    except DatabaseError:
        raise
    except (NoCatalog, KeyError):
        return None
    except MetersealError:
        # P19: what cannot be said now is not guessed; the sealed counters stand all the same.
        return None


def _key(found: Invoice, line: Mapping[str, Any]) -> BookingKey:
    return BookingKey(
        contract=found.body["contract"],
        charge=line["charge"],
        kind=LineKind(line["kind"]),
        device=line["device"] or "",
        window=line["window"] or "",
        segment_start=instant_of(line["service_start"]),
    )


def _sealed(found: Invoice, line: Mapping[str, Any]) -> Mapping[str, Fraction]:
    """What each device used by the counters of the line, in the line's unit."""
    units = {tuple(channel[:3]): (channel[3], channel[4]) for channel in found.body["channels"]}
    said: dict[str, Fraction] = {}
    for gateway, _, device, meter, _, _, low, _, high, _ in line["reads"]:
        known = units.get((gateway, device, meter))
        if known is None:
            return {}
        try:
            one = worth(*known, line["unit"])
        except UnlikeUnits:
            return {}
        name = f"{gateway}/{device}"
        said[name] = said.get(name, Fraction(0)) + (high - low) * one
    return said
