"""What Prometheus reads: counts of verdicts, of what is held, and whether the broker is reached. Bounded labels."""

from collections.abc import Callable, Iterator, Mapping
from importlib import metadata
from typing import Protocol

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector as Exporter

from cloud_collector.limits import COMMAND_SENDINGS_MAX
from cloud_collector.upkeep.incidents import Cause
from cloud_collector.upkeep.surroundings import Surroundings
from cloud_collector.web.site import OpenStore

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

    def __init__(
        self, running: Running, open_store: OpenStore, surroundings: Callable[[], Surroundings] = Surroundings
    ) -> None:
        self._running = running
        self._open_store = open_store
        self._surroundings = surroundings

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
            open_alarms: dict[str, int] = dict(store.rows("incidents_counted"))
            holes, parked, commands, checkpoint = store.rows("metrics_counts", COMMAND_SENDINGS_MAX)[0]
        yield GaugeMetricFamily("meterseal_lines_held", "Sealed lines in the store.", lines)
        yield GaugeMetricFamily("meterseal_gateways", "Enrolled gateways.", gateways)
        yield GaugeMetricFamily("meterseal_invoices_issued", "Invoices in the store.", invoices)
        yield GaugeMetricFamily("meterseal_unmatched_topics", "Topics and reasons in the unmatched box.", unmatched)
        yield GaugeMetricFamily(
            "meterseal_last_line_timestamp_seconds", "When the last line was received, Unix time.", (last or 0) / 1000
        )
        alarms = GaugeMetricFamily("meterseal_alarms", "Alarms that are open, by kind.", labels=["kind"])
        for cause in Cause:
            alarms.add_metric([cause.value], open_alarms.get(cause.value, 0))
        yield alarms
        yield GaugeMetricFamily("meterseal_logs_with_holes", "Logs with lines missing in between.", holes)
        yield GaugeMetricFamily("meterseal_contracts_parked", "Contracts that the last run could not bill.", parked)
        yield GaugeMetricFamily("meterseal_commands_open", "Commands that gateways have not answered.", commands)
        yield GaugeMetricFamily(
            "meterseal_checkpoint_timestamp_seconds", "When the last checkpoint was signed, Unix time.", checkpoint or 0
        )
        yield from self._around()

    def _around(self) -> Iterator[Family]:
        around = self._surroundings()
        yield GaugeMetricFamily("meterseal_disk_free_bytes", "Room where the store lies.", around.disk_bytes_free)
        yield GaugeMetricFamily("meterseal_store_bytes", "Size of the store's files.", around.store_bytes)
        yield GaugeMetricFamily(
            "meterseal_backup_timestamp_seconds", "When the newest backup was made, Unix time.", around.backup_at
        )
        yield GaugeMetricFamily(
            "meterseal_certificate_expiry_timestamp_seconds",
            "When the first certificate of the CA's folder ends, Unix time.",
            around.certificate_ends_at,
        )
        build = GaugeMetricFamily("meterseal_build_info", "1, with the version as a label.", labels=["version"])
        build.add_metric([metadata.version("meterseal")], 1)
        yield build


def registry(
    running: Running, open_store: OpenStore, surroundings: Callable[[], Surroundings] = Surroundings
) -> CollectorRegistry:
    """A registry of its own, so that nothing global is shared."""
    found = CollectorRegistry()
    found.register(StoreExporter(running, open_store, surroundings))
    return found
