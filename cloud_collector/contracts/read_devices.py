"""A contract's devices out of its table or a CSV file; and that no device is in two places at once."""

import csv
import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final, TypeAlias

from cloud_collector.contracts.catalog import Contract, ContractDevice
from cloud_collector.contracts.node import (
    EARLIEST,
    LATEST_START,
    CatalogError,
    Fields,
    Node,
    day,
    first_day,
    nearest,
    text,
)

DEVICE_KEYS: Final = ["id", "from", "until"]
DEVICES_MAX: Final = 100_000
"""Devices of one contract."""
_DEVICE: Final = re.compile(r"[^\s,;\"']{1,65}")
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")

FileText: TypeAlias = Callable[[Node], str]
"""The text of the file that a node names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedDevice:
    """A device and the place it is written at."""

    device: ContractDevice
    place: str

    def refuse(self, why: str) -> CatalogError:
        """An error with this place."""
        return CatalogError(f'{self.place}: "{self.device.id}" {why}')


def read_devices(fields: Fields, file_text: FileText) -> tuple[PlacedDevice, ...]:
    """What `devices` lists and then what the file of `devices_from` holds; raises CatalogError."""
    found: list[PlacedDevice] = []
    if "devices" in fields:
        found += [PlacedDevice(device=_device(node), place=node.place) for node in fields["devices"].elements()]
    if "devices_from" in fields:
        node = fields["devices_from"]
        found += _rows(text(node), file_text(node))
    if len(found) > DEVICES_MAX:
        fields.node.refuse(f"has more than {DEVICES_MAX} devices")
    return tuple(found)


def check_devices(
    contracts: Mapping[str, Contract], placed: Mapping[str, Sequence[PlacedDevice]]
) -> dict[str, dict[str, str]]:
    """By contract the devices that moved there within their account, and from which contract.

    Raises CatalogError for a device that two entries, of one contract or of two, hold at once.
    """
    moved: dict[str, dict[str, str]] = {}
    held: dict[str, list[_Held]] = {}
    for contract in contracts.values():
        for each in placed[contract.key]:
            this = _Held(
                contract=contract,
                placed=each,
                start=max(each.device.start or contract.start, contract.start),
                until=min(each.device.until or date.max, contract.end or date.max),
            )
            others = held.setdefault(each.device.id, [])
            for other in others:
                _apart(this, other)
                for before, after in ((this, other), (other, this)):
                    if before.until == after.start and before.contract.account == after.contract.account:
                        moved.setdefault(after.contract.key, {})[each.device.id] = before.contract.key
            others.append(this)
    return moved


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    """A device in a contract, between two local dates."""

    contract: Contract
    placed: PlacedDevice
    start: date
    until: date


def _apart(this: _Held, other: _Held) -> None:
    if other.contract is this.contract:
        raise this.placed.refuse("stands twice")
    if this.start < other.until and other.start < this.until:
        raise this.placed.refuse(f'belongs to the contract "{other.contract.key}" at the same time')


def _device(node: Node) -> ContractDevice:
    if isinstance(node.value, str):
        return ContractDevice(id=_device_id(node))
    fields = Fields.of(node, DEVICE_KEYS)
    start, until = fields.get("from", first_day), fields.get("until", day)
    if start is not None and until is not None and until <= start:
        fields["until"].refuse(f"is {until}, not after {start}")
    return ContractDevice(id=fields.need("id", _device_id), start=start, until=until)


def _device_id(node: Node) -> str:
    name = text(node)
    if _DEVICE.fullmatch(name) is None:
        node.refuse(f'"{name}" is no device: write gateway/device')
    return name


def _rows(file: str, content: str) -> list[PlacedDevice]:
    reader = csv.reader(io.StringIO(content.removeprefix("\ufeff")), strict=True)
    header: list[str] | None = None
    found: list[PlacedDevice] = []
    try:
        for cells in reader:
            row, place = [cell.strip() for cell in cells], f"{file}:{reader.line_num}"
            if not any(row):
                continue
            if header is None:
                header = _header(row, place)
                continue
            if len(row) != len(header):
                raise CatalogError(f"{place}: has {len(row)} cells, and the header names {len(header)}")
            found.append(PlacedDevice(device=_of_row(dict(zip(header, row, strict=True)), place), place=place))
    except csv.Error as error:
        raise CatalogError(f"{file}:{reader.line_num}: this is no CSV: {error}") from None
    return found


def _header(names: list[str], place: str) -> list[str]:
    for name in names:
        if name not in DEVICE_KEYS:
            raise CatalogError(f'{place}: unknown column "{name[:48]}"{nearest(name, DEVICE_KEYS)}')
    if "id" not in names or len(set(names)) != len(names):
        raise CatalogError(f"{place}: the header must name id, and no column twice; it is {','.join(DEVICE_KEYS)}")
    return names


def _of_row(row: Mapping[str, str], place: str) -> ContractDevice:
    if _DEVICE.fullmatch(row["id"]) is None:
        raise CatalogError(f'{place}: "{row["id"][:48]}" is no device: write gateway/device')
    start, until = (_date(row.get(key, ""), place) for key in ("from", "until"))
    if start is not None and start > LATEST_START:
        raise CatalogError(f"{place}: from is {start}, and nothing begins after {LATEST_START}")
    if start is not None and until is not None and until <= start:
        raise CatalogError(f"{place}: until is {until}, not after {start}")
    return ContractDevice(id=row["id"], start=start, until=until)


def _date(said: str, place: str) -> date | None:
    if not said:
        return None
    try:
        if _DAY.fullmatch(said) and date.fromisoformat(said) >= EARLIEST:
            return date.fromisoformat(said)
    except ValueError:
        pass
    raise CatalogError(f'{place}: "{said[:48]}" is no local date such as 2026-01-31')
