"""What a stranger's lines come to in the real collector: quarantine, epochs, time, gaps, any order of arrival."""

import hashlib
import random
import time
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from tests.processes import run
from tests.requirements import require
from tests.system.conformance.gateway import Chain
from tests.system.conformance.lines import Body, hash_of, opened
from tests.system.conformance.site import CollectorSite, Holds, Sender, collector_site

pytestmark = pytest.mark.system

T0 = int(time.time()) // 86_400 * 86_400 - 86_400
"""Midnight UTC of yesterday."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CollectorSite]:
    require("mosquitto")
    with collector_site(tmp_path_factory.mktemp("usage")) as site:
        site.enrol("stranger", 7)
        site.start()
        yield site


@pytest.fixture(scope="module")
def gateway(site: CollectorSite) -> Sender:
    return site.sender("stranger")


def rfc(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).isoformat()


def figures(row: Body) -> tuple[int, int, int, int, int]:
    return row["units"], row["unplaced"], row["quarantined"], row["estimated"], row["unknown_gaps"]


def test_zero_windows_gaps_and_births_move_the_register_as_they_say(site: CollectorSite, gateway: Sender) -> None:
    """P3: with both registers a gap is usage, estimated, in proportion to time; without, it is a gap."""
    chain = Chain(gateway.owner, "gaps", "0000e001")
    lines = [
        chain.birth(T0, {"known": 500, "unknown": 100, "idle": 9}),
        chain.usage(T0, {"known": [10, 0], "unknown": [4, 4], "idle": [0, 0]}),
        chain.gap("known", T0 + 120, T0 + 240, 60),
        chain.gap("unknown", T0 + 120, T0 + 240, None, cause="agent_down"),
        chain.usage(T0 + 240, {"known": [1, 1], "unknown": [0, 1], "idle": [0, 0]}),
        chain.birth(T0 + 360, {"known": 572, "unknown": 109, "idle": 9}, cause="config"),
        chain.usage(T0 + 360, {"known": [2], "unknown": [2], "idle": [0]}),
    ]
    gateway.send(*lines, deflate=True)
    gateway.through("gaps", 7, chain.head)
    shown = site.usage("stranger")
    assert figures(shown["known"]) == (74, 0, 0, 60, 0)
    assert figures(shown["unknown"]) == (11, 0, 0, 0, 1)
    assert figures(shown["idle"]) == (0, 0, 0, 0, 0)
    half = site.usage("stranger", "--from", rfc(T0 + 60), "--to", rfc(T0 + 180))
    assert (half["known"]["units"], half["known"]["estimated"]) == (30, True)
    assert [gap["cause"] for gap in half["unknown"]["gaps"]] == ["agent_down"]
    assert (half["idle"]["units"], half["idle"]["gaps"]) == (0, [])


def test_rows_that_contradict_the_register_are_set_apart(site: CollectorSite, gateway: Sender) -> None:
    """P4: overlap, unit changed, unexplained jump; the rest of the same lines counts."""
    chain = Chain(gateway.owner, "rotten", "0000e001")
    names = ("overlap", "unit", "jump", "sound")
    gateway.send(chain.birth(T0, dict.fromkeys(names, 0)), chain.usage(T0, dict.fromkeys(names, (5,))))
    chain.registers["overlap"] -= 3
    chain.registers["jump"] += 1000
    body = chain.window(T0 + 60, dict.fromkeys(names, (7,)))
    body["rows"][1][2] = "kWh"
    gateway.send(chain.take(body), chain.usage(T0 + 120, {"sound": [1]}))
    gateway.through("rotten", 4, chain.head)
    shown = site.usage("stranger")
    assert figures(shown["sound"])[:3] == (13, 0, 0)
    assert shown["overlap"]["units"] == shown["unit"]["units"] == shown["jump"]["units"] == 5
    assert shown["jump"]["quarantined"] >= 7
    why = {row["device"]: row["reason"] for row in site.ask("usage", "quarantine", "stranger")}
    assert "overlaps" in why["overlap"]
    assert "jumps by 1000" in why["jump"]
    assert "unit" in why


def test_a_hole_is_bridged_by_registers_until_it_is_filled(site: CollectorSite, gateway: Sender) -> None:
    chain = Chain(gateway.owner, "bridged", "0000e001")
    lines = [chain.birth(T0, {"bridged": 50}), *(chain.usage(T0 + 60 * at, {"bridged": [9]}) for at in range(4))]
    gateway.send(lines[0], lines[1], lines[4])
    gateway.answer("bridged", lambda body: body["missing"] == [[3, 4]])
    assert figures(site.usage("stranger")["bridged"]) == (36, 0, 0, 18, 0)
    gateway.send(lines[3], lines[2])
    gateway.through("bridged", 5, chain.head)
    assert figures(site.usage("stranger")["bridged"]) == (36, 0, 0, 0, 0)


def test_between_epochs_the_meters_own_register_counts(site: CollectorSite, gateway: Sender) -> None:
    """P1: usage = raw at birth − raw at the end; a gap of unknown amount where negative or impossible."""
    names = ("carried", "fallen", "exchanged", "flying")
    first = Chain(gateway.owner, "epochs", "0000e001")
    lines = [first.birth(T0, dict.fromkeys(names, 1000)), first.usage(T0, dict.fromkeys(names, (5,)))]
    previous = first.last
    unseen = first.usage(T0 + 60, dict.fromkeys(names, (4,)))
    second = Chain(gateway.owner, "epochs", "0000e002", boot="0000b002")
    raws = {"carried": 1105, "fallen": 900, "exchanged": 1105, "flying": 1005 + 10**15}
    body = second.body(
        "birth",
        {
            "agent": "stranger 1",
            "config": hash_of(b""),
            "cause": "epoch",
            "previous": previous,
            "channels": [[n, "energy", "Wh", 0, "stranger", "B2" * (n == "exchanged"), r, r] for n, r in raws.items()],
        },
        sealed_at=T0 + 3600,
    )
    second.registers = dict(raws)
    gateway.send(*lines, second.take(body), second.usage(T0 + 3600, dict.fromkeys(names, (1,))))
    gateway.through("epochs", 2, second.head, epoch="0000e002")
    shown = site.usage("stranger")
    assert figures(shown["carried"]) == (106, 0, 0, 100, 0)
    for name in ("fallen", "exchanged", "flying"):
        assert (name, figures(shown[name])) == (name, (6, 0, 0, 0, 1))
    gateway.send(unseen)  # An old line recomputes what lies between.
    gateway.through("epochs", 3, first.head, epoch="0000e001")
    assert figures(site.usage("stranger")["carried"]) == (106, 0, 0, 96, 0)


def test_epochs_form_one_line_in_any_order_and_a_second_heir_is_a_clone(site: CollectorSite, gateway: Sender) -> None:
    def epoch(number: int, previous: list[object] | None, raw: int) -> tuple[Chain, list[bytes]]:
        chain = Chain(gateway.owner, "order", f"0000e00{number}", boot=f"0000b00{number}")
        at = T0 + 3600 * number
        return chain, [chain.birth(at, {"order": raw}, previous=previous), chain.usage(at, {"order": [10]})]

    one, lines_one = epoch(1, None, 100)
    two, lines_two = epoch(2, one.last, 150)
    three, lines_three = epoch(3, two.last, 200)
    four, lines_four = epoch(4, None, 300)
    clone, lines_clone = epoch(5, one.last, 999)
    gateway.send(*lines_one)
    gateway.send(*lines_three)  # Its birth names an epoch that nobody knows yet, and waits for it.
    gateway.through("order", 2, three.head, epoch="0000e003")
    assert standings(site) == {"0000e001": "linked", "0000e003": "waiting"}
    gateway.send(*lines_four)
    gateway.send(*lines_two)
    for chain in (one, two, four):
        gateway.through("order", 2, chain.head, epoch=chain.epoch)
    assert set(standings(site).values()) == {"linked"}
    # 100 … 110, 150 … 160, 200 … 210, 300 … 310 on the meter's own register.
    assert figures(site.usage("stranger")["order"])[:4] == (210, 0, 0, 170)
    gateway.send(*lines_clone)
    gateway.through("order", 2, clone.head, epoch="0000e005")
    assert standings(site)["0000e005"] == "cloned"
    assert figures(site.usage("stranger")["order"])[:3] == (210, 0, 10)
    late = two.usage(T0 + 20_000, {"order": [3]})  # Sealed after its successor's birth.
    gateway.send(late)
    gateway.through("order", 3, two.head, epoch="0000e002")
    assert figures(site.usage("stranger")["order"])[:3] == (210, 0, 13)
    assert any(alarm["log"] == "order" for alarm in site.ask("gateway", "show", "stranger")["alarms"])


def standings(site: CollectorSite) -> dict[str, str]:
    chains = site.ask("gateway", "show", "stranger")["chains"]
    return {chain["epoch"]: chain["standing"] for chain in chains if chain["log"] == "order"}


def test_an_unplaced_boot_counts_nowhere_until_its_first_clock_line(site: CollectorSite, gateway: Sender) -> None:
    """P13: R and U lines stand at boottime; the first `clock` of the boot places them, a second changes nothing."""
    chain = Chain(gateway.owner, "boots", "0000e001", boot="0000b00a", clock="U")
    gateway.send(chain.birth(40, {"boots": 0}), chain.usage(60, {"boots": [5, 5]}), chain.usage(180, {"boots": [1, 2]}))
    gateway.through("boots", 3, chain.head)
    assert figures(site.usage("stranger")["boots"])[:3] == (0, 13, 0)
    chain.clock = "S"
    gateway.send(chain.placed(T0 + 3000, T0 + 3300), chain.placed(T0 + 9000, T0 + 9300))
    gateway.send(chain.usage(T0 + 3300, {"boots": [7]}))
    gateway.through("boots", 6, chain.head)
    assert figures(site.usage("stranger")["boots"])[:3] == (20, 0, 0)
    placed = site.usage("stranger", "--from", rfc(T0 + 3060), "--to", rfc(T0 + 3180))
    assert placed["boots"]["units"] == 10


def test_boots_without_a_clock_line_are_laid_end_to_end(site: CollectorSite, gateway: Sender) -> None:
    """P13: the last ends where the chain's next placed line starts; estimated, and nothing of it is lost."""
    chain = Chain(gateway.owner, "laid", "0000e001", boot="0000b00a", clock="R")
    gateway.send(chain.birth(40, {"laid": 0}), chain.usage(60, {"laid": [5, 5]}))
    chain.boot = "0000b00b"
    gateway.send(chain.birth(30, {"laid": 10}), chain.usage(60, {"laid": [1, 2]}), chain.usage(180, {"laid": [4]}))
    gateway.through("laid", 5, chain.head)
    assert figures(site.usage("stranger")["laid"])[:3] == (0, 17, 0)
    chain.boot, chain.clock = "0000b00c", "S"
    gateway.send(chain.birth(T0 + 5000, {"laid": 17}), chain.usage(T0 + 5000, {"laid": [100]}))
    gateway.through("laid", 7, chain.head)
    assert figures(site.usage("stranger")["laid"])[:3] == (117, 0, 0)
    last = site.usage("stranger", "--from", rfc(T0 + 4940), "--to", rfc(T0 + 5000))["laid"]
    assert (last["units"], last["estimated"]) == (4, True)
    second = site.usage("stranger", "--from", rfc(T0 + 4820), "--to", rfc(T0 + 5000))["laid"]
    assert second["units"] == 7


def test_what_a_gateway_has_forgotten_is_no_longer_missing(site: CollectorSite, gateway: Sender) -> None:
    """P3: once the successor is there, the registers bridge what is gone."""
    chain = Chain(gateway.owner, "gone", "0000e001")
    lines = [chain.birth(T0, {"gone": 0}), *(chain.usage(T0 + 60 * at, {"gone": [3]}) for at in range(5))]
    gateway.send(lines[0], lines[1], lines[5])
    gateway.answer("gone", lambda body: body["missing"] == [[3, 5]])
    gateway.send(chain.forgotten(3, 4, T0 + 900))
    gateway.answer("gone", lambda body: body["missing"] == [[3, 5]] and body["through"] == 2)
    gateway.send(lines[4])
    gateway.through("gone", 7, chain.head)
    assert figures(site.usage("stranger")["gone"]) == (15, 0, 0, 6, 0)


def test_a_meter_exchange_moves_no_usage(site: CollectorSite, gateway: Sender) -> None:
    """P4."""
    chain = Chain(gateway.owner, "swapped", "0000e001")
    gateway.send(
        chain.birth(T0, {"swapped": 4000}),
        chain.usage(T0, {"swapped": [6]}),
        chain.exchange("swapped", 4006, 12, T0 + 60),
        chain.usage(T0 + 60, {"swapped": [2]}),
    )
    gateway.through("swapped", 4, chain.head)
    assert figures(site.usage("stranger")["swapped"]) == (8, 0, 0, 0, 0)


def test_a_clock_that_runs_ahead_moves_usage_and_loses_none(site: CollectorSite, gateway: Sender) -> None:
    chain = Chain(gateway.owner, "ahead", "0000e001")
    later = int(time.time()) + 86_400
    gateway.send(chain.birth(later, {"ahead": 0}), chain.usage(later, {"ahead": [6]}))
    gateway.through("ahead", 2, chain.head)
    now = int(time.time())
    shown = site.usage("stranger", "--from", rfc(now - 600), "--to", rfc(now + 60))["ahead"]
    assert (shown["units"], shown["estimated"]) == (6, True)


def test_the_account_does_not_depend_on_the_order_of_arrival(site: CollectorSite, gateway: Sender) -> None:
    """Two epochs with gaps, a lost line, an unplaced boot, in six orders: the same figures."""
    accounts = []
    for number in range(6):
        name, dice = f"shuffled{number}", random.Random(number)
        lines, ends = history(gateway, name)
        if number:
            dice.shuffle(lines)
        for at in range(0, len(lines), 3):
            gateway.send(*lines[at : at + 3], deflate=number % 2 == 1)
        for epoch, (through, head) in ends.items():
            gateway.answer(name, reached(epoch, through, head))
        accounts.append(name)
    time.sleep(0.2)
    shown, window = site.usage("stranger"), ("--from", rfc(T0 + 90), "--to", rfc(T0 + 4000))
    cut = site.usage("stranger", *window)
    assert len({figures(shown[name]) for name in accounts}) == 1, {name: shown[name] for name in accounts}
    assert len({str(cut[name] | {"device": ""}) for name in accounts}) == 1
    assert figures(shown[accounts[0]]) == (177, 0, 0, 99, 1)


def reached(epoch: str, through: int, head: str) -> Holds:
    return lambda body: (body["epoch"], body["through"], body["head"]) == (epoch, through, head)


def history(gateway: Sender, name: str) -> tuple[list[bytes], dict[str, tuple[int, str]]]:
    """A log's life: 12 + 20 by a gap + 9 of which 4 by a bridge … and a second epoch that knows no time."""
    one = Chain(gateway.owner, name, "0000e001")
    lines = [one.birth(T0, {name: 700}), one.usage(T0, {name: [12]}), one.gap(name, T0 + 60, T0 + 120, 20)]
    lines.append(one.gap(name, T0 + 120, T0 + 180, None))
    lines.append(one.usage(T0 + 180, {name: [5]}))
    end = (one.seq, one.head)
    one.usage(T0 + 240, {name: [4]})  # Lost on the way for ever.
    lines.append(one.usage(T0 + 300, {name: [1]}))
    two = Chain(gateway.owner, name, "0000e002", boot="0000b002", clock="R")
    # 700 + 42 at the end of the first epoch; 75 were used until the birth of the second.
    lines.append(two.birth(10, {name: 817}, previous=one.last, cause="epoch"))
    lines.append(two.usage(60, {name: [30, 30]}))
    two.clock = "S"
    lines += [two.placed(T0 + 3000, T0 + 3200), two.placed(T0 + 7000, T0 + 7200)]
    return lines, {"0000e001": end, "0000e002": (two.seq, two.head)}


CATALOG = """
[operator]
name = "Northwind"
currency = "EUR"
timezone = "UTC"
country = "FI"
address = ["Example street 1"]
vat_id = "FI12345678"
[meters.energy]
unit = "kWh"
aggregate = "sum"
[plans.daily]
cycle = "day"
settle = "1m"
[[plans.daily.charges]]
name = "Energy"
type = "usage"
meter = "energy"
model = "per_unit"
price = 0.25
[[plans.daily.taxes]]
name = "VAT"
percent = 25.5
category = "S"
[accounts.acme]
name = "Acme"
country = "FI"
address = ["Sample road 2"]
[contracts.acme]
account = "acme"
plan = "daily"
start = {day}
devices = ["honest/billed", "honest/billed-gap"]
"""


def test_a_history_full_of_trouble_is_billed_to_the_unit_and_proven(site: CollectorSite, tmp_path: Path) -> None:
    """P1, P12: a gap, a lost line, a lost spool, a boot that knew no time; the invoice is verified by its bundle."""
    gateway = site.enrol("honest", 9)
    names = ("billed", "billed-gap")
    one = Chain(gateway.owner, "trouble", "0000e001")
    lines = [one.birth(T0, dict.fromkeys(names, 1000)), one.usage(T0, dict.fromkeys(names, (500, 0)))]
    lines.append(one.gap("billed-gap", T0 + 120, T0 + 600, 6000))
    lines.append(one.gap("billed", T0 + 120, T0 + 600, None))
    one.usage(T0 + 600, dict.fromkeys(names, (100,)))  # Never arrives.
    lines.append(one.usage(T0 + 780, dict.fromkeys(names, (7,))))
    two = Chain(gateway.owner, "trouble", "0000e002", boot="0000b002", clock="R")
    raws: dict[str, int | None] = {name: one.registers[name] + 50 for name in names}
    lines += [two.birth(10, raws, previous=one.last, cause="epoch"), two.usage(60, dict.fromkeys(names, (4, 4)))]
    two.clock = "S"
    lines.append(two.placed(T0 + 3000, T0 + 3300))
    lines.append(two.usage(T0 + 86_400 - 120, dict.fromkeys(names, (9, 9, 9, 9))))  # Half of it is today's.
    gateway.send(*lines)
    gateway.through("trouble", 4, two.head, epoch="0000e002")
    (tmp_path / "catalog.toml").write_text(CATALOG.format(day=datetime.fromtimestamp(T0, UTC).date()))
    site.ask("catalog", "apply", str(tmp_path / "catalog.toml"), as_json=False)
    site.ask("billing", "run", as_json=False)
    (invoice,) = site.ask("invoice", "list")
    bundle = tmp_path / "bundle.zip"
    site.ask("invoice", "export", invoice["number"], "--bundle", str(bundle), as_json=False)
    trust = [hashlib.sha256(key).hexdigest() for key in (site.operator, bytes(gateway.owner.key.verify_key))]
    assert "VERIFIED" in run("verify-invoice", bundle, *(f"--trust={key}" for key in trust)).stdout
    with zipfile.ZipFile(bundle) as archive:
        body = opened(archive.read("invoice.ms"), site.operator, "MI1")
    (line,) = body["lines"]
    each = 500 + 100 + 7 + 50 + 8 + 18
    assert line["quantity"] == str(Decimal(2 * each + 6000) / 1000)
    assert line["estimated"]
    assert (body["net"], body["total"]) == ("1.84", "2.31")
    assert [gap[1:3] + gap[5:] for gap in body["gaps"]] == [["billed", "energy", "source_down"]]


def test_a_collector_killed_between_publish_and_receipt_forgets_nothing(site: CollectorSite, gateway: Sender) -> None:
    """P2, P6: what had a receipt is there, what had none is taken when it comes again; `at` goes on rising."""
    chain = Chain(gateway.owner, "killed", "0000e001")
    gateway.send(chain.birth(T0, {"killed": 0}))
    gateway.through("killed", 1, chain.head)
    lines = []
    for number in range(3):
        batch = [chain.usage(T0 + 60 * (chain.seq - 1), {"killed": [1]}) for _ in range(20)]
        lines += batch
        for at, line in enumerate(batch):
            gateway.send(line)
            if at == 10:
                time.sleep(0.02 * number)
                site.collector.kill()
        before = len(gateway.receipts("killed"))
        promised = gateway.receipts("killed")[-1]["through"]
        site.start()
        gateway.send(*lines[-31:])
        receipt = gateway.answer("killed", lambda body: body["through"] == chain.seq, after=before)
        assert receipt["through"] >= promised
    gateway.through("killed", 61, chain.head)
    assert figures(site.usage("stranger")["killed"]) == (60, 0, 0, 0, 0)


def test_afterwards_the_books_are_in_order(site: CollectorSite) -> None:
    """What was derived line by line is derived again from the facts, to the same bytes."""
    assert "Traceback" not in site.collector.log.read_text()
    before = site.ask("usage", "show")
    site.ask("audit", as_json=False)
    site.ask("rebuild", as_json=False)
    site.ask("audit", as_json=False)
    assert site.ask("usage", "show") == before
