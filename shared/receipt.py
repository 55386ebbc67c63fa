"""MR1: what the collector holds durably, signed after its commit (P6, P7).

Source: docs/reference/wire.md, section 4.
"""

from dataclasses import dataclass

from shared.errors import InvalidRecord, Refused
from shared.key import SigningKey
from shared.limits import INTEGER_MAX, RECEIPT_ASIDE_MAX, RECEIPT_MISSING_MAX
from shared.line import HASH_PATTERN, Line, read_body, seal
from shared.report import GATEWAY_PATTERN, HEX8_PATTERN, KEY_ID_PATTERN, NAME_PATTERN


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
        for pattern, value, place in (
            (GATEWAY_PATTERN, self.gateway, "gateway"),
            (NAME_PATTERN, self.log, "log"),
            (KEY_ID_PATTERN, self.key, "key"),
            (HEX8_PATTERN, self.epoch, "epoch"),
        ):
            if type(value) is not str or not pattern.fullmatch(value):
                raise InvalidRecord(f"{place} is {str(value)[:48]!r}, which does not fit {pattern.pattern}")
        _integer(self.through, "through", 0)
        if self.through == 0 and self.head != "":
            raise InvalidRecord("head must be empty where through is 0")
        if self.through > 0 and (type(self.head) is not str or not HASH_PATTERN.fullmatch(self.head)):
            raise InvalidRecord("head is no hash of a line")
        if len(self.missing) > RECEIPT_MISSING_MAX:
            raise InvalidRecord(f"missing has more than {RECEIPT_MISSING_MAX} ranges")
        last = self.through
        for first, end in self.missing:
            _integer(first, "missing first", last + 1)
            _integer(end, "missing last", first)
            last = end
        if len(self.aside) > RECEIPT_ASIDE_MAX:
            raise InvalidRecord(f"aside has more than {RECEIPT_ASIDE_MAX} hashes")
        for name in self.aside:
            if type(name) is not str or not HASH_PATTERN.fullmatch(name):
                raise InvalidRecord("aside holds what is no hash of a line")
        _integer(self.at, "at", 0)


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
    names = set(Receipt.__slots__)
    if body.keys() != names:
        return Refused(f"a receipt's keys are {', '.join(Receipt.__slots__)}")
    missing, aside = body["missing"], body["aside"]
    if type(missing) is not list or type(aside) is not list:
        return Refused("missing and aside must be lists")
    if not all(type(hole) is list and len(hole) == 2 for hole in missing):
        return Refused("missing must hold pairs")
    try:
        return Receipt(**(body | {"missing": tuple((a, b) for a, b in missing), "aside": tuple(aside)}))
    except InvalidRecord as error:
        return Refused(str(error))


def _integer(value: object, place: str, least: int) -> None:
    if type(value) is not int or not least <= value <= INTEGER_MAX:
        raise InvalidRecord(f"{place} is {str(value)[:48]}, not an integer from {least}")
