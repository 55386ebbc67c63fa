"""The channels of each gateway: named by its first line that speaks of them, unit and exponent fixed by it."""

from dataclasses import dataclass

from cloud_collector.fleet.positions import NumberOf
from cloud_collector.store.store import Store
from cloud_collector.usage.let_go import LetGo
from shared.report import Birth, Exchange, Gap, Report, Summary, Usage


@dataclass(slots=True)
class Known:
    """A channel as the store has it."""

    id: int
    unit: str | None
    exponent: int | None
    longest: int
    """Seconds of the longest usage row ever said of it."""


class Channels:
    """The channels that this process has met."""

    def __init__(self, store: Store, number: NumberOf = lambda *_: None) -> None:
        """`number` says which number a new channel has that another store numbers."""
        self._store = store
        self._number = number
        self._gateways: dict[str, dict[tuple[str, str], Known]] = {}

    def of(self, gateway: str) -> dict[tuple[str, str], Known]:
        """The gateway's channels by device and meter."""
        found = self._gateways.get(gateway)
        if found is None:
            rows = self._store.rows("channels_of_gateway", gateway)
            found = self._gateways[gateway] = {(row[1], row[2]): Known(row[0], row[3], row[4], row[5]) for row in rows}
        return found

    def forget_gateway(self, gateway: str) -> None:
        """Another process may have named channels of it."""
        self._gateways.pop(gateway, None)

    def register(self, gateway: str, report: Report | LetGo | None) -> None:
        """Every channel that the line speaks of is known; in order of arrival, so that a rebuild numbers alike."""
        known = self.of(gateway)
        match report:
            case (
                Usage(step=step, count=count, rows=rows)
                | Summary(step=step, count=count, rows=rows)
                | LetGo(step=step, count=count, rows=rows)
            ):
                length = step * count
                for row in rows:
                    channel = known.get((row[0], row[1]))
                    if channel is None or channel.unit is None or channel.longest < length:
                        self._learn(gateway, known, (row[0], row[1]), row[2], row[3], length)
            case Birth(channels=channels):
                for each in channels:
                    self._learn(gateway, known, (each.device, each.meter), each.unit, each.exponent, 0)
            case Gap() | Exchange():
                for other in report.rows:
                    self._learn(gateway, known, (other.device, other.meter), None, None, 0)
            case _:
                pass

    def _learn(
        self,
        gateway: str,
        known: dict[tuple[str, str], Known],
        name: tuple[str, str],
        unit: str | None,
        exponent: int | None,
        length: int,
    ) -> None:
        channel = known.get(name)
        if channel is None:
            number = self._number(gateway, *name)
            row = (gateway, *name, unit, exponent, length)
            if number is None:
                id_ = self._store.rows("channel_add", *row)[0][0]
            else:
                id_ = self._store.rows("channel_add_as", number, *row)[0][0]
            known[name] = Known(id_, unit, exponent, length)
            return
        if channel.unit is None and unit is not None:
            self._store.run("channel_unit", unit, exponent, channel.id)
            channel.unit, channel.exponent = unit, exponent
        if channel.longest < length:
            self._store.run("channel_longest", length, channel.id)
            channel.longest = length
