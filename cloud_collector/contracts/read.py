"""A catalog out of its TOML texts: exact decimals, and every refusal with file, line and the nearest known name."""

import hashlib
import re
import tomllib
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from cloud_collector.contracts.catalog import Account, Aggregate, Catalog, Meter, Operator
from cloud_collector.contracts.node import (
    CatalogError,
    Fields,
    Node,
    choice,
    country,
    currency,
    text,
    texts,
    timezone,
    whole,
)
from cloud_collector.contracts.read_contract import check_devices, read_contract
from cloud_collector.contracts.read_plan import read_plan, read_tax
from shared.places import places

CATALOG_BYTES_MAX: Final = 16 * 1024 * 1024
SECTIONS: Final = ["operator", "meters", "plans", "accounts", "contracts"]
OPERATOR_KEYS: Final = (
    "name currency timezone country address vat_id iban invoice_prefix payment_terms_days".split(),
    ["look_back"],
)
METER_KEYS: Final = (["unit", "aggregate"], ["demand"])
ACCOUNT_KEYS: Final = (
    "name email currency timezone country address vat_id locale tax".split(),
    ["data"],
)
SUPPORTED_AGGREGATES: Final = frozenset({Aggregate.SUM})
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_LOCALE: Final = re.compile(r"[a-z]{2,3}(_[A-Z]{2})?")
_TOML_LINE: Final = re.compile(r"\(at line ([0-9]+)")


def load_catalog(files: Mapping[str, str] | str) -> Catalog:
    """The catalog that these texts, by file name, say together; raises CatalogError with file and line.

    One text alone is called `catalog.toml`. Reading files is the caller's part.
    """
    if isinstance(files, str):
        files = {"catalog.toml": files}
    roots = {name: _parsed(name, files[name]) for name in sorted(files)}
    sections = _sections(roots)
    if "operator" not in sections:
        raise CatalogError(f'{next(iter(roots), "catalog.toml")}:1: the catalog lacks "operator"')
    operator = _operator(sections["operator"][""])
    meters = {name: _meter(node) for name, node in sections.get("meters", {}).items()}
    plan_nodes = sections.get("plans", {})
    plans = {name: read_plan(node, meters) for name, node in plan_nodes.items()}
    accounts = {name: _account(node) for name, node in sections.get("accounts", {}).items()}
    contracts = {
        name: read_contract(
            node, operator=operator, meters=meters, plans=plans, plan_nodes=plan_nodes, accounts=accounts
        )
        for name, node in sections.get("contracts", {}).items()
    }
    check_devices(contracts, sections.get("contracts", {}))
    joined = _joined(files)
    return Catalog(
        operator=operator,
        meters=meters,
        plans=plans,
        accounts=accounts,
        contracts=contracts,
        text=joined,
        hash=hashlib.sha256(joined.encode()).hexdigest(),
    )


def _parsed(name: str, content: str) -> Node:
    if len(content.encode()) > CATALOG_BYTES_MAX:
        raise CatalogError(f"{name}:1: the catalog is larger than {CATALOG_BYTES_MAX} bytes")
    try:
        value = tomllib.loads(content, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        found = _TOML_LINE.search(str(error))
        line = found[1] if found else str(content.count("\n") + 1)
        raise CatalogError(f"{name}:{line}: this is no TOML: {error}") from None
    return Node(value=value, path=(), file=name, lines=places(content))


def _sections(roots: Mapping[str, Node]) -> dict[str, dict[str, Node]]:
    """Every section's entries by name; the operator is the one entry named ""."""
    sections: dict[str, dict[str, Node]] = {}
    for root in roots.values():
        for key, node in Fields.of(root, SECTIONS).nodes.items():
            entries = {"": node} if key == "operator" else node.table()
            for name, entry in entries.items():
                if key != "operator" and _NAME.fullmatch(name) is None:
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
    fields = Fields.of(node, *OPERATOR_KEYS)
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
    )


def _meter(node: Node) -> Meter:
    fields = Fields.of(node, *METER_KEYS)
    aggregate = fields.need("aggregate", choice(Aggregate))
    if aggregate not in SUPPORTED_AGGREGATES:
        fields["aggregate"].refuse(f'aggregate = "{aggregate.value}" is not supported yet')
    return Meter(name=str(node.path[-1]), unit=fields.need("unit", text), aggregate=aggregate)


def _account(node: Node) -> Account:
    fields = Fields.of(node, *ACCOUNT_KEYS)
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
    )


def _locale(node: Node) -> str:
    name = text(node)
    if _LOCALE.fullmatch(name) is None:
        node.refuse(f'"{name}" is no locale: write a language and a country, such as fi_FI')
    return name
