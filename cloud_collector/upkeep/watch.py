"""Looks at the store for what is wrong, once a minute, and names the root: a lost broker is one alarm, not a thousand.

Silence is counted only while the collector itself could hear. What cannot be judged now neither begins nor ends.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from cloud_collector.billing.confirmation import waits_for_confirmation
from cloud_collector.contracts.period import iso
from cloud_collector.fleet.holes import missing
from cloud_collector.fleet.invitations import enrolled_keys
from cloud_collector.fleet.positions import chain_of
from cloud_collector.fleet.standing import Standing, kept_standing
from cloud_collector.settings import AlarmSettings
from cloud_collector.store.store import Store
from cloud_collector.upkeep.incidents import Cause, Spot, open_incidents, settle
from cloud_collector.usage.derive import estimated_indices

HEARING_GAP_MS: Final = 300_000
"""So long the collector may be away, as for a restart, without the gateways' silence being counted anew."""
FLEET_MIN: Final = 5
"""From so many silent gateways on, and from half of all, it is one alarm."""
WINDOW_SECONDS: Final = 900
"""What is taken for the window of a gateway that has not sent one yet: the agent's default."""
HOLES_WATCHED_MAX: Final = 1_000
NAMED_MAX: Final = 8
_ON_THE_AIR: Final = frozenset({Cause.FLEET_SILENT, Cause.SILENT, Cause.METERS, Cause.METER, Cause.HOLE, Cause.CLOCK})
"""What nobody can judge while nothing is heard."""
_log: Final = logging.getLogger(__name__)

Found = dict[Spot, str]


class Watch:
    """A chore of the collector's tick. `connected` says whether it has a session with the broker at this moment."""

    def __init__(self, settings: AlarmSettings, *, connected: Callable[[], bool], name: str, skew_seconds: int) -> None:
        self._settings = settings
        self._connected = connected
        self._name = name
        self._skew_ms = skew_seconds * 1000
        self._seen: dict[Spot, int] = {}
        """Since when what needs patience has been seen."""
        self._looked_at: int | None = None
        self._lost_at: int | None = None

    def __call__(self, store: Store, now_ms: int) -> None:
        """Look, if it is time to."""
        connected = self._connected()
        self._lost_at = None if connected else self._lost_at or now_ms
        due = self._looked_at is None or not 0 <= now_ms - self._looked_at < self._settings.look_seconds * 1000
        if self._settings.look_seconds and due:
            self._looked_at = now_ms
            self.look(store, now_ms)

    def look(self, store: Store, now_ms: int) -> None:
        """The open alarms are what is wrong now."""
        hears = self._lost_at is None
        found: Found = dict(self._of_everything(store))
        judged = {Cause.RESTORED, Cause.PARKED, Cause.CLONED}
        standings: dict[str, tuple[Standing, int]] = {}
        if hears:
            since = _hearing_since(store, now_ms)
            heard, channels = _heard(store), _channels(store)
            found |= self._on_the_air(store, heard, channels, now_ms, since)
            judged |= _ON_THE_AIR
            standings = dict(self._standings(store, heard, channels, now_ms, since))
        found = self._patient(found, now_ms)
        with store.atomic():
            if hears:
                store.run("hearing_put", since, now_ms)
                _keep_standings(store, standings, now_ms)
            held = {each.spot for each in open_incidents(store)}
            # Of several collectors each speaks of its own session alone.
            mine = {spot: text for spot, text in found.items() if spot.cause is not Cause.BROKER}
            begun, ended = settle(store, mine, judged, now_ms)
            broker = Spot(cause=Cause.BROKER, part=self._name)
            if broker in found and broker not in held:
                store.run("incident_begin", broker.cause.value, "", broker.part, found[broker], now_ms)
            elif hears and broker in held:
                id_ = next(each.id for each in open_incidents(store) if each.spot == broker)
                store.run("incident_end", now_ms, id_)
        if begun or ended:
            _log.info("event=alarms begun=%d ended=%d", begun, ended)

    def _of_everything(self, store: Store) -> Iterator[tuple[Spot, str]]:
        if self._lost_at is not None:
            text = (
                f"{self._name} has no session with the broker since {iso(self._lost_at // 1000)}: nothing is received, "
                "and the gateways keep what they seal"
            )
            yield Spot(cause=Cause.BROKER, part=self._name), text
        waits = waits_for_confirmation(store)
        if waits is not None:
            yield Spot(cause=Cause.RESTORED), waits
        parked = store.rows("parked")
        if parked:
            named = "; ".join(f"{contract}: {reason}" for contract, _, reason, _ in parked[:NAMED_MAX])
            count = f"{len(parked)} contracts" if len(parked) > 1 else "a contract"
            yield Spot(cause=Cause.PARKED), f"{count} cannot be billed: {named}"
        for (gateway,) in store.rows("gateways_parked"):
            yield (
                Spot(cause=Cause.CLONED, gateway=gateway),
                f"two machines speak as {gateway}: see `cloud-collector gateway show {gateway}`",
            )

    def _on_the_air(
        self,
        store: Store,
        heard: Mapping[str, "_Heard"],
        channels: Mapping[str, "Sequence[_Channel]"],
        now_ms: int,
        since: int,
    ) -> Found:
        silent = self._silent(store, heard, channels, now_ms, since)
        found: Found = {}
        already = {each.spot for each in open_incidents(store)}
        together = Spot(cause=Cause.FLEET_SILENT)
        # What has begun ends later than it would begin, or it would come and go.
        bound = len(heard) // (4 if together in already else 2)
        if len(silent) >= max(FLEET_MIN, bound):
            found[together] = (
                f"{len(silent)} of {len(heard)} gateways are silent at once: look at what they share, such as "
                "the broker's listener, its certificate, the network"
            )
        for gateway, text in silent.items():
            spot = Spot(cause=Cause.SILENT, gateway=gateway)
            if together not in found or spot in already:
                found[spot] = text
        speaking = [gateway for gateway in heard if gateway not in silent]
        for gateway in speaking:
            found |= dict(self._meters(store, gateway, channels.get(gateway, ())))
            found |= dict(self._clock(gateway, heard[gateway]))
        return found | dict(_holes(store))

    def _silent(
        self,
        store: Store,
        heard: Mapping[str, "_Heard"],
        channels: Mapping[str, "Sequence[_Channel]"],
        now_ms: int,
        since: int,
    ) -> dict[str, str]:
        begun = {each.spot.gateway: each.begun_at for each in open_incidents(store) if each.spot.cause is Cause.SILENT}
        found = {}
        for gateway, last in heard.items():
            window = max((each.window for each in channels.get(gateway, ())), default=WINDOW_SECONDS)
            patience_ms = max(window * self._settings.silent_windows, self._settings.silent_seconds_min) * 1000
            still = gateway in begun and last.received_at <= begun[gateway]
            if (still or now_ms - max(last.received_at, since) > patience_ms) and enrolled_keys(store, gateway):
                since_when = iso(last.received_at // 1000)
                found[gateway] = f"{gateway} has sent nothing since {since_when}; it should every {_duration(window)}"
        return found

    def _meters(self, store: Store, gateway: str, channels: "Sequence[_Channel]") -> Iterator[tuple[Spot, str]]:
        windows = self._settings.silent_windows
        dead = [each for each in channels if each.missing and _dead_for(store, each, windows)]
        devices = sorted({each.device for each in dead} - {each.device for each in channels if each not in dead})
        if not devices:
            return
        if len(channels) > 1 and len(dead) == len(channels) and len(devices) > 1:
            yield (
                Spot(cause=Cause.METERS, gateway=gateway),
                f"{gateway} sends, and none of its {len(devices)} meters answers: look at what they share",
            )
            return
        for device in devices:
            good = min((_good_until(store, each) for each in dead if each.device == device), default=0)
            said = f" since {iso(good)}" if good else ""
            yield (
                Spot(cause=Cause.METER, gateway=gateway, part=device),
                f"{gateway} sends, and its meter {device} has given no reading{said}",
            )

    def _clock(self, gateway: str, last: "_Heard") -> Iterator[tuple[Spot, str]]:
        spot = Spot(cause=Cause.CLOCK, gateway=gateway)
        if last.clock in ("R", "U"):
            yield spot, f"{gateway} does not know the time: what it meters is billed once it does"
            return
        lag_ms = last.received_at - last.sealed * 1000
        if lag_ms < -self._skew_ms:
            yield spot, f"the clock of {gateway} runs {_duration(-lag_ms // 1000)} ahead"
        elif last.before is not None:
            # A backlog comes at once; lines that come one by one, each as late as the one before, were never waiting.
            received_at, sealed = last.before
            before_ms = received_at - sealed * 1000
            steady = abs(before_ms - lag_ms) < min(self._skew_ms, lag_ms // 4)
            apart = last.received_at - received_at
            if lag_ms > self._settings.behind_seconds * 1000 and steady and apart > (last.sealed - sealed) * 500 > 0:
                yield spot, f"the clock of {gateway} seems to run {_duration(lag_ms // 1000)} behind"

    def _standings(
        self,
        store: Store,
        heard: Mapping[str, "_Heard"],
        channels: Mapping[str, "Sequence[_Channel]"],
        now_ms: int,
        since: int,
    ) -> Iterator[tuple[str, tuple[Standing, int]]]:
        """How each gateway stands, and how long its windows are."""
        silent = self._silent(store, heard, channels, now_ms, since)
        for gateway, last in heard.items():
            every = max((each.window for each in channels.get(gateway, ())), default=WINDOW_SECONDS)
            clock = any(True for _ in self._clock(gateway, last))
            spoke = max(last.received_at, since)
            yield (
                gateway,
                (kept_standing(now_ms, spoke, every, silent=gateway in silent, clock_is_wrong=clock), every),
            )

    def _patient(self, found: Found, now_ms: int) -> Found:
        """Without what has not lasted long enough to be an alarm."""
        patience = {
            Cause.BROKER: self._settings.broker_seconds,
            Cause.HOLE: self._settings.hole_seconds,
            Cause.CLOCK: self._settings.hole_seconds,
        }
        self._seen = {
            spot: self._seen.get(spot, self._lost_at or now_ms if spot.cause is Cause.BROKER else now_ms)
            for spot in found
            if spot.cause in patience
        }
        return {
            spot: text
            for spot, text in found.items()
            if spot not in self._seen or now_ms - self._seen[spot] >= patience[spot.cause] * 1000
        }


@dataclass(frozen=True, slots=True)
class _Heard:
    """A gateway's newest line."""

    received_at: int
    sealed: int
    clock: str
    before: tuple[int, int] | None
    """When the line before it was received (ms) and sealed (s)."""


@dataclass(frozen=True, slots=True)
class _Channel:
    """A channel's newest row of usage."""

    id: int
    device: str
    start: int
    window: int
    missing: bool


def _keep_standings(store: Store, found: Mapping[str, tuple[Standing, int]], now_ms: int) -> None:
    """What differs from the last look is written: most gateways stand as they did."""
    held = {gateway: (standing, every) for gateway, standing, every in store.rows("standings_kept")}
    store.run_many(
        "standing_put",
        [
            (gateway, standing.value, every, now_ms)
            for gateway, (standing, every) in found.items()
            if held.get(gateway) != (standing.value, every)
        ],
    )


def _hearing_since(store: Store, now_ms: int) -> int:
    row = store.row("hearing")
    return now_ms if row is None or not 0 <= now_ms - row[1] <= HEARING_GAP_MS else int(row[0])


def _heard(store: Store) -> dict[str, _Heard]:
    return {
        gateway: _Heard(received_at, sealed, clock, None if before is None else (before, before_sealed))
        for gateway, received_at, sealed, clock, before, before_sealed in store.rows("watch_newest")
    }


def _channels(store: Store) -> dict[str, list[_Channel]]:
    found: dict[str, list[_Channel]] = {}
    for gateway, device, _, id_, start, step, count, *row in store.rows("watch_channels"):
        found.setdefault(gateway, []).append(_Channel(id_, device, start, step * count, _missing(count, *row)))
    return found


def _missing(count: int, estimated: str | None, register: int, register_end: int) -> bool:
    """Whether a row of usage says that the meter was not read at all."""
    return register == register_end and len(estimated_indices(estimated, count)) == count


def _dead_for(store: Store, channel: _Channel, windows: int) -> bool:
    rows = store.rows("watch_before", channel.id, channel.start, windows - 1)
    return len(rows) == windows - 1 and all(_missing(row[2], *row[3:]) for row in rows)


def _good_until(store: Store, channel: _Channel) -> int:
    """The end of the last row in which the meter was read, among those worth looking at; else 0."""
    for start, step, count, *row in store.rows("watch_before", channel.id, channel.start, 256):
        if not _missing(count, *row):
            return int(start + step * count)
    return 0


def _holes(store: Store) -> Iterator[tuple[Spot, str]]:
    for id_, gateway, log, epoch in store.rows("watch_holes", HOLES_WATCHED_MAX):
        holes = missing(store, chain_of(store.rows("chain_by_id", id_)[0]))
        count = sum(last - first + 1 for first, last in holes)
        if count:
            ranges = ", ".join(f"{first}-{last}" if first < last else f"{first}" for first, last in holes[:NAMED_MAX])
            text = (
                f"{count} lines of {gateway}, log {log}, epoch {epoch}, are missing: {ranges}. Every receipt asks for "
                f"them; `cloud-collector gateway resend {gateway}` asks once more"
            )
            yield Spot(cause=Cause.HOLE, gateway=gateway, part=f"{log} {epoch}"), text


def _duration(seconds: int) -> str:
    for name, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size or (seconds >= size and seconds % size == 0):
            return f"{seconds // size} {name}"
    return f"{seconds} s"
