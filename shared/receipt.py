"""MR1: what the collector holds durably, signed after its commit (P6, P7).

Source: docs/reference/wire.md, section 4.
"""

from dataclasses import dataclass

from shared.errors import InvalidRecord, Refused
from shared.grammar import (
    GATEWAY_PATTERN,
    HASH_PATTERN,
    HEX8_PATTERN,
    KEY_ID_PATTERN,
    NAME_PATTERN,
    listed,
    require,
    require_integer,
    require_keys,
    require_match,
)
from shared.key import SigningKey
from shared.limits import RECEIPT_ASIDE_MAX, RECEIPT_MISSING_MAX
from shared.line import Line, read_body, seal


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """Every line of (gateway, log, epoch) with seq ≤ `through` is durable; `head` is that line's hash.

    `missing` asks for holes above `through`; `aside` lists genuine lines kept beside the chain; `at`
    is in milliseconds and strictly increases per gateway and log. `through` 0 has an empty head.
    """

    gateway: str
    log: str
    key: str
    epoch: str
    through: int
    head: str
    missing: tuple[tuple[int, int], ...]
    aside: tuple[str, ...]
    at: int

    def __post_init__(self) -> None:
        require_match(GATEWAY_PATTERN, self.gateway, "gateway")
        require_match(NAME_PATTERN, self.log, "log")
        require_match(KEY_ID_PATTERN, self.key, "key")
        require_match(HEX8_PATTERN, self.epoch, "epoch")
        require_integer(self.through, "through", 0)
        if self.through == 0:
            require(self.head == "", "head must be empty where through is 0")
        else:
            require_match(HASH_PATTERN, self.head, "head")
        require(len(self.missing) <= RECEIPT_MISSING_MAX, f"missing has more than {RECEIPT_MISSING_MAX} ranges")
        last = self.through
        for first, end in self.missing:
            require_integer(first, "missing first", last + 1)
            require_integer(end, "missing last", first)
            last = end
        require(len(self.aside) <= RECEIPT_ASIDE_MAX, f"aside has more than {RECEIPT_ASIDE_MAX} hashes")
        for name in self.aside:
            require_match(HASH_PATTERN, name, "aside")
        require_integer(self.at, "at", 0)


def seal_receipt(receipt: Receipt, key: SigningKey) -> bytes:
    """Seal a receipt under the collector's key; raises InvalidRecord where it names another."""
    if receipt.key != key.public.id:
        raise InvalidRecord("the receipt names another key than the one that signs")
    body = {
        "gateway": receipt.gateway,
        "log": receipt.log,
        "key": receipt.key,
        "epoch": receipt.epoch,
        "through": receipt.through,
        "head": receipt.head,
        "missing": [list(hole) for hole in receipt.missing],
        "aside": list(receipt.aside),
        "at": receipt.at,
    }
    return seal("MR1", body, key)


def read_receipt(line: Line) -> Receipt | Refused:
    """Read a verified MR1 line; what breaks a rule is refused with a plain reason."""
    if line.tag != "MR1":
        return Refused(f"a receipt begins with MR1, not with {line.tag}")
    body = read_body(line)
    if isinstance(body, Refused):
        return body
    try:
        require_keys(body, frozenset(Receipt.__slots__))
        missing, aside = body["missing"], body["aside"]
        require(type(missing) is list and type(aside) is list, "missing and aside must be lists")
        holes = [listed(hole, "a range of missing", 2) for hole in missing]
        return Receipt(**(body | {"missing": tuple((a, b) for a, b in holes), "aside": tuple(aside)}))
    except InvalidRecord as error:
        return Refused(str(error))
