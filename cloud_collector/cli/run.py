"""`cloud-collector run`: the real effects, the signals, the ticks; no rule."""

import asyncio
import gc
import logging
import random
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from cloud_collector.cli.billing import biller_of
from cloud_collector.cli.desk import desk_of
from cloud_collector.cli.ingest import log_key
from cloud_collector.cli.mailing import mailing
from cloud_collector.cli.manager import told
from cloud_collector.cli.opened import archive, ending, opened, settings, signing_key
from cloud_collector.cli.replace import Finder
from cloud_collector.cli.telling import alert_link, keep_secret, telling
from cloud_collector.collector import Collector
from cloud_collector.fleet.desk import Desk
from cloud_collector.ingest.sealing import OwnLogs
from cloud_collector.retention.chore import Retention
from cloud_collector.settings import CollectorSettings
from cloud_collector.store.months import Months
from cloud_collector.store.place import place_of
from cloud_collector.store.store import Store
from cloud_collector.ticks import ticking
from cloud_collector.upkeep.checkpoints import Checkpointer
from cloud_collector.upkeep.watch import Watch
from cloud_collector.web.server import enrolling, serving
from shared.effects.chance import system_chance
from shared.effects.clock import SystemClock
from shared.effects.mqtt import MqttLink
from shared.effects.notify import Notifier
from shared.effects.workers import ThreadWorkers
from shared.key import SigningKey

THREADS: Final = 2
"""One verifies while one writes."""
GARBAGE_THRESHOLDS: Final = (10_000, 20, 20)
_log = logging.getLogger(__name__)


@ending
def run() -> None:
    """Example: `cloud-collector run --config /etc/meterseal/collector.toml`.

    Take what gateways send, answer with receipts, bill what is due, until SIGTERM. Exit 75 where the disk is full.
    """
    known = settings()
    key = signing_key(known)
    desk = desk_of(known, key) if known.enrolment.host else None
    with opened(known, make=True) as store:
        asyncio.run(_run(known, key, store, desk))


def watch_of(known: CollectorSettings, connected: Callable[[], bool]) -> Watch:
    """What looks for alarms, as the settings say."""
    return Watch(known.alarms, connected=connected, name=known.client_id, skew_seconds=known.clock_skew_seconds)


def _spare_the_collection() -> None:
    """What is loaded by now stays, and is not looked through again: a full collection held up receipts for 70 ms.

    Intake makes many objects and hardly a cycle, so that the others may be looked for seldom.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GARBAGE_THRESHOLDS)


async def _run(known: CollectorSettings, key: SigningKey, store: Store, desk: Desk | None) -> None:
    clock = SystemClock()
    biller = biller_of(known, key)
    with ThreadPoolExecutor(THREADS, thread_name_prefix="collector") as threads:
        collector: Collector = Collector(
            known,
            key=key,
            store=store,
            clock=clock,
            link=MqttLink(known.broker, known.client_id),
            workers=ThreadWorkers(threads),
            random=random.SystemRandom(),
            chores=[
                Months(),
                biller,
                Checkpointer(key, archive(known)),
                Retention(keep_unassigned_days=known.keep_unassigned_days, name=known.client_id),
                watch_of(known, lambda: collector.connected),
            ],
            find_key=Finder(known.key_file),
            holder=random.SystemRandom().getrandbits(62) + 1,
            own=OwnLogs(lambda name: log_key(known, name), system_chance, known.prefix),
        )
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, collector.stop)
        _log.info(
            "event=collector_started store=%s broker=%s:%s", place_of(known), known.broker.host, known.broker.port
        )
        with ticking(collector, clock, seconds=known.tick_seconds):
            async with (
                serving(known, collector, clock, key.public, biller, lambda *told: keep_secret(known, *told)),
                enrolling(known, desk, clock),
                told(collector, Notifier()),
                mailing(known, clock),
                telling(known, alert_link(known), clock, lambda: collector.elected),
            ):
                _spare_the_collection()
                await collector.run()
    counted = " ".join(f"{verdict.lower()}={count}" for verdict, count in sorted(collector.verdicts.items()))
    _log.info("event=collector_stopped %s", counted)
