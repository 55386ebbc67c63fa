"""Sound lines, records and payloads for the wire's tests; keys are those of golden/wire.json."""

import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from shared.key import SigningKey
from shared.line import Line, hash_of, parse
from shared.report import (
    Birth,
    Cause,
    Channel,
    Clock,
    ClockLine,
    Cover,
    Exchange,
    ExchangeRow,
    Forgotten,
    Gap,
    GapCause,
    GapRow,
    Header,
    Lost,
    Position,
    Report,
    Rotate,
    Summary,
    Usage,
    UsageRow,
    Verdict,
    rotation_statement,
)

GOLDEN: Final[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "golden" / "wire.json").read_text(encoding="utf-8")
)
GATEWAY_KEY: Final = SigningKey(bytes.fromhex(GOLDEN["gateway"]["seed_hex"]))
COLLECTOR_KEY: Final = SigningKey(bytes.fromhex(GOLDEN["collector"]["seed_hex"]))
NEXT_KEY: Final = SigningKey(bytes.fromhex(GOLDEN["gateway_next"]["seed_hex"]))
HASH: Final = hash_of(b"any line")
START: Final = 1_793_749_800


def header(**changes: Any) -> Header:
    """A header at seq 1, changed where told."""
    fields: dict[str, Any] = {
        "gateway": "gw-1",
        "log": "main",
        "key": GATEWAY_KEY.public.id,
        "epoch": "5f2c91aa",
        "seq": 1,
        "prev": "",
        "boot": "b7e1c09d",
        "clock": Clock.SYNCHRONISED,
        "sealed_at": START,
    }
    return Header(**(fields | changes))


def usage(*rows: UsageRow, count: int = 3, **changes: Any) -> Usage:
    """A usage line of these rows."""
    fields: dict[str, Any] = {"header": header(), "start": START, "step": 60, "count": count, "rows": rows}
    return Usage(**(fields | changes))


def usage_row(**changes: Any) -> UsageRow:
    """One channel's three intervals."""
    return UsageRow("meter-0", "energy", "Wh", 0, 100, (1, 0, 2), {})._replace(**changes)


def each_kind() -> list[Report]:
    """One record of every kind."""
    late = header(seq=9, prev=HASH)
    return [
        Birth(
            header=late,
            agent="meterseal 0.1.0",
            config=HASH,
            cause=Cause.EPOCH,
            previous=Position("00000001", 8, HASH),
            channels=(
                Channel("meter-0", "energy", "Wh", -3, "modbus", "SN (1)", 5, 7),
                Channel("meter-1", "energy", "Wh", 0, "modbus", "", 0, None),
            ),
        ),
        usage(usage_row(), usage_row(device="meter-1", notes={0: Verdict.RESET, 2: Verdict.MISSING})),
        Gap(
            header=late,
            rows=(
                GapRow("meter-0", "energy", START, START + 60, GapCause.SOURCE_DOWN, 5, 7),
                GapRow("meter-1", "energy", START, START + 60, GapCause.CLOCK, None, None),
            ),
        ),
        Exchange(header=late, rows=(ExchangeRow("meter-0", "energy", "A", None, "B", 14, 100),)),
        ClockLine(header=late, offset=START - 600),
        Summary(
            header=late,
            covers=(Cover(1, 3, "", HASH), Cover(5, 8, HASH, HASH)),
            start=START - START % 3_600,
            step=3_600,
            count=3,
            rows=(usage_row(),),
        ),
        Forgotten(header=late, lost=Lost("00000001", 2, 5), receipted_at=START * 1000),
        rotation(late),
    ]


def rotation(place: Header) -> Rotate:
    """A rotate line at this place, to NEXT_KEY."""
    name = NEXT_KEY.public.text
    proof = urlsafe_b64encode(NEXT_KEY.sign(rotation_statement(place, name))).rstrip(b"=").decode()
    return Rotate(header=place, next=name, proof=proof)


def signed(tag: str, text: str, key: SigningKey = GATEWAY_KEY) -> bytes:
    """A genuine signature over any body's text, also over one that no writer would write."""
    message = f"{tag}|{text}".encode()
    return message + b"|" + urlsafe_b64encode(key.sign(message)).rstrip(b"=")


def line_of(tag: str, body: Mapping[str, Any] | str, key: SigningKey = GATEWAY_KEY) -> Line:
    """A well-shaped line around any body."""
    text = body if isinstance(body, str) else json.dumps(body, separators=(",", ":"))
    line = parse(signed(tag, text, key))
    assert isinstance(line, Line), line
    return line
