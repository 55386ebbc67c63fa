"""What Prometheus reads: counts of verdicts, of what is held, and whether the broker is reached. Bounded labels."""

from collections.abc import Iterator, Mapping
from typing import Protocol

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector as Exporter

from cloud_collector.web.app import OpenStore

Family = CounterMetricFamily | GaugeMetricFamily


class Running(Protocol):
    """What is asked of the running collector."""

    @property
    def connected(self) -> bool:
        """Whether it has a session with the broker."""

    @property
    def verdicts(self) -> Mapping[str, int]:
        """How many lines and payloads had each verdict since it started."""


class StoreExporter(Exporter):
    """Reads the figures when they are asked for; names after the Prometheus naming guide."""

    def __init__(self, running: Running, open_store: OpenStore) -> None:
        self._running = running
        self._open_store = open_store

    def collect(self) -> Iterator[Family]:
        """Every metric, read at this moment."""
        verdicts = CounterMetricFamily(
            "meterseal_lines", "Lines and payloads taken since the start, by verdict.", labels=["verdict"]
        )
        for verdict, count in sorted(self._running.verdicts.items()):
            verdicts.add_metric([verdict.lower()], count)
        yield verdicts
        yield GaugeMetricFamily(
            "meterseal_broker_connected", "1 while a session with the broker stands.", int(self._running.connected)
        )
        with self._open_store() as store:
            lines, gateways, invoices, unmatched, last = store.row("web_counts") or (0, 0, 0, 0, None)
        yield GaugeMetricFamily("meterseal_lines_held", "Sealed lines in the store.", lines)
        yield GaugeMetricFamily("meterseal_gateways", "Enrolled gateways.", gateways)
        yield GaugeMetricFamily("meterseal_invoices_issued", "Invoices in the store.", invoices)
        yield GaugeMetricFamily("meterseal_unmatched_topics", "Topics and reasons in the unmatched box.", unmatched)
        yield GaugeMetricFamily(
            "meterseal_last_line_timestamp_seconds", "When the last line was received, Unix time.", (last or 0) / 1000
        )


def registry(running: Running, open_store: OpenStore) -> CollectorRegistry:
    """A registry of its own, so that nothing global is shared."""
    found = CollectorRegistry()
    found.register(StoreExporter(running, open_store))
    return found
