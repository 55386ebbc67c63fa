"""Poison from a stranger against the real collector: the next good line is always answered (P8, P9, P10)."""

import base64
import gzip
import json
import random
import time
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from nacl.signing import SigningKey

from tests.requirements import require
from tests.system.conformance.gateway import Chain
from tests.system.conformance.lines import Body, Identity, pack, seal, spelled
from tests.system.conformance.site import CollectorSite, Sender, collector_site

pytestmark = pytest.mark.system

T0 = int(time.time()) // 86_400 * 86_400 - 86_400
"""Midnight UTC of yesterday."""
NOISE = random.Random(3).randbytes(300_000)
STRANGER = Identity("stranger", SigningKey(b"\x63" * 32))
"""Somebody else under the same name."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CollectorSite]:
    require("mosquitto")
    with collector_site(tmp_path_factory.mktemp("poison")) as site:
        site.enrol("stranger", 7)
        site.start()
        yield site


@pytest.fixture(scope="module")
def gateway(site: CollectorSite) -> Sender:
    return site.sender("stranger")


@pytest.fixture(scope="module")
def chain(gateway: Sender) -> Chain:
    """A healthy chain that must grow past everything."""
    chain = Chain(gateway.owner, "healthy", "0000e001")
    gateway.send(chain.birth(T0, {"healthy": 0}))
    return chain


def good(chain: Chain) -> bytes:
    return chain.usage(T0 + 60 * chain.seq, {"healthy": [1]})


def dictionary(line: bytes) -> bytes:
    squeezer = zlib.compressobj(zdict=line[:200])
    return squeezer.compress(line) + squeezer.flush()


def raw_deflate(line: bytes) -> bytes:
    squeezer = zlib.compressobj(wbits=-15)
    return squeezer.compress(line) + squeezer.flush()


def malleable(line: bytes) -> list[bytes]:
    """Other spellings of the same signature."""
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = alphabet.index(line[-1:])
    order = 2**252 + 27742317777372353535851937790883648493
    signature = base64.urlsafe_b64decode(line[-86:] + b"==")
    higher = signature[:32] + (int.from_bytes(signature[32:], "little") + order).to_bytes(32, "little")
    standard = line[:-86] + line[-86:].replace(b"-", b"+").replace(b"_", b"/")
    return [
        *(line[:-1] + alphabet[last + more : last + more + 1] for more in (1, 2, 15)),
        line + b"==",
        line + b" ",
        *([standard] if standard != line else []),
        line[:-86] + base64.urlsafe_b64encode(higher).rstrip(b"="),
    ]


PAYLOADS: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "one line feed": lambda _: b"\n",
    "noise": lambda _: NOISE[:1000],
    "not UTF-8": lambda line: line.replace(b"stranger", b"\xff\xfe", 1),
    "no deflate": lambda _: b"\x78" + NOISE[:1000],
    "bomb": lambda line: zlib.compress(line + b"\n" + b"\0" * 40_000_000, 9),
    "nested bomb": lambda _: zlib.compress(zlib.compress(b"\0" * 40_000_000, 9)),
    "oversize plain": lambda line: line + b"\n" + b"a" * (256 * 1024),
    "oversize deflated": lambda line: zlib.compress(line + b"\n" + base64.b64encode(NOISE[:120_000])),
    "trailing bytes": lambda line: zlib.compress(line) + b"x",
    "second stream": lambda line: zlib.compress(line) + zlib.compress(line),
    "cut": lambda line: zlib.compress(line)[:-3],
    "dictionary": dictionary,
    "raw deflate": raw_deflate,
    "gzip": gzip.compress,
    "deflated twice": lambda line: zlib.compress(zlib.compress(line)),
    "33 lines": lambda line: pack(*[line] * 33),
    "33 empty lines": lambda line: line + b"\n" * 33,
}


@pytest.mark.parametrize("name", PAYLOADS)
def test_a_payload_that_breaks_a_bound_says_nothing_and_blocks_nothing(
    gateway: Sender, chain: Chain, name: str
) -> None:
    line = good(chain)
    gateway.throw(PAYLOADS[name](line))
    following = good(chain)
    gateway.send(following)
    gateway.answer(
        "healthy", lambda body: body["through"] == chain.seq - 2 and body["missing"] == [[chain.seq - 1] * 2]
    )
    gateway.send(line)
    gateway.through("healthy", chain.seq, chain.head)


def test_a_signature_has_one_spelling_and_one_key(gateway: Sender, chain: Chain) -> None:
    """P10: nothing of these takes a position, nothing keeps the good line out that travels with them."""
    line = good(chain)
    text = line.decode()
    body = text[4:-87]
    rotten = [
        *malleable(line),
        seal("MS1", body, STRANGER.key),
        seal("MR1", body, gateway.owner.key),
        seal("MS2", body, gateway.owner.key),
        b"MS1|" + seal("MR1", body, gateway.owner.key)[4:],
        line[:-87].replace(b'"log"', b'"lag"') + line[-87:],
        line[:40] + b" " + line[40:],
        line[:-87] + b"|" + b"A" * 86,
        line[:-86],
        line.lower(),
        b"|".join([b"MS1", b"", line[-86:]]),
    ]
    for each in rotten:
        gateway.send(each)
    gateway.send(*rotten, good(chain))
    receipt = gateway.answer("healthy", lambda body: body["missing"] == [[chain.seq - 1] * 2])
    assert receipt["aside"] == []
    gateway.send(line, *rotten)
    receipt = gateway.through("healthy", chain.seq, chain.head)
    assert receipt["aside"] == []


def test_body_and_topic_name_the_same_gateway(site: CollectorSite, gateway: Sender, chain: Chain) -> None:
    """P21: under another's topic nothing is taken, whoever has signed."""
    other = site.enrol("neighbour", 8)
    line = good(chain)
    other.throw(line)
    gateway.throw(line, under="neighbour")
    forged = Chain(Identity("neighbour", gateway.owner.key), "main", "0000e001")
    gateway.throw(forged.birth(T0, {"forged": 0}), under="neighbour")
    mine = Chain(other.owner, "main", "0000e001")
    mine.owner = Identity("stranger", other.owner.key)
    other.throw(mine.birth(T0, {"forged": 0}))
    other.throw(mine.birth(T0, {"forged": 0}), under="stranger")
    gateway.send(good(chain))
    gateway.answer("healthy", lambda body: body["missing"] == [[chain.seq - 1] * 2])
    gateway.send(line)
    gateway.through("healthy", chain.seq, chain.head)
    assert not other.receipts("main")
    assert "forged" not in site.usage("stranger")
    assert not site.ask("gateway", "show", "neighbour")["chains"]


def test_who_is_unknown_is_listed_with_the_nearest_name(site: CollectorSite, gateway: Sender, chain: Chain) -> None:
    unknown = Chain(Identity("strangr", SigningKey(b"\x05" * 32)), "main", "0000e001")
    gateway.throw(unknown.birth(T0, {"unknown": 0}), under="strangr")
    gateway.throw(b"anything", under="nobody-like-it")

    gateway.send(good(chain))
    gateway.through("healthy", chain.seq, chain.head)
    listed = {row["topic"]: row["nearest"] for row in site.ask("unmatched", "list")}
    assert listed["meterseal/v1/strangr/report"] == "stranger"
    assert listed["meterseal/v1/nobody-like-it/report"] == ""


def edited(name: str, value: Any) -> Callable[[Body], str]:
    """The body with one value replaced."""
    return lambda body: json.dumps(body | {name: value}, separators=(",", ":"))


def row_edited(at: int, value: Any) -> Callable[[Body], str]:
    """The body with one value of its first row replaced."""

    def edit(body: Body) -> str:
        row = [*body["rows"][0]]
        row[at] = value
        return json.dumps(body | {"rows": [row, *body["rows"][1:]]}, separators=(",", ":"))

    return edit


CONTENTS: dict[str, Callable[[Body], str]] = {
    "unknown kind": edited("kind", "weather"),
    "unknown key": edited("colour", "blue"),
    "rows no list": edited("rows", {}),
    "a row no list": edited("rows", [7]),
    "rows too many": edited("rows", [[f"d{at}", "energy", "Wh", 0, 0, [1]] for at in range(1025)]),
    "a channel twice": lambda body: spelled(body | {"rows": [body["rows"][0], *body["rows"]]}),
    "step 0": edited("step", 0),
    "step a day and more": edited("step", 86_401),
    "count 0": edited("count", 0),
    "count beside deltas": edited("count", 2),
    "start negative": edited("start", -1),
    "start beyond": edited("start", 2**33),
    "start text": edited("start", "now"),
    "negative delta": row_edited(5, [-1]),
    "delta true": row_edited(5, [True]),
    "delta null": row_edited(5, [None]),
    "delta 2^53": row_edited(5, [2**53]),
    "register 2^53": row_edited(4, 2**53),
    "register and deltas beyond": row_edited(4, 2**53 - 1),
    "register negative": row_edited(4, -5),
    "register text": row_edited(4, "0"),
    "exponent 13": row_edited(3, 13),
    "exponent true": row_edited(3, True),
    "unit a number": row_edited(2, 7),
    "unit unknown": row_edited(2, "furlongz"),
    "device with a slash": row_edited(0, "a/b"),
    "device too long": row_edited(0, "a" * 33),
    "device empty": row_edited(0, ""),
    "device upper case": row_edited(0, "Meter"),
    "intervals too many": row_edited(5, [0] * 1441),
    "deep": row_edited(5, [[[[1]]]]),
    "float": row_edited(5, [1.5]),
    "float in a place that nobody reads": edited("colour", 0.5),
    "exponent notation": lambda body: spelled(body).replace("[1]", "[1e0]"),
    "NaN": row_edited(5, [float("nan")]),
    "Infinity": row_edited(5, [float("inf")]),
    "thousands of digits": lambda body: spelled(body).replace("[1]", f"[{'9' * 5000}]"),
    "blanks": json.dumps,
    "a key twice in the content": lambda body: spelled(body)[:-1] + ',"step":60}',
}


HEADERS: dict[str, Callable[[Body], str]] = {
    "seq 0": edited("seq", 0),
    "seq true": edited("seq", True),
    "seq a float": edited("seq", 2.0),
    "seq text": edited("seq", "2"),
    "seq 2^53": edited("seq", 2**53),
    "seq twice": lambda body: spelled(body)[:-1] + f',"seq":{body["seq"]}}}',
    "epoch long": edited("epoch", "0000e0011"),
    "epoch upper case": edited("epoch", "0000E001"),
    "log with a slash": edited("log", "a/b"),
    "log empty": edited("log", ""),
    "prev no hash": edited("prev", "x" * 43),
    "prev of another spelling": lambda body: edited("prev", body["prev"][:-1] + "B")(body),
    "boot short": edited("boot", "b001"),
    "clock unknown": edited("clock", "X"),
    "key of another": edited("key", STRANGER.key_id),
    "no object": lambda _: "{}",
    "no JSON": lambda _: "{]}",
    "nested without end": lambda _: '{"a":' + "[" * 60_000 + "]" * 60_000 + "}",
}


def test_a_header_that_cannot_be_read_names_no_position(gateway: Sender, chain: Chain) -> None:
    for spoil in HEADERS.values():
        body = chain.window(T0 + 60 * chain.seq, {"healthy": [0]})
        gateway.send(seal("MS1", spoil(body), gateway.owner.key))
    gateway.send(good(chain))
    receipt = gateway.through("healthy", chain.seq, chain.head)
    assert receipt["aside"] == []


def test_rotten_content_takes_its_position_and_no_more(site: CollectorSite, gateway: Sender) -> None:
    """P3, P8: a line whose signature verifies counts in `through`, whatever its content; good rows are accepted."""
    heads = []
    for number, spoil in enumerate(CONTENTS.values()):
        log = f"r{number}"
        chain = Chain(gateway.owner, log, "0000e001")
        gateway.send(chain.birth(T0, {f"bad{log}": 0, f"good{log}": 0}))
        rotten = chain.take(spoil(chain.window(T0, {f"bad{log}": [1], f"good{log}": [5]})))
        gateway.send(rotten)
        gateway.send(chain.usage(T0 + 60, {f"good{log}": [7]}))
        heads.append(chain.head)
    for number, head in enumerate(heads):
        gateway.through(f"r{number}", 3, head)
    shown = site.usage("stranger")
    for number, name in enumerate(CONTENTS):
        good_row, bad_row = shown[f"goodr{number}"], shown[f"badr{number}"]
        assert (name, bad_row["units"] <= (name == "a channel twice")) == (name, True)
        # What the rotten line may have said is set apart, never bridged and never billed.
        assert (name, good_row["units"], good_row["quarantined"]) in ((name, 7, 5), (name, 12, 0))


def test_a_rotten_row_takes_no_good_one_with_it(site: CollectorSite, gateway: Sender) -> None:
    chain = Chain(gateway.owner, "rows", "0000e001")
    gateway.send(chain.birth(T0, {"rotten": 0, "sound": 0}))
    body = chain.window(T0, {"rotten": [1], "sound": [5]})
    gateway.send(chain.take(CONTENTS["negative delta"](body)))
    gateway.through("rows", 2, chain.head)
    shown = site.usage("stranger")
    assert (shown["rotten"]["units"], shown["sound"]["units"]) == (0, 5)


def test_afterwards_the_books_are_in_order(site: CollectorSite) -> None:
    """P8: it never fell over; what it derived it derives again, to the same bytes."""
    assert site.collector.alive()
    assert site.collector.starts == 1
    assert "Traceback" not in site.collector.log.read_text()
    before = site.ask("usage", "show")
    site.ask("audit", as_json=False)
    site.ask("rebuild", as_json=False)
    site.ask("audit", as_json=False)
    assert site.ask("usage", "show") == before
