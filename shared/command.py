"""MC1 and MA1: what the collector may ask of a gateway, and what the gateway answers (P10).

Source: docs/reference/wire.md, section 5. A command is one of five records; there is no remote shell,
no code and no free text among them. Whether a counter is new and an epoch current is the gateway's
to judge; what one line alone can break is refused here.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, cast

from shared.errors import InvalidRecord, Refused
from shared.grammar import (
    GATEWAY_PATTERN,
    HEX8_PATTERN,
    KEY_ID_PATTERN,
    NAME_PATTERN,
    SIGNATURE_PATTERN,
    listed,
    require,
    require_integer,
    require_keys,
    require_match,
    require_plain,
)
from shared.key import PublicKey, SigningKey
from shared.limits import LINE_INTERVALS_MAX, STEP_SECONDS_MAX, TIME_SECONDS_MAX, WHY_CHARS_MAX
from shared.line import Body, Line, read_body, seal


@dataclass(frozen=True, slots=True, kw_only=True)
class Resend:
    """Send the lines `first` to `last` of a log's epoch again."""

    log: str
    epoch: str
    first: int
    last: int

    def __post_init__(self) -> None:
        require_match(NAME_PATTERN, self.log, "log")
        require_match(HEX8_PATTERN, self.epoch, "epoch")
        require_integer(self.first, "seq[0]", 1)
        require_integer(self.last, "seq[1]", self.first)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadNow:
    """Read every source at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RotateKey:
    """Make the gateway's next key and announce it in a `rotate` line of each log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetInterval:
    """Cut windows of `count` intervals of `step` seconds from the next window on."""

    step: int
    count: int

    def __post_init__(self) -> None:
        require_integer(self.step, "step", 1, STEP_SECONDS_MAX)
        require_integer(self.count, "count", 1, LINE_INTERVALS_MAX)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustKey:
    """Trust `next` as the operator's receipt or recovery key; `proof` is its own signature."""

    next: str
    proof: str

    def __post_init__(self) -> None:
        require(type(self.next) is str, "next is no text")
        PublicKey.from_text(self.next)
        require_match(SIGNATURE_PATTERN, self.proof, "proof")

    @property
    def public(self) -> PublicKey:
        """The key that is to be trusted."""
        return PublicKey.from_text(self.next)


Order = Resend | ReadNow | RotateKey | SetInterval | TrustKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One order to one gateway; `counter` rises with each, `at` is in Unix seconds."""

    gateway: str
    key: str
    epoch: str
    counter: int
    at: int
    do: Order

    def __post_init__(self) -> None:
        require_match(GATEWAY_PATTERN, self.gateway, "gateway")
        require_match(KEY_ID_PATTERN, self.key, "key")
        require_match(HEX8_PATTERN, self.epoch, "epoch")
        require_integer(self.counter, "counter", 1)
        require_integer(self.at, "at", 0, TIME_SECONDS_MAX)
        require(type(self.do) in _NAME_OF, "do is no order")
        if isinstance(self.do, TrustKey):
            statement = trust_statement(self.gateway, self.epoch, self.counter, self.do.next)
            signature = urlsafe_b64decode(self.do.proof + "==")
            proven = PublicKey.from_text(self.do.next).verifies(statement, signature)
            require(proven, "proof is not the next key's signature")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What became of the command with this counter; `why` says in plain text why not."""

    gateway: str
    key: str
    counter: int
    at: int
    ok: bool
    why: str

    def __post_init__(self) -> None:
        require_match(GATEWAY_PATTERN, self.gateway, "gateway")
        require_match(KEY_ID_PATTERN, self.key, "key")
        require_integer(self.counter, "counter", 1)
        require_integer(self.at, "at", 0, TIME_SECONDS_MAX)
        require(type(self.ok) is bool, "ok is neither true nor false")
        require_plain(self.why, "why", WHY_CHARS_MAX)


def trust_statement(gateway: str, epoch: str, counter: int, next_key: str) -> bytes:
    """The bytes that the operator's next key signs to prove that its holder agrees."""
    return f"MC1-trust_key|{gateway}|{epoch}|{counter}|{next_key}".encode()


def trust_order(gateway: str, epoch: str, counter: int, key: SigningKey) -> TrustKey:
    """The order to trust this key, proven by the key itself."""
    proof = key.sign(trust_statement(gateway, epoch, counter, key.public.text))
    return TrustKey(next=key.public.text, proof=urlsafe_b64encode(proof).rstrip(b"=").decode())


def name_of(order: Order) -> str:
    """What stands in `do`."""
    return _NAME_OF[type(order)]


def details_of(order: Order) -> Body:
    """What stands in `with`."""
    return _with_of(order)


def order_of(name: object, details: object) -> Order:
    """The order that `do` and `with` spell; raises InvalidRecord."""
    return _read_order(name, details)


def seal_command(command: Command, key: SigningKey) -> bytes:
    """Seal a command under the operator's key that it names; raises InvalidRecord."""
    require(command.key == key.public.id, "the command names another key than the one that signs")
    body = {
        "gateway": command.gateway,
        "key": command.key,
        "epoch": command.epoch,
        "counter": command.counter,
        "at": command.at,
        "do": _NAME_OF[type(command.do)],
        "with": _with_of(command.do),
    }
    return seal("MC1", body, key)


def seal_answer(answer: Answer, key: SigningKey) -> bytes:
    """Seal an answer under the gateway's key that it names; raises InvalidRecord."""
    require(answer.key == key.public.id, "the answer names another key than the one that signs")
    return seal("MA1", {name: getattr(answer, name) for name in Answer.__slots__}, key)


def read_command(line: Line) -> Command | Refused:
    """Read a verified MC1 line; what breaks a rule is refused with a plain reason."""
    if line.tag != "MC1":
        return Refused(f"a command begins with MC1, not with {line.tag}")
    body = read_body(line)
    if isinstance(body, Refused):
        return body
    try:
        require_keys(body, _COMMAND_KEYS)
        head = {name: body[name] for name in ("gateway", "key", "epoch", "counter", "at")}
        return Command(**head, do=_read_order(body["do"], body["with"]))
    except InvalidRecord as error:
        return Refused(str(error))


def read_answer(line: Line) -> Answer | Refused:
    """Read a verified MA1 line; what breaks a rule is refused with a plain reason."""
    if line.tag != "MA1":
        return Refused(f"an answer begins with MA1, not with {line.tag}")
    body = read_body(line)
    if isinstance(body, Refused):
        return body
    try:
        require_keys(body, frozenset(Answer.__slots__))
        return Answer(**body)
    except InvalidRecord as error:
        return Refused(str(error))


def _with_of(order: Order) -> Body:
    match order:
        case Resend():
            return {"log": order.log, "epoch": order.epoch, "seq": [order.first, order.last]}
        case SetInterval():
            return {"step": order.step, "count": order.count}
        case TrustKey():
            return {"next": order.next, "proof": order.proof}
        case ReadNow() | RotateKey():
            return {}


def _read_order(name: object, details: object) -> Order:
    require(type(name) is str and name in _READERS, f"do is none of {', '.join(_READERS)}")
    require(type(details) is dict, "with is no object")
    keys, reader = _READERS[str(name)]
    body = cast("Body", details)
    require_keys(body, keys, "with")
    return reader(body)


def _read_resend(body: Body) -> Order:
    first, last = listed(body["seq"], "seq", 2)
    return Resend(log=body["log"], epoch=body["epoch"], first=first, last=last)


_COMMAND_KEYS: Final = frozenset(("gateway", "key", "epoch", "counter", "at", "do", "with"))
_READERS: Final[dict[str, tuple[frozenset[str], Callable[[Body], Order]]]] = {
    "resend": (frozenset(("log", "epoch", "seq")), _read_resend),
    "read_now": (frozenset(), lambda _: ReadNow()),
    "rotate_key": (frozenset(), lambda _: RotateKey()),
    "set_interval": (frozenset(("step", "count")), lambda body: SetInterval(**body)),
    "trust_key": (frozenset(("next", "proof")), lambda body: TrustKey(**body)),
}
_NAME_OF: Final[dict[type, str]] = {
    Resend: "resend",
    ReadNow: "read_now",
    RotateKey: "rotate_key",
    SetInterval: "set_interval",
    TrustKey: "trust_key",
}
