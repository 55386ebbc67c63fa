"""Those who mean harm: a gateway with an enrolled key that contradicts itself, and one that nobody knows (P21)."""

import random
from collections.abc import Callable
from typing import Final

from shared.key import SigningKey
from shared.line import hash_of, seal
from shared.payload import pack
from shared.report import Birth, Cause, Channel, Clock, Header, Usage, UsageRow, body_of, seal_report
from shared.topic import Leaf, topic_of
from tests.simulation.clocks import true_utc_ms
from tests.simulation.simloop import SimLoop

CONFIG: Final = hash_of(b"nobody's configuration")
Send = Callable[[str, bytes], None]


class Rogue:
    """A gateway that is no agent: it seals what it likes under its own key."""

    def __init__(self, name: str, seed: int, loop: SimLoop, send: Send, *, device: str = "d0") -> None:
        self.name = name
        self.device = device
        self.draw = random.Random(f"rogue {name} {seed}")
        self.key = SigningKey(self.draw.randbytes(32))
        self._loop = loop
        self._send = send
        self._epoch = f"{self.draw.getrandbits(32):08x}"
        self._seq = 0
        self._prev = ""
        self._register = 0
        self._lines: list[bytes] = []

    def act(self) -> None:
        """Do one of the things that a hostile gateway may do."""
        if not self._lines:
            self._chain(self._birth)
        match self.draw.randrange(7):
            case 0:
                self._chain(lambda header: self._usage(header, self._register, 50))
                self._register += 50
            case 1:  # A register that was counted before.
                self._chain(lambda header: self._usage(header, max(0, self._register - 40), 60))
            case 2:  # A jump that nothing explains.
                self._register += 1_000_000
                self._chain(lambda header: self._usage(header, self._register, 5))
            case 3:  # Another line at a position that is taken.
                header = self._header(max(1, self._seq), self._prev if self._seq > 1 else "")
                self._publish([seal_report(self._usage(header, self.draw.randrange(10**6), 7), self.key)])
            case 4:  # Signed nonsense: negative units, sealed past the constructors.
                header = self._header(self._seq + 1, self._prev)
                body = body_of(self._usage(header, self._register, 1))
                body["rows"][0][5] = [-5] * len(body["rows"][0][5])
                self._take(seal("MS1", body, self.key))
            case 5:  # A signature that is nobody's.
                raw = seal_report(self._usage(self._header(self._seq + 1, self._prev), self._register, 3), self.key)
                self._publish([raw.replace(b'"seq":', b'"seq":1', 1)])
            case _:  # Everything once more, and a line of a chain that does not continue.
                self._publish(self._lines[-8:])
                header = self._header(self._seq + 1, hash_of(b"no such line"))
                self._publish([seal_report(self._usage(header, self._register, 9), self.key)])

    def _chain(self, report: Callable[[Header], Birth | Usage]) -> None:
        self._take(seal_report(report(self._header(self._seq + 1, self._prev)), self.key))

    def _take(self, raw: bytes) -> None:
        self._seq += 1
        self._prev = hash_of(raw)
        self._lines.append(raw)
        self._publish([raw])

    def _publish(self, lines: list[bytes]) -> None:
        if lines:
            self._send(topic_of(self.name, Leaf.REPORT), pack(lines))

    def _header(self, seq: int, prev: str) -> Header:
        return Header(
            gateway=self.name,
            log="main",
            key=self.key.public.id,
            epoch=self._epoch,
            seq=seq,
            prev="" if seq == 1 else prev or self._prev,
            boot="00000001",
            clock=Clock.SYNCHRONISED,
            sealed_at=true_utc_ms(self._loop) // 1000,
        )

    def _birth(self, header: Header) -> Birth:
        channel = Channel(self.device, "energy", "W.h", 0, "sim", "", 0, 0)
        return Birth(
            header=header, agent="rogue 6.6.6", config=CONFIG, cause=Cause.EPOCH, previous=None, channels=(channel,)
        )

    def _usage(self, header: Header, register: int, units: int) -> Usage:
        start = header.sealed_at // 3600 * 3600 - 3600
        row = UsageRow(self.device, "energy", "W.h", 0, register, (units,) + (0,) * 11, {})
        return Usage(header=header, start=start, step=300, count=12, rows=(row,))
