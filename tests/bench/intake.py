"""Intake beside its floors: the real collector and two least programs, in turns, on the same payloads."""

import json
import random
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Final

from cloud_collector.fleet.gateways import add_gateway
from cloud_collector.store.store import Store
from shared.effects.sqlite import SqliteDatabase
from shared.key import PublicKey, SigningKey
from tests.bench.figure import Figure, Say
from tests.bench.payloads import CHANNELS, INTERVALS, LINES_A_PAYLOAD, Gateway, backlog, fleet, live
from tests.bench.site import Consumer, Drained, Payloads, drain, python
from tests.processes import command

READINGS: Final = CHANNELS * INTERVALS
Keys = Mapping[str, PublicKey]


def intake(say: Say, *, lines: int, rounds: int, gateways: int) -> list[Figure]:
    """Live and backlog intake, each in several rounds, and what the floors do in the same rounds."""
    say("sealing payloads")
    apart, together = fleet(gateways, seed=1), fleet(max(1, gateways // 25), seed=2)
    queues: dict[str, tuple[Payloads, Keys]] = {
        "live": (list(live(apart, lines // len(apart))), _keys(apart)),
        "live, few gateways": (list(live(together, lines // len(together))), _keys(together)),
        "backlog": (list(backlog(together, lines // LINES_A_PAYLOAD // len(together))), _keys(together)),
    }
    consumers = {"collector": collector, "line floor": line_floor, "channel floor": channel_floor}
    runs: dict[tuple[str, str], list[Drained]] = {}
    for turn in range(rounds):
        for queue, (payloads, keys) in queues.items():
            for name in ("line floor", "channel floor", "collector") if queue == "live" else ("collector",):
                say(f"round {turn + 1} of {rounds}: {name}, {queue}")
                drained = drain(consumers[name](keys), payloads, _lines(queue, payloads))
                runs.setdefault((queue, name), []).append(drained)
    return _figures(runs)


def collector(keys: Keys) -> Consumer:
    """`cloud-collector run` on an enrolled fleet."""

    def prepare(folder: Path, port: int) -> list[str]:
        return [*command("cloud-collector"), "--config", str(collector_config(folder, port, keys)), "run"]

    return Consumer(name="collector", client_id="_collector", prepare=prepare)


def collector_config(folder: Path, port: int, keys: Keys) -> Path:
    """A configuration, its receipt key, and a store in which the gateways are enrolled."""
    store = Store(SqliteDatabase(folder / "store.db"))
    for name, key in keys.items():
        add_gateway(store, name, key, now_ms=0)
    store.close()
    receipt_key = folder / "receipt.key"
    receipt_key.touch(mode=0o600)
    receipt_key.write_text(SigningKey(random.Random("receipt").randbytes(32)).pem, encoding="ascii")
    config = folder / "collector.toml"
    config.write_text(
        f'store_path = "{folder}/store.db"\nkey_file = "{receipt_key}"\n'
        f'[broker]\nhost = "127.0.0.1"\nport = {port}\ntls = false\n',
        encoding="utf-8",
    )
    return config


def line_floor(keys: Keys) -> Consumer:
    """One insert a line."""
    return _floor("line", keys)


def channel_floor(keys: Keys) -> Consumer:
    """One insert a line and a row a channel."""
    return _floor("channel", keys)


def _floor(kind: str, keys: Keys) -> Consumer:
    def prepare(folder: Path, port: int) -> list[str]:
        known = folder / "keys.json"
        known.write_text(json.dumps({name: key.raw.hex() for name, key in keys.items()}), encoding="ascii")
        return python("tests.bench.floor", port, folder / "store.db", known, kind)

    return Consumer(name=f"{kind} floor", client_id="bench-floor", prepare=prepare)


def _keys(gateways: list[Gateway]) -> Keys:
    return {gateway.name: gateway.key.public for gateway in gateways}


def _lines(queue: str, payloads: Payloads) -> int:
    if queue != "backlog":
        return len(payloads)
    births = len({topic for topic, _ in payloads})
    return births + (len(payloads) - births) * LINES_A_PAYLOAD


def _figures(runs: Mapping[tuple[str, str], list[Drained]]) -> list[Figure]:
    rates = {key: median(run.rate for run in each) for key, each in runs.items()}
    costs = {key: median(run.cpu_us for run in each) for key, each in runs.items()}
    figures = []

    def add(name: str, value: float, unit: str, *, least: float | None = None, note: str = "") -> None:
        figures.append(Figure(room="intake", name=name, value=value, unit=unit, least=least, note=note))

    live_key = ("live", "collector")
    for key, least in ((live_key, 4_500.0), (("live, few gateways", "collector"), None)):
        answers = "each batch one receipt a line" if key == live_key else "each batch many lines a receipt"
        slow, fast = min(run.rate for run in runs[key]), max(run.rate for run in runs[key])
        note = f"{costs[key]:.0f} µs of CPU a line; {slow:,.0f} to {fast:,.0f} in {len(runs[key])} rounds; {answers}"
        add(f"{key[0]}: lines", rates[key], "/s", least=least, note=note)
    add("live: interval readings", rates[live_key] * READINGS, "/s", least=1_350_000, note="20 channels × 15 a line")
    for name, least in (("line floor", 0.65), ("channel floor", 0.9)):
        floor = ("live", name)
        note = f"{rates[floor]:,.0f} lines/s, {costs[floor]:.0f} µs of CPU a line"
        add(f"{name}: lines", rates[floor], "/s", note=f"{costs[floor]:.0f} µs of CPU a line")
        add(f"live ÷ {name}", rates[live_key] / rates[floor], "", least=least, note=f"floor: {note}")
        few = rates["live, few gateways", "collector"]
        add(f"few gateways ÷ {name}", few / rates[floor], "", least=least)
        add(f"{name} ÷ live, by CPU", costs[floor] / costs[live_key], "", note="the same by processor time alone")
    late = ("backlog", "collector")
    note = f"{LINES_A_PAYLOAD} lines a payload; {costs[late]:.0f} µs of CPU a line; signatures verified one by one"
    add("backlog: lines", rates[late], "/s", note=note)
    add("backlog ÷ live", rates[late] / rates[live_key], "", least=1.6)
    return figures
