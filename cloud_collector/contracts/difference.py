"""What changes from one catalog to another, key by key, and from when on it is billed so.

Pure. The names are the catalog's own keys. What says the same in other words is no change.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

from cloud_collector.contracts.catalog import AnchorKind, Catalog, Contract
from cloud_collector.contracts.period import local_date
from cloud_collector.contracts.revision import billing_periods
from cloud_collector.contracts.terms import terms_of

_NAMED: Final = ("charges", "taxes", "windows")
"""Lists whose elements have names, by which they are compared."""
_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_LISTS: Final = (*_NAMED, "devices", "amendments")
"""Tables whose entries are told one by one where all of them are new, or gone."""
_AHEAD: Final = timedelta(days=800)
"""The next billing period begins within: two years and what is over."""


class Effect(StrEnum):
    """From when on a change counts."""

    NEXT_PERIOD = "next_period"
    """Each contract's first billing period that begins at the effective date or later."""
    OWN_DATE = "own_date"
    """From the date that it names, also in time that is billed already: the next invoice has what differs."""
    AT_ONCE = "at_once"
    """And no amount changes."""
    NEXT_INVOICE = "next_invoice"
    """What is printed and how it is paid; no amount."""
    FROZEN = "frozen"
    """Contracts that have been billed keep what they began with."""
    NONE = "none"
    """Nobody is billed by it."""

    @property
    def words(self) -> str:
        """The same for people."""
        return _EFFECTS[self]


_EFFECTS: Final = {
    Effect.NEXT_PERIOD: "from the next billing period on",
    Effect.OWN_DATE: "from its own date on, also in time that is billed already",
    Effect.AT_ONCE: "at once; no amount changes",
    Effect.NEXT_INVOICE: "with the next invoice",
    Effect.FROZEN: "for contracts that have not been billed yet; others keep what they began with",
    Effect.NONE: "no contract is billed by it",
}
_OPERATOR: Final = {"currency": Effect.NEXT_PERIOD, "timezone": Effect.FROZEN}
_PLAN: Final = {"cycle": Effect.FROZEN, "anchor": Effect.FROZEN, "timezone": Effect.FROZEN, "activation": Effect.FROZEN}
_ACCOUNT: Final = {
    "currency": Effect.NEXT_PERIOD,
    "timezone": Effect.FROZEN,
    "tax": Effect.NEXT_PERIOD,
    "data": Effect.AT_ONCE,
}
_CONTRACT: Final = {
    "account": Effect.FROZEN,
    "timezone": Effect.FROZEN,
    "plan": Effect.NEXT_PERIOD,
    "currency": Effect.NEXT_PERIOD,
    "overrides": Effect.NEXT_PERIOD,
    "budget": Effect.AT_ONCE,
    "warn": Effect.AT_ONCE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One key whose value is another."""

    path: tuple[str, ...]
    before: Any
    """None where the key is new."""
    after: Any
    """None where it is gone."""
    effect: Effect
    since: Mapping[str, date | None] = field(default_factory=dict)
    """By contract, the local date from which it is billed so; None where its periods begin with its first use."""
    moved_to: str | None = None
    """Of a device: the contract that has it from then on."""

    @property
    def what(self) -> str:
        """`added`, `removed`, `moved` or `changed`."""
        if self.moved_to is not None:
            return "moved"
        return "added" if self.before is None else "removed" if self.after is None else "changed"

    @property
    def key(self) -> str:
        """The place as people write it."""
        return ".".join(_key(step) for step in self.path)

    def to_json(self) -> dict[str, Any]:
        """The public form."""
        return {
            "key": self.key,
            "what": self.what,
            "before": None if self.before is None else written(self.before),
            "after": None if self.after is None else written(self.after),
            "effect": self.effect.value,
            "since": {name: None if day is None else day.isoformat() for name, day in self.since.items()},
            "moved_to": self.moved_to,
        }


def differences(old: Catalog, new: Catalog, *, effective_at: int) -> tuple[Difference, ...]:
    """Everything that changes, in the catalog's order: operator, meters, plans, accounts, contracts."""
    was, now = tomllib.loads(old.text, parse_float=Decimal), tomllib.loads(new.text, parse_float=Decimal)
    look = _Look(old=old, new=new, effective_at=effective_at)
    found = [] if old.operator == new.operator else list(_of_table(("operator",), was["operator"], now["operator"]))
    for section in ("meters", "plans", "accounts", "contracts"):
        before, after = was.get(section, {}), now.get(section, {})
        held, has = getattr(old, section), getattr(new, section)
        for name in sorted({*before, *after}):
            if name in held and name in has and held[name] == has[name]:
                continue
            if name not in before or name not in after:
                found.append(_whole((section, name), before.get(name), after.get(name)))
                continue
            one, other = (
                _shaped(section, table.get(name), records.get(name))
                for table, records in ((before, held), (after, has))
            )
            found += _of_table((section, name), one, other)
    return tuple(look.placed(each) for each in _with_moves(found, old, new))


def written(value: Any) -> str:
    """A value as a catalog writes it, on one line."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return f'"{value}"'
        case Decimal():
            return format(value, "f")
        case date():
            return value.isoformat()
        case list() | tuple():
            return f"[{', '.join(map(written, value))}]"
        case dict():
            pairs = ", ".join(f"{_key(key)} = {written(each)}" for key, each in value.items())
            return f"{{ {pairs} }}" if pairs else "{}"
        case _:
            return str(value)


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else f'"{name}"'


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """Both catalogs, and when the new one's plans come into effect."""

    old: Catalog
    new: Catalog
    effective_at: int
    begins: dict[str, date | None] = field(default_factory=dict)
    """Each contract's first period in effect, found once."""

    def placed(self, found: Difference) -> Difference:
        """The difference with its effect, and from when on each contract has it."""
        effect, contracts = self._effect(found)
        dates = {Effect.NEXT_PERIOD: self._next_period, Effect.OWN_DATE: self._own_date}
        when = dates.get(effect)
        since = {} if when is None else {name: when(name, found) for name in contracts}
        return replace(found, effect=effect, since=since)

    def _effect(self, found: Difference) -> tuple[Effect, list[str]]:
        section, name, key = (*found.path, "", "")[:3]
        contracts = self.new.contracts
        match section:
            case "operator" if name == "look_back":
                return Effect.NEXT_INVOICE, []
            case "operator":
                return _OPERATOR.get(name, Effect.NEXT_INVOICE), sorted(contracts)
            case "meters":
                concerned = [each.key for each in contracts.values() if self._has_meter(each, name)]
            case "plans":
                concerned = [each.key for each in contracts.values() if name in _plans(each)]
            case "accounts":
                concerned = [each.key for each in contracts.values() if each.account == name]
            case _:
                effect = Effect.NEXT_PERIOD if "overrides" in found.path else _CONTRACT.get(key, Effect.OWN_DATE)
                return effect, [name] if name in contracts else []
        if not concerned:
            return Effect.NONE, []
        by_key = {"plans": _PLAN, "accounts": _ACCOUNT}.get(section, {})
        rest = Effect.NEXT_INVOICE if section == "accounts" else Effect.NEXT_PERIOD
        return by_key.get(key, rest), sorted(concerned)

    def _has_meter(self, contract: Contract, meter: str) -> bool:
        plans = (contract.plan, *(each.plan for each in contract.amendments))
        return any(charge.meter == meter for plan in plans for charge in plan.charges)

    def _next_period(self, contract: str, _: Difference) -> date | None:
        if contract not in self.begins:
            self.begins[contract] = self._first_in_effect(contract)
        return self.begins[contract]

    def _first_in_effect(self, contract: str) -> date | None:
        """The local date of the first period that begins in effect; a contract's first one in any case."""
        terms = terms_of(self.new, contract)
        if terms.anchor is AnchorKind.ACTIVATION:
            return None
        if contract not in self.old.contracts:
            return terms.start
        until = max(local_date(terms.timezone, self.effective_at), terms.start) + _AHEAD
        for period in billing_periods(terms, until=until):
            if period.start >= self.effective_at:
                return period.first
        return terms.end

    def _own_date(self, contract: str, found: Difference) -> date | None:
        """From the date that the change itself names, else from the contract's start."""
        terms = terms_of(self.new, contract)
        days = [
            each
            for value in (found.before, found.after)
            for each in (value.values() if isinstance(value, dict) else [value])
            if isinstance(each, date)
        ]
        if found.path[2:3] == ("amendments",):
            return date.fromisoformat(found.path[3])
        return max(min(days, default=terms.start), terms.start)


def _plans(contract: Contract) -> set[str]:
    return {contract.plan.name, *(each.plan.name for each in contract.amendments)}


def _whole(path: tuple[str, ...], one: Any, other: Any) -> Difference:
    return Difference(path=path, before=one, after=other, effect=Effect.NONE)


def _shaped(section: str, table: Mapping[str, Any], record: Any) -> dict[str, Any]:
    """A section's entry with what is compared by name as tables, and devices wherever they are written."""
    shaped = {key: _by_name(key, value) for key, value in table.items()}
    if section == "contracts" and isinstance(record, Contract):
        shaped.pop("devices_from", None)
        shaped["devices"] = {
            each.id: {key: day for key, day in (("from", each.start), ("until", each.until)) if day is not None}
            for each in record.devices
        }
        shaped["amendments"] = {str(each["from"]): _amendment(each) for each in table.get("amendments", ())}
    return shaped


def _amendment(table: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in table.items() if key != "from"}


def _by_name(key: str, value: Any) -> Any:
    if key in _NAMED and isinstance(value, list):
        return {str(each["name"]): {name: _by_name(name, part) for name, part in each.items()} for each in value}
    return value


def _of_table(path: tuple[str, ...], one: Any, other: Any) -> Iterator[Difference]:
    """Where two tables differ; what one of them lacks is a difference as a whole."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in [*one, *(key for key in other if key not in one)]:
            yield from _of_table((*path, key), one.get(key), other.get(key))
    elif not _same(one, other):
        whole = one if other is None else other
        if isinstance(whole, dict) and len(path) > 2 and (one is None or other is None) and path[-1] in _LISTS:
            for key, value in whole.items():
                pair = (value, None) if other is None else (None, value)
                yield from _of_table((*path, key), *pair)
        else:
            yield _whole(path, one, other)


def _same(one: Any, other: Any) -> bool:
    """Equal, and of one kind: 1 and true differ, 9.9 and 9.90 do not."""
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


def _with_moves(found: Sequence[Difference], old: Catalog, new: Catalog) -> Iterator[Difference]:
    """A device that leaves one contract and joins another is said to move, once."""
    joined = {device: name for name in new.contracts for device in _devices(new, name) - _devices(old, name)}
    moved = {each.path[3]: each.path[1] for each in found if _leaves(each) and joined.get(each.path[3]) is not None}
    for each in found:
        device = each.path[3] if _is_of_device(each) else ""
        if device not in moved:
            yield each
        elif each.path[1] == moved[device]:
            if _leaves(each):
                yield replace(each, path=each.path[:4], moved_to=joined[device])
        elif each.path[1] != joined[device]:
            yield each


def _is_of_device(found: Difference) -> bool:
    return found.path[0] == "contracts" and found.path[2:3] == ("devices",) and len(found.path) > 3


def _leaves(found: Difference) -> bool:
    gone = len(found.path) == 4 and found.after is None
    return _is_of_device(found) and (gone or (found.path[4:] == ("until",) and found.after is not None))


def _devices(catalog: Catalog, contract: str) -> set[str]:
    return {device.id for device in catalog.contracts[contract].devices} if contract in catalog.contracts else set()
