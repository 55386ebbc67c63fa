"""A device that reports and stands in no contract gets into one: the catalog's text with one entry more.

Pure. The text is the operator's own, with comments; it is changed in one place, and what comes out is read again: it
says what the old text said and this device, or nothing is changed.
"""

import json
import re
from dataclasses import replace
from datetime import date
from typing import Final

from cloud_collector.contracts.catalog import Catalog, ContractDevice
from cloud_collector.contracts.node import CatalogError, nearest
from cloud_collector.contracts.read import load_catalog
from shared.errors import MetersealError
from shared.places import places

_OPENS: Final = re.compile(r"^(\s*(?:\S.*?\.)?\"?devices\"?\s*=\s*\[)")


class CannotAssign(MetersealError):
    """The device does not get into the contract."""


def assigned(catalog: Catalog, contract: str, device: str, start: date | None) -> Catalog:
    """The catalog in which the contract has the device from this local date on; raises CannotAssign."""
    if contract not in catalog.contracts:
        raise CannotAssign(f"the catalog has no contract {contract}{nearest(contract, catalog.contracts)}")
    entry = ContractDevice(id=device, start=start)
    lines = catalog.text.split("\n")
    where = places(catalog.text)
    at = where.get(("contracts", contract, "devices"))
    if at is not None:
        lines[at - 1] = _OPENS.sub(lambda found: f"{found[1]}{_written(entry)}, ", lines[at - 1], count=1)
    elif ("contracts", contract) in where:
        lines.insert(where["contracts", contract], f"devices = [{_written(entry)}]")
    try:
        made = load_catalog("\n".join(lines))
    except CatalogError as error:
        raise CannotAssign(str(error)) from error
    if not _says(made, catalog, contract, entry):
        raise CannotAssign(
            f"the entry of {contract} is written in a way that is not changed by itself: add "
            f"{_written(entry)} to its devices, and `cloud-collector catalog apply`"
        )
    return made


def _says(made: Catalog, catalog: Catalog, contract: str, entry: ContractDevice) -> bool:
    """Whether nothing but this entry is new."""
    old, new = catalog.contracts[contract], made.contracts[contract]
    others = {name: each for name, each in catalog.contracts.items() if name != contract}
    return (
        entry in new.devices
        and sorted(map(str, new.devices)) == sorted(map(str, (*old.devices, entry)))
        and replace(new, devices=old.devices) == old
        and others == {name: each for name, each in made.contracts.items() if name != contract}
    )


def _written(entry: ContractDevice) -> str:
    id_ = json.dumps(entry.id)
    return id_ if entry.start is None else f"{{ id = {id_}, from = {entry.start.isoformat()} }}"
