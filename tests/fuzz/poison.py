"""Poison: payloads and topics that nobody should send, bred from sound ones and from kept ones (P8, P9).

Everything is drawn from the one generator that is handed in, so a seed says which poison there was.
"""

import json
import random
import zlib
from collections.abc import Callable, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, Final, NamedTuple

from shared.key import SigningKey
from shared.limits import PAYLOAD_LINES_MAX
from shared.line import hash_of
from shared.report import body_of
from tests.sealing import NOON
from tests.unit.wire_samples import GOLDEN, each_kind, signed

WIRE_CORPUS: Final = Path(__file__).parents[1] / "golden" / "corpus"
NUMBERS: Final = (
    -1, 0, 1, 2, 7, 63, 64, 255, 1_024, 1_025, 1_440, 1_441, 86_400, 86_401, 2**31 - 1, 2**31, 2**32, 2**33 - 1, 2**33,
    2**53 - 1, 2**53, 2**63 - 1, 2**63, -(2**53) + 1, -(2**63), 10**40, NOON, NOON * 1000,
)  # fmt: skip
ODD: Final[tuple[Any, ...]] = (
    None, True, False, 0.5, 1e300, float("nan"), float("-inf"), "", " ", "0", "1970", "a" * 33, "é", "\u2028", "|", "+",
    "#", "../x", "null", "$share", [], {}, [[]], [[[[[]]]]], {"a": 1}, "2" * 400, "A" * 43, "ffffffff",
)  # fmt: skip
KINDS: Final = ("birth", "usage", "gap", "exchange", "clock", "summary", "forgotten", "rotate", "weather", "")
CLOCKS: Final = ("S", "I", "R", "U")
LEVELS: Final = (
    "", "+", "#", "$SYS", "..", "gw-1", "gw-2", "mallory", "report", "response", "GW-1", "gw_1", "a" * 33, "é",
    "\ufffd", "\u0000", "\n", "-gw", "gw-1 ", "%2f", "\u202e", "' or 1=1 --",
)  # fmt: skip
ROWS_MAX: Final = 10_000
STRANGER: Final = SigningKey(b"\x66" * 32)


class Poison(NamedTuple):
    """A message, and how it was made."""

    topic: str
    payload: bytes
    breed: str


class Mallory:
    """An enrolled gateway that means harm; knows everybody's lines, and its own key alone."""

    name: Final = "mallory"

    def __init__(self, draw: random.Random, kept: Sequence[tuple[str, bytes]] = ()) -> None:
        self.draw = draw
        self.key = SigningKey(b"\x6d" * 32)
        self.overheard: list[bytes] = []
        """Lines of others, newest last."""
        self._seeds = [
            ("meterseal/v1/mallory/report", path.read_bytes()) for path in sorted(WIRE_CORPUS.glob("*.payload"))
        ]
        self._seeds += [("meterseal/v1/mallory/report", line.encode()) for line in GOLDEN["reports"]]
        self._seeds += kept
        self._bodies = [body_of(report) for report in each_kind()]
        self._chains: dict[tuple[str, str], list[bytes]] = {}
        self._answers = 0

    @property
    def topic(self) -> str:
        """Where its reports belong."""
        return f"meterseal/v1/{self.name}/report"

    def breed(self) -> Poison:
        """The next poison."""
        how = self.draw.choices(_BREEDS, _SHARES)[0]
        topic, payload = how(self)
        if self.draw.random() < 0.02:
            topic = self.bad_topic()
        return Poison(topic, payload, how.__name__)

    def learn(self, poison: Poison) -> None:
        """What had a new outcome is worth breeding from."""
        if len(poison.payload) <= 4_096:
            self._seeds.append((poison.topic, poison.payload))

    def bytes_at_random(self) -> tuple[str, bytes]:
        """Noise, sometimes with the first byte of a deflated payload or a tag before it."""
        head = self.draw.choice((b"", b"x", b"\x78\x9c", b"\x78\xda", b"MS1|", b"MS1|{", b"MA1|{}|", b"\x1f\x8b"))
        return self.topic, head + self.draw.randbytes(self.draw.choice((0, 1, 5, 86, 300)))

    def bad_topic(self) -> str:
        """A topic that no access list should have let through."""
        if self.draw.random() < 0.05:
            return "meterseal/v1/" + "a" * 60_000 + "/report"
        levels = [self.draw.choice(LEVELS) for _ in range(self.draw.randrange(1, 5))]
        return "/".join(("meterseal", "v1", *levels, "report")[self.draw.randrange(3) :])

    def strange_topic(self) -> tuple[str, bytes]:
        """A sound line under a topic that is none of its."""
        return self.bad_topic(), self._sound()

    def mutant(self) -> tuple[str, bytes]:
        """A seed with bytes changed, cut out, put in or doubled."""
        topic, payload = self.draw.choice(self._seeds)
        raw = bytearray(payload[:70_000])
        for _ in range(self.draw.randrange(1, 6)):
            self._change(raw)
        return topic, bytes(raw)

    def spliced(self) -> tuple[str, bytes]:
        """The beginning of one seed and the end of another."""
        (topic, first), (_, second) = self.draw.choice(self._seeds), self.draw.choice(self._seeds)
        return topic, first[: self.draw.randrange(len(first) + 1)] + second[self.draw.randrange(len(second) + 1) :]

    def deflated(self) -> tuple[str, bytes]:
        """A deflated payload, damaged or not."""
        raw = bytearray(
            zlib.compress(self._sound() if self.draw.random() < 0.5 else self.mutant()[1], self.draw.choice((1, 9)))
        )
        if self.draw.random() < 0.7:
            self._change(raw)
        return self.topic, bytes(raw)

    def bomb(self) -> tuple[str, bytes]:
        """A few kilobytes that would be megabytes."""
        filler = self.draw.choice((b"\0", b"\n", b"MS1|", b"{}", b"["))
        body = self._sound() + b"\n" + filler * (self.draw.choice((300_000, 1_000_000, 8_000_000)) // len(filler))
        packed = zlib.compress(body, 1)
        return self.topic, zlib.compress(packed) if self.draw.random() < 0.2 else packed

    def many_rows(self) -> tuple[str, bytes]:
        """A genuine line of up to ten thousand rows."""
        body = self._header("usage") | {"start": NOON, "step": 60, "count": 1}
        count = self.draw.choice((1_024, 1_025, 3_000, ROWS_MAX))
        row = self.draw.choice(("[]", "0", '["d","m","Wh",0,0,[1]]', "{}"))
        rows = (
            ",".join(f'["d{at}","m","Wh",0,0,[1]]' for at in range(count))
            if row[:3] == '["d'
            else ",".join([row] * count)
        )
        return self.topic, self._signed(_spelled(body)[:-1] + f',"rows":[{rows}]}}')

    def genuine(self) -> tuple[str, bytes]:
        """A line that Mallory really signed, at the next position, with one or two places spoilt."""
        body = self._body()
        for _ in range(self.draw.randrange(3)):
            self._spoil(body)
        return self.topic, self._line(_spelled(body), body)

    def miswritten(self) -> tuple[str, bytes]:
        """A line that Mallory really signed, whose text was changed before."""
        body = self._body()
        text = bytearray(_spelled(body).encode("ascii", "replace"))
        for _ in range(self.draw.randrange(1, 4)):
            self._change(text)
        return self.topic, self._line(text.decode("latin-1"), body)

    def clock_lie(self) -> tuple[str, bytes]:
        """Times that cannot be, in every field that has one."""
        body = self._body()
        for name in ("sealed_at", "start", "offset", "receipted_at"):
            if name in body and self.draw.random() < 0.7:
                body[name] = self.draw.choice(
                    (0, 1, 2**33 - 1, 1 - 2**33, NOON - 10**9, NOON + 10**9, NOON, self.draw.getrandbits(33))
                )
        body["clock"] = self.draw.choice(CLOCKS)
        body["boot"] = f"{self.draw.randrange(6):08x}"
        return self.topic, self._line(_spelled(body), body)

    def replayed(self) -> tuple[str, bytes]:
        """What was sent once, by Mallory or by somebody else, in any order and together."""
        lines = [line for chain in self._chains.values() for line in chain[-40:]] or [self._sound()]
        if self.overheard and self.draw.random() < 0.5:
            lines = self.overheard[-40:]
        taken = [
            self.draw.choice(lines)
            for _ in range(self.draw.choice((1, 1, 3, PAYLOAD_LINES_MAX, PAYLOAD_LINES_MAX + 1)))
        ]
        topic = self.draw.choice((self.topic, self.topic, "meterseal/v1/gw-1/report", "meterseal/v1/gw-x/report"))
        return topic, b"\n".join(taken)

    def forked(self) -> tuple[str, bytes]:
        """Another line at a position that is taken, or a line that follows one that nobody has."""
        body = self._body()
        chain = self._chains.get((body["log"], body["epoch"]), [])
        at = self.draw.randrange(len(chain)) if chain else 0
        follows = self.draw.random() < 0.7
        prev = (hash_of(chain[at - 1]) if at else "") if follows else hash_of(self.draw.randbytes(4))
        return self.topic, self._signed(_spelled(body | {"seq": at + 1, "prev": prev}))

    def far(self) -> tuple[str, bytes]:
        """Positions, covers and losses as far as integers go."""
        body = self._body()
        body["seq"] = self.draw.choice((2, 1_000, 2**31, 2**53 - 1, self.draw.getrandbits(53)))
        body["prev"] = hash_of(self.draw.randbytes(4))
        if "covers" in body:
            first = self.draw.choice((1, 2, self.draw.getrandbits(40)))
            body["covers"] = [[first, body["seq"] - 1, "" if first == 1 else body["prev"], body["prev"]]]
        if "lost" in body:
            body["lost"] = [body["epoch"], 1, body["seq"]]
        return self.topic, self._signed(_spelled(body))

    def forged(self) -> tuple[str, bytes]:
        """Somebody else's line with one byte changed, or his name over Mallory's signature."""
        topic = "meterseal/v1/gw-1/report"
        if self.overheard and self.draw.random() < 0.5:
            raw = bytearray(self.draw.choice(self.overheard[-40:]))
            raw[self.draw.randrange(len(raw))] ^= 1 << self.draw.randrange(7)
            return topic, bytes(raw)
        body = self._body() | {"gateway": "gw-1"}
        return self.draw.choice((topic, self.topic)), signed(
            "MS1", _spelled(body), self.draw.choice((self.key, STRANGER))
        )

    def answer(self) -> tuple[str, bytes]:
        """What pretends to answer a command."""
        self._answers += 1
        body = {
            "gateway": self.name, "key": self.key.public.id, "counter": self._answers, "at": NOON * 1000, "ok": True,
            "why": "",
        }  # fmt: skip
        if self.draw.random() < 0.8:
            body[self.draw.choice(sorted(body))] = self._value()
        raw = bytearray(signed("MA1", _spelled(body), self.key))
        if self.draw.random() < 0.3:
            self._change(raw)
        return self.draw.choice(("meterseal/v1/mallory/response", "meterseal/v1/gw-1/response")), bytes(raw)

    def _sound(self) -> bytes:
        return self._signed(_spelled(self._body()))

    def _body(self) -> dict[str, Any]:
        """A sound body of any kind, at the next position of one of a few chains."""
        body: dict[str, Any] = json.loads(json.dumps(self.draw.choice(self._bodies)))
        return body | self._header(body["kind"])

    def _header(self, kind: str) -> dict[str, Any]:
        epoch, log = self.draw.choice(("0000000a", "0000000b", "0000000c")), self.draw.choice(("main", "flat"))
        chain = self._chains.get((log, epoch), [])
        return {
            "kind": kind, "gateway": self.name, "log": log, "key": self.key.public.id, "epoch": epoch,
            "seq": len(chain) + 1, "prev": hash_of(chain[-1]) if chain else "", "boot": "00000001", "clock": "S",
            "sealed_at": NOON + len(chain),
        }  # fmt: skip

    def _line(self, text: str, body: dict[str, Any]) -> bytes:
        """A line that holds its position in Mallory's memory as in the collector's, where its header is sound."""
        raw = self._signed(text)
        name = (str(body.get("log")), str(body.get("epoch")))
        chain = self._chains.setdefault(name, [])
        if body.get("seq") == len(chain) + 1 and b"\n" not in raw:
            chain.append(raw)
        return raw

    def _signed(self, text: str) -> bytes:
        return signed("MS1", text, self.key)

    def _spoil(self, body: dict[str, Any]) -> None:
        """One place of the body holds something else, or is gone, or stands often."""
        place: Any = body
        while True:
            key = self.draw.choice(sorted(place)) if isinstance(place, dict) else self.draw.randrange(len(place))
            if not isinstance(place[key], dict | list) or not place[key] or self.draw.random() < 0.2:
                break
            place = place[key]
        match self.draw.randrange(8):
            case 0:
                del place[key]
            case 1 if isinstance(place, list):
                place[:] = place * self.draw.choice((2, 64, 65))
            case 2:
                place[key] = [place[key]]
            case _:
                place[key] = self._value()

    def _value(self) -> Any:
        match self.draw.randrange(4):
            case 0:
                # A copy: what is spoilt next may be this very value.
                return deepcopy(self.draw.choice(ODD))
            case 1:
                return self.draw.choice((*KINDS, *CLOCKS, "reset", "glitch", "mallory", "d0", "main"))
            case _:
                return self.draw.choice(NUMBERS)

    def _change(self, raw: bytearray) -> None:
        at = self.draw.randrange(len(raw) + 1)
        match self.draw.randrange(6):
            case 0 if raw:
                raw[at % len(raw)] ^= 1 << self.draw.randrange(8)
            case 1:
                del raw[at : at + self.draw.choice((1, 1, 4, 40))]
            case 2:
                raw[at:at] = self.draw.choice(
                    (b"\n", b"|", b" ", b"\0", b"\\", b'"', b",", b"-", b"[[", b"]", b"\xff", b"\xc3\xa9")
                )
            case 3:
                raw[at : at + 8] = str(self.draw.choice(NUMBERS)).encode()
            case 4:
                raw[at:at] = raw[at : at + self.draw.choice((1, 8, 64, 512))]
            case _:
                raw[at:at] = self.draw.randbytes(self.draw.randrange(4))


_BREEDS: Final[tuple[Callable[[Mallory], tuple[str, bytes]], ...]] = (
    Mallory.mutant, Mallory.spliced, Mallory.deflated, Mallory.strange_topic, Mallory.bytes_at_random, Mallory.genuine,
    Mallory.miswritten, Mallory.clock_lie, Mallory.replayed, Mallory.forked, Mallory.far, Mallory.forged,
    Mallory.answer, Mallory.many_rows, Mallory.bomb,
)  # fmt: skip
_SHARES: Final = (24, 8, 8, 6, 6, 12, 6, 6, 6, 5, 4, 6, 4, 0.15, 0.3)


def _spelled(body: dict[str, Any]) -> str:
    """Compact, as the wire has it; what JSON has no word for stands as Python writes it."""
    return json.dumps(body, separators=(",", ":"))
