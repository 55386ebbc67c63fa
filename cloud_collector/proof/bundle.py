"""The files of an evidence bundle: made from facts, and read back with every rule of their form (P12).

Pure. Source: docs/reference/wire.md, section 7. No file says anything that is not sealed, hashed by
what is sealed, or made again from the others and compared.
"""

import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from cloud_collector.proof.container import pack, unpack
from shared.errors import InvalidRecord, Refused
from shared.key import PublicKey
from shared.kinds import Header
from shared.line import Body

LogName = tuple[str, str]
"""(gateway, log)."""

INVOICE_FILE: Final = "invoice.ms"
CATALOG_FILE: Final = "catalog.toml"
KEYS_FILE: Final = "keys.json"
README_FILE: Final = "README.txt"
PAPER_FILE: Final = "invoice.pdf"
PAGE_FILE: Final = "verify.html"
VOIDED_FILE: Final = "voided.ms"
_OLDER_CATALOG: Final = re.compile(r"catalog\.([1-9][0-9]{0,8})\.toml", re.ASCII)
_LINES: Final = re.compile(r"lines/([a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?)\.([a-z0-9_.-]{1,32})\.ms", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayKey:
    """A key that signed lines of a gateway."""

    gateway: str
    key: PublicKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """An invoice and what it rests on, as bytes; nothing in it is trusted yet."""

    invoice: bytes
    catalog: bytes = b""
    """The newest revision that it was rated with."""
    older: Mapping[int, bytes] = field(default_factory=dict)
    """Further revisions by number."""
    lines: Mapping[LogName, tuple[bytes, ...]] = field(default_factory=dict)
    keys: bytes
    readme: bytes
    paper: bytes | None = None
    """The printed invoice. It is not sealed: it follows from the invoice, or it does not."""
    page: bytes | None = None
    """The page that checks a bundle in a browser. It is not sealed either."""
    voided: bytes | None = None
    """Of a credit note that takes an invoice back: that invoice, on which alone it rests."""


def to_zip(bundle: Bundle) -> bytes:
    """The bundle's file; the same bundle makes the same bytes (P15)."""
    files = {README_FILE: bundle.readme, INVOICE_FILE: bundle.invoice}
    files |= {} if bundle.paper is None else {PAPER_FILE: bundle.paper}
    files |= {} if bundle.page is None else {PAGE_FILE: bundle.page}
    if bundle.voided is not None:
        return pack(files | {VOIDED_FILE: bundle.voided, KEYS_FILE: bundle.keys})
    files[CATALOG_FILE] = bundle.catalog
    files |= {f"catalog.{number}.toml": content for number, content in sorted(bundle.older.items())}
    files[KEYS_FILE] = bundle.keys
    for (gateway, log), lines in sorted(bundle.lines.items()):
        files[f"lines/{gateway}.{log}.ms"] = b"".join(line + b"\n" for line in lines)
    return pack(files)


def from_zip(raw: bytes) -> Bundle | Refused:
    """Read a bundle's file: the one zip form, every file that belongs, none that does not, in their order."""
    files = unpack(raw)
    if isinstance(files, Refused):
        return files
    basis = VOIDED_FILE if VOIDED_FILE in files else CATALOG_FILE
    for name in (README_FILE, INVOICE_FILE, basis, KEYS_FILE):
        if name not in files:
            return Refused(f"the bundle lacks {name}")
    older: dict[int, bytes] = {}
    lines: dict[LogName, tuple[bytes, ...]] = {}
    for name, content in files.items():
        if match := _OLDER_CATALOG.fullmatch(name):
            older[int(match[1])] = content
        elif match := _LINES.fullmatch(name):
            if not content.endswith(b"\n"):
                return Refused(f"{name} does not end with a line break")
            lines[match[1], match[2]] = tuple(content[:-1].split(b"\n"))
        elif name not in (README_FILE, INVOICE_FILE, PAPER_FILE, PAGE_FILE, basis, KEYS_FILE):
            return Refused(f"the bundle holds {name}, which belongs to no bundle")
    bundle = Bundle(
        invoice=files[INVOICE_FILE],
        catalog=files.get(CATALOG_FILE, b""),
        older=older,
        lines=lines,
        keys=files[KEYS_FILE],
        readme=files[README_FILE],
        paper=files.get(PAPER_FILE),
        page=files.get(PAGE_FILE),
        voided=files.get(VOIDED_FILE),
    )
    return bundle if to_zip(bundle) == raw else Refused("the files of the bundle are not in their order")


def write_keys(operator: PublicKey, gateways: Sequence[GatewayKey], headers: Sequence[Header]) -> bytes:
    """keys.json: whose key each is, and from and until which positions of this bundle it signs."""
    signed: dict[tuple[str, str], dict[tuple[str, str], list[int]]] = defaultdict(dict)
    for header in headers:
        logs = signed[header.gateway, header.key]
        stretch = logs.setdefault((header.log, header.epoch), [header.seq, header.seq])
        stretch[:] = [min(stretch[0], header.seq), max(stretch[1], header.seq)]
    rows = [
        {
            "gateway": row.gateway,
            "key": row.key.id,
            "pem": row.key.pem,
            "words": row.key.words,
            "signs": [
                {"log": log, "epoch": epoch, "from": first, "until": last}
                for (log, epoch), (first, last) in sorted(signed[row.gateway, row.key.id].items())
            ],
        }
        for row in sorted(gateways, key=lambda row: (row.gateway, row.key.id))
    ]
    head = {"key": operator.id, "pem": operator.pem, "words": operator.words}
    return (json.dumps({"operator": head, "gateways": rows}, indent=1) + "\n").encode("ascii")


def read_keys(raw: bytes) -> tuple[PublicKey, tuple[GatewayKey, ...]] | Refused:
    """The keys of keys.json; that every other word of it is right is shown by writing it again."""
    try:
        parsed: Body = json.loads(raw.decode("ascii"))
        operator = PublicKey.from_pem(parsed["operator"]["pem"])
        gateways = tuple(
            GatewayKey(gateway=row["gateway"], key=PublicKey.from_pem(row["pem"])) for row in parsed["gateways"]
        )
        if not all(type(row.gateway) is str for row in gateways):
            return Refused("keys.json names a gateway that is no text")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, InvalidRecord) as error:
        return Refused(f"keys.json cannot be read: {error}")
    return operator, gateways


def write_readme(body: Body, *, paper: bool = False, page: bool = False) -> bytes:
    """README.txt: for whoever opens the zip and has never heard of it."""
    if "voids" in body:
        return _README_OF_A_VOID.format(
            number=body["number"],
            operator=body["operator"]["name"],
            account=body["account"]["name"],
            voided=body["voids"]["number"],
            reason=body["voids"]["reason"],
            total=body["total"],
            currency=body["currency"],
            paper=(_PAPER if paper else "") + (_PAGE if page else ""),
            open_page=_OPEN_PAGE if page else "",
        ).encode()
    older = [row["revision"] for row in body["catalog"][1:]]
    return _README.format(
        number=body["number"],
        operator=body["operator"]["name"],
        account=body["account"]["name"],
        start=body["period"]["start"],
        end=body["period"]["end"],
        total=body["total"],
        currency=body["currency"],
        revision=body["catalog"][0]["revision"],
        paper=(_PAPER if paper else "") + (_PAGE if page else ""),
        open_page=_OPEN_PAGE if page else "",
        older="".join(
            f"  catalog.{number}.toml      revision {number}, whose prices it also used\n" for number in older
        ),
    ).encode()


_PAPER: Final = """\
  invoice.pdf         the same invoice to read and to pay, with the electronic invoice inside; it is not
                      sealed: where verify-invoice can make it again, it says whether it is the same
"""
_PAGE: Final = """\
  verify.html         checks this zip in a browser: signatures, chain, counters and sums, not the prices
"""
_OPEN_PAGE: Final = """\
Without installing anything: copy verify.html out of this zip, open it in a browser, also without a
network, and choose this zip there.

"""
_README: Final = """\
Evidence for invoice {number}
{operator} to {account}
{start} to {end}, total {total} {currency}

Check it yourself, without network and without trusting anyone's word:

  pip install meterseal
  verify-invoice THIS.zip --trust OPERATOR --trust GATEWAY [--trust GATEWAY ...]

OPERATOR and GATEWAY are fingerprints, or their words, that you have from somewhere else than
this file: from your contract, and from the label or the screen of each gateway.

{open_page}What is in here:

  invoice.ms          the invoice, sealed with the operator's key
{paper}  catalog.toml        revision {revision} of the prices and contracts, byte for byte
{older}  keys.json           the public keys, whose they are, and which lines here they sign
  lines/              the meter reports that the invoice rests on, each signed by its gateway

Not in this version: checkpoints.ms, proofs.json.

Every byte of this zip is checked. Packing it anew changes its structure, and that is found too.
"""
_README_OF_A_VOID: Final = """\
Evidence for credit note {number}
{operator} to {account}
takes back invoice {voided} in full, total {total} {currency}: {reason}

Check it yourself, without network and without trusting anyone's word:

  pip install meterseal
  verify-invoice THIS.zip --trust OPERATOR

OPERATOR is a fingerprint, or its words, that you have from somewhere else than this file: from your contract.

{open_page}What is in here:

  invoice.ms          the credit note, sealed with the operator's key
{paper}  voided.ms           the invoice that it takes back, sealed; what that one rests on is in its own bundle
  keys.json           the operator's public key

Every byte of this zip is checked. Packing it anew changes its structure, and that is found too.
"""
