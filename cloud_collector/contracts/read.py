"""A catalog out of its TOML texts: exact decimals, and every refusal with file, line and the nearest known name."""

import hashlib
import json
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any, Final

from cloud_collector.contracts.agreed import DataTerms
from cloud_collector.contracts.catalog import Account, Aggregate, Catalog, Contract, Meter, Operator
from cloud_collector.contracts.change import Change, change_all
from cloud_collector.contracts.duration import Duration, DurationUnit
from cloud_collector.contracts.joint import pooled_with
from cloud_collector.contracts.node import (
    CatalogError,
    Fields,
    Node,
    choice,
    country,
    currency,
    duration,
    text,
    texts,
    timezone,
    whole,
)
from cloud_collector.contracts.read_contract import read_contract
from cloud_collector.contracts.read_devices import PlacedDevice, check_devices
from cloud_collector.contracts.read_plan import read_plan, read_tax
from shared.places import places
from shared.unit import ratio

_DAY_SECONDS: Final = 86_400
CATALOG_BYTES_MAX: Final = 16 * 1024 * 1024
SECTIONS: Final = ["operator", "meters", "plans", "accounts", "contracts", "files"]
OPERATOR_KEYS: Final = (
    "name currency timezone country address vat_id iban invoice_prefix payment_terms_days look_back".split()
)
METER_KEYS: Final = ["unit", "aggregate", "demand"]
ACCOUNT_KEYS: Final = "name email currency timezone country address vat_id locale tax data".split()
DATA_KEYS: Final = "owner purposes shared_with keep_detail".split()
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_LOCALE: Final = re.compile(r"[a-z]{2,3}(_[A-Z]{2})?")
_PRINTABLE: Final = re.compile(r"[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*")
_DATE: Final = re.compile(r"(?<![\w-])[0-9]{4}-[0-9]{2}-[0-9]{2}(?![\w-])")
_TOML_LINE: Final = re.compile(r"\(at line ([0-9]+)")


def load_catalog(
    files: Mapping[str, str] | str,
    attached: Callable[[str, str], str] | None = None,
    changes: Sequence[Change] = (),
) -> Catalog:
    """The catalog that these texts, by file name, say together; raises CatalogError with file and line.

    One text alone is called `catalog.toml`. Reading files is the caller's part: `attached` gives the text of a
    file that `devices_from` names, by the name of the TOML file that names it; the section `files` holds such
    texts already, so that an applied revision is whole by itself. With `changes` it is what these texts would say
    if they stood there; its text and hash are those without them.
    """
    if isinstance(files, str):
        files = {"catalog.toml": files}
    roots = {name: _parsed(name, files[name]) for name in sorted(files)}
    change_all([root.value for root in roots.values()], changes)
    sections = _sections(roots)
    if "operator" not in sections:
        raise CatalogError(f'{next(iter(roots), "catalog.toml")}:1: the catalog lacks "operator"')
    operator = _operator(sections["operator"][""])
    meters = {name: _meter(node) for name, node in sections.get("meters", {}).items()}
    plan_nodes = sections.get("plans", {})
    plans = {name: read_plan(node, meters) for name, node in plan_nodes.items()}
    accounts = {name: _account(node) for name, node in sections.get("accounts", {}).items()}
    attachments = _Attachments({name: text(node) for name, node in sections.get("files", {}).items()}, attached)
    contract_nodes = sections.get("contracts", {})
    contracts: dict[str, Contract] = {}
    placed: dict[str, tuple[PlacedDevice, ...]] = {}
    for name, node in contract_nodes.items():
        contracts[name], placed[name] = read_contract(
            node,
            operator=operator,
            meters=meters,
            plans=plans,
            plan_nodes=plan_nodes,
            accounts=accounts,
            file_text=attachments.text_of,
        )
    moved = check_devices(contracts, placed)
    joined = attachments.joined_to(_joined(files))
    catalog = Catalog(
        operator=operator,
        meters=meters,
        plans=plans,
        accounts=accounts,
        contracts=contracts,
        text=joined,
        hash=hashlib.sha256(joined.encode()).hexdigest(),
    )
    pooled = pooled_with(catalog, contract_nodes)
    for name in {*moved, *pooled}:
        contracts[name] = replace(contracts[name], moved_from=moved.get(name, {}), pooled_with=pooled.get(name, ()))
    return catalog


class _Attachments:
    """The CSV files that a catalog names, each asked for once."""

    def __init__(self, held: Mapping[str, str], ask: Callable[[str, str], str] | None) -> None:
        self._held = held
        self._ask = ask
        self._asked: dict[str, str] = {}

    def text_of(self, node: Node) -> str:
        """The text of the file that a node names; raises CatalogError where there is none."""
        name = text(node)
        if name in self._held:
            return self._held[name]
        if self._ask is None:
            node.refuse(f'"{name}" was not handed over with the catalog')
        if name not in self._asked:
            try:
                self._asked[name] = self._ask(node.file, name)
            except OSError as error:
                node.refuse(f'"{name}" cannot be read: {error.strerror}')
            except UnicodeDecodeError:
                node.refuse(f'"{name}" is not UTF-8 text')
            if "'''" in self._asked[name] or not _PRINTABLE.fullmatch(self._asked[name]):
                node.refuse(f'"{name}" is no CSV of devices')
        return self._asked[name]

    def joined_to(self, content: str) -> str:
        """The catalog's text with the section `files`, where it has none yet."""
        if not self._asked:
            return content
        rows = [f"{json.dumps(name)} = '''\n{self._asked[name]}'''" for name in sorted(self._asked)]
        return "\n".join([content.rstrip("\n"), "", "[files]", *rows, ""])


def _parsed(name: str, content: str) -> Node:
    if len(content.encode()) > CATALOG_BYTES_MAX:
        raise CatalogError(f"{name}:1: the catalog is larger than {CATALOG_BYTES_MAX} bytes")
    try:
        value = tomllib.loads(content, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        found = _TOML_LINE.search(str(error))
        line = found[1] if found else str(content.count("\n") + 1)
        why = _impossible_date(content.splitlines()[int(line) - 1 :][:1]) or f"this is no TOML: {error}"
        raise CatalogError(f"{name}:{line}: {why}") from None
    return Node(value=value, path=(), file=name, lines=places(content))


def _impossible_date(lines: list[str]) -> str | None:
    """What TOML calls no date, in a sentence, where the line that it cannot read has one."""
    for line in lines:
        for said in _DATE.findall(line.partition("#")[0]):
            try:
                date.fromisoformat(said)
            except ValueError:
                key = line.partition("=")[0].strip()
                return f"{key}: {said} is a date that no calendar has" if "=" in line else None
    return None


def _sections(roots: Mapping[str, Node]) -> dict[str, dict[str, Node]]:
    """Every section's entries by name; the operator is the one entry named ""."""
    sections: dict[str, dict[str, Node]] = {}
    for root in roots.values():
        for key, node in Fields.of(root, SECTIONS).nodes.items():
            entries = {"": node} if key == "operator" else node.table()
            for name, entry in entries.items():
                if key not in {"operator", "files"} and _NAME.fullmatch(name) is None:
                    entry.refuse(
                        "a name has 1 to 64 letters, digits, '_', '.' and '-', and begins with a letter or digit"
                    )
                other = sections.setdefault(key, {}).setdefault(name, entry)
                if other is not entry:
                    entry.refuse(f"stands at {other.place} already")
    return sections


def _joined(files: Mapping[str, str]) -> str:
    """One text with the same content, byte for byte the file where there is one."""
    if len(files) == 1:
        return next(iter(files.values()))
    merged: dict[str, Any] = {}
    for name in sorted(files):
        for key, value in tomllib.loads(files[name], parse_float=Decimal).items():
            merged[key] = value if key == "operator" else merged.get(key, {}) | value
    joined = "\n".join(f"# {name}\n{files[name]}" for name in sorted(files))
    try:
        same = tomllib.loads(joined, parse_float=Decimal) == merged
    except tomllib.TOMLDecodeError:
        same = False
    if not same:
        raise CatalogError(
            f"{min(files)}:1: the files of a folder must use [section.name] headers only, "
            "so that one after another they are one catalog"
        )
    return joined


def _operator(node: Node) -> Operator:
    fields = Fields.of(node, OPERATOR_KEYS)
    return Operator(
        name=fields.need("name", text),
        currency=fields.need("currency", currency),
        timezone=fields.need("timezone", timezone),
        country=fields.get("country", country),
        address=fields.default("address", texts, ()),
        vat_id=fields.get("vat_id", text),
        iban=fields.get("iban", text),
        invoice_prefix=fields.default("invoice_prefix", text, "INV-"),
        payment_terms_days=fields.default("payment_terms_days", whole, 14),
        look_back=fields.get("look_back", duration),
    )


def _meter(node: Node) -> Meter:
    fields = Fields.of(node, METER_KEYS)
    aggregate, unit = fields.need("aggregate", choice(Aggregate)), fields.need("unit", text)
    if "demand" in fields and aggregate is not Aggregate.MAX:
        fields["demand"].refuse(f'needs aggregate = "max", and the aggregate is "{aggregate.value}"')
    if aggregate is Aggregate.ACTIVE_TIME and ratio("s", unit) is None:
        fields["unit"].refuse(f'is "{unit}", and active_time is counted in a unit of time: s, min, h or d')
    return Meter(name=str(node.path[-1]), unit=unit, aggregate=aggregate, demand=fields.get("demand", _demand))


def _demand(node: Node) -> Duration:
    found = duration(node)
    if found.unit not in {DurationUnit.MINUTE, DurationUnit.HOUR} or found.seconds > _DAY_SECONDS:
        node.refuse(f"is {found}: windows of demand are counted in minutes or hours, and at most a day long")
    return found


def _account(node: Node) -> Account:
    fields = Fields.of(node, ACCOUNT_KEYS)
    return Account(
        key=str(node.path[-1]),
        name=fields.need("name", text),
        email=fields.get("email", text),
        currency=fields.get("currency", currency),
        timezone=fields.get("timezone", timezone),
        country=fields.get("country", country),
        address=fields.default("address", texts, ()),
        vat_id=fields.get("vat_id", text),
        locale=fields.get("locale", _locale),
        tax=fields.get("tax", lambda tax: read_tax(tax, name="")),
        data=fields.get("data", _data),
    )


def _data(node: Node) -> DataTerms:
    fields = Fields.of(node, DATA_KEYS)
    return DataTerms(
        owner=fields.get("owner", text),
        purposes=fields.default("purposes", texts, ()),
        shared_with=fields.default("shared_with", texts, ()),
        keep_detail=fields.get("keep_detail", duration),
    )


def _locale(node: Node) -> str:
    name = text(node)
    if _LOCALE.fullmatch(name) is None:
        node.refuse(f'"{name}" is no locale: write a language and a country, such as fi_FI')
    return name
